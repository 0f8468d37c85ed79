// Checks that all devices share. They find states that are redefined with another shape, inputs that do not fit, and
// unknown names.
import { didYouMean } from "../base/errors.ts";
import { formatSpec, sizeOf, type Spec, type Values } from "../graph/tensor.ts";

/** Throws if a state is requested with another shape or type than it has on the device. */
export function checkState(name: string, held: Spec, asked: Spec): void {
  if (formatSpec(held) !== formatSpec(asked)) {
    throw new Error(`State ${name} is ${formatSpec(held)}, not ${formatSpec(asked)}.`);
  }
}

/** Throws unless `values` has exactly one value per element of the tensor. */
export function checkLength(what: string, values: Values, spec: Spec): void {
  if (values.length === sizeOf(spec)) return;
  throw new Error(`${what} has ${values.length} values, expected ${sizeOf(spec)} for ${formatSpec(spec)}.`);
}

/**
 * Throws unless `feeds` has every input of a program with the right number of values. Other feeds are allowed, because
 * several programs may get the same feeds.
 */
export function checkFeeds(
  inputs: readonly { readonly name: string; readonly spec: Spec }[],
  feeds: Readonly<Record<string, Values>>,
): void {
  for (const { name, spec } of inputs) {
    if (!feeds[name]) throw new Error(`Input ${name} was not given, expected ${formatSpec(spec)}.`);
    checkLength(`Input ${name}`, feeds[name], spec);
  }
}

/** Returns the entry with this name; throws an error that lists the known names if there is none. */
export function entryOf<T>(what: string, entries: ReadonlyMap<string, T>, name: string): T {
  const entry = entries.get(name);
  if (entry !== undefined) return entry;
  const known = [...entries.keys()];
  if (known.length === 0) throw new Error(`No ${what} is named "${name}": there are none.`);
  const near = didYouMean(name, known);
  const list = ` Known: ${known.join(", ")}.`;
  throw new Error(`No ${what} is named "${name}".${near === list ? "" : near}${list}`);
}
