/**
 * Models (architecture, tokenizer and parameters), checkpoints, hooks, and external formats: safetensors, GPT-2, Hugging
 * Face folders.
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
export * from "./formats/export_model.ts";
export * from "./formats/gpt2.ts";
export * from "./formats/hub.ts";
export * from "./formats/import_model.ts";
export * from "./formats/safetensors.ts";
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
export * from "./open_model.ts";
export { forwardWork, type Passes } from "./passes.ts";
export { promptIds, type TextOrIds } from "./passes.ts";
export { codeLine, codeNamed, type NamedCode, trustCode } from "./trust.ts";
