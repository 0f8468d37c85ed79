// Random cases for checking an attention implementation. A case is a pure function of (seed, index), so that a failing one
// can be reproduced.
import { autoBias } from "../../kernels/attention/sizes.ts";
import { type RandomStream, randomStream } from "../base/random.ts";
import type { DenseTensor, OracleOptions } from "./oracle.ts";

/**
 * A score modifier for edge cases. "hides" sets the score of query i and key j to -Infinity if j < table[i], where the
 * table has shape [T]; at least one query then has no visible key. "looks up" adds table[r, j - i] to the score, where the
 * table has shape [2, 3] and one of its entries is -Infinity. The row index r is (i - 1) / (i - 1), which is 1, or NaN if
 * i = 1. A NaN index reads entry 0, and an index out of range reads the nearest entry.
 */
export interface CaseModifier {
  /** The kind of modifier. */
  readonly name: "hides" | "looks up";
  /** The lookup table that the modifier reads. */
  readonly table: DenseTensor;
}

/** One case: inputs, the upstream gradient, and the options. */
export interface AttentionCase {
  /** Index of the case, from 0. */
  readonly index: number;
  /** The seed from which it was generated, together with `index`. */
  readonly seed: number;
  /** [B, T, H, d] */
  readonly q: DenseTensor;
  /** [B, S, Hkv, d]; query head h uses key/value head floor(h Hkv / H). */
  readonly k: DenseTensor;
  /** [B, S, Hkv, dv] */
  readonly v: DenseTensor;
  /** Upstream gradient dL/dz, [B, T, H, dv]. */
  readonly dz: DenseTensor;
  /**
   * Shape [B, H, T, S], where the first two sizes may be 1 (broadcast). An entry is 1 if the query sees the key, else 0.
   * The mask is undefined if every key is visible.
   */
  readonly mask: DenseTensor | undefined;
  /** Factor by which q . k is multiplied. */
  readonly scale: number;
  /** The activation. If it is a sigmoid, the bias -ln S is added to the scores. */
  readonly activation: NonNullable<OracleOptions["activation"]>;
  /** The score modifier, applied before the bias. Default: none. */
  readonly modifier?: CaseModifier;
}

/**
 * Masks that a check can be limited to: no mask, a causal mask (query i sees the keys j <= i), or random masks with fully
 * masked rows.
 */
export const CASE_MASKS = ["none", "causal", "random"] as const;

/** One of {@link CASE_MASKS}. */
export type CaseMask = typeof CASE_MASKS[number];

/** Options of `attentionCase`. */
export interface AttentionCaseOptions {
  /** Seed of the cases. Default: 1. */
  readonly seed?: number;
  /** The activation of every case. Default: softmax. */
  readonly activation?: AttentionCase["activation"];
  /** The kind of mask that every case has. Default: the kind is random and differs between cases. */
  readonly mask?: CaseMask;
  /** Whether every fourth case has a score modifier. Default: false. */
  readonly modifiers?: boolean;
}

/** Returns random multiples of 1/16, which float32 and decimal output represent exactly. */
function numbers(rng: RandomStream, shape: readonly number[]): DenseTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, data: Float64Array.from({ length: size }, () => Math.round(16 * rng.normal()) / 16) };
}

/** Returns two different random sizes from low to high, inclusive. */
function twoSizes(rng: RandomStream, low: number, high: number): [number, number] {
  const first = low + rng.below(high - low + 1);
  const step = 1 + rng.below(high - low);
  return [first, low + (first - low + step) % (high - low + 1)];
}

type Pattern = "none" | "causal" | "of all heads" | "of each sample" | "of each head";
const RANDOM: readonly Pattern[] = ["of all heads", "of each sample", "of each head"];

function patternsOf(mask: CaseMask | undefined): readonly Pattern[] {
  if (mask === undefined) return ["none", "causal", ...RANDOM];
  return mask === "random" ? RANDOM : [mask];
}

/** Returns a mask of zeros and ones, or undefined for "none". In a random mask, each [T, S] matrix has a fully masked row. */
function maskOf(rng: RandomStream, pattern: Pattern, [B, H, T, S]: readonly number[]) {
  if (pattern === "none") return undefined;
  const shape = [
    pattern === "of each sample" || pattern === "of each head" ? B : 1,
    pattern === "of each head" ? H : 1,
    T,
    S,
  ];
  const density = 0.2 + 0.7 * rng.uniform();
  const data = new Uint8Array(shape[0] * shape[1] * T * S);
  for (let at = 0; at < data.length; at++) {
    const [i, j] = [Math.floor(at / S) % T, at % S];
    data[at] = Number(pattern === "causal" ? j <= i : rng.uniform() < density);
  }
  if (pattern === "causal") return { shape, data };
  for (let row = 0; row < data.length; row += T * S) {
    const empty = row + rng.below(T) * S;
    data.fill(0, empty, empty + S);
  }
  return { shape, data };
}

function modifierOf(rng: RandomStream, index: number, T: number, S: number): CaseModifier {
  if (index % 8 === 2) {
    const data = Float64Array.from({ length: T }, () => rng.below(S + 1));
    data[rng.below(T)] = S;
    return { name: "hides", table: { shape: [T], data } };
  }
  const data = Float64Array.from(numbers(rng, [2, 3]).data);
  data[rng.below(6)] = -Infinity;
  return { name: "looks up", table: { shape: [2, 3], data } };
}

/** Returns the score to which a modifier changes the score s of query i and key j. */
function modified({ name, table: { data } }: CaseModifier, s: number, i: number, j: number): number {
  if (name === "hides") return j < data[i] ? -Infinity : s;
  return s + data[(i === 1 ? 0 : 3) + Math.min(Math.max(j - i, 0), 2)];
}

/**
 * Returns the case with this index. Its sizes are 1 to 9, except that T and S are 10 to 70 in every fifth case, and that d
 * and dv are 1 to 70 in every 25th case. T differs from S, and d differs from dv. There are one or two samples, and
 * key/value heads may be shared. There is no mask, a causal mask or a random mask with fully masked rows; the option `mask`
 * selects one of these kinds. The scale is not always 1/sqrt(d). With `modifiers`, every fourth case has a score modifier.
 *
 * @example
 * ```ts
 * import { attentionCase } from "./mod.ts";
 * const { q, k } = attentionCase(3);
 * console.log(q.shape, k.shape); // [B, T, H, d] and [B, S, Hkv, d]
 * ```
 */
export function attentionCase(
  index: number,
  { seed = 1, activation = "softmax", mask: only, modifiers = false }: AttentionCaseOptions = {},
): AttentionCase {
  const rng = randomStream(seed, `attention case ${index}`);
  const large = index % 5 === 4;
  const [T, S] = twoSizes(rng, large ? 10 : 1, large ? 70 : 9);
  // Shaders of wide heads take seconds to compile on a software adapter, so only a few cases have them.
  const [d, dv] = twoSizes(rng, 1, index % 25 === 24 ? 70 : 9);
  const [B, HKV] = [1 + rng.below(2), 1 + rng.below(large ? 1 : 3)];
  const H = HKV * (1 + rng.below(2));
  const patterns = patternsOf(only);
  const mask = maskOf(rng, patterns[rng.below(patterns.length)], [B, H, T, S]);
  return {
    index,
    seed,
    q: numbers(rng, [B, T, H, d]),
    k: numbers(rng, [B, S, HKV, d]),
    v: numbers(rng, [B, S, HKV, dv]),
    dz: numbers(rng, [B, T, H, dv]),
    mask,
    scale: rng.below(3) === 0 ? 0.5 : 1 / Math.sqrt(d),
    activation,
    ...(modifiers && index % 4 === 2
      ? { modifier: modifierOf(randomStream(seed, `attention modifier ${index}`), index, T, S) }
      : {}),
  };
}

/** Returns the options with which the oracle computes a case. */
export function oracleOptions({ k, mask, scale, activation, modifier }: AttentionCase): OracleOptions {
  const bias = autoBias({ activation, divide: "none" }, k.shape[1]);
  return {
    scale,
    activation,
    score: (s, _b, _h, i, j) => (modifier ? modified(modifier, s, i, j) : s) + bias,
    slope: () => 1,
    mask: mask && ((b, h, i, j) => {
      const [B, H, T, S] = mask.shape;
      return mask.data[(((b % B) * H + h % H) * T + i) * S + j] !== 0;
    }),
  };
}
