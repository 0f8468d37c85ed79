// Dropout and random numbers on the host, from the same bits as on a device.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { DropoutAttrs, NormalAttrs, UniformAttrs } from "./op.ts";
import { randomStream, threefry2x32 } from "../../src/base/random.ts";

/** y[i] = x[i] / (1 - p) where the element's 32 bits reach p 2^32, else 0. */
export function dropoutCpu(
  [x, seed]: readonly Values[],
  outputs: readonly Values[],
  call: Call<DropoutAttrs>,
): void {
  const y = outputs[0] as Floats;
  const { p, site } = call.attrs;
  const threshold = dropoutThreshold(p);
  const factor = 1 / (1 - p);
  for (let i = 0; i < y.length; i += 2) {
    const bits = threefry2x32(seed[0], site, i >>> 1, seed[1]);
    y[i] = bits[0] >= threshold ? x[i] * factor : 0;
    if (i + 1 < y.length) y[i + 1] = bits[1] >= threshold ? x[i + 1] * factor : 0;
  }
}

/** floor(p 2^32): as many of the 2^32 values that 32 bits take are dropped. */
export function dropoutThreshold(p: number): number {
  return Math.floor(p * 4294967296);
}

/** A normal beyond the limit is drawn again so often at most; of a billion billion at two deviations none gets there. */
export const ATTEMPTS = 16;

/** y[i] = mean + std n_i, n the normals of the stream of (seed, purpose); attempt k goes on 2^32 k draws later. */
export function normalCpu(
  _: readonly Values[],
  outputs: readonly Values[],
  { attrs: { seed, purpose, mean, std, within } }: Call<NormalAttrs>,
): void {
  const y = outputs[0] as Floats;
  const stream = randomStream(seed, purpose);
  for (let i = 0; i < y.length; i++) {
    let n = stream.normal();
    for (let attempt = 1; Math.abs(n) > within && attempt < ATTEMPTS; attempt++) {
      stream.position = 2 * i + 4294967296 * attempt;
      n = stream.normal();
    }
    stream.position = 2 * (i + 1);
    y[i] = mean + std * n;
  }
}

/** y[i] = low + (high - low) u_i, u the uniforms of the stream of (seed, purpose). */
export function uniformCpu(
  _: readonly Values[],
  outputs: readonly Values[],
  { attrs: { seed, purpose, low, high } }: Call<UniformAttrs>,
): void {
  const y = outputs[0] as Floats;
  const stream = randomStream(seed, purpose);
  for (let i = 0; i < y.length; i++) y[i] = low + (high - low) * stream.uniform();
}
