// Attributes of element-wise operations and sums, and how operands are broadcast.
import type { Expression } from "../expression/expression.ts";
import { sizeOf, type Spec } from "../../src/graph/tensor.ts";

/** Attributes of an element-wise operation. */
export interface ElementwiseAttrs {
  readonly name: string;
  readonly expression: Expression;
  /** Name of each input in the expression, in order. */
  readonly names: readonly string[];
}

/**
 * Returns how an operand is broadcast to the result. "full": it has the result's size; "scalar": it has one element; "row": it
 * has one value per index of the last dimension. Returns undefined if the operand cannot be broadcast.
 */
export function operandKind(x: Spec, out: Spec): "full" | "scalar" | "row" | undefined {
  const size = sizeOf(x);
  if (size === sizeOf(out)) return "full";
  if (size === 1) return "scalar";
  return size === out.shape.at(-1) ? "row" : undefined;
}

/** Attributes of a sum. */
export interface ReduceAttrs {
  /** Whether to sum the squares of the elements. */
  readonly square: boolean;
}
