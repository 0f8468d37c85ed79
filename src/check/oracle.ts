// Reference attention: dense, float64, every matrix in memory, gradients by hand. It shares no code with the kernels that
// are checked against it: of an activation it uses only `definition`, which the kernels do not use.
import { ACTIVATIONS, ATTENTION_CHOICES } from "../../kernels/attention/activations.ts";
import type { AttentionActivation, AttentionChoice } from "../../kernels/attention/activations.ts";
import { UserError } from "../base/errors.ts";

/** Numbers in row-major order with their shape. */
export interface DenseTensor {
  /** Sizes of its dimensions. */
  readonly shape: readonly number[];
  /** Its numbers. */
  readonly data: ArrayLike<number>;
}

/** Options of the oracle. Default: plain softmax over all keys. */
export interface OracleOptions {
  /** Factor of q . k. Default: 1/sqrt(d). */
  readonly scale?: number;
  /** Position i of query r: r (default), or r + S - T ("bottom-right"), which is negative before the first key. */
  readonly align?: "top-left" | "bottom-right";
  /** Modifies a scaled score at (b, h, i, j), i and j positions; -Infinity hides the pair, as a mask does. */
  readonly score?: (score: number, b: number, h: number, i: number, j: number) => number;
  /** Derivative of `score` with respect to the score, required for gradients. */
  readonly slope?: (score: number, b: number, h: number, i: number, j: number) => number;
  /** Whether query i sees key j; any pattern is possible. Default: every query sees every key. */
  readonly mask?: (b: number, h: number, i: number, j: number) => boolean;
  /** The activation; `score` must add the bias of a sigmoid. Default: softmax. */
  readonly activation?: AttentionActivation;
  /** Divides element-wise weights by the number n of visible keys of the row, or by sqrt(n). Default: "none". */
  readonly divide?: AttentionChoice<"divide">;
  /** Backward pass of softmax: exact, without the Jacobian's lateral sum, or the identity on visible keys. */
  readonly backward?: AttentionChoice<"backward">;
  /** Head h reads key head floor(h Hkv / H), or h mod Hkv. */
  readonly kvHead?: AttentionChoice<"kvHead">;
}

/** Values of the oracle. */
export interface OracleValues {
  /** [B, T, H, dv] */
  readonly z: Float64Array<ArrayBuffer>;
  /** The weights a_ij, 0 for hidden keys, [B, H, T, S]. */
  readonly pattern: Float64Array<ArrayBuffer>;
}

/** Gradients of the oracle. */
export interface OracleGradients {
  /** [B, T, H, d] */
  readonly dq: Float64Array<ArrayBuffer>;
  /** [B, S, Hkv, d] */
  readonly dk: Float64Array<ArrayBuffer>;
  /** [B, S, Hkv, dv] */
  readonly dv: Float64Array<ArrayBuffer>;
  /** Gradient of the modified scores, [B, H, T, S], from which the gradients of a modifier's tables are computed. */
  readonly ds: Float64Array<ArrayBuffer>;
}

interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
  readonly D: number;
  readonly DV: number;
}

function sizesOf(q: DenseTensor, k: DenseTensor, v: DenseTensor): Sizes {
  const [B, T, H, D] = q.shape;
  const [, S, HKV] = k.shape;
  const DV = v.shape[3];
  const expected = [[B, T, H, D], [B, S, HKV, D], [B, S, HKV, DV]];
  const fits = [q, k, v].every(({ shape, data }, n) => {
    return shape.join() === expected[n].join() && data.length === shape.reduce((a, b) => a * b, 1);
  });
  if (!fits || H % HKV !== 0) {
    const shapes = [q, k, v].map(({ shape }) => `[${shape.join(", ")}]`).join(", ");
    throw new UserError(
      `oracle: q, k, v are ${shapes}, expected [B, T, H, d], [B, S, Hkv, d], [B, S, Hkv, dv], Hkv dividing H.`,
    );
  }
  return { B, T, S, H, HKV, D, DV };
}

/** Calls `visit` for every row (b, h, i) with its offsets in q, z and the [T, S] matrices, and its key head. */
function forRows(
  { B, T, S, H, HKV }: Sizes,
  kvHead: AttentionChoice<"kvHead"> = "grouped",
  visit: (b: number, h: number, i: number, row: number, matrix: number, kv: number) => void,
): void {
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const kv = ATTENTION_CHOICES.kvHead[kvHead].keyHead(h, H, HKV);
      for (let i = 0; i < T; i++) visit(b, h, i, (b * T + i) * H + h, ((b * H + h) * T + i) * S, kv);
    }
  }
}

function dot(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, size: number): number {
  let sum = 0;
  for (let e = 0; e < size; e++) sum += a[i * size + e] * b[j * size + e];
  return sum;
}

/** Scaled scores, modified scores and visibility, each [B, H, T, S]. */
function scoresOf(q: DenseTensor, k: DenseTensor, sizes: Sizes, options: OracleOptions) {
  const { B, T, S, H, HKV, D } = sizes;
  const { scale = 1 / Math.sqrt(D), score, mask, kvHead } = options;
  const first = options.align === "bottom-right" ? S - T : 0;
  const [raw, scores] = [new Float64Array(B * H * T * S), new Float64Array(B * H * T * S)];
  const visible = new Uint8Array(B * H * T * S);
  forRows(sizes, kvHead, (b, h, i, row, matrix, kv) => {
    for (let j = 0; j < S; j++) {
      const s = scale * dot(q.data, row, k.data, (b * S + j) * HKV + kv, D);
      raw[matrix + j] = s;
      scores[matrix + j] = score ? score(s, b, h, first + i, j) : s;
      visible[matrix + j] = Number(
        (mask?.(b, h, first + i, j) ?? true) && scores[matrix + j] !== -Infinity,
      );
    }
  });
  return { raw, scores, visible };
}

/** The divisor of an element-wise row with n visible keys. */
function divisor(visible: Uint8Array, divide: AttentionChoice<"divide"> = "none"): number {
  return ATTENTION_CHOICES.divide[divide].divisor(Math.max(1, visible.reduce((sum, seen) => sum + seen, 0)));
}

/** The values of a row at its visible keys. */
const seenOf = (x: Float64Array, visible: Uint8Array): number[] => Array.from(x).filter((_, j) => visible[j]);

/** A row with the given values at its visible keys, and 0 elsewhere. */
function spread(seen: readonly number[], visible: Uint8Array): Float64Array {
  let n = 0;
  return Float64Array.from(visible, (sees) => sees ? seen[n++] : 0);
}

/** Weights of one row by the activation's definition; zeros if nothing is visible. */
function weightsOf(scores: Float64Array, visible: Uint8Array, options: OracleOptions): Float64Array {
  const { activation = "softmax", divide } = options;
  const defined = ACTIVATIONS[activation];
  const seen = seenOf(scores, visible);
  if (defined.normalised) return spread(defined.definition.weights(seen), visible);
  const [phi] = defined.definition;
  const by = divisor(visible, divide);
  return spread(seen.map((s) => phi(s) / by), visible);
}

/**
 * Attention by its definition, in float64 and O(B H T S) memory: s_ij = score(scale q_i . k_j), a_i = the activation of s_i
 * over the visible keys, z_i = sum_j a_ij v_j. A fully masked row is zeros.
 *
 * @param q [B, T, H, d]
 * @param k [B, S, Hkv, d]
 * @param v [B, S, Hkv, dv]
 * @throws {UserError} if the shapes do not match
 *
 * @example
 * ```ts
 * import { attentionOracle } from "./mod.ts";
 * const one = { shape: [1, 1, 1, 1], data: [1] };
 * const keys = { shape: [1, 2, 1, 1], data: [0, Math.log(3)] };
 * attentionOracle(one, keys, keys, { scale: 1 }).pattern; // 0.25, 0.75
 * ```
 */
export function attentionOracle(
  q: DenseTensor,
  k: DenseTensor,
  v: DenseTensor,
  options: OracleOptions = {},
): OracleValues {
  const sizes = sizesOf(q, k, v);
  const { B, T, S, H, HKV, DV } = sizes;
  const { scores, visible } = scoresOf(q, k, sizes, options);
  const pattern = new Float64Array(scores.length);
  const z = new Float64Array(B * T * H * DV);
  forRows(sizes, options.kvHead, (b, _h, _i, row, matrix, kv) => {
    const [from, to] = [matrix, matrix + S];
    pattern.set(weightsOf(scores.subarray(from, to), visible.subarray(from, to), options), matrix);
    for (let j = 0; j < S; j++) {
      const at = ((b * S + j) * HKV + kv) * DV;
      for (let e = 0; e < DV; e++) z[row * DV + e] += pattern[matrix + j] * v.data[at + e];
    }
  });
  return { z, pattern };
}

/** Gradient of a row's modified scores from the weights a and g_j = dz . v_j. */
function scoreGradients(
  a: Float64Array,
  g: Float64Array,
  scores: Float64Array,
  visible: Uint8Array,
  { activation = "softmax", backward = "exact", divide }: OracleOptions,
): Float64Array {
  const defined = ACTIVATIONS[activation];
  if (!defined.normalised) {
    const [, derivative] = defined.definition;
    const by = divisor(visible, divide);
    return g.map((x, j) => visible[j] ? derivative(scores[j]) / by * x : 0);
  }
  const { lateral, scoreGradient } = ATTENTION_CHOICES.backward[backward];
  if (!lateral) return g.map((x, j) => visible[j] ? scoreGradient(a[j], 1, x, 0) : 0);
  return spread(defined.definition.gradient(seenOf(a, visible), seenOf(g, visible)), visible);
}

/**
 * Gradients of {@link attentionOracle} for an upstream gradient dz, derived by hand: g_ij = dz_i . v_j;
 * ds_ij = a_ij (g_ij - sum_l a_il g_il) for a softmax (`diag`: a_ij (1 - a_ij) g_ij; `ste`: g_ij), phi'(s_ij) g_ij / n_i
 * element-wise; dq_i = scale sum_j ds_ij score' k_j, dk_j = scale sum_i ds_ij score' q_i, dv_j = sum_i a_ij dz_i.
 *
 * @param q [B, T, H, d]
 * @param k [B, S, Hkv, d]
 * @param v [B, S, Hkv, dv]
 * @param dz [B, T, H, dv]
 * @throws {UserError} if the shapes do not match, or `score` has no `slope`
 *
 * @example
 * ```ts
 * import { attentionOracleGradient } from "./mod.ts";
 * const one = { shape: [1, 1, 1, 1], data: [1] };
 * attentionOracleGradient(one, one, one, one).dv; // 1: the one key has all the weight
 * ```
 */
export function attentionOracleGradient(
  q: DenseTensor,
  k: DenseTensor,
  v: DenseTensor,
  dz: DenseTensor,
  options: OracleOptions = {},
): OracleGradients {
  const sizes = sizesOf(q, k, v);
  const { T, S, H, HKV, D, DV } = sizes;
  const { scale = 1 / Math.sqrt(D), score, slope, kvHead } = options;
  const first = options.align === "bottom-right" ? S - T : 0;
  if (score && !slope) {
    throw new UserError(
      "oracle: gradients through the option score require its derivative slope, found none.",
    );
  }
  if (dz.shape.join() !== [q.shape[0], T, H, DV].join()) {
    throw new UserError(`oracle: dz is [${dz.shape.join(", ")}], expected z's shape [B, T, H, dv].`);
  }
  const { raw, scores, visible } = scoresOf(q, k, sizes, options);
  const { pattern } = attentionOracle(q, k, v, options);
  const [dq, dk] = [new Float64Array(q.data.length), new Float64Array(k.data.length)];
  const [dv, ds] = [new Float64Array(v.data.length), new Float64Array(scores.length)];
  forRows(sizes, kvHead, (b, h, i, row, matrix, kv) => {
    const key = (j: number) => (b * S + j) * HKV + kv;
    const part = <X extends Float64Array | Uint8Array>(x: X) => x.subarray(matrix, matrix + S) as X;
    const a = part(pattern);
    const g = a.map((_, j) => dot(dz.data, row, v.data, key(j), DV));
    const slopes = scoreGradients(a, g, part(scores), part(visible), options);
    ds.set(slopes, matrix);
    for (let j = 0; j < S; j++) {
      const at = key(j);
      if (!visible[matrix + j]) continue;
      const x = scale * slopes[j] * (slope ? slope(raw[matrix + j], b, h, first + i, j) : 1);
      for (let e = 0; e < D; e++) {
        dq[row * D + e] += x * k.data[at * D + e];
        dk[at * D + e] += x * q.data[row * D + e];
      }
      for (let e = 0; e < DV; e++) dv[at * DV + e] += a[j] * dz.data[row * DV + e];
    }
  });
  return { dq, dk, dv, ds };
}
