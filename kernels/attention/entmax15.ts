// alpha-entmax with alpha = 1.5 (Peters, Niculae and Martins 2019), a normalised activation whose weights can be exactly 0.
import { kernelOf, type NormalisedActivation } from "./activation.ts";
import entmax15Wgsl from "./entmax15.wgsl" with { type: "text" };

/**
 * Maximum number of loops over the keys to find tau. The first loop finds the largest score; after it, at most 12 loops were
 * needed in measurements with 65,536 keys.
 */
const PASSES = 16;

/**
 * Computes a step from a lower bound `tau` towards the root (see `tauOf`), using the keys with d_j = s_j/2 - tau > 0. If all of
 * these keys stay in the support, the step is the exact solution x of sum (d_j - x)^2 = 1; else it is a Newton step, which never
 * overshoots, because the sum is convex.
 */
function stepOf(scores: Float64Array, n: number, tau: number): { step: number; isRoot: boolean } {
  let [count, sum, square, smallest] = [0, 0, 0, Infinity];
  for (let m = 0; m < n; m++) {
    const d = scores[m] / 2 - tau;
    if (!(d > 0)) continue;
    [count, sum, square, smallest] = [count + 1, sum + d, square + d * d, Math.min(smallest, d)];
  }
  const excess = square - 1;
  const root = excess / (sum + Math.sqrt(sum * sum - count * excess));
  return root < smallest ? { step: root, isRoot: true } : { step: excess / sum / 2, isRoot: false };
}

/** Returns tau for the first n scores. It is the root of sum_j max(0, s_j/2 - tau)^2 = 1. */
function tauOf(scores: Float64Array, n: number): number {
  let top = -Infinity;
  for (let m = 0; m < n; m++) top = Math.max(top, scores[m] / 2);
  if (top === -Infinity) return 1e30;
  if (!Number.isFinite(top)) return NaN;
  let tau = top - 1;
  for (let iteration = 0; iteration < 64; iteration++) {
    const { step, isRoot } = stepOf(scores, n, tau);
    if (isRoot) return tau + step;
    if (!(tau + step > tau)) break;
    tau += step;
  }
  return tau;
}

/**
 * Returns tau, computed by sorting (Peters, Niculae and Martins 2019, algorithm 2). Let tau_k be the tau of the k largest scores
 * alone: the result is tau_k for the largest k such that tau_k is at most the k-th largest s_j/2.
 */
function tauBySorting(scores: readonly number[]): number {
  if (!scores.every(Number.isFinite)) return NaN;
  const sorted = scores.map((s) => s / 2).sort((a, b) => b - a);
  let [sum, tau] = [0, NaN];
  for (let k = 1; k <= sorted.length; k++) {
    sum += sorted[k - 1];
    const mean = sum / k;
    const m2 = sorted.slice(0, k).reduce((total, x) => total + (x - mean) ** 2, 0);
    const candidate = mean - Math.sqrt((1 - m2) / k);
    if (!(candidate <= sorted[k - 1])) break;
    tau = candidate;
  }
  return tau;
}

/**
 * a_j = max(0, s_j/2 - tau)^2, where tau is chosen so that the row sums to 1; tau is the row term. The Jacobian is
 * diag(u) - u u^T / sum(u) with u_j = sqrt(a_j).
 */
export const entmax15: NormalisedActivation = {
  normalised: true,
  doc: "max(0, s/2 - tau)^2, tau such that a row sums to 1",
  sumsToOne: true,
  approximated: false,
  weigh(scores, n, a) {
    const tau = tauOf(scores, n);
    for (let m = 0; m < n; m++) {
      const d = scores[m] / 2 - tau;
      a[m] = d <= 0 ? 0 : d * d;
    }
    return tau;
  },
  share: Math.sqrt,
  definition: {
    weights(scores) {
      const tau = tauBySorting(scores);
      return scores.map((s) => Math.max(0, s / 2 - tau) ** 2);
    },
    gradient(a, da) {
      const u = a.map(Math.sqrt);
      const total = u.reduce((sum, x) => sum + x, 0);
      const mean = u.reduce((sum, x, j) => sum + x * da[j], 0) / total;
      return u.map((x, j) => x * (da[j] - mean));
    },
  },
  kernel: kernelOf(entmax15Wgsl, { constants: { PASSES }, passes: PASSES }),
};
