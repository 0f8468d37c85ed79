// The next-token distribution after a text.
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { nextLogits } from "../generate/next_logits.ts";
import type { LanguageModel } from "../model/model.ts";
import { promptIds, type TextOrIds } from "../model/passes.ts";
import { largest, logSoftmax, ofTokens } from "../generate/sampling.ts";

/** A candidate for the next token. */
export interface NextToken {
  /** Rank by probability, from 1. */
  readonly rank: number;
  /** Its id. */
  readonly id: number;
  /** Its text. */
  readonly token: string;
  /** Probability from the softmax over the model's full vocabulary, including ids without a token. */
  readonly probability: number;
  /** Natural logarithm of the probability. */
  readonly logProbability: number;
  /** The model's logit. */
  readonly logit: number;
}

/** Converts a candidate to the fields of a record (in snake case).
 * @category Questions */
export function nextTokenFields(
  { logProbability, logit, ...next }: NextToken,
): Omit<NextToken, "logProbability"> & { readonly log_probability: number } {
  return { ...next, log_probability: logProbability, logit };
}

/**
 * Returns the most likely next tokens after a text, most likely first; tokens with equal logits are in order of id. If the text
 * is longer than the context, only its last `context` tokens are used.
 *
 * @param count maximum number of tokens to return
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

/** Returns the `count` tokens with the highest logits; `before` is the id before them, on which their decoded text may depend. */
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
