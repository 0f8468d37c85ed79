// Row-by-row computation of the attention matrix on the CPU: the visible keys of a row, their scores and weights, and the
// gradients of the weights. The CPU implementations of the kernels use these functions, and so does the analysis of results from
// a device.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { type Argument, derivative, toFunction, variable } from "../expression/expression.ts";
import { threefry2x32 } from "../../src/base/random.ts";
import { ACTIVATIONS, ATTENTION_CHOICES } from "./activations.ts";
import { type AttentionAttrs, type AttentionSizes, attentionSizes, extrasOf, queryOffset } from "./sizes.ts";

type Scalar = (...values: Argument[]) => number;

/** A call of `attention` whose expressions are compiled to functions. */
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

/** One row of the attention matrix with its visible keys. */
export interface Row {
  readonly batch: number;
  readonly head: number;
  readonly i: number;
  readonly keys: readonly number[];
  /** Offset of the row in q. */
  readonly q: number;
  /** Offset of the row in z. */
  readonly z: number;
  /** Offset of the head's first key in k. */
  readonly k: number;
  /** Offset of the head's first value in v. */
  readonly v: number;
  /** Index of the row term. */
  readonly term: number;
}

/** The variables of the expression of a modifier or mask, in addition to the score. */
export const POINT = ["b", "h", "i", "j"];

/** Sizes, attributes, and the values of the tables that the expressions look up, in the order of `attrs.tables`. */
export type ContextInput = Pick<AttentionContext, "sizes" | "attrs" | "tables">;

/** Compiles the expressions of a call. Without a seed there is no dropout. */
export function contextOf({ sizes, attrs, tables }: ContextInput, seed?: Values): AttentionContext {
  const definition = ACTIVATIONS[attrs.activation];
  // A normalised activation is not a function of one score.
  const phi = definition.normalised ? variable("score") : definition.expression;
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

/** Returns the context of a call whose last inputs are the extra inputs (see `extrasOf`). */
export function contextOfCall(
  inputs: readonly Values[],
  { inputs: specs, attrs }: Pick<Call<AttentionAttrs>, "inputs" | "attrs">,
): AttentionContext {
  const extras = extrasOf(attrs);
  const first = inputs.length - extras.length;
  const tables = inputs.slice(inputs.length - attrs.tables.length);
  const seed = extras.includes("seed") ? inputs[first + extras.indexOf("seed")] : undefined;
  return contextOf({ sizes: attentionSizes(specs), attrs, tables }, seed);
}

/** Returns the visible keys of row i in ascending order. */
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

/**
 * Calls `visit` for every row, head by head, including rows without visible keys. Only samples for which `includes` returns true
 * are visited.
 */
export function forRows(
  context: AttentionContext,
  visit: (row: Row) => void,
  includes: (batch: number) => boolean = () => true,
): void {
  const { sizes: { B, T, S, H, HKV, D, DV }, attrs } = context;
  for (let batch = 0; batch < B; batch++) {
    if (!includes(batch)) continue;
    for (let head = 0; head < H; head++) {
      const kv = ATTENTION_CHOICES.kvHead[attrs.kvHead].keyHead(head, H, HKV);
      for (let i = 0; i < T; i++) {
        const q = (batch * T + i) * H + head;
        const k = batch * S * HKV + kv;
        const keys = keysOf(context, batch, head, i);
        const term = (batch * H + head) * T + i;
        visit({ batch, head, i, keys, q: q * D, z: q * DV, k: k * D, v: k * DV, term });
      }
    }
  }
}

/** Returns the dropout factor of a pair, 0 or 1 / (1 - p), computed from the same random bits as in the kernels. */
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

/** Values of a row, one per visible key in order. The next row overwrites them. */
export interface RowValues {
  /** The scores before the modifier, scale * (q . k). */
  readonly raw: Float64Array;
  /** The scores after the modifier, which are the input of the activation. */
  readonly scores: Float64Array;
  /** The weights before dropout. */
  readonly a: Float64Array;
}

/** Allocates the arrays for a row with up to S visible keys. */
export function rowValues({ sizes: { S } }: AttentionContext): RowValues {
  return { raw: new Float64Array(S), scores: new Float64Array(S), a: new Float64Array(S) };
}

/** Computes the scores and weights of a row and returns its row term. A key with score -Infinity is hidden and has weight 0. */
export function weights(
  context: AttentionContext,
  row: Row,
  q: Floats,
  k: Floats,
  { raw, scores, a }: RowValues,
): number {
  const { sizes: { D, HKV }, attrs, tables, score, phi } = context;
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
  const definition = ACTIVATIONS[attrs.activation];
  if (definition.normalised) return definition.weigh(scores, n, a);
  const term = 1 / ATTENTION_CHOICES.divide[attrs.divide].divisor(Math.max(seen, 1));
  for (let m = 0; m < n; m++) a[m] = term * phi(scores[m]);
  return term;
}

/** Removes the keys with score -Infinity from a row, and moves the values of the remaining keys to the front. */
export function seenRow(row: Row, { raw, scores, a }: RowValues): Row {
  if (!scores.subarray(0, row.keys.length).includes(-Infinity)) return row;
  const keys: number[] = [];
  row.keys.forEach((j, m) => {
    if (scores[m] === -Infinity) return;
    for (const values of [raw, scores, a]) values[keys.length] = values[m];
    keys.push(j);
  });
  return { ...row, keys };
}

/** Writes dz_i . v_j for each key j of the row to `g`. This is the gradient of the weights after dropout. */
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
