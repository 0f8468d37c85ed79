// What a model expects next: the distribution after a text.
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { nextLogits } from "../generate/next_logits.ts";
import type { LanguageModel } from "../model/model.ts";
import { promptIds, type TextOrIds } from "../model/passes.ts";
import { largest, logSoftmax, ofTokens } from "../generate/sampling.ts";

/** A token that may come next. */
export interface NextToken {
  /** 1 for the most likely. */
  readonly rank: number;
  /** Its id. */
  readonly id: number;
  /** The text that it stands for. */
  readonly token: string;
  /** softmax of the logits over the model's whole vocabulary, also where some of its ids have no token. */
  readonly probability: number;
  /** Natural logarithm of the probability. */
  readonly logProbability: number;
  /** As the model gives it. */
  readonly logit: number;
}

/** A token that may come next as the fields of a record.
 * @category Questions */
export function nextTokenFields(
  { logProbability, logit, ...next }: NextToken,
): Omit<NextToken, "logProbability"> & { readonly log_probability: number } {
  return { ...next, log_probability: logProbability, logit };
}

/**
 * The most likely next tokens after a text, of equals the lower id first. A text longer than the context is seen by its
 * last `context` tokens.
 *
 * @param count how many; all ids that have a token where it is above their number
 * @throws {UserError} for an empty text or a character that the tokenizer does not know
 *
 * @example
 * ```ts
 * import { nextTokens, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * for (const { token, probability } of await nextTokens(opened.device, opened.model, "The numbe", 3)) {
 *   console.log(JSON.stringify(token), probability);
 * }
 * ```
 * @category Questions
 */
export async function nextTokens(
  device: Device,
  model: LanguageModel,
  text: TextOrIds,
  count: number,
): Promise<NextToken[]> {
  const ids = [...promptIds(model, text)];
  using reader = await nextLogits(device, model, 1);
  const [logits] = await reader.next([ids]);
  return rankedTokens(model, logits, count, ids[ids.length - 1]);
}

/** The `count` tokens of highest logit behind the id `before`, as a list; their probabilities are of the softmax over all logits. */
export function rankedTokens(
  { tokenizer }: LanguageModel,
  logits: ArrayLike<number>,
  count: number,
  before: number,
): NextToken[] {
  const logProbabilities = logSoftmax(logits);
  const ids = largest(ofTokens(tokenizer, logits), Math.min(count, tokenizer.size));
  return ids.filter((id) => tokenizer.hasToken?.(id) ?? true).map((id, n) => ({
    rank: n + 1,
    id,
    token: textBehind(tokenizer, before, [id]),
    probability: Math.exp(logProbabilities[id]),
    logProbability: logProbabilities[id],
    logit: logits[id],
  }));
}
