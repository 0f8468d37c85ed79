// Studies of softmax's Jacobian during training or at a run's checkpoints, and comparisons of training runs with different
// backward passes of softmax.
import { SCHEDULES } from "../../kernels/optimizers/schedules.ts";
import { isApproximated } from "../../kernels/attention/sizes.ts";
import { jacobianAnalysis } from "./analysis.ts";
import type { ComparedTraining } from "./report.ts";
import type { Config } from "../config/mod.ts";
import { type Batch, spreadBatches } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { UserError } from "../base/errors.ts";
import { type Architecture, type Block, blocksOf } from "../nn/architecture.ts";
import { checkParameters, loadCheckpoint, putModel } from "../model/checkpoint.ts";
import { type Evaluated, evaluator } from "../train/evaluate.ts";
import { type Experiment, languageModelOf, modelOf } from "../model/model.ts";
import { freezes } from "../train/freeze.ts";
import { WINDOW } from "../track/step_statistics.ts";
import { runStep } from "../train/loop.ts";
import { rowsOf, stepGraph } from "../train/step_graph.ts";
import { putStart } from "../train/compile.ts";
import type { ResolvedRun } from "../runs/resolve_run.ts";
import { checkpointSteps } from "../runs/run_folder.ts";
import type { EvalRecord, JacobianRecord } from "../log/records.ts";

/** Options of a study. */
export interface JacobianStudyOptions {
  /** Number of evenly spread batches of the evaluated split. Default: 4. */
  readonly batches?: number;
  /** Called after each window of steps, with the loss of its last step. */
  readonly onProgress?: (step: number, loss: number) => void;
}

/** Returns evenly spread batches of the evaluated split, including the first one. */
function evaluationBatches({ config, source }: Experiment, count = 4): Batch[] {
  return spreadBatches(source.evaluation(config.eval.split), count);
}

/** A step at which training pauses. */
interface Stop {
  readonly step: number;
  /** Training loss of each step since the previous stop, in nats per token. */
  readonly losses: readonly number[];
}

/**
 * Throws if the training of a configuration depends on its evaluations, because a study trains each model for the requested
 * steps, at the learning rates of the schedule.
 *
 * @throws {UserError} if the schedule is "plateau" or `train.stop` is set; the message names the key
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { checkStudied } from "./mod.ts";
 * checkStudied(await loadConfig("softmax_jacobian", []));
 * ```
 */
export function checkStudied({ schedule, train }: Config): void {
  const conflict = SCHEDULES[schedule.name].reduced
    ? [`schedule.name: ${schedule.name}`, "schedule.name=constant"]
    : train.stop === null
    ? undefined
    : [`train.stop: ${train.stop}`, "train.stop=null"];
  if (!conflict) return;
  throw new UserError(
    `${conflict[0]} depends on evaluations, which this training does not run: expected ${
      conflict[1]
    }, or the name of a finished run.`,
  );
}

/** Trains from the start as `train` does, without log and checkpoints, and pauses at the given steps. */
async function* trainTo(
  device: Device,
  experiment: Experiment,
  stops: readonly number[],
  onProgress?: JacobianStudyOptions["onProgress"],
): AsyncGenerator<Stop> {
  const { config, architecture, layout } = experiment;
  checkStudied(config);
  await putStart(device, experiment);
  const { graph, table } = stepGraph(architecture, layout, config, { freezes: freezes(experiment) });
  using program = await device.compile(graph);
  let step = 0;
  for (const stop of stops) {
    const losses: number[] = [];
    while (step < stop) {
      const count = Math.min(stop - step, WINDOW);
      for (let slot = 0; slot < count; slot++, step++) runStep(experiment, program, { step, slot });
      const [rows] = await device.read([table.name]);
      for (const { loss } of rowsOf(table, rows, count)) losses.push(loss);
      onProgress?.(step, losses.at(-1)!);
    }
    yield { step, losses };
  }
}

/**
 * Trains a model from the start and analyzes its Jacobians at the given steps; training ends at the last of them.
 *
 * @param steps integers in ascending order; 0 is before the first update
 * @returns the records of each step (see `jacobianAnalysis`)
 * @throws {UserError} as `checkStudied` does
 *
 * @example
 * ```ts
 * import { loadConfig, openDevice, prepare } from "../../mod.ts";
 * import { jacobianWhileTraining } from "./mod.ts";
 * const model = ["model.dim=16", "model.layers=1", "model.heads=2", "model.context=8", "train.batch=2"];
 * const experiment = await prepare(await loadConfig("softmax_jacobian", model));
 * using device = await openDevice("cpu");
 * for await (const records of jacobianWhileTraining(device, experiment, [0, 2], { batches: 1 })) {
 *   for (const { step, head, r_diag_c } of records) console.log(step, head, r_diag_c);
 * }
 * ```
 */
export async function* jacobianWhileTraining(
  device: Device,
  experiment: Experiment,
  steps: readonly number[],
  { batches, onProgress }: JacobianStudyOptions = {},
): AsyncGenerator<JacobianRecord[]> {
  const chosen = evaluationBatches(experiment, batches);
  using analysis = await jacobianAnalysis(device, languageModelOf(experiment), experiment.config.train.batch);
  for await (const { step } of trainTo(device, experiment, steps, onProgress)) {
    yield await analysis.analyse(chosen, step);
  }
}

/** A checkpoint and its step. */
export interface StepCheckpoint {
  /** The step at which it was saved. */
  readonly step: number;
  /** Its folder. */
  readonly path: string;
}

/**
 * Returns the checkpoints of a run in the order of their steps. For a checkpoint outside a run, returns only that checkpoint.
 *
 * @throws {UserError} if there is none
 *
 * @example
 * ```ts
 * import { resolveRun } from "../../mod.ts";
 * import { keptCheckpoints } from "./mod.ts";
 * console.log(await keptCheckpoints(await resolveRun("runs/latest")));
 * ```
 */
export async function keptCheckpoints({ run, checkpoint }: ResolvedRun): Promise<StepCheckpoint[]> {
  if (!checkpoint) throw new UserError(`${run?.path}: the run has no checkpoint yet.`);
  if (!run) return [{ step: (await loadCheckpoint(checkpoint)).state.step, path: checkpoint }];
  return (await checkpointSteps(run)).map((step) => ({ step, path: `${run.checkpoints}/${step}` }));
}

/**
 * Analyzes the Jacobians of a run's checkpoints.
 *
 * @param experiment the run's model and data (see `prepare`)
 * @param checkpoints checkpoints of this experiment
 * @returns the records of each checkpoint (see `jacobianAnalysis`)
 * @throws {UserError} if a checkpoint is damaged or its shapes differ
 *
 * @example
 * ```ts
 * import { loadCheckpoint, openDevice, prepare } from "../../mod.ts";
 * import { jacobianOfCheckpoints, keptCheckpoints } from "./mod.ts";
 * import { resolveRun } from "../../mod.ts";
 * const { config, tokenizer } = await loadCheckpoint("runs/latest");
 * const experiment = await prepare(config, tokenizer);
 * const kept = await keptCheckpoints(await resolveRun("runs/latest"));
 * using device = await openDevice("cpu");
 * for await (const records of jacobianOfCheckpoints(device, experiment, kept, { batches: 1 })) {
 *   console.log(records[0].step, records[0].cos_diag_c);
 * }
 * ```
 */
export async function* jacobianOfCheckpoints(
  device: Device,
  experiment: Experiment,
  checkpoints: readonly StepCheckpoint[],
  { batches }: JacobianStudyOptions = {},
): AsyncGenerator<JacobianRecord[]> {
  const chosen = evaluationBatches(experiment, batches);
  using stack = new DisposableStack();
  let analysis: Awaited<ReturnType<typeof jacobianAnalysis>> | undefined;
  for (const { step, path } of checkpoints) {
    const checkpoint = await loadCheckpoint(path);
    checkParameters(checkpoint);
    putModel(device, checkpoint);
    analysis ??= stack.use(
      await jacobianAnalysis(device, languageModelOf(experiment), experiment.config.train.batch),
    );
    yield await analysis.analyse(chosen, step);
  }
}

/** The compared variants of each block's attention; all have the same parameters. */
const VARIANTS: Readonly<Record<string, (attention: Block["attention"]) => Block["attention"]>> = {
  exact: (attention) => ({ ...attention, backward: "exact" }),
  diag: (attention) => ({ ...attention, backward: "diag" }),
  ste: (attention) => ({ ...attention, backward: "ste" }),
  sigmoid: (attention) => ({ ...attention, activation: "sigmoid", bias: "auto", backward: "exact" }),
};

/**
 * Throws unless `compareBackwards` can compare every block of a model.
 *
 * @throws {UserError} if a block's attention is not softmax, or its bias is learned, because sigmoid initializes a learned
 * bias differently
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { checkComparable } from "./mod.ts";
 * import { architectureOf } from "../nn/mod.ts";
 * checkComparable(architectureOf((await loadConfig("softmax_jacobian", [])).model, 65));
 * ```
 */
export function checkComparable(architecture: Architecture): void {
  for (const [n, { attention: { activation, bias } }] of blocksOf(architecture).entries()) {
    if (isApproximated({ activation }) && bias !== "learned") continue;
    const actual = bias === "learned" ? "a learned bias" : activation;
    throw new UserError(
      `compare: expected softmax attention without a learned bias, found ${actual} in block ${n}.`,
    );
  }
}

/**
 * Trains one model four times from the same seed on the same batches: with softmax's exact backward pass, with only its
 * diagonal, with the identity instead of the Jacobian, and with a sigmoid (bias -ln(context)) instead of softmax.
 *
 * @returns the result of each training
 * @throws {UserError} as `checkComparable` and `checkStudied` do
 *
 * @example
 * ```ts
 * import { loadConfig, openDevice, prepare } from "../../mod.ts";
 * import { compareBackwards } from "./mod.ts";
 * const model = ["model.dim=16", "model.layers=1", "model.heads=2", "model.context=8", "train.batch=2"];
 * const tiny = [...model, "train.steps=2", "eval.batches=1"];
 * const experiment = await prepare(await loadConfig("softmax_jacobian", tiny));
 * using device = await openDevice("cpu");
 * for await (const { name, losses } of compareBackwards(device, experiment)) console.log(name, losses);
 * ```
 */
export async function* compareBackwards(
  device: Device,
  experiment: Experiment,
  progress?: (name: string, step: number, loss: number) => void,
): AsyncGenerator<ComparedTraining> {
  const { config, tokenizer, architecture } = experiment;
  checkComparable(architecture);
  const blocks = blocksOf(architecture);
  const { eval: { every }, train: { steps } } = config;
  const stops = Array.from({ length: Math.floor((steps - 1) / every) + 1 }, (_, i) => i * every).concat(
    steps,
  );
  for (const [name, change] of Object.entries(VARIANTS)) {
    const changed = blocks.map((block) => ({ ...block, attention: change(block.attention) }));
    const variant = { ...experiment, ...modelOf(config, tokenizer, { ...architecture, blocks: changed }) };
    using evaluation = await evaluator(device, variant);
    const losses: number[] = [];
    const evaluations: (Evaluated & { step: number })[] = [];
    const report = (step: number, loss: number) => progress?.(name, step, loss);
    for await (const stop of trainTo(device, variant, stops, report)) {
      for (const loss of stop.losses) losses.push(loss);
      evaluations.push({ step: stop.step, ...await evaluation.evaluate() });
    }
    yield { name, losses, evaluations };
  }
}

/**
 * Converts the evaluations of a comparison to `eval` records, whose field `training` is the name of the training run.
 *
 * @param split the split that was evaluated
 *
 * @example
 * ```ts
 * import { comparisonRecords } from "./mod.ts";
 * comparisonRecords([], "val"); // []
 * ```
 */
export function comparisonRecords(trainings: readonly ComparedTraining[], split: string): EvalRecord[] {
  return trainings.flatMap(({ name, evaluations }) =>
    evaluations.map(({ step, loss, perplexity, accuracy, tokens }): EvalRecord => {
      return { type: "eval", step, split, loss, perplexity, accuracy, tokens, training: name };
    })
  );
}
