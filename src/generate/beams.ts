// Beam search: repeatedly extends the W most likely texts by one token and keeps the W most likely results.
import type { Tokenizer } from "../data/mod.ts";
import { reportProgress } from "../base/progress.ts";
import { largest, logSoftmax, ofTokens } from "./sampling.ts";
import type { NextLogits } from "./next_logits.ts";

/** Options of beam search. */
export interface BeamOptions {
  /** Beam width W. */
  readonly beams: number;
  /** Number of tokens to add. */
  readonly tokens: number;
  /** Exponent a of the score (sum of ln p) / (number of added tokens)^a that ranks texts. Default: 1, the mean of ln p. */
  readonly lengthPenalty?: number;
  /** Returns true if a text with these added tokens has ended. Default: no text ends. */
  readonly ends?: (added: readonly number[]) => boolean;
  /** When aborted, the search ends with the best text so far. */
  readonly signal?: AbortSignal;
}

/** A result of beam search. */
export interface Beam {
  /** Ids of the added tokens. */
  readonly added: readonly number[];
  /** Sum of ln p over the added tokens; p is from the softmax over the model's full vocabulary. */
  readonly logProbability: number;
  /** Whether `ends` returned true for this text. */
  readonly ended: boolean;
}

/**
 * Returns the `count` most likely continuations of the live texts by one token. In a tie, the continuation of the earlier
 * text comes first, then that with the lower id.
 */
function candidates(
  live: readonly Beam[],
  logits: readonly ArrayLike<number>[],
  count: number,
  tokenizer: Tokenizer,
) {
  const all = live.flatMap(({ logProbability }, parent) => {
    const next = logSoftmax(logits[parent]);
    const ids = largest(ofTokens(tokenizer, next), count).filter((id) => tokenizer.hasToken?.(id) ?? true);
    return ids.map((id) => ({ parent, id, logProbability: logProbability + next[id] }));
  });
  return all.sort((a, b) => b.logProbability - a.logProbability).slice(0, count);
}

/**
 * Beam search for the most likely texts. Each step takes the 2 W most likely one-token continuations of the W live texts. A
 * continuation that ends is a result if it is among the W most likely; the W most likely continuations that do not end become
 * the live texts. The search stops when W texts have ended and no live text can still beat them, or when `tokens` tokens are
 * added.
 *
 * If W is at least V^(tokens - 1), where V is the vocabulary size, the search is exhaustive.
 *
 * @returns at most W texts, best first
 *
 * @example
 * ```ts
 * import { languageModelOf, loadCheckpoint, openDevice } from "../../mod.ts";
 * import { beamSearch, nextLogits } from "./mod.ts";
 * import { putModel } from "../model/mod.ts";
 * const model = await loadCheckpoint("runs/latest");
 * using device = await openDevice("cpu");
 * putModel(device, model);
 * using reader = await nextLogits(device, languageModelOf(model), 3);
 * const [best] = await beamSearch(reader, model.tokenizer.encode("The "), { beams: 3, tokens: 5 });
 * console.log(model.tokenizer.decode(best.added), best.logProbability);
 * ```
 */
export async function beamSearch(
  reader: NextLogits,
  ids: ArrayLike<number>,
  { beams, tokens, lengthPenalty = 1, ends = () => false, signal }: BeamOptions,
): Promise<Beam[]> {
  const prompt = Array.from(ids);
  const score = ({ added, logProbability }: Beam, length = added.length) =>
    logProbability / Math.max(1, length) ** lengthPenalty;
  const best = (texts: readonly Beam[]) => [...texts].sort((a, b) => score(b) - score(a)).slice(0, beams);
  let live: Beam[] = [{ added: [], logProbability: 0, ended: false }];
  let done: Beam[] = [];
  for (let n = 0; n < tokens && live.length > 0 && !signal?.aborted; n++) {
    reportProgress({ what: "searching", done: n, total: tokens });
    // Unused rows repeat the first text.
    const rows = Array.from({ length: beams }, (_, row) => [...prompt, ...(live[row] ?? live[0]).added]);
    const next = candidates(live, await reader.next(rows), 2 * beams, reader.tokenizer);
    const kept: { beam: Beam; parent: number }[] = [];
    next.forEach(({ parent, id, logProbability }, rank) => {
      const added = [...live[parent].added, id];
      const ended = ends(added);
      const beam = { added, logProbability, ended };
      if (ended && rank < beams) done.push(beam);
      if (!ended && kept.length < beams) kept.push({ beam, parent });
    });
    live = kept.map(({ beam }) => beam);
    done = best(done);
    // Returns an upper bound on a live text's final score: the text's probability can only fall, so its current probability
    // is scored at the length that gives the highest score.
    const reachable = (beam: Beam) => score(beam, lengthPenalty > 0 ? tokens : beam.added.length);
    if (done.length === beams && live.every((beam) => reachable(beam) <= score(done[beams - 1]))) break;
    await reader.reorder(Array.from({ length: beams }, (_, row) => (kept[row] ?? kept[0])?.parent ?? row));
  }
  return best([...done, ...live]);
}
