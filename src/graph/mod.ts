/**
 * Graphs: symbolic tensors, the operations that make them, and how a tensor is stored, viewed and replaced in place.
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

export {
  apply,
  type Call,
  type Dispatch,
  type DType,
  type ElementRange,
  type Floats,
  formatSpec,
  type Lowered,
  mismatch,
  type Node,
  type Op,
  type Ref,
  type Role,
  scope,
  sizeOf,
  type Spec,
  type Target,
  type Tensor,
  type Values,
  wgslFloat,
  workgroups1d,
} from "./tensor.ts";
export { assign, constant, input, literal, pack, record, reshape, state, view } from "./structure.ts";
export { ancestors } from "./gradient.ts";
