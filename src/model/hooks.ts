// User hooks: a file that changes tensors and scores inside the model, transforms training batches, freezes parameters, or
// adds metrics to the log.
import type { RandomStream } from "../base/random.ts";
import type { Config, HookKey } from "../config/mod.ts";
import type { Batch } from "../data/mod.ts";
import { isMapping } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import type { ForwardHooks, HookValue, ScoreHook, TapHook } from "../nn/hook_types.ts";
import { almostModifier, modifierNames } from "../nn/user_modifier.ts";
import { describe, exportsOf, isRecord, misspelling } from "../base/user_file.ts";

/** Context of the `batch` and `freeze` hooks.
 * @category Training */
export interface StepContext {
  /** The step about to run, from 1. */
  readonly step: number;
  /** Random stream seeded by the run's seed and this step, so that repeated and resumed runs draw the same numbers. */
  readonly random: RandomStream;
  /** Vocabulary size V: the ids of a batch are from 0 to V - 1. */
  readonly vocabulary: number;
  /** Values of the keys that the file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** Context of a metric.
 * @category Training */
export interface MetricContext {
  /** Number of completed steps. */
  readonly step: number;
  /** Vocabulary size V. */
  readonly vocabulary: number;
  /** Values of the keys that the file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
  /** Reads the values of all parameters, keyed by name. */
  parameters(): Promise<Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>>;
}

/** A user-defined metric, logged every `every` steps. */
export interface Metric {
  /** Its name in the log. */
  readonly name: string;
  /** Number of steps between two of its records. */
  readonly every: number;
  /**
   * Returns one number, or several numbers keyed by name. The names of a record's other fields (v, type, step, kind, tap,
   * layer, head, status) and names that end in _status are not allowed.
   */
  fn(context: MetricContext): number | Record<string, number> | Promise<number | Record<string, number>>;
}

/**
 * Everything that a hooks file may export.
 *
 * @example A file with one export of each kind
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
  /** Functions that replace tensors, keyed by a glob over tap names. */
  readonly taps?: Readonly<Record<string, TapHook>>;
  /** Functions that return modifiers of attention scores, keyed by a glob over tap names. */
  readonly scores?: Readonly<Record<string, ScoreHook>>;
  /** Transforms training batches, but not evaluation batches. Ids and targets must be below V; a target may also be IGNORE. */
  readonly batch?: (batch: Batch, context: StepContext) => Batch;
  /** Returns globs over parameter names. This step leaves matching parameters and their optimizer states unchanged. */
  readonly freeze?: (context: StepContext) => readonly string[];
  /** User-defined metrics. */
  readonly metrics?: readonly Metric[];
  /** Declares keys of the configuration under `hooks`. */
  readonly keys?: Readonly<Record<string, HookKey>>;
}

const EXPORTS = ["taps", "scores", "batch", "freeze", "metrics", "keys"] as const;

const isExport = (name: string): boolean => EXPORTS.some((known) => known === name);

/** The exports of a hooks file, with the configured values of its keys. */
export interface LoadedHooks extends Omit<Hooks, "keys"> {
  /** Path of the file. */
  readonly file: string;
  /** The values that the configuration gives to the keys that the file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** Returns the error message for the value of an export; undefined if the value is valid. */
type Fault = (value: unknown) => string | undefined;

const functionFault: Fault = (value) =>
  typeof value === "function" ? undefined : `expected a function, found ${describe(value)}`;

const tableFault: Fault = (table) => {
  const expected = "expected an object that maps tap patterns to functions";
  if (!isRecord(table)) return `${expected}, found ${describe(table)}`;
  const wrong = Object.entries(table).find(([, hook]) => functionFault(hook));
  return wrong && `${expected}, found ${JSON.stringify(wrong[0])}: ${describe(wrong[1])}`;
};

const metricsFault: Fault = (list) => {
  const expected = "expected a list of { name, every, fn }";
  if (!Array.isArray(list)) return `${expected}, found ${describe(list)}`;
  const names = new Set<unknown>();
  for (const metric of list) {
    if (!isMapping(metric)) return `${expected}, found ${describe(metric)} in it`;
    const wrong = misspelling(Object.keys(metric), ["name", "every", "fn"]);
    if (wrong) return `${expected}, found ${wrong.name}. Did you mean "${wrong.near}"`;
    const { name, every, fn } = metric;
    if (typeof name !== "string" || name === "") return `${expected}, found the name ${describe(name)}`;
    const id = `metric ${JSON.stringify(name)}`;
    if (names.has(name)) return `${id} is defined twice; expected unique names`;
    names.add(name);
    if (!Number.isInteger(every) || Number(every) < 1) {
      return `${expected}; every of ${id}: expected a whole number of at least 1, found ${describe(every)}`;
    }
    if (typeof fn !== "function") return `${expected}; fn of ${id}: ${functionFault(fn)}`;
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
 * Throws UserError if a file exports neither hooks nor a score modifier, or exports a misspelt hook.
 *
 * @param what the option or key that names the file, for messages
 */
function checkNames(file: string, exports: Record<string, unknown>, what: string): void {
  const modifiers = modifierNames(exports);
  const names = Object.keys(exports).filter((name) => !modifiers.includes(name));
  const wrong = misspelling(names, [...EXPORTS]);
  if (wrong === undefined && (modifiers.length > 0 || names.some(isExport))) return;
  const unnamed = names.join() === "default" ? " Hooks are exported by name: export const taps = ..." : "";
  const near = wrong?.near ?? names.map((name) => almostModifier(exports[name])).find((advice) => advice);
  const actual = wrong?.name ?? (names.join(", ") || "nothing");
  throw new UserError(
    `${what}: expected ${file} to export one of ${EXPORTS.join(", ")} or a score modifier, found ${actual}.` +
      (near === undefined ? unnamed : ` Did you mean "${near}"?`),
  );
}

/** Throws UserError if a file exports no hooks, a misspelt name, or a hook of the wrong type. */
function checkExports(file: string, exports: Record<string, unknown>, what: string): void {
  checkNames(file, exports, what);
  for (const [name, fault] of Object.entries(FAULTS)) {
    const wrong = exports[name] === undefined ? undefined : fault(exports[name]);
    if (wrong !== undefined) throw new UserError(`${file}: ${name}: ${wrong}.`);
  }
}

/**
 * Loads the hooks file that a configuration names, if any.
 *
 * @throws {UserError} if the file cannot be loaded, exports no hooks, or exports a hook of the wrong type
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
  const exports = await exportsOf(file, "hooks.file");
  checkExports(file, exports, "hooks.file");
  const [modifier] = modifierNames(exports);
  if (modifier !== undefined && !Object.keys(exports).some(isExport)) {
    throw new UserError(
      `hooks.file: ${file} exports the score modifier ${modifier} and no hooks; ` +
        `expected --hooks ${file}, or model.block.attention.modifier={file: ${file}, name: ${modifier}}.`,
    );
  }
  return { ...exports as Hooks, file, keys: keys as Record<string, HookValue> };
}

/**
 * Returns true if a file exports hooks, and false if it exports only a score modifier.
 *
 * @throws {UserError} if it exports neither, or a misspelt hook
 * @category Training
 */
export async function exportsHooks(file: string): Promise<boolean> {
  const exports = await exportsOf(file, "--hooks");
  checkExports(file, exports, "--hooks");
  return Object.keys(exports).some(isExport);
}

/** The hooks that the forward pass uses: taps and scores. */
export function forwardHooks(hooks: LoadedHooks | undefined): ForwardHooks | undefined {
  return hooks && (hooks.taps || hooks.scores) ? hooks : undefined;
}
