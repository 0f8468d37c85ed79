// The kinds of values that keys take, each with the words that say what it expects. A message here completes the sentence
// "expected ..., found ...": the resolver adds the place and the value.

import { z } from "./zod.ts";

/** YAML 1.1 parsers and quotes leave `1e-3` a string; where a number is wanted it is that number. */
function fromExponent(value: unknown): unknown {
  const exponent = /^[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+$/i;
  return typeof value === "string" && exponent.test(value) ? Number(value) : value;
}

/** A number, whatever is written for it. */
export type NumberSchema = z.ZodType<number>;

/** A number within a limit; 1e-3 in quotes is one. */
export function numeric(error: string, limit: (number: z.ZodNumber) => z.ZodNumber): NumberSchema {
  return z.preprocess(fromExponent, limit(z.number({ error })));
}

/** A whole number, of at least `least` where it is given; `or` goes on with what else is allowed. */
export function integer(least?: number, or = ""): NumberSchema {
  const error = (least === undefined ? "an integer" : `an integer of at least ${least}`) + or;
  return numeric(
    error,
    (n) => least === undefined ? n.int({ error }) : n.int({ error }).min(least, { error }),
  );
}

/** 0 <= x < 1; `or` goes on with what else is allowed. */
export function fraction(or = ""): NumberSchema {
  const error = "a number of at least 0 and below 1" + or;
  return numeric(error, (n) => n.min(0, { error }).lt(1, { error }));
}

/** x > 0; `or` goes on with what else is allowed. */
export function positive(or = ""): NumberSchema {
  const error = "a number above 0" + or;
  return numeric(error, (n) => n.gt(0, { error }));
}

/** x >= 0. */
export function notNegative(): NumberSchema {
  const error = "a number of at least 0";
  return numeric(error, (n) => n.min(0, { error }));
}

/** true or false. */
export function flag(): z.ZodBoolean {
  return z.boolean({ error: "true or false" });
}

/** Any text. */
export function text(): z.ZodString {
  return z.string({ error: "text" });
}

/** Text with something in it. */
export function nonEmptyText(): z.ZodString {
  const error = "text that is not empty";
  return z.string({ error }).min(1, { error });
}

/** One of some names. */
export function oneOf<const T extends readonly [string, ...string[]]>(
  ...names: T
): z.ZodEnum<{ [K in T[number]]: K }> {
  return named(names, names);
}

/** One of some names, or null. */
export function oneOfOrNull<const T extends readonly [string, ...string[]]>(
  ...names: T
): z.ZodNullable<z.ZodEnum<{ [K in T[number]]: K }>> {
  return named(names, [...names, "null"]).nullable();
}

function named<const T extends readonly [string, ...string[]]>(names: T, told: readonly string[]) {
  const last = told[told.length - 1];
  const error = told.length === 1 ? `"${last}"` : `${told.slice(0, -1).join(", ")} or ${last}`;
  return z.enum(names, { error }) as unknown as z.ZodEnum<{ [K in T[number]]: K }>;
}

/** A number, or one of some words. */
export function numberOr<const T extends readonly [string, ...string[]]>(
  ...words: T
): z.ZodUnion<[z.ZodEnum<{ [K in T[number]]: K }>, NumberSchema]> {
  return z.union([z.enum(words) as never, numeric("", (n) => n)], {
    error: `${words.join(", ")} or a number`,
  });
}

/** A mapping of known keys; others are refused. */
export function section<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, { error: "a mapping of keys" });
}
