/**
 * Scripts: options and help, exit codes, and text on standard output and error. mod.ts exports this module as `cli`.
 *
 * @example
 * ```ts
 * import { numberOption, splitOverrides } from "./mod.ts";
 * splitOverrides(["default", "train.steps=10"]); // names: default, overrides: train.steps=10
 * numberOption("steps", "10", { whole: true }); // 10
 * ```
 *
 * @category Scripts
 * @module
 */

export * from "./command.ts";
export * from "./options.ts";
export * from "./text_options.ts";
