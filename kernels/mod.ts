/**
 * The kernels. Each operation has a folder with its shape rules, WGSL and WebAssembly kernels, reference implementation in
 * TypeScript and gradient. The folder `expression` has the expression language that several operations use.
 *
 * @example The gradient of a matrix product
 * ```ts
 * import { input } from "../src/graph/mod.ts";
 * import { grad, matmul, sumAll } from "./mod.ts";
 * const [a, b] = [input("a", [2, 3]), input("b", [3, 4])];
 * console.log(grad(sumAll(matmul(a, b)), [a])[0].shape); // [2, 3]
 * ```
 *
 * @module
 */

export * from "./expression/activation.ts";
export * from "./optimizers/adamw.ts";
export { append } from "./append/op.ts";
export { attention, type AttentionOptions } from "./attention/op.ts";
export type { Mask, ScoreModifier } from "./attention/modifier.ts";
export {
  ATTENTION_GRADIENT_STATISTICS,
  attentionGradientStatistics,
} from "./attention_statistics/gradient.ts";
export { attentionStatistics } from "./attention_statistics/op.ts";
export { ATTENTION_STATISTICS, REPEATED_STATISTICS } from "./attention_statistics/table.ts";
export type {
  ActivationKernel,
  ElementwiseActivation,
  NormalisedActivation,
} from "./attention/activation.ts";
export {
  ATTENTION_CHOICES,
  type AttentionActivation,
  type AttentionChoice,
  attentionNames,
} from "./attention/activations.ts";
export { cacheRows } from "./cache_rows/op.ts";
export { type CrossEntropy, crossEntropy } from "./cross_entropy/op.ts";
export { add, elementwise, multiply, scale, sumAll, sumRows, sumSquares } from "./elementwise/op.ts";
export { embedding } from "./embedding/op.ts";
export * from "./expression/erf.ts";
export type { Expression, Term } from "./expression/expression.ts";
export * as expr from "./expression/mod.ts";
export * from "./gradient.ts";
export { linear, matmul, type MatmulOptions } from "./matmul/op.ts";
export * from "./optimizers/lion.ts";
export * from "./optimizers/muon.ts";
export { learningRate, type Schedule, SCHEDULE_KEYS } from "./optimizers/schedules.ts";
export { OPTIMIZER_KEYS } from "./optimizers/table.ts";
export { layerNorm, rmsNorm } from "./norm/op.ts";
export {
  dropout,
  type DropoutAttrs,
  type NormalOptions,
  randomNormal,
  randomUniform,
  type UniformOptions,
} from "./random/op.ts";
export { type Rows, type Segment } from "./statistics/chunks.ts";
export { statistics, type StatisticsInput } from "./statistics/op.ts";
export { STATISTICS } from "./statistics/table.ts";
export * from "./optimizers/sgd.ts";
export type { FlatUpdateOptions, Updated, UpdateTensors } from "./optimizers/flat_update.ts";
export { rope, ROPE_PAIRS, type RopeOptions, ropeTurns } from "./rope/op.ts";
export * as masks from "./masks.ts";
