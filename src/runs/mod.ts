// The door of the room of runs' folders: finding, resolving, writing.
export { findRuns, type FoundRun, loadRunConfig, type RunQuery } from "./find_runs.ts";
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
