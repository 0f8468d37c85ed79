// The walk over attention's matrix on the host, one row at a time: which keys a row sees, their scores and weights, and the
// gradient that reaches the weights. The oracle of the kernels and the analysis of what a device computed go through here.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { type Argument, derivative, toFunction, variable } from "../expression/expression.ts";
import { threefry2x32 } from "../../src/base/random.ts";
import { ACTIVATIONS, ATTENTION_CHOICES } from "./activations.ts";
import { type AttentionAttrs, type AttentionSizes, attentionSizes, extrasOf, queryOffset } from "./sizes.ts";

type Scalar = (...values: Argument[]) => number;

/** A call with its expressions made into functions. */
export interface AttentionContext {
  readonly sizes: AttentionSizes;
  readonly attrs: AttentionAttrs;
  readonly tables: readonly Values[];
  readonly seed: Values | undefined;
  readonly score: Scalar;
  readonly modifierDerivative: Scalar;
  readonly mask: Scalar | undefined;
  readonly phi: Scalar;
  readonly phiDerivative: Scalar;
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

/** What an expression is a function of, besides the score. */
export const POINT = ["b", "h", "i", "j"];

/** What a walk is over: sizes, attributes, and the numbers that the expressions look up, in the order of `attrs.tables`. */
export type Walked = Pick<AttentionContext, "sizes" | "attrs" | "tables">;

/** Compiles the expressions of a walk; without a seed nothing is dropped. */
export function workOf({ sizes, attrs, tables }: Walked, seed?: Values): AttentionContext {
  const defined = ACTIVATIONS[attrs.activation];
  // A normalised activation is no function of one score.
  const phi = defined.normalised ? variable("score") : defined.expression;
  const names = ["score", ...POINT, ...attrs.tables];
  return {
    sizes,
    attrs,
    tables,
    seed,
    score: toFunction(attrs.score, names),
    modifierDerivative: toFunction(derivative(attrs.score, "score"), names),
    mask: attrs.mask && toFunction(attrs.mask, [...POINT, ...attrs.tables]),
    phi: toFunction(phi, ["score"]),
    phiDerivative: toFunction(derivative(phi, "score"), ["score"]),
  };
}

/** The same for a call of an operation: its extras are the last of its inputs. */
export function workOfCall(
  inputs: readonly Values[],
  { inputs: specs, attrs }: Pick<Call<AttentionAttrs>, "inputs" | "attrs">,
): AttentionContext {
  const extras = extrasOf(attrs);
  const first = inputs.length - extras.length;
  const tables = inputs.slice(inputs.length - attrs.tables.length);
  const seed = extras.includes("seed") ? inputs[first + extras.indexOf("seed")] : undefined;
  return workOf({ sizes: attentionSizes(specs), attrs, tables }, seed);
}

/** Keys that row i of sample and head sees, in order. */
function keysOf(
  { sizes, attrs, mask, tables }: AttentionContext,
  batch: number,
  head: number,
  i: number,
): number[] {
  const position = i + queryOffset(sizes, attrs);
  const ahead = attrs.causal ? 0 : attrs.symmetric && attrs.window > 0 ? attrs.window - 1 : Infinity;
  const behind = attrs.window > 0 ? attrs.window - 1 : Infinity;
  const keys: number[] = [];
  for (let j = 0; j < sizes.S; j++) {
    if (j - position > ahead || position - j > behind) continue;
    if (!mask || mask(batch, head, i, j, ...tables) !== 0) keys.push(j);
  }
  return keys;
}

/** Calls `visit` for every row of the samples that `counts` takes, head after head; rows that see no key too. */
export function forRows(
  work: AttentionContext,
  visit: (row: Row) => void,
  counts: (batch: number) => boolean = () => true,
): void {
  const { sizes: { B, T, S, H, HKV, D, DV }, attrs } = work;
  for (let batch = 0; batch < B; batch++) {
    if (!counts(batch)) continue;
    for (let head = 0; head < H; head++) {
      const kv = ATTENTION_CHOICES.kvHead[attrs.kvHead].keyHead(head, H, HKV);
      for (let i = 0; i < T; i++) {
        const q = (batch * T + i) * H + head;
        const k = batch * S * HKV + kv;
        const keys = keysOf(work, batch, head, i);
        const term = (batch * H + head) * T + i;
        visit({ batch, head, i, keys, q: q * D, z: q * DV, k: k * D, v: k * DV, term });
      }
    }
  }
}

/** Multiplier of dropout for a pair: 0 or 1/(1-p); the same draws as the kernels'. */
export function dropoutScale(
  { sizes: { T, S, H }, attrs: { dropout: { p, site } }, seed }: AttentionContext,
  row: Row,
  j: number,
): number {
  if (!seed) return 1;
  const at = row.i * S + j;
  const first = (row.batch * H + row.head) * Math.floor((T * S + 1) / 2);
  const bits = threefry2x32(seed[0], site, first + Math.floor(at / 2), seed[1]);
  return bits[at % 2] >= Math.floor(p * 2 ** 32) ? 1 / (1 - p) : 0;
}

/** Numbers of a row by place among the keys that it sees; written over by the next row. */
export interface RowValues {
  /** scale q . k, before the modifier. */
  readonly raw: Float64Array;
  /** After it: what the activation sees. */
  readonly scores: Float64Array;
  /** Weights, before dropout. */
  readonly a: Float64Array;
}

/** Room for a row of any length. */
export function rowValues({ sizes: { S } }: AttentionContext): RowValues {
  return { raw: new Float64Array(S), scores: new Float64Array(S), a: new Float64Array(S) };
}

/** Scores and weights of a row into `values`; returns its term. A key whose score is -Infinity is not seen: its weight is 0. */
export function weights(
  work: AttentionContext,
  row: Row,
  q: Floats,
  k: Floats,
  { raw, scores, a }: RowValues,
): number {
  const { sizes: { D, HKV }, attrs, tables, score, phi } = work;
  const { batch, head, i, keys } = row;
  let seen = 0;
  keys.forEach((j, n) => {
    let s = 0;
    const at = row.k + j * HKV * D;
    for (let e = 0; e < D; e++) s += q[row.q + e] * k[at + e];
    raw[n] = s * attrs.scale;
    scores[n] = score(raw[n], batch, head, i, j, ...tables);
    if (scores[n] !== -Infinity) seen++;
  });
  const n = keys.length;
  const defined = ACTIVATIONS[attrs.activation];
  if (defined.normalised) return defined.weigh(scores, n, a);
  const term = 1 / ATTENTION_CHOICES.divide[attrs.divide].divisor(Math.max(seen, 1));
  for (let m = 0; m < n; m++) a[m] = term * phi(scores[m]);
  return term;
}

/** The row without the keys whose score is -Infinity, which are not seen; its numbers in `values` move up. */
export function seenRow(row: Row, { raw, scores, a }: RowValues): Row {
  if (!scores.subarray(0, row.keys.length).includes(-Infinity)) return row;
  const keys: number[] = [];
  row.keys.forEach((j, m) => {
    if (scores[m] === -Infinity) return;
    for (const numbers of [raw, scores, a]) numbers[keys.length] = numbers[m];
    keys.push(j);
  });
  return { ...row, keys };
}

/** dz_i . v_j of a row's keys into `g`: the gradient of its weights after dropout. */
export function weightGradients(
  { sizes: { HKV, DV } }: AttentionContext,
  row: Row,
  v: Floats,
  dz: Floats,
  g: Floats,
): void {
  row.keys.forEach((j, n) => {
    let sum = 0;
    const at = row.v + j * HKV * DV;
    for (let e = 0; e < DV; e++) sum += dz[row.z + e] * v[at + e];
    g[n] = sum;
  });
}
