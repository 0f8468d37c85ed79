/**
 * Runs: the folder of a training run, its creation, and finding runs by path, name, time or configuration.
 *
 * @example
 * ```ts
 * import { resolveRun } from "./mod.ts";
 * const { run, checkpoint } = await resolveRun("runs/latest");
 * console.log(run?.path, checkpoint);
 * ```
 *
 * @module
 */

export * from "./find_runs.ts";
export { findLog, type ResolvedRun, resolveRun } from "./resolve_run.ts";
export {
  checkWritable,
  createRunFolder,
  freePath,
  makeFolder,
  type RunFolder,
  writeFileAtomic,
} from "./run_folder.ts";
export { type CodeFile } from "./run_state.ts";
export { type Best, type RunState } from "./run_state.ts";
export { type NonFinite } from "./run_state.ts";
