// From the command line to the runs it asks for: one, or many where a key is swept, a name is a prefix, or ablations are
// to be tried. Every run is resolved, named and checked before the first one starts.

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
  /** `grid-03-lr=0.001-dim=64`, the configuration's name too. */
  readonly name: string;
  /** The file it comes from, as `train` takes it. */
  readonly file: string;
  /** The overrides that make this run of the file: those given, the ablation's, and a value of each swept key. */
  readonly overrides: readonly string[];
  /** Resolved. */
  readonly config: Config;
}

/** The runs that a command asks for.
 * @category Configuration */
export interface Sweep {
  /** What they have in common: the name of the file. */
  readonly name: string;
  /** False for a lone configuration in which nothing is swept: its run is one like any other. */
  readonly swept: boolean;
  /** At least one, in order. */
  readonly runs: readonly SweepRun[];
}

/** How a sweep is loaded. */
export interface SweepOptions {
  /** Adds the runs of each entry of a file's `ablations`. */
  readonly ablate?: boolean;
}

/** More are a mistake in a list, and would take a year. */
const MOST_RUNS = 10_000;

/** A run before it has a number. */
interface Draft extends Variant {
  readonly place: string;
  /** What `train` takes for it. */
  readonly file: string;
  readonly base: string;
  /** Overrides of the command line and of the ablation. */
  readonly given: readonly string[];
  /** `baseline`, an ablation's name, or nothing where none are tried. */
  readonly ablation: string | undefined;
}

/** The overrides of each ablation by its name. */
function ablationsOf(raw: Record<string, unknown>, place: string): [string, string[]][] {
  const found = raw.ablations ?? {};
  if (!isMapping(found)) {
    throw new UserError(
      `${place}: ablations: expected a mapping of names to overrides, found ${describeValue(found)}.`,
    );
  }
  return Object.entries(found).map(([name, value]) => {
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

/** What an error says, with the run that it is about before it. */
async function toldOf<T>(what: string | undefined, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UserError) || what === undefined) throw error;
    throw new UserError(`${what}: ${error.message}`);
  }
}

/** The runs of one file, in order. */
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
  const { ablations: _, ...own } = given;
  const base = typeof own.name === "string" ? own.name : parse(place).name;
  const tried: [string | undefined, string[]][] = ablate && ablations.length > 0
    ? [["baseline", []], ...ablations]
    : [[undefined, []]];
  const drafts: Draft[] = [];
  for (const [ablation, extra] of tried) {
    const what = extra.length > 0 ? `${place}: ${showPath(["ablations", ablation!])}` : undefined;
    const ablated = await toldOf(what, () => extra.reduce(applyOverride, own));
    for (const variant of variantsOf(ablated, place)) {
      drafts.push({ ...variant, place, file, base, given: [...overrides, ...extra], ablation });
      if (drafts.length > MOST_RUNS) {
        throw new UserError(
          `${place}: its lists make more than ${MOST_RUNS.toLocaleString("en")} runs; expected fewer.`,
        );
      }
    }
  }
  return drafts;
}

/** A name for each run: a number and what varies. */
function namesOf(drafts: readonly Draft[]): string[] {
  const short = shortKeys([...new Set(drafts.flatMap(({ choices }) => choices.map(({ key }) => key)))]);
  const width = Math.max(2, String(drafts.length).length);
  return drafts.map(({ base, ablation, choices }, i) => {
    const last = new Map(choices.map((choice) => [choice.key, choice]));
    const parts = [...last.values()].map((choice) => `${short.get(choice.key)}=${valueLabel(choice)}`);
    const tried = ablation === undefined ? [] : [ablation.replaceAll(/[^\w.,+-]+/g, "_")];
    // A folder's name has room for 255 bytes; the number tells runs apart where it is cut.
    return [base, String(i + 1).padStart(width, "0"), ...tried, ...parts].join("-").slice(0, 160);
  });
}

/**
 * Reads what a command asks to run: the file or, for a bare name, `configs/<name>.yaml` and every
 * `configs/<name>-*.yaml`; the overrides applied; where the schema wants one value and a list is given, a run for each
 * of its values, the cartesian product in the order of the file. A list where a list is wanted (`optimizer.betas`) is no
 * sweep, a list of such lists is one. Keys that a hooks file declares are swept like any other.
 *
 * @param path as `loadConfig` takes it
 * @param overrides as `applyOverride` takes them
 * @throws {UserError} where a file is missing, or for the first fault of a run, with the run's name and the key
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
    // A name stays a name, for another machine may have the file elsewhere; a prefix is that of many files.
    const file = all.length === 1 ? path : located.shipped ? parse(located.place).name : located.place;
    for (const draft of await draftsOf(located, file, overrides, ablate)) drafts.push(draft);
  }
  if (ablate && drafts.every(({ ablation }) => ablation === undefined)) {
    throw new UserError(
      `${drafts[0].place}: ablations: there are none to try; expected a mapping such as ` +
        `{no_positions: model.positions=none}.`,
    );
  }
  const [{ base, choices }] = drafts;
  const swept = drafts.length > 1 || choices.length > 0;
  const names = swept ? namesOf(drafts) : [base];
  const runs: SweepRun[] = [];
  for (const [i, { raw, place, file, given, choices }] of drafts.entries()) {
    const config = await toldOf(swept ? names[i] : undefined, async () => {
      const resolved = resolveConfig(raw, { place, name: parse(place).name, overrides: given });
      return await withHookKeys(swept ? { ...resolved, name: names[i] } : resolved, place);
    });
    const made = [...given, ...choices.map(({ override }) => override)];
    runs.push({ name: config.name, file, overrides: made, config });
  }
  const one = drafts.every((draft) => draft.base === base);
  return { name: one ? base : parse(path).name, swept, runs };
}
