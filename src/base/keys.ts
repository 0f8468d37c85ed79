// Configuration keys as plain tables of types, defaults and descriptions: TypeScript types and the configuration's validator
// are derived from them.

/** The value type of each kind of key. */
export interface KeyKinds {
  /** true or false */
  flag: boolean;
  /** Any text. */
  string: string;
  /** Non-empty text. */
  text: string;
  /** Any number. */
  number: number;
  /** A whole number. */
  integer: number;
  /** A number above 0. */
  positive: number;
  /** A number of at least 0. */
  amount: number;
  /** A number of at least 0 and below 1. */
  fraction: number;
}

/** The allowed names of a key: a list, or the keys of an object. */
export type Names = readonly string[] | Readonly<Record<string, unknown>>;

/** A key. Its value is one of several names or a value of a kind, or may be either; or it is a list, or a pair of numbers. */
export interface Key {
  /** The kind of its value. */
  readonly is?: keyof KeyKinds;
  /** Its allowed names. */
  readonly oneOf?: Names;
  /** The value is a whole number of at least this; with `list`, a list of numbers of at least this. */
  readonly least?: number;
  /** The value is a text that matches this pattern. */
  readonly matches?: RegExp;
  /** The kind of its list's entries. */
  readonly list?: keyof KeyKinds;
  /** The kind of its two numbers. */
  readonly pair?: keyof KeyKinds;
  /** For messages: a description of a valid list or matching text. */
  readonly expected?: string;
  /** Converts a short form to the full value, before validation. */
  from?(raw: unknown): unknown;
  /** null is allowed, although it is not the default. */
  readonly orNull?: true;
  /** Its default. If it is null, null is an allowed value. A key without a default is required. */
  readonly default?: unknown;
  /** Its description. */
  readonly doc: string;
}

/** A mapping of keys. */
export interface KeySection {
  /** Its keys. */
  readonly keys: Keys;
  /** If given, the section may be null, and is null by default. */
  readonly default?: null;
  /** If given, other keys are allowed too; this describes their values, for messages. */
  readonly others?: string;
  /** Its description. */
  readonly doc: string;
}

/** A list of mappings. Default: empty. */
export interface KeyList extends Pick<Key, "from" | "expected" | "doc"> {
  /** The keys of each mapping. */
  readonly entries: Keys;
}

/** A table of keys. */
export interface Keys {
  readonly [name: string]: Key | KeySection | KeyList;
}

/**
 * The type of a table's values.
 *
 * @example
 * ```ts
 * import type { KeyValues } from "./mod.ts";
 * const KEYS = { window: { least: 1, default: null, doc: "Keys that a query sees; null: all." } } as const;
 * const values: KeyValues<typeof KEYS> = { window: 3 }; // number | null
 * ```
 */
export type KeyValues<K> = {
  -readonly [P in keyof K]: K[P] extends { entries: infer E } ? KeyValues<E>[]
    : K[P] extends { list: infer I extends keyof KeyKinds } ? KeyKinds[I][]
    : K[P] extends { pair: infer I extends keyof KeyKinds } ? [KeyKinds[I], KeyKinds[I]]
    :
      | (K[P] extends { keys: infer S } ?
          & KeyValues<S>
          & (K[P] extends { others: string } ? { [key: string]: number | boolean | string | null } : unknown)
        : never)
      | (K[P] extends { oneOf: infer N } ? N extends readonly (infer S)[] ? S : keyof N : never)
      | (K[P] extends { is: infer I extends keyof KeyKinds } ? KeyKinds[I] : never)
      | (K[P] extends { least: number } ? number : K[P] extends { matches: RegExp } ? string : never)
      | (K[P] extends { default: null } | { orNull: true } ? null : never);
};

/** The allowed names as a list. */
export const namesOf = (names: Names): readonly string[] => Array.isArray(names) ? names : Object.keys(names);

/** The defaults of a table of keys. */
export function defaultsOf<K extends Keys>(keys: K): KeyValues<K> {
  const values = Object.entries(keys).map(([name, key]) => {
    if ("entries" in key) return [name, []];
    return [name, "keys" in key && key.default === undefined ? defaultsOf(key.keys) : key.default];
  });
  return Object.fromEntries(values) as KeyValues<K>;
}
