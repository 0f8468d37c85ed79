// Sums on the host.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { ReduceAttrs } from "./reduce.ts";

/** y[c] = sum over rows of x[r, c], or of its square. */
export function reduceCpu(
  [x]: readonly Values[],
  outputs: readonly Values[],
  { inputs, attrs }: Call<ReduceAttrs>,
): void {
  const y = outputs[0] as Floats;
  const [rows, columns] = inputs[0].shape;
  const sums = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) sums[c] += attrs.square ? x[i] * x[i] : x[i];
  }
  y.set(sums);
}
