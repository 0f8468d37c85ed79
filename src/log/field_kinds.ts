// What a field of a JSON object that somebody else may have written may hold, with the words for a message.
import { isMapping } from "../base/show.ts";

/** What a field may hold, with the words for a message: "expected ...". */
export interface Kind {
  /** After "expected". */
  readonly expected: string;
  /** Whether a value is of it. */
  readonly holds: (value: unknown) => boolean;
}

/** A kind of field. */
export const kind = (expected: string, holds: Kind["holds"]): Kind => ({ expected, holds });

/** Any text. */
export const text: Kind = kind("text", (value) => typeof value === "string");
/** A truth value. */
export const flag: Kind = kind("true or false", (value) => typeof value === "boolean");
/** NaN and the infinities too, once their status is read. */
export const number: Kind = kind("a number", (value) => typeof value === "number");
/** A whole number of either sign. */
export const integer: Kind = kind("a whole number", Number.isSafeInteger);
/** A whole number that counts something. */
export const count: Kind = kind(
  "a whole number of at least 0",
  (value) => Number.isSafeInteger(value) && Number(value) >= 0,
);
/** An object of any fields. */
export const mapping: Kind = kind("an object", isMapping);
/** A list of texts. */
export const texts: Kind = kind(
  "a list of texts",
  (value) => Array.isArray(value) && value.every(text.holds),
);

/** A kind, or null. */
export const orNull = ({ expected, holds }: Kind): Kind =>
  kind(`${expected} or null`, (value) => value === null || holds(value));

/** An object with some fields, and maybe others. */
export function object(fields: Readonly<Record<string, Kind>>): Kind {
  const parts = Object.entries(fields);
  const expected = `an object of ${parts.map(([name, { expected }]) => `${name} (${expected})`).join(", ")}`;
  return kind(
    expected,
    (value) => isMapping(value) && parts.every(([name, { holds }]) => holds(value[name])),
  );
}
