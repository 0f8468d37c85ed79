// Appended rows on the host.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";

/** y[b] = x[b], then the rows. */
export function appendCpu(
  [x, rows]: readonly Values[],
  outputs: readonly Values[],
  { inputs: [{ shape: [B, S, C] }] }: Call,
): void {
  const y = outputs[0] as Floats;
  const size = S * C + rows.length;
  for (let b = 0; b < B; b++) {
    y.set((x as Floats).subarray(b * S * C, (b + 1) * S * C), b * size);
    y.set(rows as Floats, b * size + S * C);
  }
}

/** dx[b] = the first S rows of dy[b]; drows = the sum over b of the others. */
export function appendBackwardCpu(
  [dy]: readonly Values[],
  [dx, drows]: readonly Values[],
  { outputs: [{ shape: [B, S, C] }, { shape: [E] }] }: Call,
): void {
  const size = (S + E) * C;
  const sums = new Float64Array(E * C);
  for (let b = 0; b < B; b++) {
    (dx as Floats).set((dy as Floats).subarray(b * size, b * size + S * C), b * S * C);
    for (let i = 0; i < E * C; i++) sums[i] += dy[b * size + S * C + i];
  }
  (drows as Floats).set(sums);
}
