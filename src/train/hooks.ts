// What a user's own file does to a run: tensors and scores inside the model, batches before they are learned from,
// parameters that stand still, numbers of one's own in the log.
import { type RandomStream, randomStream } from "../../kernels/random/threefry.ts";
import type { Config, HookKey } from "../config/mod.ts";
import type { Batch } from "../data/mod.ts";
import { suggestion, UserError } from "../errors.ts";
import { globOf } from "../glob.ts";
import type { ForwardHooks, HookValue, ScoreHook, TapHook } from "../nn/hooks.ts";
import { exportsOf } from "../user_file.ts";

/** What a batch transform and a freeze know. */
export interface StepContext {
  /** The step that is to be made, from 1. */
  readonly step: number;
  /** A generator of the run's seed and this step: the same numbers in every run and after a resume. */
  readonly random: RandomStream;
  /** Values of the declared keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** What a metric knows. */
export interface MetricContext {
  /** Steps made. */
  readonly step: number;
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
  /** The number, or several by name. */
  fn(context: MetricContext): number | Record<string, number> | Promise<number | Record<string, number>>;
}

/**
 * Everything that a hooks file may export.
 *
 * @example A file with one of each
 * ```ts
 * import { containsToken, elementwise, globOf, lookup, max, modifier, select, times, variable } from "../../mod.ts";
 * import type { Hooks } from "../../mod.ts";
 * export const keys: Hooks["keys"] = { share: { default: 0.1, min: 0, max: 1 } };
 * export const taps: Hooks["taps"] = {
 *   "blocks.0.resid_post": (x) => elementwise(max(0, variable("x")), { x }), // a ReLU after block 0
 * };
 * export const scores: Hooks["scores"] = {
 *   "blocks.*.attn.scores": (score) => modifier(times(score, 2)),
 * };
 * export const batch: Hooks["batch"] = ({ ids, targets }, { random, keys }) => ({
 *   ids: ids.map((id) => random.uniform() < Number(keys.share) ? random.below(65) : id),
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
 */
export interface Hooks {
  /** Tensors by globs over their taps. */
  readonly taps?: Readonly<Record<string, TapHook>>;
  /** Scores of attention by globs over their taps. */
  readonly scores?: Readonly<Record<string, ScoreHook>>;
  /** What training batches become; evaluation sees its own as they are. */
  readonly batch?: (batch: Batch, context: StepContext) => Batch;
  /** Globs of the parameters that this step leaves as they are, moments included. */
  readonly freeze?: (context: StepContext) => readonly string[];
  /** Numbers of one's own. */
  readonly metrics?: readonly Metric[];
  /** Keys of the configuration under `hooks`. */
  readonly keys?: Readonly<Record<string, HookKey>>;
}

/** The exports of `Hooks`. */
const EXPORTS = ["taps", "scores", "batch", "freeze", "metrics", "keys"] as const;

/** A hooks file, loaded, with the values of its keys. */
export interface LoadedHooks extends Omit<Hooks, "keys"> {
  /** Its path. */
  readonly file: string;
  /** Values of its keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

function checkExports(file: string, found: Record<string, unknown>): void {
  const isFunction = (x: unknown) => typeof x === "function";
  const isTable = (x: unknown) => typeof x === "object" && x !== null && Object.values(x).every(isFunction);
  const isMetric = (x: unknown): boolean => {
    const { name, every, fn } = (x ?? {}) as Partial<Metric>;
    return typeof name === "string" && Number.isInteger(every) && every! >= 1 && isFunction(fn);
  };
  const rules: Record<string, [(x: unknown) => boolean, string]> = {
    taps: [isTable, "an object of functions by tap pattern"],
    scores: [isTable, "an object of functions by tap pattern"],
    batch: [isFunction, "a function"],
    freeze: [isFunction, "a function"],
    metrics: [(x) => Array.isArray(x) && x.every(isMetric), "a list of { name, every, fn }"],
  };
  for (const [name, [fits, expected]] of Object.entries(rules)) {
    if (found[name] !== undefined && !fits(found[name])) {
      throw new UserError(`${file}: ${name}: expected ${expected}.`);
    }
  }
}

/**
 * Loads the hooks file that a configuration names, if any.
 *
 * @throws {UserError} where it does not load, exports nothing of `Hooks`, or something of another kind
 *
 * @example
 * ```ts
 * import { loadConfig, loadHooks } from "../../mod.ts";
 * console.log(await loadHooks(await loadConfig("default", []))); // undefined
 * ```
 */
export async function loadHooks({ hooks }: Pick<Config, "hooks">): Promise<LoadedHooks | undefined> {
  const { file, ...keys } = hooks;
  if (file === null) return undefined;
  const found = await exportsOf(file, "hooks.file");
  if (!EXPORTS.some((name) => found[name] !== undefined)) {
    const names = Object.keys(found);
    const near = names.map((name) => suggestion(name, EXPORTS)).find((text) => text !== "") ?? "";
    throw new UserError(
      `hooks.file: expected ${file} to export one of ${EXPORTS.join(", ")}, found ${
        names.join(", ") || "nothing"
      }.${near}`,
    );
  }
  checkExports(file, found);
  return { ...found as Hooks, file, keys: keys as Record<string, HookValue> };
}

/** Whether a file exports hooks (and not only a score modifier). */
export async function exportsHooks(file: string): Promise<boolean> {
  const found = await exportsOf(file, "--hooks");
  return EXPORTS.some((name) => found[name] !== undefined);
}

/** The part of the hooks that the forward pass is built through. */
export function forwardHooks(hooks: LoadedHooks | undefined): ForwardHooks | undefined {
  return hooks && (hooks.taps || hooks.scores) ? hooks : undefined;
}

function contextOf({ keys }: LoadedHooks, seed: number, what: string, step: number): StepContext {
  return { step, random: randomStream(seed, `hooks ${what} ${step}`), keys };
}

/** The batches of a step as training sees them: those of the source, through the transform if there is one. */
export function transformed(
  hooks: LoadedHooks | undefined,
  seed: number,
  step: number,
  batches: readonly Batch[],
): readonly Batch[] {
  if (!hooks?.batch) return batches;
  const context = contextOf(hooks, seed, "batch", step);
  return batches.map((batch) => {
    const made = hooks.batch!(batch, context);
    for (const name of ["ids", "targets"] as const) {
      const found = made?.[name];
      if (!(found instanceof Uint32Array) || found.length !== batch[name].length) {
        throw new UserError(
          `${hooks.file}: batch: expected { ids, targets } of ${batch.ids.length} numbers each in a Uint32Array.`,
        );
      }
    }
    return made;
  });
}

/** The names of the parameters that a step leaves alone. */
export function frozen(
  hooks: LoadedHooks,
  seed: number,
  step: number,
  names: readonly string[],
): ReadonlySet<string> {
  const globs = hooks.freeze!(contextOf(hooks, seed, "freeze", step));
  return new Set(globs.flatMap((glob) => {
    const matched = names.filter(globOf(glob));
    if (matched.length > 0) return matched;
    throw new UserError(
      `${hooks.file}: freeze: "${glob}" matches no parameter; names are like blocks.0.attn.wq.weight.`,
    );
  }));
}
