// Beam search: the few most likely texts so far, each continued by every token, the best kept.
import type { Tokenizer } from "../data/mod.ts";
import { reportProgress } from "../base/progress.ts";
import { largest, logSoftmax, ofTokens } from "./sampling.ts";
import type { NextLogits } from "./next_logits.ts";

/** How beams are searched. */
export interface BeamOptions {
  /** Texts kept at once, W. */
  readonly beams: number;
  /** Number of tokens to add. */
  readonly tokens: number;
  /** Whole texts are compared by ln p / tokens^a; 1 by default: the mean over the tokens added. */
  readonly lengthPenalty?: number;
  /** Whether a text ends here. */
  readonly ends?: (added: readonly number[]) => boolean;
  /** Aborted: the best text so far. */
  readonly signal?: AbortSignal;
}

/** A text that beam search found. */
export interface Beam {
  /** Ids of what was added. */
  readonly added: readonly number[];
  /** Sum of ln p over them, p of the softmax over the model's whole vocabulary. */
  readonly logProbability: number;
  /** Whether it ended by itself. */
  readonly ended: boolean;
}

/** The `count` most likely continuations by one token; of equals that of the earlier text, then of the lower id. */
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
 * The texts of highest probability that beam search finds: from the W most likely so far, the 2 W most likely continuations
 * by one token; those that end are put aside if they are among the first W, of the others W go on. The search is over when
 * W have ended and no text that goes on can still beat them, or all tokens are added.
 *
 * With W at least V^(tokens - 1) it is exhaustive.
 *
 * @returns what was found, the best first, W at most
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
  const best = (found: readonly Beam[]) => [...found].sort((a, b) => score(b) - score(a)).slice(0, beams);
  let live: Beam[] = [{ added: [], logProbability: 0, ended: false }];
  let done: Beam[] = [];
  for (let n = 0; n < tokens && live.length > 0 && !signal?.aborted; n++) {
    reportProgress({ what: "searching", done: n, total: tokens });
    // Rows without a text of their own read the first again.
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
    // What goes on loses probability, and is divided by the length that suits it best.
    const reachable = (beam: Beam) => score(beam, lengthPenalty > 0 ? tokens : beam.added.length);
    if (done.length === beams && live.every((beam) => reachable(beam) <= score(done[beams - 1]))) break;
    await reader.reorder(Array.from({ length: beams }, (_, row) => (kept[row] ?? kept[0])?.parent ?? row));
  }
  return best([...done, ...live]);
}
