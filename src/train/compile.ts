// A run before its first step: its programs compiled, its parameters on the device. What the device or a checkpoint
// refuses is refused here, before anything is written.
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
import { looksOf, type StatisticsTable, subjectsOf } from "../track/step_statistics.ts";

/** A step's program, and where its statistics are found. */
interface StepProgram {
  readonly program: Program;
  readonly statistics: StatisticsTable | undefined;
}

/** A run with its programs compiled and its parameters on the device: what can be refused before step 1 has been. */
export interface ReadyRun extends Disposable {
  /** One step, for each set of entries of `track` that is due together (see `looksOf`). */
  readonly steps: ReadonlyMap<string, StepProgram>;
  /** Where steps write their numbers. */
  readonly table: Table;
  /** Evaluates the split. */
  readonly evaluation: Evaluator;
  /** Looks for induction heads, where patterns are tracked. */
  readonly probe: Probe | undefined;
  /** Stores attention patterns. */
  readonly capture: Capture | undefined;
  /** The checkpoint it goes on from. */
  readonly from: Checkpoint | undefined;
}

/** The graphs of a run's steps: one for each set of entries of `track` that is due together. */
export function stepGraphs(model: Model): Map<string, StepGraph> {
  const { config, architecture, layout } = model;
  checkGraphs(config);
  const states = optimizerStates(config.optimizer, layout);
  const looks = looksOf(config.track, config.train.steps, () => subjectsOf(architecture, layout, states));
  return new Map([...looks].map(([due, look]) => {
    return [due, stepGraph(architecture, layout, config, { look, freezes: freezes(model) })];
  }));
}

/** What a run's first step finds on the device: fresh parameters, or with `train.from` that run's; optimizer states of zeros. */
export async function putStart(device: Device, { config, layout, start }: Experiment): Promise<void> {
  const states = optimizerStates(config.optimizer, layout).map(({ name }) => name);
  await initialise(device, layout, config.seed, states);
  if (start) putModel(device, { layout, ...start });
}

/**
 * Makes a run ready: fresh parameters or a checkpoint's on the device, the programs compiled. Nothing is written.
 *
 * @throws {UserError} where the device is too small for the model, or the checkpoint is damaged or of another shape
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
  for (const [due, { graph, table: own, statistics }] of stepGraphs(experiment)) {
    table = own;
    steps.set(due, { program: stack.use(await device.compile(graph)), statistics });
  }
  const evaluation = stack.use(await evaluator(device, experiment));
  const probe = await inductionProbe(device, experiment);
  if (probe) stack.use(probe);
  const capture = config.capture.length > 0 ? stack.use(await capturer(device, experiment)) : undefined;
  const owned = stack.move();
  return { steps, table: table!, evaluation, probe, capture, from, [Symbol.dispose]: () => owned.dispose() };
}
