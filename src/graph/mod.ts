// The door of the graph room: symbolic tensors and what they are made of.
export {
  apply,
  type Call,
  type Dispatch,
  type DType,
  type ElementRange,
  type Floats,
  formatSpec,
  type Lowered,
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
} from "./tensor.ts";
export { assign, constant, input, literal, pack, record, reshape, state, view } from "./structure.ts";
export { ancestors } from "./gradient.ts";
