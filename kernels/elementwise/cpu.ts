// Element-wise operations on the host.
import { type Call, type Floats, sizeOf, type Values } from "../../src/graph/tensor.ts";
import { toFunction } from "../expression/expression.ts";
import type { ElementwiseAttrs } from "./op.ts";

/** y[i] = f(x0[i], ...), with a repeated operand's index wrapped at its own size. */
export function elementwiseCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<ElementwiseAttrs>,
): void {
  const f = toFunction(call.attrs.expression, call.attrs.names);
  const y = outputs[0] as Floats;
  const [a, b] = inputs;
  if (inputs.length === 1 && a.length === y.length) {
    for (let i = 0; i < y.length; i++) y[i] = f(a[i]);
  } else if (inputs.length === 2 && a.length === y.length && b.length === y.length) {
    for (let i = 0; i < y.length; i++) y[i] = f(a[i], b[i]);
  } else {
    const sizes = call.inputs.map(sizeOf);
    for (let i = 0; i < y.length; i++) y[i] = f(...inputs.map((x, k) => x[i % sizes[k]]));
  }
}
