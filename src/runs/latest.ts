// runs/latest: a pointer to the newest run or sweep that has a checkpoint. The time in a run's folder name determines its age. If
// the pointer or its target is missing, the newest run or sweep is determined from the folders.
import { basename, dirname, join, relative, resolve } from "node:path";
import { UserError } from "../base/errors.ts";
import {
  checkpointSteps,
  namesIn,
  POINTERS,
  type RunFolder,
  runFolder,
  swapPointer,
  SWEEP_FOLDER,
  targetOf,
} from "./run_folder.ts";

/** A possible target of `latest`. */
interface Candidate {
  readonly path: string;
  /** The start time, `yyyymmdd-hhmmss`; for a sweep, the start time of its newest run that has a checkpoint. */
  readonly time: string;
}

/** Returns the start time in the name of a run's folder, `yyyymmdd-hhmmss`, or undefined if the name contains none. */
export function runTime(path: string): string | undefined {
  return /^(\d{8}-\d{6})-/.exec(basename(path))?.[1];
}

/**
 * True if the name of a run's folder, `<time>-<id>`, or the id in this name begins with `text`, which must have at least four
 * characters.
 */
export function beginsWith(path: string, text: string): boolean {
  const [name, time] = [basename(path), runTime(path)];
  if (time === undefined || !/^[0-9a-f-]{4,}$/.test(text)) return false;
  return name.startsWith(text) || name.slice(time.length + 1).startsWith(text);
}

const hasCheckpoint = async (path: string): Promise<boolean> =>
  (await checkpointSteps(runFolder(path))).length > 0;

/** Returns the candidate at a path, or null if the path is not a run or sweep with a checkpoint. */
async function candidate(path: string): Promise<Candidate | null> {
  if (SWEEP_FOLDER.test(path)) {
    const newest = await newestIn(path);
    return newest && { path, time: newest.time };
  }
  return await hasCheckpoint(path) ? { path, time: runTime(path) ?? "" } : null;
}

/**
 * For each name in a folder of runs, yields the list of the folders of the runs with this name, newest last. For a sweep, the
 * list has only the sweep's folder.
 */
async function* foldersByName(dir: string): AsyncGenerator<string[]> {
  for (const name of await namesIn(dir)) {
    if (name.startsWith(".") || POINTERS.includes(name)) continue;
    const path = join(dir, name);
    yield SWEEP_FOLDER.test(path)
      ? [path]
      : (await namesIn(path)).filter(runTime).map((run) => join(path, run));
  }
}

/** Returns the newest run or sweep with a checkpoint below a folder of runs, or null if there is none. */
async function newestIn(dir: string): Promise<Candidate | null> {
  let newest: Candidate | null = null;
  for await (const inside of foldersByName(dir)) {
    for (const one of inside.reverse()) {
      if ((runTime(one) ?? "9") <= (newest?.time ?? "")) break;
      const result = await candidate(one);
      if (result && result.time > (newest?.time ?? "")) newest = result;
      if (result) break;
    }
  }
  return newest;
}

/** Returns the folders of all runs below a folder of runs, including the runs of sweeps. */
export async function runPathsIn(dir: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const inside of foldersByName(dir)) {
    const isSweep = SWEEP_FOLDER.test(inside[0] ?? "");
    for (const run of isSweep ? await runPathsIn(inside[0]) : inside) paths.push(run);
  }
  return paths;
}

/** Returns the folder of the newest run or sweep with a checkpoint in a folder of runs, or null if there is none. */
export async function latestIn(dir: string): Promise<string | null> {
  const target = await targetOf(join(dir, "latest"));
  if (target !== undefined && await candidate(target)) return target;
  return (await newestIn(dir))?.path ?? null;
}

/** Points `latest` at a run or sweep with a checkpoint, unless `latest` already points at a run or sweep that started later. */
async function updateLatest(dir: string, target: string, time: string): Promise<void> {
  const current = await targetOf(join(dir, "latest"));
  if (current === join(dir, target)) return;
  const there = current === undefined ? null : await candidate(current);
  if (there && there.time > time) return;
  try {
    await swapPointer(join(dir, "latest"), target);
    // Two runs may set the pointer at once, so each checks afterwards that it points at the newest.
    const newest = await newestIn(dir);
    if (newest && newest.time > time) await swapPointer(join(dir, "latest"), relative(dir, newest.path));
  } catch (error) {
    // The pointer is redundant, so a failure to set it (for example because a folder is called `latest`) must not end a training
    // run.
    if (!(error instanceof UserError)) throw error;
  }
}

/**
 * Points `latest` at a run, unless a newer run has a checkpoint. For a run of a sweep, it also updates the `latest` that is
 * beside the sweep's folder.
 */
export async function pointLatest(run: RunFolder): Promise<void> {
  const path = resolve(run.path);
  const time = runTime(path);
  if (time === undefined) return;
  const name = dirname(path);
  const dir = dirname(name);
  await updateLatest(dir, join(basename(name), basename(path)), time);
  if (SWEEP_FOLDER.test(dir)) await updateLatest(dirname(dir), basename(dir), time);
}
