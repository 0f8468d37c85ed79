// Attention on the host, one row of the matrix at a time: the oracle of the tiled kernels.
import { type Call, type Floats, sizeOf, type Values } from "../../src/graph/tensor.ts";
import { type Argument, derivative, lookupsOf, replace, toFunction, toWgsl } from "../expression.ts";
import { threefry2x32 } from "../random/threefry.ts";
import { tableOffsets } from "./lower.ts";
import { learnedSpecs, type TableGradientAttrs } from "./op.ts";
import {
  alignment,
  type AttentionAttrs,
  type AttentionSizes,
  attentionSizes,
  ELEMENTWISE,
  extrasOf,
  hasRowTerm,
  isSoftmax,
} from "./sizes.ts";

type Scalar = (...values: Argument[]) => number;

/** A call with its expressions made into functions. */
export interface Work {
  readonly sizes: AttentionSizes;
  readonly attrs: AttentionAttrs;
  readonly tables: readonly Values[];
  readonly seed: Values | undefined;
  readonly score: Scalar;
  readonly slope: Scalar;
  readonly mask: Scalar | undefined;
  readonly phi: Scalar;
  readonly phiSlope: Scalar;
}

/** One row of the attention matrix with the keys that it sees. */
export interface Row {
  readonly batch: number;
  readonly head: number;
  readonly i: number;
  readonly keys: readonly number[];
  /** Where row i of q and of z start, and the first key and value of the head. */
  readonly q: number;
  readonly z: number;
  readonly k: number;
  readonly v: number;
  /** Where the row's term is kept. */
  readonly term: number;
}

const POINT = ["b", "h", "i", "j"];

/** Reads the inputs and compiles the expressions of a call. */
export function workOf(inputs: readonly Values[], call: Call<AttentionAttrs>): Work {
  const { attrs } = call;
  const extras = extrasOf(attrs);
  const first = inputs.length - extras.length;
  const phi = ELEMENTWISE[attrs.activation] ?? ELEMENTWISE.sigmoid;
  const names = ["score", ...POINT, ...attrs.tables];
  return {
    sizes: attentionSizes(call.inputs),
    attrs,
    tables: inputs.slice(inputs.length - attrs.tables.length),
    seed: extras.includes("seed") ? inputs[first + extras.indexOf("seed")] : undefined,
    score: toFunction(attrs.score, names),
    slope: toFunction(derivative(attrs.score, "score"), names),
    mask: attrs.mask && toFunction(attrs.mask, [...POINT, ...attrs.tables]),
    phi: toFunction(phi, ["score"]),
    phiSlope: toFunction(derivative(phi, "score"), ["score"]),
  };
}

/** Keys that row i of sample and head sees, in order. */
function keysOf({ sizes, attrs, mask, tables }: Work, batch: number, head: number, i: number): number[] {
  const { LEFT, RIGHT } = alignment(sizes, attrs);
  const position = i + RIGHT - LEFT;
  const ahead = attrs.causal ? 0 : attrs.symmetric && attrs.window > 0 ? attrs.window - 1 : Infinity;
  const behind = attrs.window > 0 ? attrs.window - 1 : Infinity;
  const keys: number[] = [];
  for (let j = 0; j < sizes.S; j++) {
    if (j - position > ahead || position - j > behind) continue;
    if (!mask || mask(batch, head, i, j, ...tables) !== 0) keys.push(j);
  }
  return keys;
}

/** Calls `visit` for every row, head after head. */
export function forRows(work: Work, visit: (row: Row) => void): void {
  const { sizes: { B, T, S, H, HKV, D, DV }, attrs } = work;
  for (let batch = 0; batch < B; batch++) {
    for (let head = 0; head < H; head++) {
      const kv = attrs.kvHead === "modulo" ? head % HKV : Math.floor(head / (H / HKV));
      for (let i = 0; i < T; i++) {
        const q = (batch * T + i) * H + head;
        const k = batch * S * HKV + kv;
        const term = (batch * H + head) * T + i;
        visit({
          batch,
          head,
          i,
          keys: keysOf(work, batch, head, i),
          q: q * D,
          z: q * DV,
          k: k * D,
          v: k * DV,
          term,
        });
      }
    }
  }
}

/** Multiplier of dropout for a pair: 0 or 1/(1-p); the same draws as the kernels'. */
export function kept(
  { sizes: { T, S, H }, attrs: { dropout: { p, site } }, seed }: Work,
  row: Row,
  j: number,
): number {
  if (!seed) return 1;
  const at = row.i * S + j;
  const first = (row.batch * H + row.head) * Math.floor((T * S + 1) / 2);
  const bits = threefry2x32(seed[0], site, first + Math.floor(at / 2), seed[1]);
  return bits[at % 2] >= Math.floor(p * 2 ** 32) ? 1 / (1 - p) : 0;
}

/** Raw scores of a row into `raw` and its weights before dropout into `a`, by place among the keys; returns its term. */
export function weights(work: Work, row: Row, q: Floats, k: Floats, raw: Floats, a: Floats): number {
  const { sizes: { D, HKV }, attrs, tables, score, phi } = work;
  const { batch, head, i, keys } = row;
  let top = attrs.activation === "softmax1" ? 0 : -Infinity;
  keys.forEach((j, n) => {
    let s = 0;
    const at = row.k + j * HKV * D;
    for (let e = 0; e < D; e++) s += q[row.q + e] * k[at + e];
    raw[n] = s * attrs.scale;
    a[n] = score(raw[n], batch, head, i, j, ...tables);
    top = Math.max(top, a[n]);
  });
  const n = keys.length;
  if (!isSoftmax(attrs)) {
    const term = attrs.divide === "none"
      ? 1
      : 1 / (attrs.divide === "n" ? Math.max(n, 1) : Math.sqrt(Math.max(n, 1)));
    for (let m = 0; m < n; m++) a[m] = term * phi(a[m]);
    return term;
  }
  let sum = attrs.activation === "softmax1" ? Math.exp(-top) : 0;
  if (n === 0 && sum === 0) return 1e30;
  for (let m = 0; m < n; m++) sum += a[m] = Math.exp(a[m] - top);
  for (let m = 0; m < n; m++) a[m] /= sum;
  return top + Math.log(sum);
}

/** z and, where there are any, the row terms. */
export function attentionCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v] = inputs as readonly Floats[];
  const work = workOf(inputs, call);
  const { S, HKV, DV } = work.sizes;
  const z = outputs[0] as Floats;
  const [raw, a, sum] = [new Float64Array(S), new Float64Array(S), new Float64Array(DV)];
  forRows(work, (row) => {
    const term = weights(work, row, q, k, raw, a);
    if (hasRowTerm(call.attrs)) outputs[1][row.term] = term;
    sum.fill(0);
    row.keys.forEach((j, n) => {
      const weight = a[n] * kept(work, row, j);
      const at = row.v + j * HKV * DV;
      for (let e = 0; e < DV; e++) sum[e] += weight * v[at + e];
    });
    z.set(sum, row.z);
  });
}

/** A visible pair: its weight after dropout, its raw score, and the gradient of its modified score. */
export type VisitPair = (row: Row, j: number, weight: number, raw: number, ds: number) => void;

/** Calls `visit` for every visible pair, row after row. */
export function forPairs(work: Work, [q, k, v, dz]: readonly Floats[], visit: VisitPair): void {
  const { sizes: { S, HKV, DV }, attrs, score, phiSlope, tables } = work;
  const [raw, a, da] = [new Float64Array(S), new Float64Array(S), new Float64Array(S)];
  forRows(work, (row) => {
    const { batch, head, i, keys } = row;
    const term = weights(work, row, q, k, raw, a);
    let mean = 0;
    keys.forEach((j, n) => {
      let sum = 0;
      const at = row.v + j * HKV * DV;
      for (let e = 0; e < DV; e++) sum += dz[row.z + e] * v[at + e];
      da[n] = sum * kept(work, row, j);
      mean += a[n] * da[n];
    });
    keys.forEach((j, n) => {
      let ds: number;
      if (!isSoftmax(attrs)) ds = term * phiSlope(score(raw[n], batch, head, i, j, ...tables)) * da[n];
      else if (attrs.backward === "exact") ds = a[n] * (da[n] - mean);
      else if (attrs.backward === "diag") ds = a[n] * (1 - a[n]) * da[n];
      else ds = da[n];
      visit(row, j, a[n] * kept(work, row, j), raw[n], ds);
    });
  });
}

/** The gradient of the raw score, from that of the modified one. */
function throughModifier(
  { slope, tables }: Work,
  { batch, head, i }: Row,
  j: number,
  raw: number,
  ds: number,
): number {
  return ds * slope(raw, batch, head, i, j, ...tables);
}

/** dq and, for an exact softmax, delta_i = dz_i . z_i. */
export function queryGradientCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz, , z] = inputs as readonly Floats[];
  const work = workOf(inputs, call);
  const { HKV, D, DV } = work.sizes;
  const sums = new Float64Array(outputs[0].length);
  forPairs(work, [q, k, v, dz], (row, j, _, raw, ds) => {
    const at = row.k + j * HKV * D;
    const slope = call.attrs.scale * throughModifier(work, row, j, raw, ds);
    for (let e = 0; e < D; e++) sums[row.q + e] += slope * k[at + e];
  });
  (outputs[0] as Floats).set(sums);
  if (!outputs[1]) return;
  forRows(work, (row) => {
    let sum = 0;
    for (let e = 0; e < DV; e++) sum += dz[row.z + e] * z[row.z + e];
    outputs[1][row.term] = sum;
  });
}

/** dk and dv. */
export function keyGradientCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz] = inputs as readonly Floats[];
  const work = workOf(inputs, call);
  const { HKV, D, DV } = work.sizes;
  const dk = new Float64Array(outputs[0].length);
  const dv = new Float64Array(outputs[1].length);
  forPairs(work, [q, k, v, dz], (row, j, weight, raw, ds) => {
    const keyAt = row.k + j * HKV * D;
    const slope = call.attrs.scale * throughModifier(work, row, j, raw, ds);
    for (let e = 0; e < D; e++) dk[keyAt + e] += slope * q[row.q + e];
    const valueAt = row.v + j * HKV * DV;
    for (let e = 0; e < DV; e++) dv[valueAt + e] += weight * dz[row.z + e];
  });
  (outputs[0] as Floats).set(dk);
  (outputs[1] as Floats).set(dv);
}

/** Gradients of the learned tables, flat. */
export function tableGradientCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<TableGradientAttrs>,
): void {
  const { attrs } = call;
  const work = workOf(inputs, call);
  const specs = learnedSpecs(call.inputs, attrs);
  const { offsets } = tableOffsets(attrs.learned, specs);
  const names = ["score", ...POINT, ...attrs.tables];
  const slopes = lookupsOf(attrs.score).filter(({ table }) => attrs.learned.includes(table)).map((lookup) => {
    const text = toWgsl(lookup);
    const entry = replace(attrs.score, (x) => {
      return x.kind === "lookup" && toWgsl(x) === text ? { kind: "variable", name: "entry" } : undefined;
    });
    const t = attrs.learned.indexOf(lookup.table);
    return {
      offset: offsets[t],
      last: sizeOf(specs[t]) - 1,
      table: work.tables[attrs.tables.indexOf(lookup.table)],
      shape: lookup.shape,
      indices: lookup.indices.map((index) => toFunction(index, names)),
      slope: toFunction(derivative(entry, "entry"), [...names, "entry"]),
    };
  });
  const sums = new Float64Array(out.length);
  forPairs(work, inputs as readonly Floats[], ({ batch, head, i }, j, _, raw, ds) => {
    const point = [raw, batch, head, i, j, ...work.tables];
    for (const { offset, last, table, shape, indices, slope } of slopes) {
      const at = indices.reduce((sum, index, n) => sum * shape[n] + Math.trunc(index(...point)), 0);
      const entry = Math.min(Math.max(at, 0), last);
      sums[offset + entry] += ds * slope(...point, table[entry]);
    }
  });
  (out as Floats).set(sums);
}
