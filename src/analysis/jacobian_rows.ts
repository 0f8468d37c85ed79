// Attention on the host in float64, one row at a time, from what a device computed for one batch: the weights, the
// gradient that reaches them and softmax's Jacobian. Memory is linear in the keys: no matrix is ever made.
import {
  alignment,
  type AttentionAttrs,
  type AttentionSizes,
  ELEMENTWISE,
  isSoftmax,
} from "../../kernels/attention/sizes.ts";
import { type Argument, derivative, toFunction } from "../../kernels/expression.ts";
import type { Floats, Values } from "../graph/tensor.ts";

/** One attention call on one batch: its inputs, and the gradient dz = dL/dz that it is given. */
export interface AttentionValues {
  /** B, T, S, H, Hkv, d, dv */
  readonly sizes: AttentionSizes;
  /** Scale, mask, modifier, activation. */
  readonly attrs: AttentionAttrs;
  /** What the modifier and the mask look up, in the order of `attrs.tables`. */
  readonly tables: readonly Values[];
  /** [B, T, H, d] */
  readonly q: Floats;
  /** [B, S, Hkv, d] */
  readonly k: Floats;
  /** [B, S, Hkv, dv] */
  readonly v: Floats;
  /** [B, T, H, dv] */
  readonly dz: Floats;
}

/** Row i of head h of sample b, over the keys that it sees; its arrays are written over by the next row. */
export interface AttentionRow {
  readonly b: number;
  readonly h: number;
  readonly i: number;
  /** The key head that it reads. */
  readonly kv: number;
  /** Numbers of the keys. */
  readonly keys: Int32Array;
  /** Their scores, before the activation. */
  readonly scores: Float64Array;
  /** Their weights. */
  readonly a: Float64Array;
  /** dL/da_j = dz_i . v_j */
  readonly g: Float64Array;
  /** Slope of the modifier at each score. */
  readonly slope: Float64Array;
  /** da_j/ds_j of an activation that acts on each score alone; of no meaning for softmax. */
  readonly rise: Float64Array;
}

type Scalar = (...values: Argument[]) => number;

/** Whether query i sees key j, as a function. */
function visibility({ sizes, attrs, tables }: AttentionValues): (...point: number[]) => boolean {
  const { LEFT, RIGHT } = alignment(sizes, attrs);
  const { causal, window, symmetric, mask } = attrs;
  const ahead = causal ? 0 : symmetric && window > 0 ? window - 1 : Infinity;
  const behind = window > 0 ? window - 1 : Infinity;
  const shown: Scalar | undefined = mask && toFunction(mask, ["b", "h", "i", "j", ...attrs.tables]);
  return (b, h, i, j) => {
    const distance = i + RIGHT - LEFT - j;
    return distance >= -ahead && distance <= behind && (!shown || shown(b, h, i, j, ...tables) !== 0);
  };
}

/** What makes weights of the scores in `a`: normalised over the row, or each on its own, then with its slope in `rise`. */
function activation(attrs: AttentionAttrs): (a: Float64Array, rise: Float64Array) => void {
  if (!isSoftmax(attrs)) return elementwise(attrs);
  const extra = attrs.activation === "softmax1";
  return (a) => {
    let top = extra ? 0 : -Infinity;
    for (const s of a) top = Math.max(top, s);
    let sum = extra ? Math.exp(-top) : 0;
    for (let n = 0; n < a.length; n++) sum += a[n] = Math.exp(a[n] - top);
    for (let n = 0; n < a.length; n++) a[n] /= sum;
  };
}

function elementwise({ activation, divide }: AttentionAttrs): (a: Float64Array, rise: Float64Array) => void {
  const phi: Scalar = toFunction(ELEMENTWISE[activation], ["score"]);
  const slope: Scalar = toFunction(derivative(ELEMENTWISE[activation], "score"), ["score"]);
  return (a, rise) => {
    const by = divide === "none" ? 1 : divide === "n" ? a.length : Math.sqrt(a.length);
    for (let n = 0; n < a.length; n++) [rise[n], a[n]] = [slope(a[n]) / by, phi(a[n]) / by];
  };
}

function dot(x: Floats, xAt: number, y: Floats, yAt: number, size: number): number {
  let sum = 0;
  for (let e = 0; e < size; e++) sum += x[xAt + e] * y[yAt + e];
  return sum;
}

/** Calls `visit` for every row of the samples that `counts` takes, in order; rows that see no key too. */
export function forAttentionRows(
  values: AttentionValues,
  counts: (b: number) => boolean,
  visit: (row: AttentionRow) => void,
): void {
  const { sizes: { B, T, S, H, HKV, D, DV }, attrs, tables, q, k, v, dz } = values;
  const sees = visibility(values);
  const names = ["score", "b", "h", "i", "j", ...attrs.tables];
  const score: Scalar = toFunction(attrs.score, names);
  const scoreSlope: Scalar = toFunction(derivative(attrs.score, "score"), names);
  const activate = activation(attrs);
  const keys = new Int32Array(S);
  const [scores, a, g, slope, rise] = [1, 2, 3, 4, 5].map(() => new Float64Array(S));
  for (let b = 0; b < B; b++) {
    if (!counts(b)) continue;
    for (let h = 0; h < H; h++) {
      const kv = attrs.kvHead === "modulo" ? h % HKV : Math.floor(h * HKV / H);
      for (let i = 0; i < T; i++) {
        let n = 0;
        const query = (b * T + i) * H + h;
        for (let j = 0; j < S; j++) {
          if (!sees(b, h, i, j)) continue;
          const key = (b * S + j) * HKV + kv;
          const raw = attrs.scale * dot(q, query * D, k, key * D, D);
          scores[n] = a[n] = score(raw, b, h, i, j, ...tables);
          slope[n] = scoreSlope(raw, b, h, i, j, ...tables);
          g[n] = dot(dz, query * DV, v, key * DV, DV);
          keys[n++] = j;
        }
        const [weights, rises] = [a.subarray(0, n), rise.subarray(0, n)];
        activate(weights, rises);
        visit({
          b,
          h,
          i,
          kv,
          keys: keys.subarray(0, n),
          scores: scores.subarray(0, n),
          a: weights,
          g: g.subarray(0, n),
          slope: slope.subarray(0, n),
          rise: rises,
        });
      }
    }
  }
}

/** What softmax's Jacobian makes of one row's gradient. */
export interface JacobianRow {
  /** J g = a * (g - a.g): the gradient of the scores. */
  readonly full: Float64Array;
  /** a * (1 - a) * g: J without what is off its diagonal. */
  readonly diag: Float64Array;
  /** full - diag: what comes from the other keys. */
  readonly lateral: Float64Array;
}

/**
 * The product of softmax's Jacobian J = diag(a) - a a^T with one row's gradient, and its parts on and off the diagonal:
 * full = a * (g - a.g), diag = a * (1 - a) * g, lateral = full - diag.
 *
 * @param a weights of the visible keys, [n]
 * @param g dL/da, [n]
 *
 * @example
 * ```ts
 * import { jacobianRow } from "../../mod.ts";
 * jacobianRow([0.25, 0.75], [1, 0]); // full 0.1875 and -0.1875, diag 0.1875 and 0, lateral 0 and -0.1875
 * ```
 */
export function jacobianRow(a: ArrayLike<number>, g: ArrayLike<number>): JacobianRow {
  const n = a.length;
  const [full, diag, lateral] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  let mean = 0;
  for (let j = 0; j < n; j++) mean += a[j] * g[j];
  for (let j = 0; j < n; j++) {
    full[j] = a[j] * (g[j] - mean);
    diag[j] = a[j] * (1 - a[j]) * g[j];
    lateral[j] = full[j] - diag[j];
  }
  return { full, diag, lateral };
}

const MOST_ITERATIONS = 500;
const TOLERANCE = 1e-10;

/**
 * The largest eigenvalue of softmax's Jacobian J = diag(a) - a a^T, by power iteration on J v = a * (v - a.v): until
 * |Jv| of the unit vector v changes by less than 1e-10 of itself, at most 500 times.
 *
 * The first vector is J's column of the largest weight, divided by it: 1 - a there and -a elsewhere. An eigenvector of the
 * largest eigenvalue has these signs too (its entries are proportional to a / (a - lambda), and lambda lies between the two
 * largest weights), so the two are never orthogonal.
 *
 * @param a weights of the visible keys, [n]
 *
 * @example
 * ```ts
 * import { largestEigenvalue } from "../../mod.ts";
 * largestEigenvalue([0.5, 0.5]); // 0.5
 * largestEigenvalue([1]); // 0
 * ```
 */
export function largestEigenvalue(a: ArrayLike<number>): number {
  const n = a.length;
  let top = 0;
  for (let j = 1; j < n; j++) if (a[j] > a[top]) top = j;
  const v = Float64Array.from(a, (x, j) => j === top ? 1 - x : -x);
  let size = Math.sqrt(dot(v, 0, v, 0, n));
  let found = 0;
  for (let iteration = 0; iteration < MOST_ITERATIONS && size !== 0; iteration++) {
    let mean = 0;
    for (let j = 0; j < n; j++) mean += a[j] * (v[j] /= size);
    for (let j = 0; j < n; j++) v[j] = a[j] * (v[j] - mean);
    const before = found;
    found = size = Math.sqrt(dot(v, 0, v, 0, n));
    // Put so that a NaN ends it too.
    if (!(Math.abs(found - before) > TOLERANCE * found)) break;
  }
  return found;
}
