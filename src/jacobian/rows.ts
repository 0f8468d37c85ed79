// Computes attention on the host in float64, one row at a time, from the tensors of one batch that a device computed: the
// weights, their gradient and the products with softmax's Jacobian. Memory is linear in the number of keys, because no
// matrix is allocated.
import {
  contextOf,
  forRows,
  rowValues,
  seenRow,
  weightGradients,
  weights,
} from "../../kernels/attention/rows.ts";
import type { ContextInput, Row } from "../../kernels/attention/rows.ts";
import { isNormalised } from "../../kernels/attention/sizes.ts";
import type { Floats } from "../graph/tensor.ts";

/** One attention call on one batch: its inputs, and the upstream gradient dz = dL/dz. */
export interface AttentionValues extends ContextInput {
  /** [B, T, H, d] */
  readonly q: Floats;
  /** [B, S, Hkv, d] */
  readonly k: Floats;
  /** [B, S, Hkv, dv] */
  readonly v: Floats;
  /** [B, T, H, dv] */
  readonly dz: Floats;
}

/** The values of one row at its visible keys; the next row overwrites these arrays. */
export interface AttentionRow extends Row {
  /** The activation's inputs. */
  readonly scores: Float64Array;
  /** The weights a_j. */
  readonly a: Float64Array;
  /** dL/da_j = dz_i . v_j */
  readonly g: Float64Array;
  /** Derivative of the modifier at each score. */
  readonly slope: Float64Array;
  /** da_j/ds_j of an element-wise activation; meaningless for softmax. */
  readonly dphi: Float64Array;
}

/**
 * Calls `visit` for every row of the samples that `counts` selects, in order, including rows that see no key. Dropout is
 * not applied.
 */
export function forAttentionRows(
  values: AttentionValues,
  counts: (b: number) => boolean,
  visit: (row: AttentionRow) => void,
): void {
  const { sizes: { S }, attrs, tables, q, k, v, dz } = values;
  const context = contextOf(values);
  const { raw, scores, a } = rowValues(context);
  const [g, slope, dphi] = [new Float64Array(S), new Float64Array(S), new Float64Array(S)];
  forRows(context, (shown) => {
    const term = weights(context, shown, q, k, { raw, scores, a });
    const row = seenRow(shown, { raw, scores, a });
    const { batch, head, i, keys } = row;
    weightGradients(context, row, v, dz, g);
    keys.forEach((j, n) => {
      slope[n] = context.modifierDerivative(raw[n], batch, head, i, j, ...tables);
      if (!isNormalised(attrs)) dphi[n] = term * context.phiDerivative(scores[n]);
    });
    const seen = (x: Float64Array) => x.subarray(0, keys.length);
    visit({ ...row, scores: seen(scores), a: seen(a), g: seen(g), slope: seen(slope), dphi: seen(dphi) });
  }, counts);
}

function dot(x: Floats, y: Floats): number {
  let sum = 0;
  for (let e = 0; e < x.length; e++) sum += x[e] * y[e];
  return sum;
}

/** A row's Jacobian is diag(w) - w w^T / W. For softmax w = a and W = 1, else w = share(a) and W is the sum of w. */
export interface Shares {
  readonly w: ArrayLike<number>;
  readonly W: number;
}

/** Returns w and W of a row, given its weights a. */
export function sharesOf(a: ArrayLike<number>, share?: (a: number) => number): Shares {
  if (!share) return { w: a, W: 1 };
  const w = Float64Array.from(a, share);
  return { w, W: w.reduce((sum, x) => sum + x, 0) };
}

/** The product of a normalised activation's Jacobian with one row's gradient, and its parts. */
export interface JacobianRow {
  /** J g = w * (g - w.g / W): the gradient of the scores. */
  readonly full: Float64Array;
  /** w * (1 - w / W) * g: the diagonal of J times g. */
  readonly diag: Float64Array;
  /** full - diag: the contribution of the other keys. */
  readonly lateral: Float64Array;
}

/**
 * Computes the product of softmax's Jacobian J = diag(a) - a a^T with one row's gradient, and its parts on and off the
 * diagonal: full = a * (g - a.g), diag = a * (1 - a) * g, lateral = full - diag. With `share`, J = diag(w) - w w^T / W
 * where w = share(a) and W is the sum of w: full = w * (g - w.g / W), diag = w * (1 - w / W) * g.
 *
 * @param a weights of the visible keys, [n]
 * @param g dL/da, [n]
 * @param share for activations whose Jacobian is not softmax's
 *
 * @example
 * ```ts
 * import { jacobianRow } from "./mod.ts";
 * jacobianRow([0.25, 0.75], [1, 0]); // full 0.1875 and -0.1875, diag 0.1875 and 0, lateral 0 and -0.1875
 * ```
 */
export function jacobianRow(
  a: ArrayLike<number>,
  g: ArrayLike<number>,
  share?: (a: number) => number,
): JacobianRow {
  const n = a.length;
  const { w, W } = sharesOf(a, share);
  const [full, diag, lateral] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  let mean = 0;
  for (let j = 0; j < n; j++) mean += w[j] * g[j];
  for (let j = 0; j < n; j++) {
    full[j] = w[j] * (g[j] - mean / W);
    diag[j] = w[j] * (1 - w[j] / W) * g[j];
    lateral[j] = full[j] - diag[j];
  }
  return { full, diag, lateral };
}

const MAX_ITERATIONS = 500;
const TOLERANCE = 1e-10;

/**
 * Returns the largest eigenvalue of softmax's Jacobian J = diag(a) - a a^T, or, with `share`, of the matrix J of
 * {@link jacobianRow}. Power iteration computes J v = a * (v - a.v) for unit vectors v until |J v| changes by less than 1e-10
 * relative to its value, at most 500 times.
 *
 * The initial vector is the column of J at the largest weight, divided by that weight: its entry is 1 - a there, and its
 * other entries are -a. An eigenvector of the largest eigenvalue has the same signs (its entries are proportional to
 * a / (a - lambda), and lambda lies between the two largest weights), so the two are never orthogonal.
 *
 * @param a weights of the visible keys, [n]
 * @param share for activations whose Jacobian is not softmax's
 *
 * @example
 * ```ts
 * import { largestEigenvalue } from "./mod.ts";
 * largestEigenvalue([0.5, 0.5]); // 0.5
 * largestEigenvalue([1]); // 0
 * ```
 */
export function largestEigenvalue(a: ArrayLike<number>, share?: (a: number) => number): number {
  const n = a.length;
  const { w, W } = sharesOf(a, share);
  let top = 0;
  for (let j = 1; j < n; j++) if (w[j] > w[top]) top = j;
  const v = Float64Array.from(w, (x, j) => j === top ? 1 - x / W : -x / W);
  let size = Math.sqrt(dot(v, v));
  let eigenvalue = 0;
  for (let iteration = 0; iteration < MAX_ITERATIONS && size !== 0; iteration++) {
    let mean = 0;
    for (let j = 0; j < n; j++) mean += w[j] * (v[j] /= size);
    for (let j = 0; j < n; j++) v[j] = w[j] * (v[j] - mean / W);
    const before = eigenvalue;
    eigenvalue = size = Math.sqrt(dot(v, v));
    // Negated so that NaN also ends the loop.
    if (!(Math.abs(eigenvalue - before) > TOLERANCE * eigenvalue)) break;
  }
  return eigenvalue;
}
