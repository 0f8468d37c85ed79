/**
 * Text generation with a trained model: sampling, beam search, and next-token logits with a cache of keys and values.
 *
 * @example
 * ```ts
 * import { openModel } from "../model/mod.ts";
 * import { generate } from "./mod.ts";
 * using opened = await openModel("runs/latest", { passes: 8 });
 * console.log(await generate(opened.device, opened.model, { prompt: "a", tokens: 8, temperature: 0, seed: 1 }));
 * ```
 *
 * @module
 */

export * from "./beams.ts";
export {
  type ContinueOptions,
  generate,
  type Generated,
  type GenerateOptions,
  generateTexts,
  type TextPiece,
} from "./generate.ts";
export { type NextLogits, nextLogits } from "./next_logits.ts";
export { logSoftmax, nextProbabilities, sample, type Sampling } from "./sampling.ts";
