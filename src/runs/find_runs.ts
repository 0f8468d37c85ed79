// Finds the runs of a folder by name, date and configuration.
import { namesIn, readWhole, readWholeText } from "../base/whole_file.ts";
import { basename, join } from "node:path";
import { configKeys, parseConfig } from "../config/mod.ts";
import { type Override, parseOverride } from "../config/override.ts";
import { valueAt } from "../base/show.ts";
import { closestString, fileError, UserError } from "../base/errors.ts";
import { globOf } from "../base/glob.ts";
import { parseJson } from "../base/json.ts";
import { reportProgress } from "../base/progress.ts";
import type { RunState } from "./run_state.ts";
import { beginsWith, runTime } from "./latest.ts";
import { isRun, resolveRun } from "./resolve_run.ts";
import { checkpointSteps, runFolder } from "./run_folder.ts";

/** Summary of a run. */
export interface FoundRun {
  /** The run's folder. */
  readonly path: string;
  /** The run's name. */
  readonly name: string;
  /** The time at which the run started, in ISO 8601 and UTC; null if the folder's name does not contain it. */
  readonly time: string | null;
  /** The step of the run's newest checkpoint; null if the run has no checkpoint. */
  readonly step: number | null;
  /** The run's lowest validation loss so far, in nats per token; null if there is none. */
  readonly val_loss: number | null;
  /** The run's resolved configuration, as saved in its folder; empty if it cannot be read. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The error message if the run's configuration or folder cannot be read, otherwise null. */
  readonly fault: string | null;
}

/** Conditions on runs. */
export interface RunQuery {
  /** A glob pattern for the run's name (* matches any text), or a prefix of the run's time or id. */
  readonly name?: string;
  /** Selects only runs that started on or after this date. The date is a day (from its start in UTC) or a time, in ISO 8601. */
  readonly since?: string;
  /** Selects only runs that started on or before this date. The date is a day (to its end in UTC) or a time, in ISO 8601. */
  readonly until?: string;
  /** Selects only runs whose configuration has these values, such as `model.dim=64`; `+share=0.1` means `hooks.share=0.1`. */
  readonly where?: readonly string[];
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    return (await namesIn(path)).filter((name) => !name.startsWith("."));
  } catch (error) {
    // A file in a folder of runs is ignored.
    if (error instanceof Deno.errors.NotADirectory) return [];
    throw fileError(path, error);
  }
}

/** Returns the message of a UserError; throws any other error, which is a bug. */
function faultOf(error: unknown): string {
  if (error instanceof UserError) return error.message;
  throw error;
}

const timeOf = (folder: string): string | undefined =>
  runTime(folder)?.replace(/(....)(..)(..)-(..)(..)(..)/, "$1-$2-$3T$4:$5:$6Z");

async function runAt(path: string, name: string, time: string): Promise<FoundRun | undefined> {
  const run = runFolder(path);
  let config: FoundRun["config"] = {};
  let fault: string | null = null;
  try {
    config = parseConfig(await readWhole(run.config), run.config);
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) return undefined;
    const isLink = await Deno.lstat(run.config).then(() => true, () => false);
    // A folder without config.yaml is a run if it has checkpoints or a log.
    if (error instanceof Deno.errors.NotFound && !isLink && !await isRun(path)) return undefined;
    fault = faultOf(fileError(run.config, error));
  }
  const step = (await checkpointSteps(run)).at(-1) ?? null;
  let best: RunState["best"] = null;
  if (step !== null) {
    try {
      const state = parseJson(await readWholeText(join(run.checkpoints, String(step), "state.json")));
      if (typeof state.best?.val_loss === "number") best = state.best;
    } catch { /* A damaged checkpoint is reported when it is loaded. */ }
  }
  return { path, name, time, step, val_loss: best?.val_loss ?? null, config, fault };
}

/**
 * Returns a date as milliseconds since 1970. A date without a time means the start of that day in UTC, or the end of that day if
 * `end` is true.
 */
function instant(text: string, what: string, end: boolean): number {
  const day = /^\d{4}-\d\d-\d\d$/.test(text);
  const at = Date.parse(day ? `${text}T${end ? "23:59:59.999" : "00:00:00"}Z` : text);
  if (!Number.isNaN(at)) return at;
  throw new UserError(`${what}: expected a date such as 2025-01-31 or 2025-01-31T12:00Z, found "${text}".`);
}

/** Parses the conditions on configurations. */
function conditionsOf(where: readonly string[]): Override[] {
  return where.map((text) => {
    const override = parseOverride(text);
    if (!override.drop) return override;
    throw new UserError(`${text}: expected key=value such as model.dim=64.`);
  });
}

/** Throws UserError if a condition has a key that is in no run's configuration. */
function checkKeys(runs: readonly FoundRun[], conditions: readonly Override[]): void {
  for (const { text, path } of conditions) {
    if (runs.length === 0 || runs.some(({ config }) => valueAt(config, path) !== undefined)) continue;
    const key = path.join(".");
    const near = closestString(key, new Set(runs.flatMap(({ config }) => [...configKeys(config).keys()])));
    const sections = new Set(runs.flatMap(({ config }) => Object.keys(config)));
    const hint = near === undefined ? `Sections: ${[...sections].join(", ")}.` : `Did you mean "${near}"?`;
    throw new UserError(`${text}: no run has the key ${key}. ${hint}`);
  }
}

/** Throws UserError if no run matches the name or glob `pattern`. */
function checkName(
  runs: readonly FoundRun[],
  dir: string,
  pattern: string,
  matches: (run: FoundRun) => boolean,
): void {
  const names = new Set(runs.map(({ name }) => name));
  if (runs.some(matches)) return;
  const near = closestString(pattern, names);
  const known = [...names].slice(0, 8).join(", ");
  const hint = near !== undefined
    ? `Did you mean "${near}"?`
    : known === ""
    ? `There are no runs in ${dir} yet.`
    : `In ${dir}: ${known}.`;
  throw new UserError(`${pattern}: no run has this name. ${hint}`);
}

/** Maximum number of folders between the root folder and a run: `<name>/<run>`, or `<sweep>/<name>/<run>`. */
const DEEPEST = 2;

async function* runsBelow(path: string, deepest = DEEPEST): AsyncGenerator<FoundRun> {
  let entries: string[] = [];
  try {
    entries = await entriesOf(path);
  } catch (error) {
    const fault = faultOf(error);
    if (deepest === DEEPEST) throw error;
    // A dangling link or an unreadable folder is reported; a folder that was removed in the meantime is not.
    const there = await Deno.lstat(path).then(() => true, () => false);
    if (there) {
      yield { path, name: basename(path), time: null, step: null, val_loss: null, config: {}, fault };
    }
  }
  for (const entry of entries) {
    const below = join(path, entry);
    reportProgress({ what: `reading runs: ${entry}` });
    const time = timeOf(entry);
    const run = time && await runAt(below, basename(path), time);
    if (run) yield run;
    else if (entry !== "latest" && deepest > 0) yield* runsBelow(below, deepest - 1);
  }
}

/**
 * Returns the runs below a folder that match a query, including the runs of sweeps, oldest first. Unreadable runs (a dangling
 * link, a damaged config.yaml) are included with their `fault`, unless the query has `where` conditions.
 *
 * @throws {UserError} if there is no such folder, a date or key=value is invalid, or no run has the name or one of the keys
 *
 * @example
 * ```ts
 * import { findRuns } from "../../mod.ts";
 * for (const { path, step, val_loss } of await findRuns("runs", { name: "tin*", where: ["model.dim=16"] })) {
 *   console.log(path, step, val_loss);
 * }
 * ```
 * @category Runs
 */
export async function findRuns(
  dir: string,
  { name: pattern, since, until, where = [] }: RunQuery = {},
): Promise<FoundRun[]> {
  const from = since === undefined ? -Infinity : instant(since, "since", false);
  const to = until === undefined ? Infinity : instant(until, "until", true);
  const glob = globOf((pattern ?? "*").replaceAll(/\*+/g, "**"));
  const named = ({ name, path }: FoundRun) =>
    glob(name) || pattern !== undefined && beginsWith(path, pattern);
  const conditions = conditionsOf(where);
  if ((await Deno.stat(dir).catch(() => undefined))?.isFile) {
    throw new UserError(`${dir}: expected the folder of all runs, found a file.`);
  }
  const runs = await Array.fromAsync(runsBelow(dir));
  if (pattern !== undefined) checkName(runs, dir, pattern, named);
  checkKeys(runs, conditions);
  return runs.filter((run) => {
    const { time, config, fault } = run;
    const at = time === null ? NaN : Date.parse(time);
    const dated = time === null ? since === undefined && until === undefined : at >= from && at <= to;
    return named(run) && dated && (conditions.length === 0 || fault === null) &&
      conditions.every(({ path, value }) => JSON.stringify(valueAt(config, path)) === JSON.stringify(value));
  }).sort((a, b) => {
    const [first, second] = [a, b].map(({ time, path }) => `${time ?? ""} ${path}`);
    return first < second ? -1 : 1;
  });
}

/**
 * Returns the resolved configuration of a run, as saved in the run's folder.
 *
 * @throws {UserError} if there is no such run, or its config.yaml cannot be read
 *
 * @example
 * ```ts
 * import { loadRunConfig } from "../../mod.ts";
 * console.log((await loadRunConfig("runs/latest")).seed);
 * ```
 * @category Runs
 */
export async function loadRunConfig(path: string, dir = "runs"): Promise<Record<string, unknown>> {
  const { run, checkpoint } = await resolveRun(path, dir);
  const place = run?.config ?? join(checkpoint!, "config.yaml");
  try {
    return parseConfig(await readWhole(place), place);
  } catch (error) {
    throw fileError(place, error);
  }
}
