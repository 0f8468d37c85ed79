/**
 * Models: architecture, tokenizer and parameters together; checkpoints, hooks, and the formats of others (safetensors,
 * GPT-2, Hugging Face's folders).
 *
 * @example
 * ```ts
 * import { loadCheckpoint } from "./mod.ts";
 * const { config, tokenizer } = await loadCheckpoint("runs/latest");
 * console.log(config.model.dim, tokenizer.size);
 * ```
 *
 * @category Models
 *
 * @module
 */

export { type Checkpoint, loadCheckpoint, putModel } from "./checkpoint.ts";
export { checkLosses, NotFiniteError } from "./finite.ts";
export { exportModel } from "./formats/export_model.ts";
export {
  type FloatTensor,
  fromGpt2Config,
  fromGpt2Tensors,
  type ModelChoices,
  toGpt2Config,
  toGpt2Tensors,
} from "./formats/gpt2.ts";
export { type HubModel, type HubOptions, modelFolder, MODELS } from "./formats/hub.ts";
export { type ImportedModel, importModel } from "./formats/import_model.ts";
export {
  type DecodedSafetensors,
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
  type TensorDtype,
  type TensorStorage,
  toFloat32,
} from "./formats/safetensors.ts";
export {
  exportsHooks,
  type Hooks,
  type LoadedHooks,
  loadHooks,
  type Metric,
  type MetricContext,
  type StepContext,
} from "./hooks.ts";
export {
  flat,
  initialise,
  type Layout,
  layout,
  packGradients,
  parameterViews,
  readParameters,
  type Slot,
  STATES,
  writeParameters,
} from "./layout.ts";
export { type OptimizerState } from "./layout.ts";
export { type Experiment, languageModelOf, type Model, modelOf } from "./model.ts";
export { type LanguageModel } from "./model.ts";
export { type OpenModel, openModel, type OpenModelOptions } from "./open_model.ts";
export { forwardWork, type Passes } from "./passes.ts";
export { promptIds, type TextOrIds } from "./passes.ts";
export { codeLine, codeNamed, type NamedCode, trustCode } from "./trust.ts";
