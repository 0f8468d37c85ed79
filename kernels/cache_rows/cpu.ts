// Rows written into place on the host.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";

/** cache[b, positions[b, t]] = rows[b, t]; what the cache held elsewhere stays. */
export function cacheRowsCpu(
  [, rows, positions]: readonly Values[],
  [cache]: readonly Values[],
  { inputs: [{ shape: [, S, C] }, { shape: [, T] }] }: Call,
): void {
  positions.forEach((at, row) => {
    if (at >= S) return;
    const place = (Math.floor(row / T) * S + at) * C;
    (cache as Floats).set((rows as Floats).subarray(row * C, (row + 1) * C), place);
  });
}
