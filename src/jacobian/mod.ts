/**
 * Analysis of softmax's Jacobian: the diagonal, the lateral sum, and the cost of training without one of them.
 *
 * @example One row: weights a, gradient g
 * ```ts
 * import { jacobianRow } from "./mod.ts";
 * const { diag, lateral } = jacobianRow([0.25, 0.75], [1, 0]);
 * console.log(diag, lateral); // 0.1875 and 0; 0 and -0.1875
 * ```
 *
 * @category Attention
 * @module
 */

export * from "./analysis.ts";
export * from "./report.ts";
export { type JacobianRow, jacobianRow, largestEigenvalue } from "./rows.ts";
export * from "./study.ts";
export type { DifferentiatedModel } from "./surrogates.ts";
