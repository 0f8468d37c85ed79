// Calls the hooks of a training run and checks the values that they return. An error message is one line that names the file,
// the export, the returned value and what was expected.
import { randomStream } from "../base/random.ts";
import { isMapping, showPath } from "../base/show.ts";
import { type Batch, IGNORE } from "../data/mod.ts";
import { callUser, thrownBy, UserError } from "../base/errors.ts";
import { globOf, patternHint } from "../base/glob.ts";
import { FIELDS } from "../log/record_fields.ts";
import { describe, isRecord } from "../base/user_file.ts";
import { settled } from "../base/user_promise.ts";
import type { LoadedHooks, Metric, MetricContext, StepContext } from "./hooks.ts";

/** Values of a run that its hooks receive or depend on. */
export interface HookRun {
  readonly seed: number;
  readonly vocabulary: number;
}

/** Calls a hook with the step's context. Error messages start with the file, the export and the step (`place`). */
function call<T>(
  { file, keys }: LoadedHooks,
  { seed, vocabulary }: HookRun,
  what: "batch" | "freeze",
  step: number,
  hook: (context: StepContext) => T,
): { place: string; result: T } {
  const random = randomStream(seed, `hooks ${what} ${step}`);
  const place = `${file}: ${what} at step ${step}`;
  return { place, result: callUser(place, () => hook({ step, random, vocabulary, keys })) };
}

/** Throws UserError if an id is outside the vocabulary; a target may also be IGNORE. */
function checkIds(place: string, name: "ids" | "targets", ids: Uint32Array, vocabulary: number): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] < vocabulary || name === "targets" && ids[i] === IGNORE) continue;
    const [what, or] = name === "ids" ? ["id", ""] : ["target", `, or IGNORE (${IGNORE})`];
    throw new UserError(
      `${place}: ${what} ${ids[i]}, vocabulary ${vocabulary}; expected 0 to ${vocabulary - 1}${or}.`,
    );
  }
}

/** Applies the batch hook, if there is one, to the batches of a training step. */
export function applyBatchHook(
  hooks: LoadedHooks | undefined,
  run: HookRun,
  step: number,
  batches: readonly Batch[],
): readonly Batch[] {
  if (!hooks?.batch) return batches;
  const { batch: transform } = hooks;
  // All batches of the step share one random stream.
  const { place, result: transformed } = call(hooks, run, "batch", step, (context) => {
    return batches.map((batch) => transform(batch, context));
  });
  for (const [i, result] of transformed.entries()) {
    for (const name of ["ids", "targets"] as const) {
      const values: unknown = result?.[name];
      const { length } = batches[i][name];
      if (!(values instanceof Uint32Array) || values.length !== length) {
        const size = values instanceof Uint32Array ? ` of ${values.length}` : "";
        const what = isMapping(result) && !(result instanceof Promise)
          ? `${name}: ${describe(values)}${size}`
          : describe(result);
        throw new UserError(
          `${place}: expected { ids, targets }, each a Uint32Array of ${length} elements, found ${what}.`,
        );
      }
      checkIds(place, name, values, run.vocabulary);
    }
  }
  return transformed;
}

/**
 * Returns the names of the parameters that the freeze hook selects in a step; throws UserError if a glob matches no
 * parameter.
 */
export function frozenNames(
  hooks: LoadedHooks,
  run: HookRun,
  step: number,
  names: readonly string[],
): ReadonlySet<string> {
  const { place, result: globs } = call<unknown>(hooks, run, "freeze", step, hooks.freeze!);
  if (!Array.isArray(globs)) {
    throw new UserError(`${place}: expected a list of globs over parameter names, found ${describe(globs)}.`);
  }
  return new Set(globs.flatMap((glob: unknown) => {
    if (typeof glob !== "string") {
      throw new UserError(
        `${place}: expected globs over parameter names, found ${describe(glob)} in the list.`,
      );
    }
    const matched = names.filter(globOf(glob));
    if (matched.length > 0) return matched;
    throw new UserError(
      `${place}: "${glob}" matches no parameter of this model. ${patternHint(glob, names)}`,
    );
  }));
}

/** Fields of a record that a metric may not use. */
const RESERVED = new Set(["v", "type", "status", "__proto__", ...Object.keys(FIELDS.stat)]);

/** Returns the error message for the value that a metric returned; undefined if the value is valid. */
function metricFault(value: unknown): string | undefined {
  const expected = "expected a number or a flat record of numbers";
  if (typeof value === "number") return undefined;
  const entries = isRecord(value) ? Object.entries(value) : [];
  if (entries.length === 0) return `${expected}, found ${isRecord(value) ? "an empty one" : describe(value)}`;
  for (const [name, value] of entries) {
    if (RESERVED.has(name) || /_status$/.test(name)) {
      return `${name}: a field of every record has this name; expected another`;
    }
    if (typeof value !== "number") return `${expected}, found ${showPath([name])}: ${describe(value)}`;
  }
}

/**
 * Computes the values of a metric, keyed by name (a single number has the name `value`). Throws UserError if the metric
 * returns anything but numbers.
 */
export async function metricValues(
  { file }: LoadedHooks,
  { name, fn }: Metric,
  context: MetricContext,
): Promise<Record<string, number>> {
  const place = `${file}: metrics ${JSON.stringify(name)} at step ${context.step}`;
  let result: unknown;
  try {
    result = await settled(fn(context));
  } catch (error) {
    throw thrownBy(place, error);
  }
  const fault = metricFault(result);
  if (fault !== undefined) throw new UserError(`${place}: ${fault}.`);
  return typeof result === "number" ? { value: result } : result as Record<string, number>;
}
