/**
 * Transformer parts as pure functions of their parameters: the decoder, its blocks, attention layers, caches and hooks.
 *
 * @example
 * ```ts
 * import { loadConfig } from "../config/mod.ts";
 * import { architectureOf, decoderParameters, parameterCount } from "./mod.ts";
 * const { model } = await loadConfig("nanogpt_cpu", []);
 * console.log(parameterCount(decoderParameters(architectureOf(model, 65)))); // about 0.8 million
 * ```
 *
 * @category Models
 *
 * @module
 */

export {
  type Architecture,
  architectureOf,
  type AttentionLayer,
  type Block,
  type BlockChoices,
  blockOf,
  type Method,
  type Mlp,
  type ModifierSizes,
  type ModifierSource,
  type Norm,
  type UserModifier,
  usesDropout,
} from "./architecture.ts";
export { type KeyCache, keyCache } from "./cache.ts";
export { decoder } from "./decoder.ts";
export type { ForwardOptions, Taps } from "./forward.ts";
export * from "./hook_types.ts";
export { containsToken, STEP_STATE, stepState } from "./hooks.ts";
export { type BlockConfig, MODEL_KEYS, type ModelConfig } from "./model_keys.ts";
export * from "./multi_head.ts";
export {
  decoderParameters,
  type Distribution,
  type Parameter,
  parameterCount,
  type Parameters,
} from "./parameters.ts";
export { POSITION_SECTIONS, type PositionOptions } from "./position_scheme.ts";
export { sincosPositions } from "./positions.ts";
export { findModifier, loadModifiers } from "./user_modifier.ts";
