/**
 * Graphs: symbolic tensors, the operations that create them, and how a tensor is stored, viewed and replaced in place.
 *
 * @example
 * ```ts
 * import { ancestors, input, reshape } from "./mod.ts";
 * const x = reshape(input("x", [2, 6]), [3, 4]);
 * console.log(x.shape, ancestors([x]).length); // [3, 4] 2
 * ```
 *
 * @category Tensors
 *
 * @module
 */

export * from "./tensor.ts";
export type { Addresses, Phase, PlainProduct, Simd } from "./simd.ts";
export { assign, constant, input, literal, pack, record, reshape, state, view } from "./structure.ts";
export { ancestors } from "./gradient.ts";
