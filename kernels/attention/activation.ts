// What an activation of attention is: how the scores of a row become its weights, and how the gradient of the weights goes
// back to the scores. The kernels ask for these fields alone, never for a name.
import type { Expression } from "../expression/expression.ts";

/** a_j = phi(s_j): acts on each score alone. */
export interface ElementwiseActivation {
  /** Tells the two kinds apart. */
  readonly normalised: false;
  /** What it makes of a score s. */
  readonly doc: string;
  /** phi, over `score`; kernels, host and derivative come from it. */
  readonly expression: Expression;
  /** phi and its derivative as plain functions: the oracle's, which share nothing with the expression. */
  readonly definition: readonly [phi: (score: number) => number, derivative: (score: number) => number];
  /** phi is 0 for every score up to 0. Default: false. */
  readonly zeroBelow0?: boolean;
  /** phi is 1 / (1 + e^-s): undivided weights are probabilities, and one exponential gives phi and its derivative. */
  readonly logistic?: boolean;
  /** The bias "auto" of undivided weights, for so many keys. Default: 0. */
  autoBias?(keys: number): number;
}

/**
 * Normalised over the row: each weight depends on all the scores that the row sees. The Jacobian da/ds is
 * diag(w) - w w^T / W with w_j = `share`(a_j), so that ds_j = w_j (da_j - sum_k w_k da_k / W).
 */
export interface NormalisedActivation {
  /** Tells the two kinds apart. */
  readonly normalised: true;
  /** What it makes of a score s. */
  readonly doc: string;
  /** Each row sums to 1, so that a number added to all of its scores changes nothing. */
  readonly sumsToOne: boolean;
  /** Its gradient has approximations, the backward passes `diag` and `ste`. */
  readonly approximated: boolean;
  /**
   * Weights of the first n scores, into `a`; returns the row's term, from which and a score the kernels make a weight again:
   * 1e30 where no key has weight because all scores are -Infinity.
   */
  weigh(scores: Float64Array, n: number, a: Float64Array): number;
  /** w_j of a weight a_j; W is then their sum over the row. Default: w = a and W = 1. */
  share?(a: number): number;
  /** The oracle's: weights of visible scores, and the gradient of the scores from weights and their gradient. */
  readonly definition: {
    weights(scores: readonly number[]): number[];
    gradient(a: readonly number[], da: readonly number[]): number[];
  };
  /** What the kernels do for it. */
  readonly kernel: ActivationKernel;
}

/**
 * What the forward kernel does for the rows of an activation, as WGSL that is inserted into it, and the functions that make a
 * weight again behind it. The code has each row's number for `$r`, and reads q, the range of keys and what `key_scores.wgsl` says.
 */
export interface ActivationKernel {
  /** Functions `weight(score, term)`, its logarithm `log_weight(a, score, term)`, and of normalised ones `share(a)`. */
  readonly WEIGHT: string;
  /** Before the walk over the keys. */
  readonly ROW_BEGIN: string;
  /** At a key: `a$r` from the score `s$r` and whether it is seen, `seen$r`; with RESCALES also `shrink$r`. */
  readonly ROW_STEP: string;
  /** After the walk: `term$r`, and `factor$r`, which the sum of values is multiplied with. */
  readonly ROW_END: string;
  /** What the code is compiled with; RESCALES: earlier sums are multiplied with `shrink$r` at each key. */
  readonly constants: Readonly<Record<string, string | number | boolean>>;
  /** Walks over the keys before the one that adds values up, at most. */
  readonly walks: number;
}

/** The kernel in a .wgsl file: its parts stand behind the lines `//! part NAME`. */
export function kernelOf(
  wgsl: string,
  { constants = {}, walks = 0 }: Partial<Pick<ActivationKernel, "constants" | "walks">> = {},
): ActivationKernel {
  const part = (name: string): string => wgsl.split(`//! part ${name}\n`)[1].split("//! part")[0];
  const [WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END] = ["WEIGHT", "BEGIN", "STEP", "END"].map(part);
  return { WEIGHT, ROW_BEGIN, ROW_STEP, ROW_END, constants, walks };
}
