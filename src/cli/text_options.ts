// Options for the input of a model, which is a text or token ids, and for a token that is put before this input.
import type { TextOrIds } from "../model/passes.ts";
import { numberOption, type OptionSpec } from "./options.ts";
import type { Tokenizer } from "../data/mod.ts";
import { UserError } from "../base/errors.ts";

/** The options `--text`, `--ids` and `--first`; a script may replace their help. */
export const TEXT_OPTIONS: Readonly<Record<"text" | "ids" | "first", OptionSpec>> = {
  text: {
    type: "string",
    value: "TEXT",
    help: "a text of at most model.context tokens; default: sample.prompt",
  },
  ids: { type: "string", value: "N,N", help: "token ids instead of a text, separated by commas" },
  first: {
    type: "string",
    value: "TOKEN",
    help: "a token to prepend, as text or id; the text may then be empty",
  },
};

/**
 * Parses the value of an option as token ids separated by commas or spaces.
 *
 * @throws {UserError} if there is no id, or one is not a whole number of at least 0
 *
 * @example
 * ```ts
 * import { idsOption } from "./mod.ts";
 * idsOption("ids", "12,7,9"); // [12, 7, 9]
 * ```
 */
export function idsOption(name: string, text: string): number[] {
  return text.trim().split(/\s*,\s*|\s+/).map((id) => numberOption(name, id, { min: 0, whole: true })!);
}

/**
 * Returns the id of the token of `--first`, which is given as its text or as its id. Throws UserError if the value is neither.
 */
function firstId(tokenizer: Tokenizer, token: string): number {
  let ids: ArrayLike<number> = [];
  try {
    ids = tokenizer.encode(token);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  if (ids.length === 1) return ids[0];
  if (/^\d+$/.test(token) && Number(token) < tokenizer.size) return Number(token);
  throw new UserError(
    `--first: expected one token, or an id from 0 to ${tokenizer.size - 1}, found ${JSON.stringify(token)}.`,
  );
}

/**
 * Prepends the token of `--first` to the ids of a text; returns the text or ids unchanged if `first` is undefined.
 *
 * @throws {UserError} if `first` is not one token, or the text cannot be encoded
 */
export function withFirst(tokenizer: Tokenizer, text: TextOrIds, first: string | undefined): TextOrIds {
  if (first === undefined) return text;
  const ids = typeof text === "string" ? tokenizer.encode(text) : text;
  return Uint32Array.from([firstId(tokenizer, first), ...Array.from(ids)]);
}

/**
 * Returns the input of a script: the text of `--text` or the ids of `--ids`, preceded by the token of `--first` if that is
 * given. If only `--first` is given, its token is the whole input. If none of the three is given, the input is `defaultText`.
 *
 * @param values the options `text`, `ids` and `first`
 * @throws {UserError} if both a text and ids are given, or one of them is invalid
 *
 * @example
 * ```ts
 * import { askedText } from "./mod.ts";
 * import { byteTokenizer } from "../data/mod.ts";
 * askedText({ text: "b", first: "a" }, byteTokenizer(), "default"); // Uint32Array [97, 98]
 * ```
 */
export function askedText(
  { text, ids, first }: Readonly<Record<string, string | undefined>>,
  tokenizer: Tokenizer,
  defaultText: string,
): TextOrIds {
  if (text !== undefined && ids !== undefined) {
    throw new UserError("--ids: the text is given by --text; leave one of them out.");
  }
  const chosen = ids !== undefined ? idsOption("ids", ids) : text ?? (first === undefined ? defaultText : "");
  return withFirst(tokenizer, chosen, first);
}
