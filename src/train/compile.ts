// Prepares a run for its first step: compiles its programs and puts its parameters on the device. Errors caused by the device
// or the checkpoint are thrown here, before any file is written.
import type { Device, Program } from "../device/device.ts";
import { type Capture, capturer } from "../track/capture.ts";
import { type Checkpoint, putModel } from "../model/checkpoint.ts";
import { putOptimizer } from "./save.ts";
import { type Evaluator, evaluator } from "./evaluate.ts";
import type { Experiment, Model } from "../model/model.ts";
import { freezes } from "./freeze.ts";
import { optimizerStates } from "./optimizers.ts";
import { initialise } from "../model/layout.ts";
import { inductionProbe, type Probe } from "../track/induction_probe.ts";
import { type StepGraph, stepGraph, type Table } from "./step_graph.ts";
import { checkGraphs } from "./sizes.ts";
import { plansOf, type StatisticsTable, subjectsOf } from "../track/step_statistics.ts";

/** The program of a step, and the table that it writes statistics into, if any. */
interface StepProgram {
  readonly program: Program;
  readonly statistics: StatisticsTable | undefined;
}

/** A run with its programs compiled and its parameters on the device. */
export interface ReadyRun extends Disposable {
  /** The step programs, one for each set of `track` entries that are due at the same step; the keys are those of `plansOf`. */
  readonly steps: ReadonlyMap<string, StepProgram>;
  /** The table into which each step writes its metrics (loss, squared gradient norm). */
  readonly table: Table;
  /** Evaluates the model on the split `eval.split`. */
  readonly evaluation: Evaluator;
  /** Measures induction heads; undefined if no attention pattern is tracked. */
  readonly probe: Probe | undefined;
  /** Stores attention patterns; undefined if the configuration requests none. */
  readonly capture: Capture | undefined;
  /** The checkpoint that the run resumes from, if any. */
  readonly from: Checkpoint | undefined;
}

/**
 * Returns the graphs of a run's steps, one for each set of `track` entries that are due at the same step. The keys are those
 * of `plansOf`.
 */
export function stepGraphs(model: Model): Map<string, StepGraph> {
  const { config, architecture, layout } = model;
  checkGraphs(config);
  const states = optimizerStates(config.optimizer, layout);
  const plans = plansOf(config.track, config.train.steps, () => subjectsOf(architecture, layout, states));
  return new Map([...plans].map(([due, plan]) => {
    return [due, stepGraph(architecture, layout, config, { look: plan, freezes: freezes(model) })];
  }));
}

/**
 * Uploads the initial state: newly initialised parameters or those of the checkpoint `train.from`, and optimizer states of
 * zeros.
 */
export async function putStart(device: Device, { config, layout, start }: Experiment): Promise<void> {
  const states = optimizerStates(config.optimizer, layout).map(({ name }) => name);
  await initialise(device, layout, config.seed, states);
  if (start) putModel(device, { layout, ...start });
}

/**
 * Compiles a run's programs and puts initial or checkpointed parameters on the device. Writes no files.
 *
 * @throws {UserError} if the device is too small for the model, or the checkpoint is damaged or does not fit the model
 */
export async function compileRun(
  experiment: Experiment,
  device: Device,
  from: Checkpoint | undefined,
): Promise<ReadyRun> {
  const { config } = experiment;
  if (from) {
    putModel(device, from);
    await putOptimizer(device, from);
  } else {
    await putStart(device, experiment);
  }
  using stack = new DisposableStack();
  const steps = new Map<string, StepProgram>();
  let table: Table | undefined;
  for (const [due, { graph, table: stepTable, statistics }] of stepGraphs(experiment)) {
    table = stepTable;
    steps.set(due, { program: stack.use(await device.compile(graph)), statistics });
  }
  const evaluation = stack.use(await evaluator(device, experiment));
  const probe = await inductionProbe(device, experiment);
  if (probe) stack.use(probe);
  const capture = config.capture.length > 0 ? stack.use(await capturer(device, experiment)) : undefined;
  const owned = stack.move();
  return { steps, table: table!, evaluation, probe, capture, from, [Symbol.dispose]: () => owned.dispose() };
}
