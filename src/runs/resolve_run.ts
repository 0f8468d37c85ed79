// Resolves a path, pointer or name given by the user to a run's folder and one of its checkpoints.
import { basename, dirname, join, normalize, sep } from "node:path";
import { closestString, UserError } from "../base/errors.ts";
import { beginsWith, latestIn, runPathsIn } from "./latest.ts";
import {
  checkpointSteps,
  follow,
  isFolder,
  namesIn,
  POINTERS,
  type RunFolder,
  runFolder,
  stat,
  SWEEP_FOLDER,
} from "./run_folder.ts";

/** The run and the checkpoint to which a path or name was resolved. */
export interface ResolvedRun {
  /** The run; null for a checkpoint folder outside a run. */
  run: RunFolder | null;
  /**
   * The folder of the checkpoint that the path names, otherwise of the run's checkpoint `last`, otherwise of its newest
   * checkpoint; null if the run has no checkpoint.
   */
  checkpoint: string | null;
}

/** True if a folder has a run's checkpoints or log. */
export async function isRun(path: string): Promise<boolean> {
  return await isFolder(join(path, "checkpoints")) || await stat(join(path, "log.ndjson")) !== null;
}

/** True if a folder is a checkpoint. A checkpoint that lacks its state.json counts too, because verify_load must report it. */
async function isCheckpoint(path: string): Promise<boolean> {
  const there = async (name: string) => await stat(join(path, name)) !== null;
  return await there("state.json") || await there("model.safetensors") && await there("config.yaml");
}

async function defaultCheckpoint(run: RunFolder): Promise<string | null> {
  const last = await follow(join(run.checkpoints, "last"));
  if (basename(last) !== "last" && await isFolder(last)) return last;
  const newest = (await checkpointSteps(run)).at(-1);
  return newest === undefined ? null : join(run.checkpoints, String(newest));
}

/**
 * Returns the run or checkpoint at `path`. If `path` is a folder of runs, returns the newest of these runs. Returns null if there
 * is neither a run nor a checkpoint.
 */
async function classify(path: string): Promise<ResolvedRun | null> {
  if (!await isFolder(path)) return null;
  if (await isCheckpoint(path)) {
    const inRun = basename(dirname(path)) === "checkpoints";
    return { run: inRun ? runFolder(dirname(dirname(path))) : null, checkpoint: path };
  }
  if (!await isRun(path)) {
    const runs: string[] = [];
    for (const name of await namesIn(path)) {
      if (!POINTERS.includes(name) && await isRun(join(path, name))) runs.push(name);
    }
    return runs.length ? await classify(join(path, runs.at(-1)!)) : null;
  }
  const run = runFolder(path);
  return { run, checkpoint: await defaultCheckpoint(run) };
}

const isRealFolder = (path: string): Promise<boolean> =>
  Deno.lstat(path).then(({ isDirectory }) => isDirectory, () => false);

/**
 * Returns the paths that a path may mean after its pointers are followed. If the path goes through `latest` to a sweep, these are
 * first the path below the sweep's folder, then the path below the sweep's newest run.
 */
async function targetsOf(path: string): Promise<string[]> {
  const parts = normalize(path).split(sep);
  const at = parts.indexOf("latest");
  const parent = parts.slice(0, at).join(sep) || (at > 0 ? sep : ".");
  const target = at < 0 || await isRealFolder(join(parent, "latest")) ? null : await latestIn(parent);
  if (target === null) return [await follow(path)];
  const rest = parts.slice(at + 1);
  const below = [await follow(join(target, ...rest))];
  return SWEEP_FOLDER.test(target) ? [...below, ...await targetsOf(join(target, "latest", ...rest))] : below;
}

async function sweepsIn(runs: string): Promise<string[]> {
  return (await namesIn(runs)).filter((name) => SWEEP_FOLDER.test(name)).map((name) => join(runs, name));
}

async function runNamesIn(runs: string): Promise<string[]> {
  return (await namesIn(runs)).filter((name) => !/^\.|\.(json|svg)$/.test(name));
}

const firstNames = (names: readonly string[]): string => names.slice(0, 8).join(", ");

/** Returns the newest of the runs that are found at `path` below the folders of sweeps, or null if there is none. */
async function classifyInSweeps(path: string, sweeps: readonly string[]): Promise<ResolvedRun | null> {
  let newest: ResolvedRun | null = null;
  for (const sweep of sweeps) {
    const match = await classify(await follow(join(sweep, path)));
    if (match?.run && (!newest || basename(match.run.path) > basename(newest.run!.path))) newest = match;
  }
  return newest;
}

/** Maximum number of candidate runs that an error message lists. */
const MOST_CANDIDATES = 5;

/**
 * Returns the run or checkpoint at `<start>/<rest>`, where `start` is a prefix of a run's time or id (`20261128-1544`,
 * `965dd54b`) with at least four characters, and `rest` is a path in the run's folder. Throws UserError if several runs have this
 * prefix.
 */
async function classifyByTime(path: string, runs: string): Promise<ResolvedRun | null> {
  const [start, ...rest] = normalize(path).split(sep);
  const matches = (await runPathsIn(runs)).filter((run) => beginsWith(run, start));
  if (matches.length === 1) return await classify(await follow(join(matches[0], ...rest)));
  if (matches.length === 0) return null;
  const more = matches.length - MOST_CANDIDATES;
  throw new UserError(
    `${path}: ${matches.length} runs begin with ${start}, expected one: ` +
      `${matches.slice(0, MOST_CANDIDATES).join(", ")}${more > 0 ? ` and ${more} more` : ""}.`,
  );
}

/**
 * Returns an existing path that is similar to a missing path, or undefined if there is none. The first missing part of the path
 * is replaced by the most similar name in that folder, and the parts after it are dropped.
 */
async function nearestExisting(path: string): Promise<string | undefined> {
  const parts = normalize(path).split(sep);
  for (let i = parts.length - 1; i >= 0; i--) {
    const parent = parts.slice(0, i).join(sep) || (i > 0 ? sep : ".");
    if (i > 0 && !await isFolder(parent)) continue;
    const near = closestString(parts[i], (await namesIn(parent)).filter((name) => !name.startsWith(".")));
    return near === undefined ? undefined : join(parent, near);
  }
}

/**
 * Resolves a path or name that a user wrote to a run and a checkpoint. It may be the path of a run folder, of `runs/latest`, or
 * of a checkpoint folder (also `best` and `last`); the name of a run or sweep, which means the newest run of that name; or a
 * unique prefix of a run's time or id, such as `20250102-0304`. Pointers may be links or text files; `latest` means the newest
 * run that has a checkpoint, including the runs of sweeps.
 *
 * @param path the path or name that the user wrote
 * @param runs the folder of all runs, in which names are looked up
 * @throws UserError if the path does not exist (the message names the most similar path), is neither a run nor a checkpoint, or
 * is a prefix of the times or ids of several runs (the message lists these runs)
 *
 * @example
 * ```ts
 * import { resolveRun } from "../../mod.ts";
 * const { run, checkpoint } = await resolveRun("runs/latest");
 * ```
 * @category Runs
 */
export async function resolveRun(path: string, runs = "runs"): Promise<ResolvedRun> {
  const expected = "expected a run folder, a checkpoint folder or the name of a run";
  if (path === "") throw new UserError(`"": ${expected}.`);
  const places = [...await targetsOf(path), ...await targetsOf(join(runs, path))];
  for (const place of places) {
    const resolved = await classify(place);
    if (resolved) return resolved;
  }
  const sweeps = await sweepsIn(runs);
  const inSweep = POINTERS.includes(normalize(path)) ? null : await classifyInSweeps(path, sweeps);
  const resolved = inSweep ?? await classifyByTime(path, runs);
  if (resolved) return resolved;
  const [there] = places;
  if (there !== normalize(path).replace(/(.)\/+$/, "$1") && !await stat(there)) {
    throw new UserError(`${path}: points at ${there}, which does not exist, ${expected}.`);
  }
  if (basename(path) === "latest") {
    const newest = (await runPathsIn(dirname(there))).sort((a, b) => basename(a) < basename(b) ? -1 : 1).at(
      -1,
    );
    if (newest !== undefined) {
      throw new UserError(
        `${path}: no run in ${dirname(there)} has a checkpoint yet. The newest run is ${newest}.`,
      );
    }
  }
  const names = await runNamesIn(runs);
  for (const place of places) {
    if (!await stat(place)) continue;
    const inside = SWEEP_FOLDER.test(place)
      ? await runNamesIn(place)
      : place === normalize(runs)
      ? names
      : [];
    const hint = inside.length ? ` It contains: ${firstNames(inside)}.` : "";
    throw new UserError(`${place}: is neither a run nor a checkpoint, ${expected}.${hint}`);
  }
  const inSweeps = (await Promise.all(sweeps.map(runNamesIn))).flat();
  const near = path.includes("/") || path.includes(sep)
    ? await nearestExisting(path) ?? await nearestExisting(join(runs, path))
    : closestString(path, [...names, ...inSweeps]);
  const known = names.length ? `In ${runs}: ${firstNames(names)}.` : `There are no runs in ${runs} yet.`;
  const hint = near ? `Did you mean "${near}"?` : known;
  throw new UserError(`${path}: not found, ${expected}. ${hint}`);
}

/**
 * Returns the path of a run's log. `name` names the run as in `resolveRun`. It may also be the path of a log file, or `-` for
 * standard input, and is then returned unchanged.
 *
 * @throws {UserError} if there is no such run or file, or it is a checkpoint outside a run
 *
 * @example
 * ```ts
 * import { findLog } from "../../mod.ts";
 * console.log((await findLog("runs/latest")).log);
 * ```
 * @category Runs
 */
export async function findLog(name: string): Promise<{ log: string; run?: RunFolder }> {
  if (name === "-") return { log: "-" };
  const isFile = await Deno.stat(name).then((info) => !info.isDirectory, () => false);
  if (isFile && !POINTERS.includes(basename(name))) return { log: name };
  const { run } = await resolveRun(name);
  if (run === null) throw new UserError(`${name}: a checkpoint outside a run has no log.`);
  return { log: run.log, run };
}
