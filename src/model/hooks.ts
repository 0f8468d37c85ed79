// What a user's own file does to a run: tensors and scores inside the model, batches before they are learned from,
// parameters that stand still, numbers of one's own in the log.
import type { RandomStream } from "../base/random.ts";
import type { Config, HookKey } from "../config/mod.ts";
import type { Batch } from "../data/mod.ts";
import { isMapping } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import type { ForwardHooks, HookValue, ScoreHook, TapHook } from "../nn/hook_types.ts";
import { almostModifier, modifierNames } from "../nn/user_modifier.ts";
import { describe, exportsOf, isRecord, misspelling } from "../base/user_file.ts";

/** What a batch transform and a freeze know.
 * @category Training */
export interface StepContext {
  /** The step that is to be made, from 1. */
  readonly step: number;
  /** A generator of the run's seed and this step: the same numbers in every run and after a resume. */
  readonly random: RandomStream;
  /** Number of token ids, V: those of a batch are from 0 to V - 1. */
  readonly vocabulary: number;
  /** Values of the declared keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** What a metric knows.
 * @category Training */
export interface MetricContext {
  /** Steps made. */
  readonly step: number;
  /** Number of token ids, V. */
  readonly vocabulary: number;
  /** Values of the declared keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
  /** Reads every parameter by name. */
  parameters(): Promise<Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>>;
}

/** A number of one's own, logged every so many steps. */
export interface Metric {
  /** Its name in the log. */
  readonly name: string;
  /** Steps between two records. */
  readonly every: number;
  /**
   * The number, or several by names of their own: not those of a record's other fields (v, type, step, kind, tap, layer, head,
   * status), and none that ends in _status.
   */
  fn(context: MetricContext): number | Record<string, number> | Promise<number | Record<string, number>>;
}

/**
 * Everything that a hooks file may export.
 *
 * @example A file with one of each
 * ```ts
 * import { elementwise, expr, type Hooks, masks } from "../../mod.ts";
 * export const keys: Hooks["keys"] = { share: { default: 0.1, min: 0, max: 1 } };
 * export const taps: Hooks["taps"] = {
 *   "blocks.0.resid_post": (x) => elementwise("max(0, x)", { x }), // a ReLU after block 0
 * };
 * export const scores: Hooks["scores"] = {
 *   "blocks.*.attn.scores": (score) => masks.modifier(expr.times(score, 2)),
 * };
 * export const batch: Hooks["batch"] = ({ ids, targets }, { random, vocabulary, keys }) => ({
 *   ids: ids.map((id) => random.uniform() < Number(keys.share) ? random.below(vocabulary) : id),
 *   targets,
 * });
 * export const freeze: Hooks["freeze"] = ({ random }) => [`blocks.${random.below(4)}.**`];
 * export const metrics: Hooks["metrics"] = [{
 *   name: "largest_parameter",
 *   every: 10,
 *   fn: async ({ parameters }) =>
 *     Math.max(...Object.values(await parameters()).map(({ data }) => data.reduce((a, b) => Math.max(a, b)))),
 * }];
 * ```
 * @category Training
 */
export interface Hooks {
  /** Tensors by globs over their taps. */
  readonly taps?: Readonly<Record<string, TapHook>>;
  /** Scores of attention by globs over their taps. */
  readonly scores?: Readonly<Record<string, ScoreHook>>;
  /** What training batches become: ids below the vocabulary, targets too or IGNORE; evaluation sees its own as they are. */
  readonly batch?: (batch: Batch, context: StepContext) => Batch;
  /** Globs of the parameters that this step leaves as they are, moments included. */
  readonly freeze?: (context: StepContext) => readonly string[];
  /** Numbers of one's own. */
  readonly metrics?: readonly Metric[];
  /** Keys of the configuration under `hooks`. */
  readonly keys?: Readonly<Record<string, HookKey>>;
}

const EXPORTS = ["taps", "scores", "batch", "freeze", "metrics", "keys"] as const;

const isExport = (name: string): boolean => EXPORTS.some((known) => known === name);

/** A hooks file, loaded, with the values of its keys. */
export interface LoadedHooks extends Omit<Hooks, "keys"> {
  /** Its path. */
  readonly file: string;
  /** Values of its keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** What is wrong with an export; undefined where nothing is. */
type Fault = (found: unknown) => string | undefined;

const functionFault: Fault = (found) =>
  typeof found === "function" ? undefined : `expected a function, found ${describe(found)}`;

const tableFault: Fault = (found) => {
  const expected = "expected an object of functions by tap pattern";
  if (!isRecord(found)) return `${expected}, found ${describe(found)}`;
  const wrong = Object.entries(found).find(([, hook]) => functionFault(hook));
  return wrong && `${expected}, found ${JSON.stringify(wrong[0])}: ${describe(wrong[1])}`;
};

const metricsFault: Fault = (found) => {
  const expected = "expected a list of { name, every, fn }";
  if (!Array.isArray(found)) return `${expected}, found ${describe(found)}`;
  const names = new Set<unknown>();
  for (const metric of found) {
    if (!isMapping(metric)) return `${expected}, found ${describe(metric)} in it`;
    const wrong = misspelling(Object.keys(metric), ["name", "every", "fn"]);
    if (wrong) return `${expected}, found ${wrong.name}. Did you mean "${wrong.near}"`;
    const { name, every, fn } = metric;
    if (typeof name !== "string" || name === "") return `${expected}, found the name ${describe(name)}`;
    const own = `metric ${JSON.stringify(name)}`;
    if (names.has(name)) return `${own} is there twice; expected a name of its own for each`;
    names.add(name);
    if (!Number.isInteger(every) || Number(every) < 1) {
      return `${expected}; every of ${own}: expected a whole number of at least 1, found ${describe(every)}`;
    }
    if (typeof fn !== "function") return `${expected}; fn of ${own}: ${functionFault(fn)}`;
  }
};

const FAULTS: Readonly<Record<Exclude<typeof EXPORTS[number], "keys">, Fault>> = {
  taps: tableFault,
  scores: tableFault,
  batch: functionFault,
  freeze: functionFault,
  metrics: metricsFault,
};

/**
 * Throws where a file exports nothing of `Hooks` and no score modifier, or a misspelt name of a hook; with the same advice
 * wherever the file is named.
 */
function checkNames(file: string, found: Record<string, unknown>, what: string): void {
  const modifiers = modifierNames(found);
  const names = Object.keys(found).filter((name) => !modifiers.includes(name));
  const wrong = misspelling(names, [...EXPORTS]);
  if (wrong === undefined && (modifiers.length > 0 || names.some(isExport))) return;
  const unnamed = names.join() === "default" ? " Hooks are exported by name: export const taps = ..." : "";
  const near = wrong?.near ?? names.map((name) => almostModifier(found[name])).find((advice) => advice);
  const own = wrong?.name ?? (names.join(", ") || "nothing");
  throw new UserError(
    `${what}: expected ${file} to export one of ${EXPORTS.join(", ")} or a score modifier, found ${own}.` +
      (near === undefined ? unnamed : ` Did you mean "${near}"?`),
  );
}

/** Throws where a file exports nothing of `Hooks`, a misspelt name, or something of another kind. */
function checkExports(file: string, found: Record<string, unknown>, what: string): void {
  checkNames(file, found, what);
  for (const [name, fault] of Object.entries(FAULTS)) {
    const wrong = found[name] === undefined ? undefined : fault(found[name]);
    if (wrong !== undefined) throw new UserError(`${file}: ${name}: ${wrong}.`);
  }
}

/**
 * Loads the hooks file that a configuration names, if any.
 *
 * @throws {UserError} where it does not load, exports nothing of `Hooks`, or something of another kind
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { loadHooks } from "./mod.ts";
 * console.log(await loadHooks(await loadConfig("default", []))); // undefined
 * ```
 */
export async function loadHooks({ hooks }: Pick<Config, "hooks">): Promise<LoadedHooks | undefined> {
  const { file, ...keys } = hooks;
  if (file === null) return undefined;
  const found = await exportsOf(file, "hooks.file");
  checkExports(file, found, "hooks.file");
  const [own] = modifierNames(found);
  if (own !== undefined && !Object.keys(found).some(isExport)) {
    throw new UserError(
      `hooks.file: ${file} exports the score modifier ${own} and no hooks; ` +
        `expected --hooks ${file}, or model.block.attention.modifier={file: ${file}, name: ${own}}.`,
    );
  }
  return { ...found as Hooks, file, keys: keys as Record<string, HookValue> };
}

/**
 * Whether a file exports hooks, and not only a score modifier.
 *
 * @throws {UserError} where it exports neither, or a misspelt name of a hook
 * @category Training
 */
export async function exportsHooks(file: string): Promise<boolean> {
  const found = await exportsOf(file, "--hooks");
  checkExports(file, found, "--hooks");
  return Object.keys(found).some(isExport);
}

/** The part of the hooks that the forward pass is built through. */
export function forwardHooks(hooks: LoadedHooks | undefined): ForwardHooks | undefined {
  return hooks && (hooks.taps || hooks.scores) ? hooks : undefined;
}
