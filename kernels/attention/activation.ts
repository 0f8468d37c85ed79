// The interface of an attention activation: how the scores of a row become its weights, and how the gradient of the weights
// becomes that of the scores. The kernels read only these fields, never the name.
import type { Expression } from "../expression/expression.ts";

/** An element-wise activation, a_j = phi(s_j): each weight depends only on its own score. */
export interface ElementwiseActivation {
  /** Distinguishes element-wise from normalised activations. */
  readonly normalised: false;
  /** Formula of the weight of a score s. */
  readonly doc: string;
  /** phi as an expression in `score`: the kernels, the CPU and the derivative use it. */
  readonly expression: Expression;
  /** phi and its derivative as plain functions, which the oracle uses instead of `expression`. */
  readonly definition: readonly [phi: (score: number) => number, derivative: (score: number) => number];
  /** True if phi(s) = 0 for every s <= 0. Default: false. */
  readonly zeroBelow0?: boolean;
  /** True if phi(s) = 1 / (1 + e^-s): kernels compute phi and its derivative with one exponential. Default: false. */
  readonly logistic?: boolean;
  /** Value of the bias "auto" if the weights are not divided, given the number of keys. Default: 0. */
  autoBias?(keys: number): number;
}

/**
 * Normalised over the row: each weight depends on all visible scores of the row. The Jacobian da/ds is
 * diag(w) - w w^T / W with w_j = `share`(a_j), so that ds_j = w_j (da_j - sum_k w_k da_k / W).
 */
export interface NormalisedActivation {
  /** Distinguishes element-wise from normalised activations. */
  readonly normalised: true;
  /** Formula of the weight of a score s. */
  readonly doc: string;
  /** True if each row sums to 1, so that adding a constant to all of its scores changes nothing. */
  readonly sumsToOne: boolean;
  /** Whether the approximate backward passes `diag` and `ste` are defined. */
  readonly approximated: boolean;
  /**
   * Writes the weights of the first n scores to `a` and returns the row term, from which the kernels recompute the weight of a
   * score. If all scores are -Infinity, it is 1e30, so that every weight is 0.
   */
  weigh(scores: Float64Array, n: number, a: Float64Array): number;
  /** w_j as a function of the weight a_j; W is then the sum of w over the row. Default: w = a and W = 1. */
  share?(a: number): number;
  /** For the oracle: the weights of visible scores, and the scores' gradient from the weights and their gradient. */
  readonly definition: {
    weights(scores: readonly number[]): number[];
    gradient(a: readonly number[], da: readonly number[]): number[];
  };
  /** The WGSL of this activation. */
  readonly kernel: ActivationKernel;
}

/**
 * WGSL of an activation: code inserted into the forward kernel, and functions that recompute a weight in the other kernels.
 * `$r` stands for the row's index among the rows of its invocation; the code reads q, the range of keys and variables of
 * `key_scores.wgsl`.
 */
export interface ActivationKernel {
  /** Functions `weight(score, term)`, its logarithm `log_weight(a, score, term)` and, if normalised, `share(a)`. */
  readonly WEIGHT: string;
  /** Code before the loop over the keys. */
  readonly ROW_BEGIN: string;
  /** Code for each key: sets `a$r` from the score `s$r` and its visibility `seen$r`; with RESCALES also `rescale$r`. */
  readonly ROW_STEP: string;
  /** Code after the loop: sets `term$r` and `factor$r`, which multiplies the weighted sum of values. */
  readonly ROW_END: string;
  /** Constants of the code. If RESCALES is true, each key first multiplies the sums so far by `rescale$r`. */
  readonly constants: Readonly<Record<string, string | number | boolean>>;
  /** Maximum number of loops over the keys before the one that sums values. */
  readonly passes: number;
}

/** Parses the kernel from WGSL whose parts start with lines `//! part NAME`. */
export function kernelOf(
  wgsl: string,
  { constants = {}, passes = 0 }: Partial<Pick<ActivationKernel, "constants" | "passes">> = {},
): ActivationKernel {
  const part = (name: string): string => wgsl.split(`//! part ${name}\n`)[1].split("//! part")[0];
  const [WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END] = ["WEIGHT", "BEGIN", "STEP", "END"].map(part);
  return { WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END, constants, passes };
}
