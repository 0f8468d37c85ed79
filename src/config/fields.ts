// Builds the validator of a table of keys. The messages in this file are the part after "expected"; the resolver adds the
// place and the value that was found.

import { type Key, type KeyKinds, type KeyList, type Keys, type KeySection, namesOf } from "../base/keys.ts";
import { z } from "./zod.ts";

/**
 * Converts text such as `1e-3` to a number, because YAML 1.1 parsers read `1e-3` as text, and so does every parser if it is
 * quoted.
 */
function fromExponent(value: unknown): unknown {
  const exponent = /^[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+$/i;
  return typeof value === "string" && exponent.test(value) ? Number(value) : value;
}

/** Maps each kind to a description of the values that it allows, for error messages. */
export const EXPECTED: Readonly<Record<keyof KeyKinds, string>> = {
  flag: "true or false",
  string: "text",
  text: "text that is not empty",
  number: "a number",
  integer: "an integer",
  positive: "a number above 0",
  amount: "a number of at least 0",
  fraction: "a number of at least 0 and below 1",
};

const LIMITS: { [kind: string]: (n: z.ZodNumber, error: string) => z.ZodNumber } = {
  integer: (n, error) => n.int({ error }),
  positive: (n, error) => n.gt(0, { error }),
  amount: (n, error) => n.min(0, { error }),
  fraction: (n, error) => n.min(0, { error }).lt(1, { error }),
};

/**
 * Returns a validator for values of a kind (default: integer) that are at least `least`; `or` is appended to the error
 * message.
 */
function valueOf(kind: keyof KeyKinds = "integer", least?: number, or = ""): z.ZodType {
  const expected = EXPECTED[kind];
  if (kind === "flag") return z.boolean({ error: or ? "true, false or null" : expected });
  if (kind === "string" || kind === "text") {
    const text = z.string({ error: expected });
    return kind === "text" ? text.min(1, { error: expected }) : text;
  }
  const error = expected + (least === undefined ? "" : ` of at least ${least}`) + or;
  const number = LIMITS[kind]?.(z.number({ error }), error) ?? z.number({ error });
  return z.preprocess(fromExponent, least === undefined ? number : number.min(least, { error }));
}

/** Joins words as "a, b or c"; a single word is quoted. */
function either(words: readonly string[]): string {
  const last = words[words.length - 1];
  return words.length === 1 ? `"${last}"` : `${words.slice(0, -1).join(", ")} or ${last}`;
}

/** Returns a validator for a key whose value is one of `words` or, if the key has a kind, a value of that kind. */
function wordOf({ is }: Key, words: readonly string[], orNull: boolean): z.ZodType {
  if (is === undefined) {
    return z.enum(words as [string], { error: either(orNull ? [...words, "null"] : words) });
  }
  const word = words.length === 1 ? z.literal(words[0]) : z.enum(words as [string]);
  const number = EXPECTED[is];
  const error = orNull ? [...words, number, "or null"].join(", ") : either([...words, number]);
  return z.union([word, valueOf(is)], { error });
}

/** Returns a validator for the values of a key other than null. */
function heldBy(key: Key, orNull: boolean): z.ZodType {
  const { is, oneOf, least, matches, list, pair, expected: error } = key;
  if (matches) return z.string({ error }).regex(matches, { error });
  if (list) return z.array(valueOf(list, least), { error });
  if (pair) return z.tuple([valueOf(pair), valueOf(pair)], { error });
  return oneOf ? wordOf(key, namesOf(oneOf), orNull) : valueOf(is, least, orNull ? ", or null" : "");
}

/** Returns the validator of a key, a section or a list. */
function schemaOf(key: Key | KeySection | KeyList): z.ZodType {
  if ("keys" in key) {
    const mapping = section(key.keys, key.others);
    return (key.default === null ? mapping.nullable().default(null) : mapping.prefault({})).describe(key.doc);
  }
  if ("entries" in key) {
    const list = z.array(section(key.entries), { error: key.expected });
    return (key.from ? z.preprocess(key.from, list) : list).default([]).describe(key.doc);
  }
  const orNull = key.default === null || key.orNull === true;
  const held = heldBy(key, orNull);
  const read = key.from ? z.preprocess(key.from, held) : held;
  const nullable = orNull ? read.nullable() : read;
  return (key.default === undefined ? nullable : nullable.default(key.default)).describe(key.doc);
}

/**
 * Returns the validator of a table of keys. It rejects keys that are not in the table, unless `others` describes the values
 * that such keys may have.
 */
export function section(keys: Keys, others?: string): z.ZodObject {
  const shape = Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, schemaOf(key)]));
  const error = "a mapping of keys";
  if (others === undefined) return z.strictObject(shape, { error });
  const value = z.union([z.number(), z.boolean(), z.string(), z.null()], { error: others });
  return z.object(shape, { error }).catchall(value);
}
