// The hooks of a training as its loop calls them. What a hook returns is checked at once: a mistake is one line with the file,
// the export, what was returned and what was expected.
import { randomStream } from "../base/random.ts";
import { isMapping, showPath } from "../base/show.ts";
import { type Batch, IGNORE } from "../data/mod.ts";
import { callUser, thrownBy, UserError } from "../base/errors.ts";
import { globOf, patternHint } from "../base/glob.ts";
import { FIELDS } from "../log/record_fields.ts";
import { describe, isRecord } from "../base/user_file.ts";
import { settled } from "../base/user_promise.ts";
import type { LoadedHooks, Metric, MetricContext, StepContext } from "./hooks.ts";

/** What every hook of a run knows: the run's seed, and the size of its vocabulary. */
export interface HookRun {
  readonly seed: number;
  readonly vocabulary: number;
}

/** Calls a hook that gets a step's context; what it throws has the place before it. */
function call<T>(
  { file, keys }: LoadedHooks,
  { seed, vocabulary }: HookRun,
  what: "batch" | "freeze",
  step: number,
  hook: (context: StepContext) => T,
): { place: string; found: T } {
  const random = randomStream(seed, `hooks ${what} ${step}`);
  const place = `${file}: ${what} at step ${step}`;
  return { place, found: callUser(place, () => hook({ step, random, vocabulary, keys })) };
}

/** Throws at an id that the model has no row for. */
function checkIds(place: string, name: "ids" | "targets", ids: Uint32Array, vocabulary: number): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] < vocabulary || name === "targets" && ids[i] === IGNORE) continue;
    const [what, or] = name === "ids" ? ["id", ""] : ["target", `, or IGNORE (${IGNORE})`];
    throw new UserError(
      `${place}: ${what} ${ids[i]}, vocabulary ${vocabulary}; expected 0 to ${vocabulary - 1}${or}.`,
    );
  }
}

/** The batches of a step as training sees them: those of the source, through the transform if there is one. */
export function applyBatchHook(
  hooks: LoadedHooks | undefined,
  run: HookRun,
  step: number,
  batches: readonly Batch[],
): readonly Batch[] {
  if (!hooks?.batch) return batches;
  const { batch: transform } = hooks;
  // One stream for all batches of the step.
  const { place, found } = call(hooks, run, "batch", step, (context) => {
    return batches.map((batch) => transform(batch, context));
  });
  for (const [i, made] of found.entries()) {
    for (const name of ["ids", "targets"] as const) {
      const own: unknown = made?.[name];
      const { length } = batches[i][name];
      if (!(own instanceof Uint32Array) || own.length !== length) {
        const size = own instanceof Uint32Array ? ` of ${own.length}` : "";
        const what = isMapping(made) && !(made instanceof Promise)
          ? `${name}: ${describe(own)}${size}`
          : describe(made);
        throw new UserError(
          `${place}: expected { ids, targets } of ${length} numbers each in a Uint32Array, found ${what}.`,
        );
      }
      checkIds(place, name, own, run.vocabulary);
    }
  }
  return found;
}

/** The names of the parameters that a step leaves alone. */
export function frozenNames(
  hooks: LoadedHooks,
  run: HookRun,
  step: number,
  names: readonly string[],
): ReadonlySet<string> {
  const { place, found } = call<unknown>(hooks, run, "freeze", step, hooks.freeze!);
  if (!Array.isArray(found)) {
    throw new UserError(`${place}: expected a list of globs over parameter names, found ${describe(found)}.`);
  }
  return new Set(found.flatMap((glob: unknown) => {
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

/** Fields of a record that are not a metric's to name. */
const RESERVED = new Set(["v", "type", "status", "__proto__", ...Object.keys(FIELDS.stat)]);

/** What is wrong with what a metric returned; undefined where nothing is. */
function metricFault(found: unknown): string | undefined {
  const expected = "expected a number or a flat record of numbers";
  if (typeof found === "number") return undefined;
  const entries = isRecord(found) ? Object.entries(found) : [];
  if (entries.length === 0) return `${expected}, found ${isRecord(found) ? "an empty one" : describe(found)}`;
  for (const [name, value] of entries) {
    if (RESERVED.has(name) || /_status$/.test(name)) {
      return `${name}: a field of every record has this name; expected another`;
    }
    if (typeof value !== "number") return `${expected}, found ${showPath([name])}: ${describe(value)}`;
  }
}

/** What a metric gives, by name, `value` where it is one number; throws UserError at anything but numbers under own names. */
export async function metricValues(
  { file }: LoadedHooks,
  { name, fn }: Metric,
  context: MetricContext,
): Promise<Record<string, number>> {
  const place = `${file}: metrics ${JSON.stringify(name)} at step ${context.step}`;
  let found: unknown;
  try {
    found = await settled(fn(context));
  } catch (error) {
    throw thrownBy(place, error);
  }
  const fault = metricFault(found);
  if (fault !== undefined) throw new UserError(`${place}: ${fault}.`);
  return typeof found === "number" ? { value: found } : found as Record<string, number>;
}
