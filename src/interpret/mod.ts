/**
 * Interpretability of a trained model: any intermediate tensor selected by its tap, attention maps, the logit lens, direct
 * logit attribution, ablation of heads, activation patching, perplexity.
 *
 * @example
 * ```ts
 * import { openModel } from "../model/mod.ts";
 * import { nextTokens } from "./mod.ts";
 * using opened = await openModel("runs/latest", { passes: 1 });
 * console.log(await nextTokens(opened.device, opened.model, "a", 3));
 * ```
 *
 * @module
 */

export * from "./ablation.ts";
export * from "./attention_maps.ts";
export * from "./attribution.ts";
export * from "./embeddings.ts";
export * from "./forward.ts";
export * from "./logit_lens.ts";
export { type NextToken, nextTokenFields, nextTokens } from "./next_tokens.ts";
export * from "./patching.ts";
export * from "./perplexity.ts";
