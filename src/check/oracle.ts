// A reference implementation of attention. It is dense, computes in float64, keeps every matrix in memory, and has
// gradients that were derived by hand. It shares no code with the kernels that are checked against it: the only part of an
// activation that it uses is `definition`, which the kernels do not use.
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
  /** Factor by which q . k is multiplied. Default: 1/sqrt(d). */
  readonly scale?: number;
  /**
   * How the position i of a query follows from its index r: i = r ("top-left", the default), or i = r + S - T
   * ("bottom-right"), which is negative for a query before the first key.
   */
  readonly align?: "top-left" | "bottom-right";
  /**
   * Modifies the scaled score of sample b, head h, query position i and key position j. A result of -Infinity hides the
   * pair, as a mask does.
   */
  readonly score?: (score: number, b: number, h: number, i: number, j: number) => number;
  /** Derivative of `score` with respect to the score, required for gradients. */
  readonly slope?: (score: number, b: number, h: number, i: number, j: number) => number;
  /** Whether query i sees key j; any pattern is possible. Default: every query sees every key. */
  readonly mask?: (b: number, h: number, i: number, j: number) => boolean;
  /** The activation; `score` must add the bias of a sigmoid. Default: softmax. */
  readonly activation?: AttentionActivation;
  /**
   * Whether the weights of an element-wise activation are divided by the row's number n of visible keys, or by sqrt(n).
   * Default: "none".
   */
  readonly divide?: AttentionChoice<"divide">;
  /**
   * The backward pass of softmax: exact (the default), without the lateral sum of the Jacobian, or the identity on visible
   * keys.
   */
  readonly backward?: AttentionChoice<"backward">;
  /** The key/value head that query head h uses: floor(h Hkv / H) (the default), or h mod Hkv. */
  readonly kvHead?: AttentionChoice<"kvHead">;
}

/** The values that the oracle computes. */
export interface OracleValues {
  /** [B, T, H, dv] */
  readonly z: Float64Array<ArrayBuffer>;
  /** The weights a_ij, 0 for hidden keys, [B, H, T, S]. */
  readonly pattern: Float64Array<ArrayBuffer>;
}

/** The gradients that the oracle computes. */
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

/**
 * Calls `visit` for every query row (b, h, i). `row` is the index of the row in q and z, `matrix` is the offset of its S
 * entries in a tensor [B, H, T, S], and `kv` is the index of its key/value head.
 */
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

/** Returns the scaled scores, the modified scores and the visibility of every pair, each of shape [B, H, T, S]. */
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

/** Returns the divisor of the weights of a row, for an element-wise activation, from the visibility of the row's keys. */
function divisor(visible: Uint8Array, divide: AttentionChoice<"divide"> = "none"): number {
  return ATTENTION_CHOICES.divide[divide].divisor(Math.max(1, visible.reduce((sum, seen) => sum + seen, 0)));
}

/** Returns the values of a row at its visible keys. */
const seenOf = (x: Float64Array, visible: Uint8Array): number[] => Array.from(x).filter((_, j) => visible[j]);

/** Returns a row with the given values at its visible keys, and 0 elsewhere. */
function spread(seen: readonly number[], visible: Uint8Array): Float64Array {
  let n = 0;
  return Float64Array.from(visible, (sees) => sees ? seen[n++] : 0);
}

/** Computes the weights of one row by the activation's definition; they are zeros if no key is visible. */
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
 * Computes attention by its definition, in float64 and with O(B H T S) memory: s_ij = score(scale * (q_i . k_j)), a_i is
 * the activation of s_i over the visible keys, and z_i = sum_j a_ij v_j. The row of a query without visible keys is zeros.
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

/** Computes the gradient of a row's modified scores from the row's weights a and the gradient g_j = dz . v_j of each weight. */
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
 * Computes the gradients of {@link attentionOracle} for an upstream gradient dz, by formulas that were derived by hand.
 * With g_ij = dz_i . v_j, the gradient of the modified scores of an exact softmax is ds_ij = a_ij (g_ij - sum_l a_il g_il).
 * It is a_ij (1 - a_ij) g_ij with `diag`, g_ij with `ste`, and phi'(s_ij) g_ij / n_i for an element-wise activation with
 * divisor n_i. Then dq_i = scale sum_j ds_ij score' k_j, dk_j = scale sum_i ds_ij score' q_i, and dv_j = sum_i a_ij dz_i.
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
