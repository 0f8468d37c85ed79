// Determines the runs that a command line requests: one run, or several if a key is swept, if a bare name is the prefix of
// several configurations, or if ablations are requested. Every run is resolved, named and checked before the first one
// starts.

import { parse } from "node:path";
import { UserError } from "../base/errors.ts";
import { withHookKeys } from "./hook_keys.ts";
import { locateAll, type Located, readRaw } from "./load.ts";
import { applyOverride } from "./override.ts";
import { resolveConfig } from "./resolve.ts";
import type { Config } from "./schema.ts";
import { describeValue, isMapping, showPath } from "../base/show.ts";
import { shortKeys, valueLabel, type Variant, variantsOf } from "./sweep.ts";

/** One run of a sweep.
 * @category Configuration */
export interface SweepRun {
  /** Name of the run and of its configuration, for example `grid-03-lr=0.001-dim=64`. */
  readonly name: string;
  /** The configuration that the run comes from, as an argument of `train`: a path or a bare name. */
  readonly file: string;
  /**
   * The overrides that turn the file into the configuration of this run: those of the command line, those of the ablation,
   * and one for each swept key.
   */
  readonly overrides: readonly string[];
  /** The resolved configuration. */
  readonly config: Config;
}

/** The runs that a command requests.
 * @category Configuration */
export interface Sweep {
  /** Common name of the runs: the `name` in the configuration, else the name of the file, or the prefix of several files. */
  readonly name: string;
  /** False for a single run without swept keys. */
  readonly swept: boolean;
  /** The runs, in order; at least one. */
  readonly runs: readonly SweepRun[];
}

/** Options of `loadSweep`. */
export interface SweepOptions {
  /** Whether to run a baseline and each entry of a file's `ablations`. Default: false. */
  readonly ablate?: boolean;
}

/** Maximum number of runs; more are probably a mistake in a list. */
const MAX_RUNS = 10_000;

/** A run that is not numbered yet. */
interface Draft extends Variant {
  readonly place: string;
  /** The file, as an argument of `train`. */
  readonly file: string;
  readonly base: string;
  /** Overrides of the command line and of the ablation. */
  readonly given: readonly string[];
  /** `baseline` or the name of an ablation; undefined without ablations. */
  readonly ablation: string | undefined;
}

/** Returns the name and the overrides of each ablation. */
function ablationsOf(raw: Record<string, unknown>, place: string): [string, string[]][] {
  const ablations = raw.ablations ?? {};
  if (!isMapping(ablations)) {
    throw new UserError(
      `${place}: ablations: expected a mapping of names to overrides, found ${describeValue(ablations)}.`,
    );
  }
  return Object.entries(ablations).map(([name, value]) => {
    const overrides = Array.isArray(value) ? value : [value];
    const wrong = overrides.find((override) => typeof override !== "string");
    if (overrides.length > 0 && wrong === undefined) return [name, overrides];
    throw new UserError(
      `${place}: ${
        showPath(["ablations", name])
      }: expected an override such as "model.positions=none", or a list ` +
        `of them, found ${describeValue(overrides.length > 0 ? wrong : value)}.`,
    );
  });
}

/** Runs `act` and prefixes the message of a UserError with `what`. */
async function withContext<T>(what: string | undefined, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UserError) || what === undefined) throw error;
    throw new UserError(`${what}: ${error.message}`);
  }
}

/** Returns the runs of one file, in order. */
async function draftsOf(
  located: Located,
  file: string,
  overrides: readonly string[],
  ablate: boolean,
): Promise<Draft[]> {
  const { place } = located;
  const raw = await readRaw(located);
  const given = overrides.reduce(applyOverride, raw);
  const ablations = ablationsOf(given, place);
  const { ablations: _, ...keys } = given;
  const base = typeof keys.name === "string" ? keys.name : parse(place).name;
  const tried: [string | undefined, string[]][] = ablate && ablations.length > 0
    ? [["baseline", []], ...ablations]
    : [[undefined, []]];
  const drafts: Draft[] = [];
  for (const [ablation, extra] of tried) {
    const what = extra.length > 0 ? `${place}: ${showPath(["ablations", ablation!])}` : undefined;
    const ablated = await withContext(what, () => extra.reduce(applyOverride, keys));
    for (const variant of variantsOf(ablated, place)) {
      drafts.push({ ...variant, place, file, base, given: [...overrides, ...extra], ablation });
      if (drafts.length > MAX_RUNS) {
        throw new UserError(
          `${place}: its lists make more than ${MAX_RUNS.toLocaleString("en")} runs; expected fewer.`,
        );
      }
    }
  }
  return drafts;
}

/** Returns a name for each run, which contains the number of the run and the values of its swept keys. */
function namesOf(drafts: readonly Draft[]): string[] {
  const short = shortKeys([...new Set(drafts.flatMap(({ choices }) => choices.map(({ key }) => key)))]);
  const width = Math.max(2, String(drafts.length).length);
  return drafts.map(({ base, ablation, choices }, i) => {
    const last = new Map(choices.map((choice) => [choice.key, choice]));
    const parts = [...last.values()].map((choice) => `${short.get(choice.key)}=${valueLabel(choice)}`);
    const tried = ablation === undefined ? [] : [ablation.replaceAll(/[^\w.,+-]+/g, "_")];
    // A directory name holds at most 255 bytes; the number distinguishes names that are cut.
    return [base, String(i + 1).padStart(width, "0"), ...tried, ...parts].join("-").slice(0, 160);
  });
}

/**
 * Loads the runs that a command requests: those of the file or, for a bare name, of `configs/<name>.yaml` and every
 * `configs/<name>-*.yaml`, with the overrides applied. A list given for a key that expects a single value is a sweep, with
 * one run per value. If there are several sweeps, there is one run for each element of their cartesian product, in the
 * order of the file. For a key that expects a list (`optimizer.betas`), only a list of lists is a sweep. Keys that a hooks
 * file declares can be swept too.
 *
 * @param path as for `loadConfig`
 * @param overrides as for `applyOverride`
 * @throws {UserError} if a file is missing, or for the first invalid run; the message names the run and the key
 *
 * @example
 * ```ts
 * import { loadSweep } from "../../mod.ts";
 * const { runs } = await loadSweep("default", ["optimizer.lr=[1e-3, 3e-3]", "model.dim=[32, 64]"]);
 * console.log(runs.map(({ name }) => name)); // default-01-lr=0.001-dim=32, default-02-lr=0.001-dim=64, ...
 * ```
 * @category Configuration
 */
export async function loadSweep(
  path: string,
  overrides: readonly string[],
  { ablate = false }: SweepOptions = {},
): Promise<Sweep> {
  const drafts: Draft[] = [];
  const all = await locateAll(path);
  for (const located of all) {
    // A bare name is kept, since another machine may have the file elsewhere; a prefix is replaced by each of its matches.
    const file = all.length === 1 ? path : located.shipped ? parse(located.place).name : located.place;
    for (const draft of await draftsOf(located, file, overrides, ablate)) drafts.push(draft);
  }
  if (ablate && drafts.every(({ ablation }) => ablation === undefined)) {
    throw new UserError(
      `${drafts[0].place}: ablations: none are defined; expected a mapping such as ` +
        `{no_positions: model.positions=none}.`,
    );
  }
  const [{ base, choices }] = drafts;
  const swept = drafts.length > 1 || choices.length > 0;
  const names = swept ? namesOf(drafts) : [base];
  const runs: SweepRun[] = [];
  for (const [i, { raw, place, file, given, choices }] of drafts.entries()) {
    const config = await withContext(swept ? names[i] : undefined, async () => {
      const resolved = resolveConfig(raw, { place, name: parse(place).name, overrides: given });
      return await withHookKeys(swept ? { ...resolved, name: names[i] } : resolved, place);
    });
    const combined = [...given, ...choices.map(({ override }) => override)];
    runs.push({ name: config.name, file, overrides: combined, config });
  }
  const one = drafts.every((draft) => draft.base === base);
  return { name: one ? base : parse(path).name, swept, runs };
}
