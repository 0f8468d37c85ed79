// Validators of fields in JSON objects from other sources, with descriptions for error messages.
import { isMapping } from "../base/show.ts";

/** A kind of value, with its description for error messages: "expected ...". */
export interface Kind {
  /** The description that follows "expected" in a message. */
  readonly expected: string;
  /** Whether a value is of this kind. */
  readonly holds: (value: unknown) => boolean;
}

/** Creates a kind. */
export const kind = (expected: string, holds: Kind["holds"]): Kind => ({ expected, holds });

/** Any text. */
export const text: Kind = kind("text", (value) => typeof value === "string");
/** A truth value. */
export const flag: Kind = kind("true or false", (value) => typeof value === "boolean");
/** Any number, including NaN and the infinities, which are restored from status fields. */
export const number: Kind = kind("a number", (value) => typeof value === "number");
/** A whole number of either sign. */
export const integer: Kind = kind("a whole number", Number.isSafeInteger);
/** An integer of at least 0. */
export const count: Kind = kind(
  "a whole number of at least 0",
  (value) => Number.isSafeInteger(value) && Number(value) >= 0,
);
/** An object with any fields. */
export const mapping: Kind = kind("an object", isMapping);
/** A list of texts. */
export const texts: Kind = kind(
  "a list of texts",
  (value) => Array.isArray(value) && value.every(text.holds),
);

/** Returns a kind that also allows null. */
export const orNull = ({ expected, holds }: Kind): Kind =>
  kind(`${expected} or null`, (value) => value === null || holds(value));

/** Returns the kind of an object with at least the given fields. */
export function object(fields: Readonly<Record<string, Kind>>): Kind {
  const parts = Object.entries(fields);
  const expected = `an object of ${parts.map(([name, { expected }]) => `${name} (${expected})`).join(", ")}`;
  return kind(
    expected,
    (value) => isMapping(value) && parts.every(([name, { holds }]) => holds(value[name])),
  );
}
