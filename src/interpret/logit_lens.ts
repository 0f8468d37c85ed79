// The logit lens: the next-token prediction read from the residual stream after each block.
import { textBehind } from "../data/mod.ts";
import type { Device } from "../device/device.ts";
import { unembed } from "../nn/decoder.ts";
import { forwardOf } from "../nn/forward.ts";
import { checkLogits } from "../model/finite.ts";
import type { LanguageModel } from "../model/model.ts";
import { type NextToken, rankedTokens } from "./next_tokens.ts";
import { passOver, textIds, type TextOrIds, tokenTexts } from "../model/passes.ts";
import { argmax, logSoftmax, ofTokens } from "../generate/sampling.ts";

/** The prediction at one depth and position. */
export interface LensPoint {
  /** The most likely next tokens at this depth, most likely first. */
  readonly top: readonly NextToken[];
  /**
   * Natural logarithm of the probability, at this depth, of the next token that the full model finds most likely at this
   * position.
   */
  readonly finalLogProbability: number;
  /** Natural logarithm of the probability, at this depth, of the actual next token of the text; null at the last position. */
  readonly nextLogProbability: number | null;
}

/** The logit lens of a text.
 * @category Questions */
export interface LogitLens {
  /** The text of each token. */
  readonly tokens: readonly string[];
  /** For each token, the text of the full model's most likely next token. */
  readonly predicted: readonly string[];
  /** [depth][position]: depth 0 reads the input of the first block, depth n the output of block n - 1. */
  readonly depths: readonly (readonly LensPoint[])[];
}

/**
 * The logit lens (nostalgebraist 2020): applies the model's final norm and output head to the residual stream x_n at every
 * depth n and position, softmax(norm(x_n) W_head^T). The prediction at the last depth is that of the full model.
 *
 * @param options `count`: number of most likely tokens per depth and position. Default: 1.
 * @throws {UserError} if the text is empty or longer than the model's context
 *
 * @example
 * ```ts
 * import { logitLens, openModel } from "../../mod.ts";
 * using opened = await openModel("runs/latest", { device: "cpu", passes: 1 });
 * const { depths } = await logitLens(opened.device, opened.model, "The number");
 * for (const points of depths) console.log(points.map(({ top }) => top[0].token).join(""));
 * ```
 * @category Questions
 */
export async function logitLens(
  device: Device,
  model: LanguageModel,
  text: TextOrIds,
  { count = 1 }: { count?: number } = {},
): Promise<LogitLens> {
  const { architecture, parameters, tokenizer } = model;
  const { layers, vocabulary } = architecture;
  const ids = textIds(model, text);
  const names = ["blocks.0.resid_pre", ...Array.from({ length: layers }, (_, n) => `blocks.${n}.resid_post`)];
  const read = await passOver(device, model, ids, (logits, { tensors }, tokens) => {
    const plain = forwardOf({ ...architecture, hooks: undefined }, parameters, tokens, {});
    // The last depth uses the logits of the model's forward pass, so that hooks after the last block take effect.
    const at = (name: string, n: number) => n === layers ? logits : unembed(plain, tensors.get(name)!);
    return Object.fromEntries(names.map((name, n) => [name, at(name, n)]));
  }, (name) => names.includes(name));
  const rowOf = (name: string, t: number) => read[name].subarray(t * vocabulary, (t + 1) * vocabulary);
  const final = Array.from(ids, (_, t) => argmax(ofTokens(tokenizer, rowOf(names[layers], t))));
  const predicted = final.map((id, t) => textBehind(tokenizer, ids[t], [id]));
  const depths = names.map((name) =>
    Array.from(ids, (_, t): LensPoint => {
      const row = rowOf(name, t);
      checkLogits(row);
      const logProbabilities = logSoftmax(row);
      return {
        top: rankedTokens(model, row, count, ids[t]),
        finalLogProbability: logProbabilities[final[t]],
        nextLogProbability: t + 1 < ids.length ? logProbabilities[ids[t + 1]] : null,
      };
    })
  );
  return { tokens: tokenTexts(model, ids), predicted, depths };
}
