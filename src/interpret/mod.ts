/**
 * Questions to a trained model: any tensor by its tap, attention maps, the logit lens, attribution, ablation, activation
 * patching, perplexity.
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

export {
  ablateHeads,
  type Ablation,
  ABLATION_METHODS,
  type AblationMethod,
  textBatches,
} from "./ablation.ts";
export { type AttentionMap, type AttentionMaps, attentionMaps, type HeadChoice } from "./attention_maps.ts";
export {
  attributeLogit,
  type Attribution,
  type AttributionOptions,
  type Contribution,
} from "./attribution.ts";
export { type Embeddings, embeddings } from "./embeddings.ts";
export { forward, type ForwardPass, type ForwardPassOptions, type Tapped } from "./forward.ts";
export { type LensPoint, type LogitLens, logitLens } from "./logit_lens.ts";
export { type NextToken, nextTokenFields, nextTokens } from "./next_tokens.ts";
export {
  PATCH_SITES,
  patchActivations,
  type Patching,
  type PatchOptions,
  type PatchSite,
} from "./patching.ts";
export {
  extremeLosses,
  type LossOptions,
  type Perplexity,
  perplexityOf,
  type TokenLoss,
  tokenLosses,
} from "./perplexity.ts";
