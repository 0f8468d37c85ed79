/**
 * Training: the loop, the graph of a step, optimizers, schedules, evaluation, sweeps, and the verification of checkpoints.
 *
 * @example
 * ```ts
 * import { loadConfig } from "../config/mod.ts";
 * import { train } from "./mod.ts";
 * const trained = await train(await loadConfig("default", ["train.steps=2", "sample.tokens=2", "eval.batches=1"]));
 * console.log(trained?.folder.path);
 * ```
 *
 * @module
 */

export { divergedRemedy } from "./divergence.ts";
export { type AnswerScore, type Evaluated, type Evaluator, evaluator, type TargetLoss } from "./evaluate.ts";
export * from "./experiment.ts";
export * from "./layer_table.ts";
export { optimizerStates } from "./optimizers.ts";
export type { Progress, TrainOptions } from "./progress.ts";
export type { LoopResult } from "./run.ts";
export { saveCheckpoint } from "./save.ts";
export * from "./start_from.ts";
export {
  evaluationGraph,
  logitsGraph,
  rowsOf,
  stepFeeds,
  type StepGraph,
  stepGraph,
  type StepOptions,
  type Table,
} from "./step_graph.ts";
export * from "./sweep.ts";
export * from "./train.ts";
export * from "./verify.ts";
export { graphsOf, type RunGraphs, runWork } from "./work.ts";
