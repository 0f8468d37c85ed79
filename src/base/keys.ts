// Keys of a configuration as plain tables: what a key may be, its default and what it means, said once. Types are derived from
// the tables, and the configuration's validator is made of them.

/** What a key of each kind holds. */
export interface KeyKinds {
  /** true or false */
  flag: boolean;
  /** Any text. */
  string: string;
  /** Text that is not empty. */
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

/** A vocabulary: a list of names, or a table whose keys they are. */
export type Names = readonly string[] | Readonly<Record<string, unknown>>;

/** A key: one of some names, a value of a kind, or either; a list, or two numbers. */
export interface Key {
  /** What it holds. */
  readonly is?: keyof KeyKinds;
  /** The names it may have. */
  readonly oneOf?: Names;
  /** The least whole number it may be, or that its list may hold. */
  readonly least?: number;
  /** What a text must match. */
  readonly matches?: RegExp;
  /** What its list holds. */
  readonly list?: keyof KeyKinds;
  /** What its two numbers are. */
  readonly pair?: keyof KeyKinds;
  /** What is expected of a list or a matched text, in the words of a message. */
  readonly expected?: string;
  /** From what is written to what is checked, where a short form is allowed. */
  from?(raw: unknown): unknown;
  /** It may be null, though it is not by default. */
  readonly orNull?: true;
  /** Its value where none is given, null: it may be null; without a default a value must be given. */
  readonly default?: unknown;
  /** What it means. */
  readonly doc: string;
}

/** A mapping of keys. */
export interface KeySection {
  /** Its keys. */
  readonly keys: Keys;
  /** It may be null, and is by default. */
  readonly default?: null;
  /** Other keys are allowed beside them, and what is expected of those. */
  readonly others?: string;
  /** What it means. */
  readonly doc: string;
}

/** A list of mappings, empty by default. */
export interface KeyList extends Pick<Key, "from" | "expected" | "doc"> {
  /** The keys of each. */
  readonly entries: Keys;
}

/** A table of keys. */
export interface Keys {
  readonly [name: string]: Key | KeySection | KeyList;
}

/**
 * The values of a table of keys, as a type.
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

/** The names of a vocabulary. */
export const namesOf = (names: Names): readonly string[] => Array.isArray(names) ? names : Object.keys(names);

/** The defaults of a table of keys. */
export function defaultsOf<K extends Keys>(keys: K): KeyValues<K> {
  const values = Object.entries(keys).map(([name, key]) => {
    if ("entries" in key) return [name, []];
    return [name, "keys" in key && key.default === undefined ? defaultsOf(key.keys) : key.default];
  });
  return Object.fromEntries(values) as KeyValues<K>;
}
