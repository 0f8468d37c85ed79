// Reading a tokenizer.json field by field: each is checked against what is computed, and what is not is refused by its
// path, so that nothing in a file is passed over in silence.
import { closestString, UserError } from "../../base/errors.ts";

/** @internal A mapping of a parsed file. */
export type Json = Readonly<Record<string, unknown>>;

/** @internal Whether a value is a mapping. */
export const isObject = (x: unknown): x is Json => typeof x === "object" && x !== null && !Array.isArray(x);

/** How much of a value an error shows. */
const SHOWN = 80;

/** A value as an error shows it. */
function shown(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN).toWellFormed()}...` : text;
}

/** @internal Refuses a field: its path, what it is, what is computed. */
export function refuse(place: string, value: unknown, computed: string): never {
  throw new UserError(`tokenizer.json: ${place} is ${shown(value)}; computed: ${computed}.`);
}

/** @internal The path of a member. */
export const member = (place: string, key: string): string => place === "" ? key : `${place}.${key}`;

/** @internal The fields of one mapping; each `read` names a field that is known. */
export interface Fields {
  /** The path of the mapping. */
  readonly place: string;
  /** The path of a field. */
  at(key: string): string;
  /** The field as it is. */
  any(key: string): unknown;
  /** True or false; refused where it is neither, `missing` where it is not there. */
  flag(key: string, missing: boolean): boolean;
  /** A text; `missing` where it is not there. */
  text(key: string, missing?: string): string;
  /** A text that is not empty. */
  filled(key: string, missing?: string): string;
  /** A text or null. */
  textOrNull(key: string): string | null;
  /** One character. */
  character(key: string, missing?: string): string;
  /** A whole number from `least` on. */
  whole(key: string, least: number, missing?: number): number;
  /** One of some texts. */
  oneOf<T extends string>(key: string, all: readonly T[], missing?: T): T;
  /** A list. */
  list(key: string): readonly unknown[];
  /** Names fields that have no influence on ids or text. */
  ignore(...keys: string[]): void;
  /** Refuses what was not named. */
  done(): void;
}

const isWhole = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

/** @internal The fields of the mapping at `place`; refuses what is no mapping. */
export function fieldsOf(value: unknown, place: string): Fields {
  if (!isObject(value)) refuse(place || "the file", value, "a mapping");
  const known = new Set<string>();
  const get = (key: string): unknown => {
    known.add(key);
    return Object.hasOwn(value, key) ? value[key] : undefined;
  };
  const at = (key: string) => member(place, key);
  const text = (key: string, missing?: string): string => {
    const read = get(key) ?? (key in value ? null : missing);
    return typeof read === "string" && read.isWellFormed() ? read : refuse(at(key), get(key), "a text");
  };
  return {
    place,
    at,
    any: get,
    flag(key, missing) {
      const read = get(key);
      if (read === undefined) return missing;
      return typeof read === "boolean" ? read : refuse(at(key), read, "true or false");
    },
    text,
    filled: (key, missing) => text(key, missing) || refuse(at(key), "", "a text that is not empty"),
    textOrNull: (key) => (get(key) ?? null) === null ? null : text(key),
    character(key, missing) {
      const read = text(key, missing);
      return [...read].length === 1 ? read : refuse(at(key), read, "one character");
    },
    whole(key, least, missing) {
      const read = get(key) ?? (key in value ? null : missing);
      if (isWhole(read) && read >= least) return read;
      return refuse(at(key), get(key), `a whole number from ${least} on`);
    },
    oneOf(key, all, missing) {
      const read = get(key) ?? (key in value ? null : missing);
      if (all.includes(read as never)) return read as never;
      const near = typeof read === "string" ? closestString(read, all) : undefined;
      const computed = all.map((one) => JSON.stringify(one)).join(", ");
      return refuse(
        at(key),
        get(key),
        computed + (near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`),
      );
    },
    list(key) {
      const read = get(key);
      return Array.isArray(read) ? read : refuse(at(key), read, "a list");
    },
    ignore: (...keys) => keys.forEach((key) => known.add(key)),
    done() {
      for (const key of Object.keys(value)) {
        if (!known.has(key)) refuse(at(key), value[key], [...known].join(", "));
      }
    },
  };
}

/** @internal The makers of a kind of component, by `type`. */
export type Makers<T> = Readonly<Record<string, (fields: Fields) => T>>;

/** @internal A component by its `type`; every field must be one that its maker reads. */
export function componentOf<T>(value: unknown, place: string, makers: Makers<T>): T {
  const fields = fieldsOf(value, place);
  const made = makers[fields.oneOf("type", Object.keys(makers))](fields);
  fields.done();
  return made;
}

/** @internal The components of a list. */
export function componentsOf<T>(fields: Fields, key: string, makers: Makers<T>): T[] {
  return fields.list(key).map((value, i) => componentOf(value, `${fields.at(key)}[${i}]`, makers));
}
