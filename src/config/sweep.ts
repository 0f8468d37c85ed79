// Sweeps in a raw configuration and the variants that they produce. A list is a sweep if its key takes a single value, or if
// it is nested one level deeper than its key's list.

import { minimum } from "../base/extremes.ts";
import type { Keys } from "../base/keys.ts";
import { UserError } from "../base/errors.ts";
import { applyOverride } from "./override.ts";
import { CONFIG_KEYS } from "./schema.ts";
import { isMapping, showPath } from "../base/show.ts";
import { writeValue } from "./yaml.ts";

/** One value of a swept key. */
export type Choice = {
  /** The swept key, for example `optimizer.lr`. */
  key: string;
  value: unknown;
  /** The index of the value in the list, from 0. */
  index: number;
  /** The override that sets the key to the value, for example `optimizer.lr=0.001`. */
  override: string;
};

/** A raw configuration without sweeps, and the choices that produced it. */
export type Variant = { raw: Record<string, unknown>; choices: readonly Choice[] };

/**
 * Keys that cannot be swept, because a sweep sets them itself or shares them between its runs. A list as their value is an
 * error.
 */
export const NEVER_SWEPT: readonly string[] = ["name", "output.dir"];

/**
 * Returns the nesting depth of lists in a value: 0 if the value is not a list, otherwise 1 more than the smallest depth of
 * its entries.
 */
function depthOf(value: unknown): number {
  if (!Array.isArray(value)) return 0;
  return 1 + (value.length === 0 ? 0 : minimum(value.map(depthOf)));
}

type AnyKey = Keys[string];

const isList = (key: AnyKey): boolean => "entries" in key || "list" in key || "pair" in key;

/**
 * Returns the definition of an entry of a list (if `ofList`), or of the key `name` of a mapping. The mapping may be the
 * short form of a list with one entry.
 */
function childOf(key: AnyKey, name: string, ofList: boolean): AnyKey | undefined {
  if (ofList) {
    return "entries" in key
      ? { keys: key.entries, doc: key.doc }
      : isList(key)
      ? { doc: key.doc }
      : undefined;
  }
  const keys = "entries" in key ? key.entries : "keys" in key ? key.keys : {};
  if (Object.hasOwn(keys, name)) return keys[name];
  return "others" in key ? { doc: key.doc } : undefined;
}

/** Returns the first swept key, in the order of the file, with its values; undefined if no key is swept. */
function firstSweep(
  definition: AnyKey,
  value: unknown,
  path: readonly string[],
): { key: string; values: unknown[] } | undefined {
  const listed = Array.isArray(value);
  if (listed && value.length > 0 && depthOf(value) > Number(isList(definition))) {
    return NEVER_SWEPT.includes(path.join(".")) ? undefined : { key: showPath(path), values: value };
  }
  if (!listed && !isMapping(value)) return undefined;
  for (const [key, entry] of Object.entries(value)) {
    const child = childOf(definition, key, listed);
    const sweep = child && firstSweep(child, entry, [...path, key]);
    if (sweep) return sweep;
  }
  return undefined;
}

/**
 * Yields the variants of a raw configuration: the cartesian product of its sweeps, in which the first key of the file changes
 * slowest. Without sweeps it yields one variant without choices.
 *
 * @param place the configuration's path, for error messages
 * @throws {UserError} if a sweep lists a value twice
 */
export function* variantsOf(
  raw: Record<string, unknown>,
  place: string,
  choices: readonly Choice[] = [],
): Generator<Variant> {
  const swept = firstSweep({ keys: CONFIG_KEYS, doc: "" }, raw, []);
  if (!swept) {
    yield { raw, choices };
    return;
  }
  const written = swept.values.map(writeValue);
  const duplicate = written.find((value, i) => written.indexOf(value) < i);
  if (duplicate !== undefined) throw new UserError(`${place}: ${swept.key}: ${duplicate} is listed twice.`);
  for (const [index, value] of swept.values.entries()) {
    const override = `${swept.key}=${written[index]}`;
    yield* variantsOf(applyOverride(raw, override), place, [...choices, {
      key: swept.key,
      value,
      index,
      override,
    }]);
  }
}

/** Maps each key to its shortest unique suffix, such as `lr`, or `model.dropout` if there is also `block.dropout`. */
export function shortKeys(keys: readonly string[]): Map<string, string> {
  const end = (key: string, parts: number) => key.split(".").slice(-parts).join(".");
  return new Map(keys.map((key) => {
    let parts = 1;
    while (
      end(key, parts) !== key && keys.some((other) => other !== key && end(other, parts) === end(key, parts))
    ) {
      parts++;
    }
    return [key, end(key, parts)];
  }));
}

/**
 * Returns a value as part of a file name. Numbers and words are unchanged, the entries of a list are joined, and a mapping
 * becomes its index in the sweep, from 1.
 */
export function valueLabel({ value, index }: Choice): string {
  if (isMapping(value)) return String(index + 1);
  const text = Array.isArray(value) ? value.map((entry) => writeValue(entry)).join(",") : String(value);
  const plain = text.replaceAll(/[^\w.,+-]+/g, "_").slice(0, 40);
  return plain === "" ? String(index + 1) : plain;
}
