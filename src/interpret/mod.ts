// The door of the analysis room: what is asked of a trained model, and of an implementation of attention.
export {
  type AttentionCase,
  attentionCase,
  type AttentionCaseOptions,
  CASE_MASKS,
  type CaseMask,
  type CaseModifier,
} from "../check/attention_cases.ts";
export {
  type AttentionFound,
  type AttentionImplementation,
  type AttentionInput,
  type AttentionInputGradients,
  type AttentionModule,
  functionAttention,
  kernelAttention,
  loadAttention,
} from "../check/attention_implementation.ts";
export {
  type AttentionCheck,
  checkAttention,
  checkAttentionCase,
  type CheckAttentionOptions,
  type Checked,
  type CheckedCase,
  type TensorError,
} from "../check/check_attention.ts";
export { caseRecord, checkSummary, describeCase, smallestFailure } from "../check/check_report.ts";
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
export { checkLosses, NotFiniteError } from "../model/finite.ts";
export { forward, type ForwardPass, type ForwardPassOptions, type Tapped } from "./forward.ts";
export { promptIds, type TextOrIds } from "../model/passes.ts";
export { type Embeddings, embeddings } from "./embeddings.ts";
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
export { type Beam, type BeamOptions, beamSearch } from "../generate/beams.ts";
export {
  type ContinueOptions,
  generate,
  type Generated,
  type GenerateOptions,
  generateTexts,
  type TextPiece,
} from "../generate/generate.ts";
export { type LanguageModel, type NextLogits, nextLogits } from "../generate/next_logits.ts";
export { logSoftmax, nextProbabilities, sample, type Sampling } from "../generate/sampling.ts";
export { decoderLayer } from "../check/layer_graph.ts";
export {
  attentionOracle,
  attentionOracleGradient,
  type DenseTensor,
  type OracleGradients,
  type OracleOptions,
  type OracleValues,
} from "../check/oracle.ts";
export { type Interval, interval } from "../base/interval.ts";
export { type JacobianAnalysis, jacobianAnalysis } from "../jacobian/analysis.ts";
export {
  analysisCharts,
  type ComparedTraining,
  comparisonChart,
  comparisonTable,
  diagonalNote,
  jacobianTable,
} from "../jacobian/report.ts";
export { type JacobianRow, jacobianRow, largestEigenvalue } from "../jacobian/rows.ts";
export type { DifferentiatedModel } from "../jacobian/surrogates.ts";
export {
  type CheckedLayer,
  checkLayer,
  LAYER_KINDS,
  type LayerCase,
  layerCase,
  type LayerCaseOptions,
  type LayerCheck,
  type LayerFunction,
  type LayerImplementation,
  type LayerKind,
} from "../check/layer_check.ts";
export {
  decoderLayerOracle,
  type LayerChange,
  type LayerOptions,
  type LayerWeights,
  type Matrix,
  multiHeadOracle,
} from "../check/layer_oracle.ts";
export { describeLayerCase, layerRecord, layerSummary, smallestLayerFailure } from "../check/layer_report.ts";
export { type CheckedExports, loadChecked } from "../check/load_checked.ts";
export { suspicion } from "../check/mistakes.ts";
