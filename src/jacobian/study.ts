// Softmax's Jacobian over the life of a model: while it trains, or at the checkpoints it left behind; and what becomes of
// training itself when softmax's backward pass is another one.
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

/** How an analysis goes. */
export interface JacobianStudyOptions {
  /** Batches of the split that the configuration evaluates on, evenly spread; 4 by default. */
  readonly batches?: number;
  /** Called after each window of steps, with the loss of its last. */
  readonly onProgress?: (step: number, loss: number) => void;
}

/** Batches of the split that the configuration evaluates on, evenly spread, the first among them. */
function evaluationBatches({ config, source }: Experiment, count = 4): Batch[] {
  return spreadBatches(source.evaluation(config.eval.split), count);
}

/** Where training stands still for a moment. */
interface Stop {
  readonly step: number;
  /** Training loss of each step since the stop before, in nats. */
  readonly losses: readonly number[];
}

/**
 * Throws where a configuration's training would follow its evaluations: a study trains each model for the steps asked for, at
 * the rates that the schedule gives.
 *
 * @throws {UserError} where the schedule is "plateau" or `train.stop` ends a training early, naming the key
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { checkStudied } from "./mod.ts";
 * checkStudied(await loadConfig("softmax_jacobian", []));
 * ```
 */
export function checkStudied({ schedule, train }: Config): void {
  const found = SCHEDULES[schedule.name].reduced
    ? [`schedule.name: ${schedule.name}`, "schedule.name=constant"]
    : train.stop === null
    ? undefined
    : [`train.stop: ${train.stop}`, "train.stop=null"];
  if (!found) return;
  throw new UserError(
    `${found[0]} follows evaluations, which this training does not: expected ${
      found[1]
    }, or the name of a run that train made.`,
  );
}

/** Trains from the start as `train` does, without its log and checkpoints, and stops at the steps given. */
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
 * Trains a model from the start and analyses its Jacobians at chosen steps; training ends at the last of them.
 *
 * @param steps whole numbers in ascending order; 0 is before the first update
 * @returns the records of one step after another (see `jacobianAnalysis`)
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

/** A checkpoint by its step. */
export interface StepCheckpoint {
  /** Steps made. */
  readonly step: number;
  /** Its folder. */
  readonly path: string;
}

/**
 * The checkpoints that a run has kept, in the order of their steps; of a checkpoint outside a run that one.
 *
 * @throws {UserError} where there is none
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
 * Analyses the Jacobians of a run's checkpoints.
 *
 * @param experiment the run's model and data (see `prepare`)
 * @param checkpoints checkpoints of this experiment
 * @returns the records of one checkpoint after another (see `jacobianAnalysis`)
 * @throws {UserError} where a checkpoint is damaged or of another shape
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

/** What is compared: how each block's attention is another one; no choice changes which parameters there are. */
const VARIANTS: Readonly<Record<string, (attention: Block["attention"]) => Block["attention"]>> = {
  exact: (attention) => ({ ...attention, backward: "exact" }),
  diag: (attention) => ({ ...attention, backward: "diag" }),
  ste: (attention) => ({ ...attention, backward: "ste" }),
  sigmoid: (attention) => ({ ...attention, activation: "sigmoid", bias: "auto", backward: "exact" }),
};

/**
 * Throws unless every block of a model can be compared by `compareBackwards`.
 *
 * @throws {UserError} where a block's attention is no softmax, or its bias is learned, which a sigmoid would start elsewhere
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
    const found = bias === "learned" ? "a learned bias" : activation;
    throw new UserError(
      `compare: expected softmax attention without a learned bias, found ${found} in block ${n}.`,
    );
  }
}

/**
 * Trains one model four times from one seed, on the same batches: with softmax's own backward pass, with its diagonal alone,
 * with the identity in its place, and with a sigmoid (bias -ln(context)) instead of the softmax.
 *
 * @returns one training after another
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
    const own = { ...experiment, ...modelOf(config, tokenizer, { ...architecture, blocks: changed }) };
    using evaluation = await evaluator(device, own);
    const losses: number[] = [];
    const evaluations: (Evaluated & { step: number })[] = [];
    const told = (step: number, loss: number) => progress?.(name, step, loss);
    for await (const stop of trainTo(device, own, stops, told)) {
      for (const loss of stop.losses) losses.push(loss);
      evaluations.push({ step: stop.step, ...await evaluation.evaluate() });
    }
    yield { name, losses, evaluations };
  }
}

/**
 * The evaluations of a comparison as `eval` records, each with the name of its `training`.
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
