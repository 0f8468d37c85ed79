// What a user means by a run: a path, a pointer or a name becomes a run's folder and a checkpoint of it.
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

/** What a path of the user's turned out to name. */
export interface ResolvedRun {
  /** The run; null for a checkpoint folder that stands outside a run. */
  run: RunFolder | null;
  /** The checkpoint folder: the one named, else the run's `last`, else its highest step; null where it has none. */
  checkpoint: string | null;
}

/** Whether a folder has what a run has besides its configuration. */
export async function isRun(path: string): Promise<boolean> {
  return await isFolder(join(path, "checkpoints")) || await stat(join(path, "log.ndjson")) !== null;
}

/** Whether a folder is a checkpoint, or was one before its state.json went: verify_load has to say so. */
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

/** What the folder at `path` is, or null where it is none of what a user may name. */
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
 * The paths that a path may stand for once its pointers are followed: where it goes through `latest` to a sweep, what is
 * below the sweep's folder, then what is below its newest run.
 */
async function followed(path: string): Promise<string[]> {
  const parts = normalize(path).split(sep);
  const at = parts.indexOf("latest");
  const parent = parts.slice(0, at).join(sep) || (at > 0 ? sep : ".");
  const target = at < 0 || await isRealFolder(join(parent, "latest")) ? null : await latestIn(parent);
  if (target === null) return [await follow(path)];
  const rest = parts.slice(at + 1);
  const below = [await follow(join(target, ...rest))];
  return SWEEP_FOLDER.test(target) ? [...below, ...await followed(join(target, "latest", ...rest))] : below;
}

async function sweepsIn(runs: string): Promise<string[]> {
  return (await namesIn(runs)).filter((name) => SWEEP_FOLDER.test(name)).map((name) => join(runs, name));
}

async function runNamesIn(runs: string): Promise<string[]> {
  return (await namesIn(runs)).filter((name) => !/^\.|\.(json|svg)$/.test(name));
}

const listed = (names: readonly string[]): string => names.slice(0, 8).join(", ");

/** The newest of what a path below the folders of sweeps names. */
async function classifyInSweeps(path: string, sweeps: readonly string[]): Promise<ResolvedRun | null> {
  let newest: ResolvedRun | null = null;
  for (const sweep of sweeps) {
    const found = await classify(await follow(join(sweep, path)));
    if (found?.run && (!newest || basename(found.run.path) > basename(newest.run!.path))) newest = found;
  }
  return newest;
}

/** How many of several candidates a message names. */
const MOST_CANDIDATES = 5;

/**
 * The run whose time or id a path begins with, `20261128-1544` or `965dd54b`, at least four characters of it; what follows
 * stands in its folder. Throws UserError where there are several.
 */
async function classifyByTime(path: string, runs: string): Promise<ResolvedRun | null> {
  const [start, ...rest] = normalize(path).split(sep);
  const found = (await runPathsIn(runs)).filter((run) => beginsWith(run, start));
  if (found.length === 1) return await classify(await follow(join(found[0], ...rest)));
  if (found.length === 0) return null;
  const more = found.length - MOST_CANDIDATES;
  throw new UserError(
    `${path}: ${found.length} runs begin with ${start}, expected one: ` +
      `${found.slice(0, MOST_CANDIDATES).join(", ")}${more > 0 ? ` and ${more} more` : ""}.`,
  );
}

/** The existing path nearest to a missing one: its first missing part spelt like something that is there. */
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
 * Finds what a user means by a run: the path of a run folder, of `runs/latest`, of a checkpoint folder (`best` and
 * `last` too), or the name of a run, one of a sweep's too, which stands for the newest run of that name; or the beginning of
 * a run's time or id, `20250102-0304`, that no other run has. Pointers are followed whether they are links or text files;
 * `latest` is the newest run, or the newest of the newest sweep, that has a checkpoint.
 *
 * @param path what the user wrote
 * @param runs the folder of all runs, in which names are looked up
 * @throws UserError where nothing is there, with the nearest that is, where it is neither run nor checkpoint, or where several
 * runs' times or ids begin so, with those
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
  const places = [...await followed(path), ...await followed(join(runs, path))];
  for (const place of places) {
    const found = await classify(place);
    if (found) return found;
  }
  const sweeps = await sweepsIn(runs);
  const inSweep = POINTERS.includes(normalize(path)) ? null : await classifyInSweeps(path, sweeps);
  const found = inSweep ?? await classifyByTime(path, runs);
  if (found) return found;
  const [there] = places;
  if (there !== normalize(path).replace(/(.)\/+$/, "$1") && !await stat(there)) {
    throw new UserError(`${path}: points at ${there}, which is not there, ${expected}.`);
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
    const hint = inside.length ? ` In it: ${listed(inside)}.` : "";
    throw new UserError(`${place}: is neither a run nor a checkpoint, ${expected}.${hint}`);
  }
  const inSweeps = (await Promise.all(sweeps.map(runNamesIn))).flat();
  const near = path.includes("/") || path.includes(sep)
    ? await nearestExisting(path) ?? await nearestExisting(join(runs, path))
    : closestString(path, [...names, ...inSweeps]);
  const known = names.length ? `In ${runs}: ${listed(names)}.` : `There are no runs in ${runs} yet.`;
  const hint = near ? `Did you mean "${near}"?` : known;
  throw new UserError(`${path}: not found, ${expected}. ${hint}`);
}

/**
 * The log that a name stands for: a run's (see `resolveRun`), a log file itself, or `-`, the standard input.
 *
 * @throws {UserError} where there is no such run or file, or it is a checkpoint outside a run
 *
 * @example
 * ```ts
 * import { findLog } from "../../mod.ts";
 * console.log((await findLog("runs/latest")).log);
 * ```
 * @category Runs
 */
export async function findLog(given: string): Promise<{ log: string; run?: RunFolder }> {
  if (given === "-") return { log: "-" };
  const isFile = await Deno.stat(given).then((found) => !found.isDirectory, () => false);
  if (isFile && !POINTERS.includes(basename(given))) return { log: given };
  const { run } = await resolveRun(given);
  if (run === null) throw new UserError(`${given}: a checkpoint outside a run has no log.`);
  return { log: run.log, run };
}
