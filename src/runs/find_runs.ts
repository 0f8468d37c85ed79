// The runs of a folder: found by name, date and configuration.
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

/** A run in a few words. */
export interface FoundRun {
  /** Its folder. */
  readonly path: string;
  /** Its name. */
  readonly name: string;
  /** When it began, ISO 8601, UTC; null where a name does not say. */
  readonly time: string | null;
  /** Step of its newest checkpoint; null where it has none. */
  readonly step: number | null;
  /** Its least validation loss so far, in nats per token; null where there is none. */
  readonly val_loss: number | null;
  /** Its resolved configuration as it stands in the folder; empty where that cannot be read. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Why its configuration, or what stands in the place of a run, cannot be read: a sentence; null where it can. */
  readonly fault: string | null;
}

/** Which runs. */
export interface RunQuery {
  /** Glob over names: * is anything; or the beginning of a run's time or id. */
  readonly name?: string;
  /** Begun at this date or later: ISO 8601, a day or a time, UTC. */
  readonly since?: string;
  /** Begun before the end of this day, or not after this time. */
  readonly until?: string;
  /** Keys of the configuration and the values that they have: `model.dim=64`; `+share=0.1` is `hooks.share=0.1`. */
  readonly where?: readonly string[];
}

async function entriesOf(path: string): Promise<string[]> {
  try {
    return (await namesIn(path)).filter((name) => !name.startsWith("."));
  } catch (error) {
    // A file among the folders is no run.
    if (error instanceof Deno.errors.NotADirectory) return [];
    throw fileError(path, error);
  }
}

/** The sentence of a UserError; anything else is a bug. */
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
    // A folder without a configuration is a run where it has what else a run has.
    if (error instanceof Deno.errors.NotFound && !isLink && !await isRun(path)) return undefined;
    fault = faultOf(fileError(run.config, error));
  }
  const step = (await checkpointSteps(run)).at(-1) ?? null;
  let best: RunState["best"] = null;
  if (step !== null) {
    try {
      const state = parseJson(await readWholeText(join(run.checkpoints, String(step), "state.json")));
      if (typeof state.best?.val_loss === "number") best = state.best;
    } catch { /* A damaged checkpoint is told by whoever loads it. */ }
  }
  return { path, name, time, step, val_loss: best?.val_loss ?? null, config, fault };
}

/** An instant of the user's; a day alone is its first moment, or its last. */
function instant(text: string, what: string, end: boolean): number {
  const day = /^\d{4}-\d\d-\d\d$/.test(text);
  const at = Date.parse(day ? `${text}T${end ? "23:59:59.999" : "00:00:00"}Z` : text);
  if (!Number.isNaN(at)) return at;
  throw new UserError(`${what}: expected a date such as 2025-01-31 or 2025-01-31T12:00Z, found "${text}".`);
}

/** What is asked of the configurations. */
function wantedOf(where: readonly string[]): Override[] {
  return where.map((text) => {
    const wanted = parseOverride(text);
    if (!wanted.drop) return wanted;
    throw new UserError(`${text}: expected key=value such as model.dim=64.`);
  });
}

/** A key that no run has is a slip. */
function checkKeys(runs: readonly FoundRun[], wanted: readonly Override[]): void {
  for (const { text, path } of wanted) {
    if (runs.length === 0 || runs.some(({ config }) => valueAt(config, path) !== undefined)) continue;
    const key = path.join(".");
    const near = closestString(key, new Set(runs.flatMap(({ config }) => [...configKeys(config).keys()])));
    const sections = new Set(runs.flatMap(({ config }) => Object.keys(config)));
    const hint = near === undefined ? `Sections: ${[...sections].join(", ")}.` : `Did you mean "${near}"?`;
    throw new UserError(`${text}: no run has the key ${key}. ${hint}`);
  }
}

/** A name or glob that no run has is a slip. */
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

/** How deep runs stand below the folder of all runs: in the folder of their name, and that in one of a sweep. */
const DEEPEST = 2;

async function* runsBelow(path: string, deepest = DEEPEST): AsyncGenerator<FoundRun> {
  let entries: string[] = [];
  try {
    entries = await entriesOf(path);
  } catch (error) {
    const fault = faultOf(error);
    if (deepest === DEEPEST) throw error;
    // A link to nowhere, or a folder that may not be read; what has gone in the meantime is neither.
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
 * The runs under a folder that a query names, those of sweeps too, the oldest first. What cannot be read there (a link to
 * nowhere, a run's config.yaml) is among them with its `fault`, unless keys are asked for.
 *
 * @throws {UserError} where there is no such folder, a date or a key=value is none, or no run has the name or a key
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
  const wanted = wantedOf(where);
  if ((await Deno.stat(dir).catch(() => undefined))?.isFile) {
    throw new UserError(`${dir}: expected the folder of all runs, found a file.`);
  }
  const runs = await Array.fromAsync(runsBelow(dir));
  if (pattern !== undefined) checkName(runs, dir, pattern, named);
  checkKeys(runs, wanted);
  return runs.filter((run) => {
    const { time, config, fault } = run;
    const at = time === null ? NaN : Date.parse(time);
    const dated = time === null ? since === undefined && until === undefined : at >= from && at <= to;
    return named(run) && dated && (wanted.length === 0 || fault === null) &&
      wanted.every(({ path, value }) => JSON.stringify(valueAt(config, path)) === JSON.stringify(value));
  }).sort((a, b) => {
    const [first, second] = [a, b].map(({ time, path }) => `${time ?? ""} ${path}`);
    return first < second ? -1 : 1;
  });
}

/**
 * The resolved configuration of a run, as it stands in its folder.
 *
 * @throws {UserError} where there is no such run, or its config.yaml cannot be read
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
