// Reads a tokenizer.json field by field. Unsupported fields and values are refused with their path, so that nothing in a
// file is silently ignored.
import { closestString, UserError } from "../../base/errors.ts";

export type Json = Readonly<Record<string, unknown>>;

export const isObject = (x: unknown): x is Json => typeof x === "object" && x !== null && !Array.isArray(x);

/** Maximum number of UTF-16 units of a value that an error shows. */
const SHOWN = 80;

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN).toWellFormed()}...` : text;
}

/** @internal Refuses a field: throws UserError with its path, its value and what is supported. */
export function refuse(place: string, value: unknown, expected: string): never {
  throw new UserError(`tokenizer.json: ${place} is ${shown(value)}; supported: ${expected}.`);
}

/** @internal Typed access to the fields of a mapping; `missing` is the default of an absent field. */
export type Fields = ReturnType<typeof fieldsOf>;

const isNatural = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

/**
 * @internal Returns access to the fields of the mapping `value`, whose path is `place`; refuses a value that is not a mapping.
 */
export function fieldsOf(value: unknown, place: string) {
  if (!isObject(value)) refuse(place || "the file", value, "a mapping");
  const known = new Set<string>();
  const get = (key: string): unknown => {
    known.add(key);
    return Object.hasOwn(value, key) ? value[key] : undefined;
  };
  /** Returns the path of a field. */
  const at = (key: string) => place === "" ? key : `${place}.${key}`;
  const text = (key: string, missing?: string): string => {
    const read = get(key) ?? (key in value ? null : missing);
    return typeof read === "string" && read.isWellFormed() ? read : refuse(at(key), get(key), "a text");
  };
  return {
    place,
    at,
    any: get,
    flag(key: string, missing: boolean): boolean {
      const read = get(key);
      if (read === undefined) return missing;
      return typeof read === "boolean" ? read : refuse(at(key), read, "true or false");
    },
    text,
    filled: (key: string, missing?: string): string =>
      text(key, missing) || refuse(at(key), "", "a text that is not empty"),
    textOrNull: (key: string): string | null => (get(key) ?? null) === null ? null : text(key),
    character(key: string, missing?: string): string {
      const read = text(key, missing);
      return [...read].length === 1 ? read : refuse(at(key), read, "one character");
    },
    integer(key: string, least: number, missing?: number): number {
      const read = get(key) ?? (key in value ? null : missing);
      if (isNatural(read) && read >= least) return read;
      return refuse(at(key), get(key), `a whole number of at least ${least}`);
    },
    oneOf<T extends string>(key: string, all: readonly T[], missing?: T): T {
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
    list(key: string): readonly unknown[] {
      const read = get(key);
      return Array.isArray(read) ? read : refuse(at(key), read, "a list");
    },
    /** Accepts fields that do not affect ids or text. */
    ignore: (...keys: string[]): void => keys.forEach((key) => known.add(key)),
    /** Refuses fields that were neither read nor ignored. */
    done(): void {
      for (const key of Object.keys(value)) {
        if (!known.has(key)) refuse(at(key), value[key], [...known].join(", "));
      }
    },
  };
}

export type Makers<T> = Readonly<Record<string, (fields: Fields) => T>>;

/** @internal Makes a component with the maker for its `type`; refuses fields that the maker does not read. */
export function componentOf<T>(value: unknown, place: string, makers: Makers<T>): T {
  const fields = fieldsOf(value, place);
  const component = makers[fields.oneOf("type", Object.keys(makers))](fields);
  fields.done();
  return component;
}

export function componentsOf<T>(fields: Fields, key: string, makers: Makers<T>): T[] {
  return fields.list(key).map((value, i) => componentOf(value, `${fields.at(key)}[${i}]`, makers));
}
