// What attention is asked to compute: its sizes, its attributes, and what follows from them.
import { mismatch, type Spec, type Tensor } from "../../src/graph/tensor.ts";
import type { Expression } from "../expression/expression.ts";
import {
  ACTIVATIONS,
  ATTENTION_CHOICES,
  type AttentionActivation,
  type AttentionChoice,
} from "./activations.ts";

/** Attributes of attention. Inputs are q, k, v, then `extrasOf` in its order. */
export interface AttentionAttrs {
  readonly scale: number;
  /** The range of keys that a query sees, by its position among the keys: its row i, or i + S - T from the bottom right. */
  readonly causal: boolean;
  readonly bottomRight: boolean;
  /** How many of the last keys are learned: they have no position, and S - T does not count them. */
  readonly extra: number;
  /** Keys less than this far behind the query; 0 for all. */
  readonly window: number;
  /** The window reaches as far ahead. */
  readonly symmetric: boolean;
  /** Which pairs are visible, beyond the range. */
  readonly mask: Expression | undefined;
  /** Sizes of the block mask that goes with it, B and H of which may be 1; undefined where there is none. */
  readonly blocks: readonly number[] | undefined;
  /** The score after its modifiers, over `score`, `b`, `h`, `i` (the row), `j` and lookups. */
  readonly score: Expression;
  /** Names of the tables that score and mask look up. */
  readonly tables: readonly string[];
  readonly activation: AttentionActivation;
  /** Element-wise weights are divided by the visible keys of the row, or by their root. */
  readonly divide: AttentionChoice<"divide">;
  readonly backward: AttentionChoice<"backward">;
  readonly kvHead: AttentionChoice<"kvHead">;
  /** Dropout of the pattern, and the number of the place that draws it. */
  readonly dropout: { readonly p: number; readonly site: number };
}

/** Sizes of attention in the letters of its definition. */
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

/** Reads the sizes off q [B,T,H,d], k [B,S,Hkv,d], v [B,S,Hkv,dv]; throws where they do not fit. */
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
 * The bias "auto" for so many keys: what the activation begins with where its weights are not divided (-ln(keys) for sigmoid),
 * else 0.
 */
export function autoBias(
  { activation, divide }: Pick<AttentionAttrs, "activation" | "divide">,
  keys: number,
): number {
  const defined = ACTIVATIONS[activation];
  return defined.normalised || divide !== "none" ? 0 : defined.autoBias?.(keys) ?? 0;
}

/** True for the activations that are normalised over the row. */
export const isNormalised = ({ activation }: Pick<AttentionAttrs, "activation">): boolean =>
  ACTIVATIONS[activation].normalised;

/** True where every row that sees a key sums to 1. */
export function sumsToOne({ activation }: Pick<AttentionAttrs, "activation">): boolean {
  const defined = ACTIVATIONS[activation];
  return defined.normalised && defined.sumsToOne;
}

/** True where the gradient has approximations, `diag` and `ste`. */
export function isApproximated({ activation }: Pick<AttentionAttrs, "activation">): boolean {
  const defined = ACTIVATIONS[activation];
  return defined.normalised && defined.approximated;
}

/** True where each weight is a probability of its own: of a logistic function, undivided. */
export function isBernoulli({ activation, divide }: Pick<AttentionAttrs, "activation" | "divide">): boolean {
  const defined = ACTIVATIONS[activation];
  return !defined.normalised && defined.logistic === true && divide === "none";
}

/** True where a number per row is saved for the backward pass: a normalised row's, or what the row is divided by. */
export const hasRowTerm = (attrs: AttentionAttrs): boolean => isNormalised(attrs) || attrs.divide !== "none";

/** True where the backward pass needs delta_i = dz_i . inner_i. */
export const isExact = (attrs: AttentionAttrs): boolean =>
  isNormalised(attrs) && ATTENTION_CHOICES.backward[attrs.backward].lateral;

/** w_j of a weight in the Jacobian of an activation's rows; undefined where w = a and W = 1. */
export function shareOf(
  { activation }: Pick<AttentionAttrs, "activation">,
): ((a: number) => number) | undefined {
  const defined = ACTIVATIONS[activation];
  return defined.normalised ? defined.share : undefined;
}

/**
 * True where the forward pass also leaves inner_i = sum_j w_ij v_j / W_i (see `NormalisedActivation`), so that
 * delta_i = dz_i . inner_i. Where w = a and W = 1 it is z.
 */
export const keepsInner = (attrs: Pick<AttentionAttrs, "activation">): boolean =>
  shareOf(attrs) !== undefined;

/** True where the scores are modified. */
export const modifies = ({ score }: AttentionAttrs): boolean => score.kind !== "variable";

/** Names of the inputs behind an operation's own: the dropout seed, the block mask, the tables. */
export function extrasOf(attrs: AttentionAttrs): string[] {
  return [
    ...(attrs.dropout.p > 0 ? ["seed"] : []),
    ...(attrs.blocks ? ["blocks"] : []),
    ...attrs.tables.map((name) => `table_${name}`),
  ];
}

/** The last inputs of a node: its extras, by the names of `extrasOf`. */
export function extraInputs<X extends Spec | Tensor>(inputs: readonly X[], attrs: AttentionAttrs): X[] {
  return inputs.slice(inputs.length - extrasOf(attrs).length);
}

/** How far the queries' positions are ahead of their rows, below 0 where they are behind. */
export const queryOffset = (
  { T, S }: Pick<AttentionSizes, "T" | "S">,
  { bottomRight, extra }: Pick<AttentionAttrs, "bottomRight" | "extra">,
): number => bottomRight ? S - extra - T : 0;
