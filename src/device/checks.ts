// What both devices refuse, in the same words: a state under another shape, inputs that do not fit, names nobody gave.
import { didYouMean } from "../base/errors.ts";
import { formatSpec, sizeOf, type Spec, type Values } from "../graph/tensor.ts";

/** Throws unless a state is asked for as the device holds it. */
export function checkState(name: string, held: Spec, asked: Spec): void {
  if (formatSpec(held) !== formatSpec(asked)) {
    throw new Error(`State ${name} is ${formatSpec(held)}, not ${formatSpec(asked)}.`);
  }
}

/** Throws unless numbers from the host fill a tensor exactly. */
export function checkLength(what: string, values: Values, spec: Spec): void {
  if (values.length === sizeOf(spec)) return;
  throw new Error(`${what} has ${values.length} numbers, expected ${sizeOf(spec)} for ${formatSpec(spec)}.`);
}

/** Throws unless every input of a program is given, whole. More may be given: programs share their feeds. */
export function checkFeeds(
  inputs: readonly { readonly name: string; readonly spec: Spec }[],
  feeds: Readonly<Record<string, Values>>,
): void {
  for (const { name, spec } of inputs) {
    if (!feeds[name]) throw new Error(`Input ${name} was not given, expected ${formatSpec(spec)}.`);
    checkLength(`Input ${name}`, feeds[name], spec);
  }
}

/** The entry of a name; throws at one that is not there, with those that are. */
export function entryOf<T>(what: string, entries: ReadonlyMap<string, T>, name: string): T {
  const found = entries.get(name);
  if (found !== undefined) return found;
  const known = [...entries.keys()];
  if (known.length === 0) throw new Error(`No ${what} is named "${name}": there are none.`);
  const near = didYouMean(name, known);
  const list = ` Known: ${known.join(", ")}.`;
  throw new Error(`No ${what} is named "${name}".${near === list ? "" : near}${list}`);
}
