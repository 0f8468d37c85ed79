// Which lists in a raw configuration are sweeps, and the variants that they stand for. The schema decides: a list where
// it wants one value, or one list more than it wants.

import { maximum, minimum } from "../base/extremes.ts";
import { UserError } from "../base/errors.ts";
import { applyOverride } from "./override.ts";
import { definition } from "./schema.ts";
import { isMapping, showPath } from "../base/show.ts";
import { writeValue } from "./yaml.ts";

/** What a schema of the validator is made of, as far as lists are concerned. */
type Def = {
  type: string;
  innerType?: Schema;
  in?: Schema;
  out?: Schema;
  shape?: Record<string, Schema>;
  catchall?: Schema;
  element?: Schema;
  items?: Schema[];
  options?: Schema[];
};
type Schema = { _zod: { def: Def } };

/** One of the values of a swept key. */
export type Choice = {
  /** `optimizer.lr` */
  key: string;
  value: unknown;
  /** Its place in the list, from 0. */
  index: number;
  /** The override that makes it: `optimizer.lr=0.001`. */
  override: string;
};

/** A raw configuration without sweeps, and the choices that led to it. */
export type Variant = { raw: Record<string, unknown>; choices: readonly Choice[] };

/** The runs name themselves and share a folder: a list there is a mistake. */
export const NEVER_SWEPT: readonly string[] = ["name", "output.dir"];

/** A schema without its default, its null and its conversion. */
function bare(schema: Schema): Def {
  const { def } = schema._zod;
  const converts = def.type === "pipe" && def.in!._zod.def.type === "transform";
  const next = def.type === "pipe" ? (converts ? def.out : def.in) : def.innerType;
  return next ? bare(next) : def;
}

/** How many lists within one another a schema takes: 0 for one value, 1 for a list of them. */
function wantedDepth(schema: Schema): number {
  const { type, element, items, options } = bare(schema);
  if (type === "array") return 1 + wantedDepth(element!);
  if (type === "tuple") return 1 + maximum(items!.map(wantedDepth), 0);
  if (type === "union") return maximum(options!.map(wantedDepth));
  return ["any", "unknown", "custom"].includes(type) ? Infinity : 0;
}

/** How many lists within one another a value is, everywhere in it. */
function depthOf(value: unknown): number {
  if (!Array.isArray(value)) return 0;
  return 1 + (value.length === 0 ? 0 : minimum(value.map(depthOf)));
}

/** The schema of an entry of a list or of a key of a mapping; a mapping may stand for a list of one. */
function childOf(schema: Schema, key: string, ofList: boolean): Schema | undefined {
  const { type, element, items, options, shape, catchall } = bare(schema);
  if (type === "array") return ofList ? element : childOf(element!, key, false);
  if (type === "tuple") return ofList ? items![Number(key)] : undefined;
  if (type === "union") {
    return options!.map((option) => childOf(option, key, ofList)).find((child) => child !== undefined);
  }
  if (type !== "object" || ofList) return undefined;
  if (Object.hasOwn(shape!, key)) return shape![key];
  return catchall && catchall._zod.def.type !== "never" ? catchall : undefined;
}

/** The first sweep in the order of the file. */
function firstSweep(
  schema: Schema,
  value: unknown,
  path: readonly string[],
): { key: string; values: unknown[] } | undefined {
  const isList = Array.isArray(value);
  if (isList && value.length > 0 && depthOf(value) > wantedDepth(schema)) {
    return NEVER_SWEPT.includes(path.join(".")) ? undefined : { key: showPath(path), values: value };
  }
  if (!isList && !isMapping(value)) return undefined;
  for (const [key, entry] of Object.entries(value)) {
    const child = childOf(schema, key, isList);
    const found = child && firstSweep(child, entry, [...path, key]);
    if (found) return found;
  }
  return undefined;
}

/**
 * The variants that the sweeps of a raw configuration stand for, one after another: their cartesian product, the first
 * key of the file the slowest. One without choices where nothing is swept.
 *
 * @param place of the configuration, for messages
 * @throws {UserError} where a value is listed twice
 */
export function* variantsOf(
  raw: Record<string, unknown>,
  place: string,
  choices: readonly Choice[] = [],
): Generator<Variant> {
  const swept = firstSweep(definition as unknown as Schema, raw, []);
  if (!swept) {
    yield { raw, choices };
    return;
  }
  const written = swept.values.map(writeValue);
  const twice = written.find((value, i) => written.indexOf(value) < i);
  if (twice !== undefined) throw new UserError(`${place}: ${swept.key}: ${twice} is listed twice.`);
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

/** The shortest ends of keys that tell them apart: `lr`, and `model.dropout` beside `block.dropout`. */
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

/** A value as a part of a file's name: numbers and words as they are, lists joined, mappings by their place. */
export function valueLabel({ value, index }: Choice): string {
  if (isMapping(value)) return String(index + 1);
  const text = Array.isArray(value) ? value.map((entry) => writeValue(entry)).join(",") : String(value);
  const plain = text.replaceAll(/[^\w.,+-]+/g, "_").slice(0, 40);
  return plain === "" ? String(index + 1) : plain;
}
