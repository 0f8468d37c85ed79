/**
 * Configurations: YAML files whose keys are typed, documented and have defaults, and overrides from the command line.
 *
 * @example
 * ```ts
 * import { dumpConfig, loadConfig } from "./mod.ts";
 * const config = await loadConfig("nanogpt_cpu", ["train.steps=10"]);
 * console.log(dumpConfig(config));
 * ```
 *
 * @module
 */

export * from "./diff.ts";
export * from "./editor_schema.ts";
export * from "./hook_keys.ts";
export * from "./key_lines.ts";
export { loadConfig } from "./load.ts";
export * from "./load_sweep.ts";
export { applyOverride } from "./override.ts";
export * from "./resolve.ts";
export { type Config, CONFIG_KEYS } from "./schema.ts";
export { configWarnings, SYNTHETIC_SOURCES } from "./cross_checks.ts";
export { dumpConfig, parseConfig } from "./yaml.ts";
