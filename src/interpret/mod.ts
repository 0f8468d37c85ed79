// The door of the room of questions to a trained model: lens, attribution, ablation, patching.
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
