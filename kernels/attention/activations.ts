// The allowed values of attention's options. Types, schema, reference implementation, kernels and messages are derived from
// this table. A new element-wise activation needs one entry here; a row-normalised activation also needs a file of its own.
import { type Expression, max, sigmoid, times, variable } from "../expression/expression.ts";
import type { ElementwiseActivation, NormalisedActivation } from "./activation.ts";
import { entmax15 } from "./entmax15.ts";
import { softmax } from "./softmax.ts";

const SCORE: Expression = variable("score");
const POSITIVE: Expression = max(0, SCORE);
const logistic = (s: number): number => 1 / (1 + Math.exp(-s));

const elementwise = (fields: Omit<ElementwiseActivation, "normalised">): ElementwiseActivation => {
  return { normalised: false, ...fields };
};

/** The allowed values of attention's options, keyed by option and then by name. */
export const ATTENTION_CHOICES = {
  /** The function that computes the weights of a row from its scores. */
  activation: {
    softmax: softmax("e^s / (sum of e^s over the row)", -Infinity) as NormalisedActivation,
    /** Softmax with an extra logit of 0, which gets a share of the weight but has no value vector. */
    softmax1: softmax("softmax with an extra logit of 0", 0) as NormalisedActivation,
    entmax15: entmax15 as NormalisedActivation,
    sigmoid: elementwise({
      doc: "1 / (1 + e^-s)",
      expression: sigmoid(SCORE),
      definition: [logistic, (s) => logistic(s) * (1 - logistic(s))],
      logistic: true,
      // With this bias the initial weights are close to 1 / keys (Ramapuram et al. 2024).
      autoBias: (keys) => -Math.log(keys),
    }) as ElementwiseActivation,
    relu: elementwise({
      doc: "max(0, s)",
      expression: POSITIVE,
      definition: [(s) => Math.max(0, s), (s) => s <= 0 ? 0 : 1],
      zeroBelow0: true,
    }) as ElementwiseActivation,
    relu2: elementwise({
      doc: "max(0, s)^2",
      expression: times(POSITIVE, POSITIVE),
      definition: [(s) => Math.max(0, s) ** 2, (s) => 2 * Math.max(0, s)],
      zeroBelow0: true,
    }) as ElementwiseActivation,
  },
  /** Maps n, the number of visible keys of a row, to the divisor of the row's element-wise weights; also as WGSL. */
  divide: {
    none: { divisor: (_n: number): number => 1, wgsl: "1f" },
    n: { divisor: (n: number): number => n, wgsl: "n" },
    sqrt_n: { divisor: (n: number): number => Math.sqrt(n), wgsl: "sqrt(n)" },
  },
  /**
   * Computes the gradient ds_j of a score from w = w_j and W = sum_k w_k (see `NormalisedActivation`), da = dL/da_j, and
   * inner = sum_k w_k da_k / W; also as WGSL. `lateral` is true if the gradient uses off-diagonal entries of the Jacobian, and
   * therefore `inner`.
   */
  backward: {
    exact: {
      lateral: true,
      scoreGradient: (w: number, _W: number, da: number, inner: number): number => w * (da - inner),
      wgsl: "share(a) * (da - delta)",
    },
    /** Uses only the diagonal of the Jacobian, without the sum over the row. */
    diag: {
      lateral: false,
      scoreGradient: (w: number, W: number, da: number, _inner: number): number => w * (1 - w / W) * da,
      wgsl: "a * (1f - a) * da",
    },
    /** Straight-through estimator: for visible keys, the gradient of the score equals the gradient of the weight. */
    ste: {
      lateral: false,
      scoreGradient: (_w: number, _W: number, da: number, _inner: number): number => da,
      wgsl: "select(0f, da, seen)",
    },
  },
  /** Maps query head h (of H) to its key/value head (of HKV); also as WGSL, with the inverse mapping. */
  kvHead: {
    grouped: {
      keyHead: (h: number, H: number, HKV: number): number => Math.floor(h * HKV / H),
      wgsl: { keyHead: "head / (H / HKV)", head: "kv_head * (H / HKV) + member" },
    },
    modulo: {
      keyHead: (h: number, _H: number, HKV: number): number => h % HKV,
      wgsl: { keyHead: "head % HKV", head: "kv_head + member * HKV" },
    },
  },
};

/** The allowed values of an option of attention: `AttentionChoice<"divide">` is "none", "n" or "sqrt_n". */
export type AttentionChoice<Option extends keyof typeof ATTENTION_CHOICES> =
  keyof typeof ATTENTION_CHOICES[Option];

/** Name of an attention activation.
 * @category Attention */
export type AttentionActivation = AttentionChoice<"activation">;

/** The activations, keyed by name. */
export const ACTIVATIONS: Readonly<
  Record<AttentionActivation, ElementwiseActivation | NormalisedActivation>
> = ATTENTION_CHOICES.activation;

/**
 * Lists the allowed values of an option of attention.
 *
 * @example
 * ```ts
 * import { attentionNames } from "../../mod.ts";
 * attentionNames("kvHead"); // "grouped", "modulo"
 * ```
 * @category Attention
 */
export function attentionNames<Option extends keyof typeof ATTENTION_CHOICES>(
  option: Option,
): readonly [AttentionChoice<Option>, ...AttentionChoice<Option>[]] {
  const names = Object.keys(ATTENTION_CHOICES[option]) as AttentionChoice<Option>[];
  return names as [AttentionChoice<Option>, ...AttentionChoice<Option>[]];
}

/** True if `name` is the name of a row-normalised activation. */
export const isNormalisedName = (name: string): boolean =>
  Object.hasOwn(ACTIVATIONS, name) && ACTIVATIONS[name as AttentionActivation].normalised;
