// Common mistakes in implementations of attention, each defined by wrong steps that replace the right ones. If a wrong
// implementation gives the same results as a mistake in every case, that mistake explains them.
import type { LayerChange } from "./layer_oracle.ts";

/** A mistake: its description, and the wrong steps that define it. */
export interface Mistake {
  /** Completes the sentence "... the results equal those of an implementation whose ...". */
  readonly says: string;
  readonly change: LayerChange;
}

const ATTENTION: readonly Mistake[] = [
  { says: "scores are not scaled", change: { scale: () => 1 } },
  { says: "mask is not applied", change: { mask: "ignored" } },
  { says: "mask is inverted: true means attend", change: { mask: "turned" } },
  { says: "mask is applied after the softmax: weights no longer sum to 1", change: { mask: "after" } },
  { says: "softmax is left out", change: { softmax: "left out" } },
  { says: "softmax runs over the queries, not over the keys", change: { softmax: "over queries" } },
  { says: "fully masked rows are the mean of all values, not zeros", change: { empty: "mean" } },
  { says: "fully masked rows see all keys, not none", change: { empty: "all" } },
  { says: "fully masked rows are NaN (0/0), not zeros", change: { empty: "NaN" } },
];

const MULTI_HEAD: readonly Mistake[] = [
  ...ATTENTION,
  { says: "scores are divided by d, not by sqrt(d)", change: { scale: (d) => 1 / d } },
  {
    says: "scores are divided by sqrt(D) of all heads, not by sqrt(d) of one",
    change: { scale: (_, dim) => 1 / Math.sqrt(dim) },
  },
  { says: "heads are merged into one of width D", change: { heads: "one" } },
  {
    says: "heads are split wrong: a head takes every H-th column, not d adjacent columns",
    change: { heads: "interleaved" },
  },
  {
    says: "heads are split wrong: [T, D] is reshaped to [H, T, d], not to [T, H, d] and then transposed",
    change: { heads: "reshaped" },
  },
  { says: "queries and keys are swapped", change: { exchanged: true } },
  { says: "weights are transposed: x W, not x W^T", change: { transposed: true } },
  { says: "biases of wq, wk, wv and wo are left out", change: { biases: "left out" } },
  { says: "output projection wo is left out", change: { output: "left out" } },
];

const DECODER: readonly Mistake[] = [
  ...MULTI_HEAD,
  { says: "norms come after the sums (post-norm), not before the branches", change: { norms: "post" } },
  { says: "norm ln1 is left out", change: { norms: "no ln1" } },
  { says: "norm ln2 is left out", change: { norms: "no ln2" } },
  { says: "norms divide the variance by D - 1, not by D", change: { norms: "sample variance" } },
  { says: "attention is not added to its input", change: { residual: "no attention" } },
  { says: "MLP is not added to its input", change: { residual: "no mlp" } },
  { says: "MLP has no activation", change: { mlp: "no activation" } },
  { says: "MLP reads the layer's input, not the stream after the attention", change: { mlp: "of x" } },
];

/** The known mistakes, by the kind of implementation. */
export const MISTAKES = { attention: ATTENTION, multiHead: MULTI_HEAD, decoderLayer: DECODER } as const;

/** Returns ||actual - expected|| / max(||expected||, floor), or NaN if the lengths differ. */
export function relativeError(actual: ArrayLike<number>, expected: Float64Array, floor: number): number {
  if (actual.length !== expected.length) return NaN;
  const difference = expected.reduce((sum, x, i) => sum + (actual[i] - x) ** 2, 0);
  return Math.sqrt(difference) / Math.max(Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0)), floor);
}

/** Returns the `relativeError` of `a` with respect to `b`; entries that are NaN in both count as equal. */
export function differenceOf(a: ArrayLike<number>, b: ArrayLike<number>, floor: number): number {
  const both = (x: ArrayLike<number>) =>
    Float64Array.from({ length: x.length }, (_, i) => Number.isNaN(a[i]) && Number.isNaN(b[i]) ? 0 : x[i]);
  return relativeError(both(a), both(b), floor);
}

/**
 * Finds the mistakes that reproduce the results in every case.
 *
 * @param cases for each case, a function that returns whether a mistake gives the same result
 * @returns the descriptions of these mistakes; none if there are no cases
 */
export function matching(
  mistakes: readonly Mistake[],
  cases: readonly ((change: LayerChange) => boolean)[],
): string[] {
  if (cases.length === 0) return [];
  return mistakes.filter(({ change }) => cases.every((same) => same(change))).map(({ says }) => says);
}

/** Returns a sentence about the mistakes that match, or undefined if there are none. */
export function suspicion(suspects: readonly string[]): string | undefined {
  if (suspects.length === 0) return undefined;
  return `In every case the results equal those of an implementation whose ${suspects.join(", or whose ")}.`;
}
