// The door of the analysis room: what is asked of a trained model, and of an implementation of attention.
export {
  type AttentionCase,
  attentionCase,
  type AttentionCaseOptions,
  CASE_MASKS,
  type CaseMask,
  type CaseModifier,
} from "./attention_cases.ts";
export {
  type AttentionFound,
  type AttentionImplementation,
  type AttentionInput,
  type AttentionInputGradients,
  type AttentionModule,
  functionAttention,
  kernelAttention,
  loadAttention,
} from "./attention_implementation.ts";
export {
  type AttentionCheck,
  checkAttention,
  checkAttentionCase,
  type CheckAttentionOptions,
  type Checked,
  type CheckedCase,
  type TensorError,
} from "./check_attention.ts";
export { caseRecord, checkSummary, describeCase, smallestFailure } from "./check_report.ts";
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
export { checkLosses, NotFiniteError } from "./finite.ts";
export { forward, type ForwardPass, type ForwardPassOptions, type Tapped } from "./forward.ts";
export { promptIds, type TextOrIds } from "./passes.ts";
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
export { type Beam, type BeamOptions, beamSearch } from "./beams.ts";
export {
  type ContinueOptions,
  generate,
  type Generated,
  type GenerateOptions,
  generateTexts,
  type TextPiece,
} from "./generate.ts";
export { type Generator, type NextLogits, nextLogits } from "./next_logits.ts";
export { draw, logSoftmax, nextProbabilities, type Sampling } from "./sampling.ts";
export { decoderLayer } from "./layer_graph.ts";
export {
  attentionOracle,
  attentionOracleGradient,
  type DenseTensor,
  type OracleGradients,
  type OracleOptions,
  type OracleValues,
} from "./oracle.ts";
export { type Interval, interval } from "./interval.ts";
export { type JacobianAnalysis, jacobianAnalysis } from "./jacobian.ts";
export {
  analysisCharts,
  type ComparedTraining,
  comparisonChart,
  comparisonTable,
  diagonalNote,
  jacobianTable,
} from "./jacobian_report.ts";
export { type JacobianRow, jacobianRow, largestEigenvalue } from "./jacobian_rows.ts";
export type { DifferentiatedModel } from "./surrogates.ts";
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
} from "./layer_check.ts";
export {
  decoderLayerOracle,
  type LayerChange,
  type LayerOptions,
  type LayerWeights,
  type Matrix,
  multiHeadOracle,
} from "./layer_oracle.ts";
export { describeLayerCase, layerRecord, layerSummary, smallestLayerFailure } from "./layer_report.ts";
export { type CheckedExports, loadChecked } from "./load_checked.ts";
export { suspicion } from "./mistakes.ts";
