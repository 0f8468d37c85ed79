// The interface of an attention activation: how weights are computed from the scores of a row, and the gradient of the scores
// from that of the weights. The kernels use only these fields; they never test an activation's name.
import type { Expression } from "../expression/expression.ts";

/** An element-wise activation, a_j = phi(s_j): each weight depends only on its own score. */
export interface ElementwiseActivation {
  /** Distinguishes element-wise from normalised activations. */
  readonly normalised: false;
  /** Formula of the weight that a score s gets, for the documentation. */
  readonly doc: string;
  /** phi as an expression in `score`, from which the kernels, the CPU function and the derivative are generated. */
  readonly expression: Expression;
  /** phi and its derivative as plain functions. The reference implementation uses them instead of `expression`. */
  readonly definition: readonly [phi: (score: number) => number, derivative: (score: number) => number];
  /** True if phi(s) = 0 for every s <= 0. Default: false. */
  readonly zeroBelow0?: boolean;
  /** True if phi(s) = 1 / (1 + e^-s); kernels then compute phi and its derivative from one exponential. Default: false. */
  readonly logistic?: boolean;
  /** Bias that the option "auto" selects for this number of keys if the option `divide` is "none". Default: 0. */
  autoBias?(keys: number): number;
}

/**
 * An activation that is normalised over the row, such as softmax: each weight depends on all visible scores of the row. The
 * Jacobian da/ds is diag(w) - w w^T / W with w_j = `share`(a_j), so that ds_j = w_j (da_j - sum_k w_k da_k / W).
 */
export interface NormalisedActivation {
  /** Distinguishes element-wise from normalised activations. */
  readonly normalised: true;
  /** Formula of the weight that a score s gets, for the documentation. */
  readonly doc: string;
  /** True if the weights of each row sum to 1. Adding a constant to all scores of a row then has no effect. */
  readonly sumsToOne: boolean;
  /** True if the approximate backward passes `diag` and `ste` are defined. */
  readonly approximated: boolean;
  /**
   * Writes the weights of the first n scores to `a` and returns the row term, a number from which the kernels can recompute the
   * weight of each score. If all scores are -Infinity, the row term is 1e30, which makes every weight 0.
   */
  weigh(scores: Float64Array, n: number, a: Float64Array): number;
  /** Maps the weight a_j to w_j; W is then the sum of w_j over the row. Default: w_j = a_j and W = 1. */
  share?(a: number): number;
  /**
   * Functions for the reference implementation. `weights` maps the visible scores of a row to their weights; `gradient` returns
   * the gradient ds of the scores, given the weights a and their gradient da.
   */
  readonly definition: {
    weights(scores: readonly number[]): number[];
    gradient(a: readonly number[], da: readonly number[]): number[];
  };
  /** The WGSL of this activation. */
  readonly kernel: ActivationKernel;
}

/**
 * WGSL of an activation: code that is inserted into the forward kernel, and functions that recompute a weight in the other
 * kernels. `$r` is replaced by the row's index within its invocation. The code may read q, the range of keys, and the
 * variables of `key_scores.wgsl`.
 */
export interface ActivationKernel {
  /** The functions `weight(score, term)`, `log_weight(a, score, term)` (its logarithm) and, if normalised, `share(a)`. */
  readonly WEIGHT: string;
  /** Code before the loop over the keys. */
  readonly ROW_BEGIN: string;
  /**
   * Code that runs for each key: sets `a$r` from the score `s$r` and from `seen$r`, which is true if the pair is visible. If
   * RESCALES, also sets `rescale$r`.
   */
  readonly ROW_STEP: string;
  /** Code after the loop: sets `term$r`, and the factor `factor$r` by which the weighted sum of values is multiplied. */
  readonly ROW_END: string;
  /** Constants of the code. If RESCALES is true, the sums so far are multiplied by `rescale$r` before each key is added. */
  readonly constants: Readonly<Record<string, string | number | boolean>>;
  /** Maximum number of loops over the keys that precede the loop which sums the values. */
  readonly passes: number;
}

/** Parses an `ActivationKernel` from WGSL in which each part starts with a line `//! part NAME`. */
export function kernelOf(
  wgsl: string,
  { constants = {}, passes = 0 }: Partial<Pick<ActivationKernel, "constants" | "passes">> = {},
): ActivationKernel {
  const part = (name: string): string => wgsl.split(`//! part ${name}\n`)[1].split("//! part")[0];
  const [WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END] = ["WEIGHT", "BEGIN", "STEP", "END"].map(part);
  return { WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END, constants, passes };
}
