// Samples the next token from logits: applies the temperature and the filters, then draws a token at random.

import { refuseRenamed } from "../base/errors.ts";
import type { Tokenizer } from "../data/mod.ts";

/** Options of sampling. */
export interface Sampling {
  /** Divisor of the logits, at least 0; 0 always takes the most likely token. */
  readonly temperature: number;
  /** Samples only from the k most likely tokens. Default: no limit. */
  readonly topK?: number | null;
  /** Samples only from the smallest set of most likely tokens whose probabilities sum to at least p (nucleus sampling). */
  readonly topP?: number | null;
  /** Samples only from tokens with at least this fraction of the highest probability. */
  readonly minP?: number | null;
}

function checkSampling(sampling: Sampling): void {
  const { temperature, topK, topP, minP } = sampling;
  refuseRenamed("sampling", sampling);
  const share = (x: number | null | undefined) => (x ?? 1) >= 0 && (x ?? 1) <= 1;
  if (temperature >= 0 && (topK ?? 1) >= 1 && share(topP) && share(minP)) return;
  throw new RangeError(`Cannot draw with temperature ${temperature}, k ${topK}, p ${topP}, min-p ${minP}.`);
}

/** Returns the index of the largest value; in a tie, the first. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Returns the probabilities of the next token: softmax(logits / temperature) over the tokens that pass the filters, in
 * float64. At temperature 0 the most likely token (the lowest id in a tie) has probability 1. The filters apply in this
 * order: top-k keeps the k most likely tokens and renormalises; top-p keeps the smallest set of most likely tokens, at least
 * one, whose probabilities reach p; min-p keeps tokens with at least min-p times the highest probability (Nguyen et al.
 * 2024).
 *
 * @throws {RangeError} unless the temperature is at least 0, k is at least 1, and p and min-p are from 0 to 1
 *
 * @example
 * ```ts
 * import { nextProbabilities } from "./mod.ts";
 * nextProbabilities([0, Math.log(3), 0], { temperature: 1, topK: 2 }); // 0.25, 0.75, 0
 * nextProbabilities([0, Math.log(3), -9], { temperature: 1, minP: 0.1 }); // 0.25, 0.75, 0
 * ```
 */
export function nextProbabilities(logits: ArrayLike<number>, sampling: Sampling): Float64Array {
  checkSampling(sampling);
  const { temperature, topK, topP, minP } = sampling;
  const probabilities = new Float64Array(logits.length);
  if (temperature === 0) {
    probabilities[argmax(logits)] = 1;
    return probabilities;
  }
  const order = Array.from(logits, (_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b);
  const kept = order.slice(0, topK ?? order.length);
  const weights = kept.map((id) => Math.exp((logits[id] - logits[order[0]]) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let reached = 0;
  let sum = 0;
  kept.forEach((id, i) => {
    if (i > 0 && (reached >= (topP ?? Infinity) || weights[i] < (minP ?? 0))) return;
    reached += weights[i] / total;
    probabilities[id] = weights[i];
    sum += weights[i];
  });
  return probabilities.map((p) => p / sum);
}

/**
 * Restricts logits or log-probabilities, indexed by id, to the tokenizer's ids: ids of the model beyond the tokenizer's are
 * left out, and the values of ids without a token become -Infinity.
 */
export function ofTokens({ size, hasToken }: Tokenizer, values: ArrayLike<number>): ArrayLike<number> {
  if (!hasToken && size === values.length) return values;
  return Float64Array.from({ length: size }, (_, id) => hasToken && !hasToken(id) ? -Infinity : values[id]);
}

/** Returns an index that is drawn from `probabilities` (which sum to 1) with the random number `uniform` in [0, 1). */
export function sample(probabilities: ArrayLike<number>, uniform: number): number {
  let sum = 0;
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (probabilities[id] === 0) continue;
    sum += probabilities[id];
    last = id;
    if (uniform < sum) return id;
  }
  return last;
}

/**
 * Returns ln softmax(logits), computed in float64.
 *
 * @example
 * ```ts
 * import { logSoftmax } from "./mod.ts";
 * logSoftmax([0, 0]); // -0.6931, -0.6931
 * ```
 */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const top = logits[argmax(logits)];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - top);
  const shift = top + Math.log(sum);
  return Float64Array.from(logits, (x) => x - shift);
}

/** Largest k for which inserting into a list of the k largest values is faster than sorting all values. */
const FEW = 64;

/** Returns the indices of the k largest values, largest first; the indices of equal values are in ascending order. */
export function largest(values: ArrayLike<number>, k: number): number[] {
  if (k > FEW) {
    return Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b).slice(0, k);
  }
  const best: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === k && !(values[i] > values[best[k - 1]])) continue;
    let at = best.length;
    while (at > 0 && values[i] > values[best[at - 1]]) at--;
    best.splice(at, 0, i);
    if (best.length > k) best.pop();
  }
  return best;
}
