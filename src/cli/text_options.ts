// The options by which scripts ask a model about a text: the text itself, its ids, or either behind a first token.
import type { TextOrIds } from "../model/passes.ts";
import { numberOption, type OptionSpec } from "./options.ts";
import type { Tokenizer } from "../data/mod.ts";
import { UserError } from "../base/errors.ts";

/** The options for a text; a script may give one of them another help. */
export const TEXT_OPTIONS: Readonly<Record<"text" | "ids" | "first", OptionSpec>> = {
  text: { type: "string", value: "TEXT", help: "at most the model's context; sample.prompt by default" },
  ids: { type: "string", value: "N,N", help: "token ids in the place of a text, separated by commas" },
  first: {
    type: "string",
    value: "TOKEN",
    help: "a token put before the text, as text or id; the text may then be empty",
  },
};

/**
 * Token ids given as an option, with commas or spaces between them.
 *
 * @throws {UserError} where there are none, or one is no whole number of at least 0
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

/** The id of a token: of a text that is one token, else of the id's own number. */
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
 * A text or its ids behind a first token, as `--first` names it: where that is left out, what is given.
 *
 * @throws {UserError} where the first token is not one, or the text cannot be encoded
 */
export function withFirst(tokenizer: Tokenizer, given: TextOrIds, first: string | undefined): TextOrIds {
  if (first === undefined) return given;
  const ids = typeof given === "string" ? tokenizer.encode(given) : given;
  return Uint32Array.from([firstId(tokenizer, first), ...Array.from(ids)]);
}

/**
 * What a script asks a model about: `--text` or `--ids` behind `--first`; without a text `--first` alone, and without all of
 * them the default.
 *
 * @param values the options `text`, `ids` and `first`
 * @throws {UserError} where both a text and ids are given, or one of them is none
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
  unasked: string,
): TextOrIds {
  if (text !== undefined && ids !== undefined) {
    throw new UserError("--ids: the text is given by --text; leave one of them out.");
  }
  const given = ids !== undefined ? idsOption("ids", ids) : text ?? (first === undefined ? unasked : "");
  return withFirst(tokenizer, given, first);
}
