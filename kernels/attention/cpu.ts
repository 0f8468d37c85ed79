// Attention on the host, one row of the matrix at a time: the oracle of the tiled kernels.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { threefry2x32 } from "../random/threefry.ts";
import { type AttentionAttrs, type AttentionSizes, attentionSizes } from "./op.ts";

/** One row of the attention matrix: over keys 0 to `limit` exclusive. */
interface Row {
  readonly batch: number;
  readonly head: number;
  readonly i: number;
  readonly limit: number;
  /** Where row i of q and of z start, and the first key and value of the head. */
  readonly q: number;
  readonly z: number;
  readonly k: number;
  readonly v: number;
}

/** Calls `visit` for every row, head after head. */
function forRows(sizes: AttentionSizes, attrs: AttentionAttrs, visit: (row: Row) => void): void {
  const { B, T, S, H, HKV, D, DV } = sizes;
  const shift = attrs.mask === "bottom-right" ? S - T : 0;
  for (let batch = 0; batch < B; batch++) {
    for (let head = 0; head < H; head++) {
      const group = Math.floor(head / (H / HKV));
      for (let i = 0; i < T; i++) {
        const limit = attrs.mask === "none" ? S : Math.min(Math.max(i + 1 + shift, 0), S);
        const q = (batch * T + i) * H + head;
        const k = batch * S * HKV + group;
        visit({ batch, head, i, limit, q: q * D, z: q * DV, k: k * D, v: k * DV });
      }
    }
  }
}

/** Multipliers of dropout for a row: 0 or 1/(1-p); the same draws as the kernels'. */
function keptOf(
  row: Row,
  { T, S, H }: AttentionSizes,
  { dropout: { p, site } }: AttentionAttrs,
  seed: Values,
): Floats {
  const first = (row.batch * H + row.head) * Math.floor((T * S + 1) / 2);
  return Float64Array.from({ length: row.limit }, (_, j) => {
    const at = row.i * S + j;
    const bits = threefry2x32(seed[0], site, first + Math.floor(at / 2), seed[1]);
    return bits[at % 2] >= Math.floor(p * 2 ** 32) ? 1 / (1 - p) : 0;
  });
}

/** The weights of a row before dropout into `a`; returns the log-sum-exp of softmax. */
function weights(
  a: Floats,
  row: Row,
  q: Floats,
  k: Floats,
  { D, HKV }: AttentionSizes,
  attrs: AttentionAttrs,
): number {
  let top = -Infinity;
  for (let j = 0; j < row.limit; j++) {
    let s = 0;
    const at = row.k + j * HKV * D;
    for (let e = 0; e < D; e++) s += q[row.q + e] * k[at + e];
    a[j] = s * attrs.scale + attrs.bias;
    top = Math.max(top, a[j]);
  }
  if (attrs.activation === "sigmoid") {
    for (let j = 0; j < row.limit; j++) a[j] = 1 / (1 + Math.exp(-a[j]));
    return 0;
  }
  if (row.limit === 0) return 1e30;
  let sum = 0;
  for (let j = 0; j < row.limit; j++) sum += a[j] = Math.exp(a[j] - top);
  for (let j = 0; j < row.limit; j++) a[j] /= sum;
  return top + Math.log(sum);
}

/** z and, for softmax, the log-sum-exp of every row. */
export function attentionCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v] = inputs as readonly Floats[];
  const sizes = attentionSizes(call.inputs);
  const { T, S, H, HKV, DV } = sizes;
  const z = outputs[0] as Floats;
  const a = new Float64Array(S);
  const sum = new Float64Array(DV);
  forRows(sizes, call.attrs, (row) => {
    const lse = weights(a, row, q, k, sizes, call.attrs);
    if (outputs[1]) outputs[1][(row.batch * H + row.head) * T + row.i] = lse;
    const kept = call.attrs.dropout.p > 0 ? keptOf(row, sizes, call.attrs, inputs[3]) : undefined;
    sum.fill(0);
    for (let j = 0; j < row.limit; j++) {
      const weight = kept ? a[j] * kept[j] : a[j];
      const at = row.v + j * HKV * DV;
      for (let e = 0; e < DV; e++) sum[e] += weight * v[at + e];
    }
    z.set(sum, row.z);
  });
}

/** Calls `visit` for every visible pair with its weight (after dropout) and the gradient of its score. */
function forPairs(
  inputs: readonly Floats[],
  dz: Floats,
  seed: Values | undefined,
  call: Call<AttentionAttrs>,
  visit: (row: Row, j: number, weight: number, ds: number) => void,
): void {
  const [q, k, v] = inputs;
  const sizes = attentionSizes(call.inputs);
  const { S, HKV, DV } = sizes;
  const a = new Float64Array(S);
  const da = new Float64Array(S);
  forRows(sizes, call.attrs, (row) => {
    weights(a, row, q, k, sizes, call.attrs);
    const kept = seed ? keptOf(row, sizes, call.attrs, seed) : undefined;
    let mean = 0;
    for (let j = 0; j < row.limit; j++) {
      let sum = 0;
      const at = row.v + j * HKV * DV;
      for (let e = 0; e < DV; e++) sum += dz[row.z + e] * v[at + e];
      da[j] = kept ? sum * kept[j] : sum;
      mean += a[j] * da[j];
    }
    for (let j = 0; j < row.limit; j++) {
      const ds = call.attrs.activation === "softmax" ? a[j] * (da[j] - mean) : a[j] * (1 - a[j]) * da[j];
      visit(row, j, kept ? a[j] * kept[j] : a[j], ds);
    }
  });
}

/** dq and, for softmax, delta_i = dz_i . z_i. */
export function queryGradientCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz, z] = inputs as readonly Floats[];
  const sizes = attentionSizes(call.inputs);
  const { T, H, HKV, D, DV } = sizes;
  const { scale, dropout } = call.attrs;
  const dq = outputs[0] as Floats;
  const sums = new Float64Array(dq.length);
  forPairs([q, k, v], dz, dropout.p > 0 ? inputs.at(-1) : undefined, call, (row, j, _, ds) => {
    const at = row.k + j * HKV * D;
    for (let e = 0; e < D; e++) sums[row.q + e] += scale * ds * k[at + e];
  });
  dq.set(sums);
  if (!outputs[1]) return;
  forRows(sizes, call.attrs, (row) => {
    let sum = 0;
    for (let e = 0; e < DV; e++) sum += dz[row.z + e] * z[row.z + e];
    outputs[1][(row.batch * H + row.head) * T + row.i] = sum;
  });
}

/** dk and dv. */
export function keyGradientCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz] = inputs as readonly Floats[];
  const { HKV, D, DV } = attentionSizes(call.inputs);
  const { scale, dropout } = call.attrs;
  const dk = new Float64Array(outputs[0].length);
  const dv = new Float64Array(outputs[1].length);
  forPairs([q, k, v], dz, dropout.p > 0 ? inputs.at(-1) : undefined, call, (row, j, weight, ds) => {
    const keyAt = row.k + j * HKV * D;
    for (let e = 0; e < D; e++) dk[keyAt + e] += scale * ds * q[row.q + e];
    const valueAt = row.v + j * HKV * DV;
    for (let e = 0; e < DV; e++) dv[valueAt + e] += weight * dz[row.z + e];
  });
  (outputs[0] as Floats).set(dk);
  (outputs[1] as Floats).set(dv);
}
