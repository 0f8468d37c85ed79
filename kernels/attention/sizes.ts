// Sizes and attributes of attention, and properties that are derived from them.
import { mismatch, type Spec, type Tensor } from "../../src/graph/tensor.ts";
import type { Expression } from "../expression/expression.ts";
import {
  ACTIVATIONS,
  ATTENTION_CHOICES,
  type AttentionActivation,
  type AttentionChoice,
} from "./activations.ts";

/** Attributes of attention. The inputs are q, k and v, followed by the extra inputs in the order of `extrasOf`. */
export interface AttentionAttrs {
  readonly scale: number;
  /** True if query i sees only the keys j <= i or, if `bottomRight` is set, only the keys j <= i + S - extra - T. */
  readonly causal: boolean;
  readonly bottomRight: boolean;
  /** Number of learned keys: the last `extra` of the S keys, which have no position. */
  readonly extra: number;
  /** Keys that are this many or more positions behind the query are hidden; 0 means that there is no limit. */
  readonly window: number;
  /** True if the same limit applies to keys ahead of the query. */
  readonly symmetric: boolean;
  /** Mask over (query, key) pairs: a pair is visible if `causal`, `window` and the mask all allow it. */
  readonly mask: Expression | undefined;
  /**
   * Shape of the block mask, [B or 1, H or 1, number of query tiles, number of key tiles]; undefined if there is no block mask.
   */
  readonly blocks: readonly number[] | undefined;
  /** The modified score, an expression in `score`, `b`, `h`, `i` (query row), `j` (key) and table lookups. */
  readonly score: Expression;
  /** Names of the tables that `score` and `mask` look up. */
  readonly tables: readonly string[];
  readonly activation: AttentionActivation;
  /** Divisor of element-wise weights: 1 ("none"), the row's number n of visible keys, or sqrt(n). */
  readonly divide: AttentionChoice<"divide">;
  readonly backward: AttentionChoice<"backward">;
  readonly kvHead: AttentionChoice<"kvHead">;
  /** Dropout on the attention weights: its probability, and the id that gives each dropout layer its own random stream. */
  readonly dropout: { readonly p: number; readonly site: number };
}

/** Sizes of attention: q [B, T, H, D], k [B, S, HKV, D], v [B, S, HKV, DV]. */
export interface AttentionSizes {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
  readonly D: number;
  readonly DV: number;
}

/** Side of the square tiles of a block mask. */
export const BLOCK = 32;

/** Attributes of a block mask; its inputs are the tables of the mask. */
export interface BlockMaskAttrs {
  readonly mask: Expression;
  readonly tables: readonly string[];
  /** [B or 1, H or 1, tiles along i, tiles along j]; 1 if the mask does not depend on the sample or on the head. */
  readonly shape: readonly number[];
  readonly T: number;
  readonly S: number;
}

/**
 * Returns the sizes of q [B, T, H, d], k [B, S, Hkv, d] and v [B, S, Hkv, dv]. Throws a `UserError` if the shapes contradict each
 * other.
 */
export function attentionSizes([q, k, v]: readonly Spec[]): AttentionSizes {
  const [B, T, H, D] = q.shape;
  const [, S, HKV] = k.shape;
  const DV = v.shape[3];
  const fits = [q, k, v].every((x) => x.shape.length === 4 && x.shape[0] === B && x.dtype === "f32") &&
    k.shape[3] === D && v.shape[1] === S && v.shape[2] === HKV && H % HKV === 0;
  if (!fits) {
    mismatch("attention", "q [B, T, H, d], k [B, S, Hkv, d] and v [B, S, Hkv, dv] where Hkv divides H", [
      q,
      k,
      v,
    ]);
  }
  return { B, T, S, H, HKV, D, DV };
}

/**
 * Returns the bias that "auto" selects for the given number of keys: the activation's `autoBias` (-ln(keys) for sigmoid) if the
 * weights are not divided, else 0.
 */
export function autoBias(
  { activation, divide }: Pick<AttentionAttrs, "activation" | "divide">,
  keys: number,
): number {
  const definition = ACTIVATIONS[activation];
  return definition.normalised || divide !== "none" ? 0 : definition.autoBias?.(keys) ?? 0;
}

/** True for activations that are normalised over the row. */
export const isNormalised = ({ activation }: Pick<AttentionAttrs, "activation">): boolean =>
  ACTIVATIONS[activation].normalised;

/** True if the weights of every row with a visible key sum to 1. */
export function sumsToOne({ activation }: Pick<AttentionAttrs, "activation">): boolean {
  const definition = ACTIVATIONS[activation];
  return definition.normalised && definition.sumsToOne;
}

/** True if the approximate gradients `diag` and `ste` are defined. */
export function isApproximated({ activation }: Pick<AttentionAttrs, "activation">): boolean {
  const definition = ACTIVATIONS[activation];
  return definition.normalised && definition.approximated;
}

/** True if each weight is an independent probability: a sigmoid that is not divided by a function of the number of keys. */
export function isBernoulli({ activation, divide }: Pick<AttentionAttrs, "activation" | "divide">): boolean {
  const definition = ACTIVATIONS[activation];
  return !definition.normalised && definition.logistic === true && divide === "none";
}

/**
 * True if the forward pass saves one value per row, the row term, for the backward pass. The row term is the log-sum-exp of a
 * softmax, tau of entmax15, or 1 / divisor of an element-wise activation.
 */
export const hasRowTerm = (attrs: AttentionAttrs): boolean => isNormalised(attrs) || attrs.divide !== "none";

/** True if the backward pass needs delta_i = dz_i . inner_i. */
export const isExact = (attrs: AttentionAttrs): boolean =>
  isNormalised(attrs) && ATTENTION_CHOICES.backward[attrs.backward].lateral;

/**
 * Returns the function that maps the weight a_j to w_j in the Jacobian of a row (see `NormalisedActivation`), or undefined if the
 * activation is element-wise, or if w = a and W = 1.
 */
export function shareOf(
  { activation }: Pick<AttentionAttrs, "activation">,
): ((a: number) => number) | undefined {
  const definition = ACTIVATIONS[activation];
  return definition.normalised ? definition.share : undefined;
}

/**
 * True if the forward pass also saves inner_i = sum_j w_ij v_j / W_i (see `NormalisedActivation`), from which the backward
 * pass computes delta_i = dz_i . inner_i. If w = a and W = 1, inner equals z and is not saved separately.
 */
export const keepsInner = (attrs: Pick<AttentionAttrs, "activation">): boolean =>
  shareOf(attrs) !== undefined;

/** True if there is a score modifier. */
export const modifies = ({ score }: AttentionAttrs): boolean => score.kind !== "variable";

/**
 * Returns the names of the extra inputs, which follow an operation's other inputs: the dropout seed, the block mask and the
 * tables.
 */
export function extrasOf(attrs: AttentionAttrs): string[] {
  return [
    ...(attrs.dropout.p > 0 ? ["seed"] : []),
    ...(attrs.blocks ? ["blocks"] : []),
    ...attrs.tables.map((name) => `table_${name}`),
  ];
}

/** Returns the extra inputs of a node, in the order of `extrasOf`. */
export function extraInputs<X extends Spec | Tensor>(inputs: readonly X[], attrs: AttentionAttrs): X[] {
  return inputs.slice(inputs.length - extrasOf(attrs).length);
}

/** Returns the offset from a query's row to the query's position (position = row + offset). The offset may be negative. */
export const queryOffset = (
  { T, S }: Pick<AttentionSizes, "T" | "S">,
  { bottomRight, extra }: Pick<AttentionAttrs, "bottomRight" | "extra">,
): number => bottomRight ? S - extra - T : 0;
