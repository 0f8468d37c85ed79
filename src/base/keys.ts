// Tables that describe configuration keys: their types, defaults and descriptions. The TypeScript types and the validator
// of the configuration are derived from these tables.

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

/** The names allowed as a key's value: a list, or an object whose property names are the allowed names. */
export type Names = readonly string[] | Readonly<Record<string, unknown>>;

/**
 * A key. Its value is a name from a fixed set (`oneOf`), a value of some kind (`is`), or either of these if both are given;
 * or it is a list (`list`) or a pair of numbers (`pair`).
 */
export interface Key {
  /** The kind of the key's value. */
  readonly is?: keyof KeyKinds;
  /** The names allowed as the key's value. */
  readonly oneOf?: Names;
  /**
   * The minimum of the value, which is a whole number if `is` is not given; with `list`, the minimum of every number in the
   * list.
   */
  readonly least?: number;
  /** The value is a text that matches this pattern. */
  readonly matches?: RegExp;
  /** The value is a list whose entries are of this kind. */
  readonly list?: keyof KeyKinds;
  /** The value is a pair of numbers of this kind. */
  readonly pair?: keyof KeyKinds;
  /** For messages: a description of a valid list or matching text. */
  readonly expected?: string;
  /** Converts a short form of the value to its full form, before validation. */
  from?(raw: unknown): unknown;
  /** If true, null is allowed, whatever the default is. */
  readonly orNull?: true;
  /** The key's default value. If the default is null, null is an allowed value. A key without a default is required. */
  readonly default?: unknown;
  /** A description of the meaning, for users. */
  readonly doc: string;
}

/** A mapping of keys. */
export interface KeySection {
  /** The keys of the mapping. */
  readonly keys: Keys;
  /** If given, the section may be null, and is null by default. */
  readonly default?: null;
  /** If given, keys that are not in `keys` are allowed too; the text describes their values in messages. */
  readonly others?: string;
  /** A description of the meaning, for users. */
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
 * Maps a table of keys to the type of an object that holds their values.
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

/** Returns the allowed names as a list. */
export const namesOf = (names: Names): readonly string[] => Array.isArray(names) ? names : Object.keys(names);

/** Returns an object that holds the default of every key of a table. */
export function defaultsOf<K extends Keys>(keys: K): KeyValues<K> {
  const values = Object.entries(keys).map(([name, key]) => {
    if ("entries" in key) return [name, []];
    return [name, "keys" in key && key.default === undefined ? defaultsOf(key.keys) : key.default];
  });
  return Object.fromEntries(values) as KeyValues<K>;
}
