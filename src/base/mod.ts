/**
 * Basics for all other modules: one-line errors for users' mistakes, globs over names, random streams, progress, units, and
 * the import of user files.
 *
 * @example
 * ```ts
 * import { closestString, globOf, randomStream } from "./mod.ts";
 * globOf("blocks.*.attn")("blocks.3.attn"); // true
 * closestString("sofmax", ["softmax", "sigmoid"]); // "softmax"
 * randomStream(1, "dropout").uniform(); // the same number in every run
 * ```
 *
 * @module
 */

export {
  callUser,
  closestString,
  didYouMean,
  fileError,
  missingHint,
  stackOf,
  thrownBy,
  UserCodeError,
  UserError,
} from "./errors.ts";
export { globOf } from "./glob.ts";
export type { KeyKinds, KeyValues } from "./keys.ts";
export * from "./interval.ts";
export {
  type Activity,
  endProgress,
  leadProgress,
  PROGRESS_MODES,
  type ProgressMode,
  reportProgress,
  showProgress,
} from "./progress.ts";
export { type RandomStream, randomStream, threefry2x32 } from "./random.ts";
export * from "./table.ts";
export { escapeControls, messageLine } from "./terminal.ts";
export * from "./units.ts";
export type { UserCode } from "./user_code.ts";
export { exportsOf } from "./user_file.ts";
export * from "./version.ts";
export { writeStderr } from "./write.ts";
