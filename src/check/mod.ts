/**
 * Dense float64 reference implementations (oracles) of attention, of a multi-head layer and of a decoder layer, and
 * functions that compare an implementation, heed's or your own, with them.
 *
 * @example
 * ```ts
 * import { attentionOracle, type DenseTensor } from "./mod.ts";
 * const x: DenseTensor = { shape: [1, 2, 1, 1], data: Float64Array.of(1, 2) };
 * console.log(attentionOracle(x, x, x, { mask: (_b, _h, i, j) => j <= i }).z); // causal: 1, then between 1 and 2
 * ```
 *
 * @category Attention
 * @module
 */

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
export * from "./layer_graph.ts";
export {
  decoderLayerOracle,
  type LayerChange,
  type LayerOptions,
  type LayerWeights,
  type Matrix,
  multiHeadOracle,
} from "./layer_oracle.ts";
export * from "./layer_report.ts";
export * from "./load_checked.ts";
export { suspicion } from "./mistakes.ts";
export * from "./oracle.ts";
