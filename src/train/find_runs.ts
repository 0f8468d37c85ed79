// The runs of a folder: found by name, date and configuration.
import { readWhole, readWholeText } from "../whole_file.ts";
import { basename, join } from "node:path";
import { configKeys, parseConfig } from "../config/mod.ts";
import { type Override, parseOverride } from "../config/override.ts";
import { valueAt } from "../config/show.ts";
import { fileError, nearest, UserError } from "../errors.ts";
import { globOf } from "../glob.ts";
import { reportProgress } from "../progress.ts";
import type { RunState } from "./checkpoint.ts";
import { resolveRun } from "./resolve_run.ts";
import { checkpointSteps, runFolder } from "./run_folder.ts";

/** A run in a few words. */
export interface FoundRun {
  /** Its folder. */
  readonly path: string;
  /** Its name. */
  readonly name: string;
  /** When it began, ISO 8601, UTC. */
  readonly time: string;
  /** Step of its newest checkpoint; null where it has none. */
  readonly step: number | null;
  /** Its least validation loss so far, in nats a token; null where there is none. */
  readonly val_loss: number | null;
  /** Its resolved configuration as it stands in the folder. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Which runs. */
export interface RunQuery {
  /** Glob over names: * is anything. */
  readonly name?: string;
  /** Begun at this date or later: ISO 8601, a day or a time, UTC. */
  readonly since?: string;
  /** Begun before the end of this day, or not after this time. */
  readonly until?: string;
  /** Keys of the configuration and the values that they have: `model.dim=64`; `+share=0.1` is `hooks.share=0.1`. */
  readonly where?: readonly string[];
}

async function namesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(path)) if (!name.startsWith(".")) names.push(name);
  } catch (error) {
    // A file among the folders is no run.
    if (!(error instanceof Deno.errors.NotADirectory)) throw fileError(path, error);
  }
  return names.sort();
}

/** The time that a run's folder is named after. */
function timeOf(folder: string): string | undefined {
  const found = /^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-/.exec(folder);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second] = found;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

async function runAt(path: string, name: string, time: string): Promise<FoundRun | undefined> {
  const run = runFolder(path);
  let source: Uint8Array;
  try {
    source = await readWhole(run.config);
  } catch {
    return undefined;
  }
  const step = (await checkpointSteps(run)).at(-1) ?? null;
  let best: RunState["best"] = null;
  if (step !== null) {
    try {
      best = JSON.parse(await readWholeText(join(run.checkpoints, String(step), "state.json"))).best ??
        null;
    } catch { /* A damaged checkpoint is told by whoever loads it. */ }
  }
  return {
    path,
    name,
    time,
    step,
    val_loss: best?.val_loss ?? null,
    config: parseConfig(source, run.config),
  };
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
    const near = nearest(key, new Set(runs.flatMap(({ config }) => [...configKeys(config).keys()])));
    const sections = new Set(runs.flatMap(({ config }) => Object.keys(config)));
    throw new UserError(
      `${text}: no run has the key ${key}. ${
        near === undefined ? `Sections: ${[...sections].join(", ")}.` : `Did you mean "${near}"?`
      }`,
    );
  }
}

/** A name or glob that no run has is a slip. */
function checkName(
  runs: readonly FoundRun[],
  dir: string,
  pattern: string,
  matches: (name: string) => boolean,
): void {
  const names = new Set(runs.map(({ name }) => name));
  if ([...names].some(matches)) return;
  const near = nearest(pattern, names);
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
  for (const entry of await namesIn(path)) {
    const below = join(path, entry);
    reportProgress({ what: `reading runs: ${entry}` });
    const time = timeOf(entry);
    const run = time && await runAt(below, basename(path), time);
    if (run) yield run;
    else if (entry !== "latest" && deepest > 0) yield* runsBelow(below, deepest - 1);
  }
}

/**
 * The runs under a folder that a query names, those of sweeps too, the oldest first.
 *
 * @param dir the folder of all runs
 * @throws {UserError} where there is no such folder, a date or a key=value is none, or no run has the name or a key
 *
 * @example
 * ```ts
 * import { findRuns } from "../../mod.ts";
 * for (const { path, step, val_loss } of await findRuns("runs", { name: "tin*", where: ["model.dim=16"] })) {
 *   console.log(path, step, val_loss);
 * }
 * ```
 */
export async function findRuns(
  dir: string,
  { name: pattern, since, until, where = [] }: RunQuery = {},
): Promise<FoundRun[]> {
  const from = since === undefined ? -Infinity : instant(since, "since", false);
  const to = until === undefined ? Infinity : instant(until, "until", true);
  const named = globOf((pattern ?? "*").replaceAll(/\*+/g, "**"));
  const wanted = wantedOf(where);
  if ((await Deno.stat(dir).catch(() => undefined))?.isFile) {
    throw new UserError(`${dir}: expected the folder of all runs, found a file.`);
  }
  const runs = await Array.fromAsync(runsBelow(dir));
  if (pattern !== undefined) checkName(runs, dir, pattern, named);
  checkKeys(runs, wanted);
  return runs.filter(({ name, time, config }) => {
    const at = Date.parse(time);
    return named(name) && at >= from && at <= to &&
      wanted.every(({ path, value }) => JSON.stringify(valueAt(config, path)) === JSON.stringify(value));
  }).sort((a, b) => a.time < b.time ? -1 : a.time > b.time ? 1 : a.path < b.path ? -1 : 1);
}

/**
 * The resolved configuration of a run, as it stands in its folder.
 *
 * @param path a run, `runs/latest` or the name of a run
 * @param dir the folder of all runs
 * @throws {UserError} where there is no such run, or its config.yaml cannot be read
 *
 * @example
 * ```ts
 * import { loadRunConfig } from "../../mod.ts";
 * console.log((await loadRunConfig("runs/latest")).seed);
 * ```
 */
export async function loadRunConfig(path: string, dir = "runs"): Promise<Record<string, unknown>> {
  const { run, checkpoint } = await resolveRun(path, dir);
  const place = run?.config ?? join(checkpoint!, "config.yaml");
  try {
    return parseConfig(await readWhole(place), place);
  } catch (error) {
    throw error instanceof UserError ? error : fileError(place, error);
  }
}
