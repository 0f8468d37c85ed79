// Byte-pair encoding over characters: pairs are merged in the order of a list.
import { cached, joiner, type Merge } from "../byte_bpe.ts";
import { type Fields, refuse } from "./fields.ts";
import { type Model, unknownPiece, vocabularyOf } from "./vocabulary.ts";

const UTF8 = new TextEncoder();

const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/**
 * @internal Returns the ids of the byte tokens (such as <0xE2>) for a text's UTF-8 bytes, or undefined if a byte has no token.
 */
export function fallback(text: string, ids: ReadonlyMap<string, number>): number[] | undefined {
  const bytes = Array.from(UTF8.encode(text), (byte) => ids.get(byteToken(byte)));
  return bytes.includes(undefined) ? undefined : bytes as number[];
}

/**
 * Returns the two tokens of each merge, which a file writes as "a b" or ["a", "b"]. The version line with which old files start
 * is skipped.
 */
function partsOf(fields: Fields): (readonly [string, string])[] {
  const written = fields.list("merges");
  const isText = typeof written[0] === "string";
  return written.flatMap((merge, i): (readonly [string, string])[] => {
    if (isText && typeof merge === "string" && merge.startsWith("#version")) return [];
    const parts: unknown = isText && typeof merge === "string"
      ? merge.split(" ")
      : isText
      ? undefined
      : merge;
    if (Array.isArray(parts) && parts.length === 2 && parts.every((part) => typeof part === "string")) {
      return [parts as [string, string]];
    }
    return refuse(`${fields.at("merges")}[${i}]`, merge, 'two tokens, all as "a b" or all as ["a", "b"]');
  });
}

function mergesOf(fields: Fields, ids: ReadonlyMap<string, number>, prefix: string): Merge[] {
  const place = fields.at("merges");
  return partsOf(fields).map(([a, b], i) => {
    const joined = a + b.slice(prefix.length);
    const [left, right, token] = [a, b, joined].map((part) => ids.get(part));
    if (left === undefined || right === undefined || token === undefined || !b.startsWith(prefix)) {
      const starts = prefix === "" ? "" : `, the second starting with ${JSON.stringify(prefix)},`;
      return refuse(`${place}[${i}]`, `${a} ${b}`, `two tokens of model.vocab${starts} that form a third`);
    }
    return { left, right, token };
  });
}

function checkDropout(fields: Fields): void {
  const dropout = fields.any("dropout") ?? null;
  if (dropout !== null && dropout !== 0) {
    refuse(fields.at("dropout"), dropout, "null or 0 (no dropout)");
  }
}

/** How files without a pre-tokenizer represent a space. */
const SPACES = ["▁", " "];

/** @internal True if no token has `space` after another character, so that no merge joins a space to the character before it. */
export function separatesSpaces(tokens: Iterable<string>, space: string): boolean {
  const escaped = RegExp.escape(space);
  const over = new RegExp(`[^${escaped}]${escaped}`, "v");
  for (const token of tokens) if (over.test(token)) return false;
  return true;
}

/**
 * Returns a function that splits a piece into words that no merge joins, so that the ids of a word can be cached. Returns
 * undefined if pieces cannot be split.
 */
function wordsOf(ids: ReadonlyMap<string, number>): ((piece: string) => string[]) | undefined {
  const space = SPACES.find((space) => ids.has(space) && separatesSpaces(ids.keys(), space));
  if (space === undefined) return undefined;
  const between = new RegExp(`(?<=[^${space}])(?=${space})`, "u");
  return (piece) => piece.split(between);
}

/**
 * Reads the fields that determine the initial tokens of a piece. The prefix is put before each character except the first, and
 * the suffix after the last character.
 */
function characterFields(fields: Fields) {
  return {
    unknown: fields.textOrNull("unk_token"),
    prefix: fields.textOrNull("continuing_subword_prefix") ?? "",
    suffix: fields.textOrNull("end_of_word_suffix") ?? "",
    fuses: fields.flag("fuse_unk", false),
    fallsBack: fields.flag("byte_fallback", false),
  };
}

function characterEncoder(
  ids: ReadonlyMap<string, number>,
  { unknown, prefix, suffix, fuses, fallsBack }: ReturnType<typeof characterFields>,
): (piece: string) => number[] {
  // Number keys are faster to look up than strings.
  const characters = new Map<number, number>();
  for (const [token, id] of ids) {
    const code = token.codePointAt(0) ?? 0;
    if (token.length === (code > 0xffff ? 2 : 1)) characters.set(code, id);
  }

  return (piece) => {
    const encoded: number[] = [];
    let unknowns = 0;
    // Adds the unknown token, which is held back until the next known character. Byte tokens that follow it meanwhile are added
    // before it.
    const flush = () => {
      if (unknowns > 0) encoded.push(ids.get(unknown!)!);
      unknowns = 0;
    };
    for (let at = 0, width = 1; at < piece.length; at += width) {
      const code = piece.codePointAt(at)!;
      width = code > 0xffff ? 2 : 1;
      const before = at > 0 ? prefix : "";
      const after = at + width === piece.length ? suffix : "";
      const isPlain = before === "" && after === "";
      const text = isPlain ? "" : before + String.fromCodePoint(code) + after;
      const id = isPlain ? characters.get(code) : ids.get(text);
      if (id !== undefined) {
        if (unknowns > 0) flush();
        encoded.push(id);
        continue;
      }
      const character = String.fromCodePoint(code);
      const bytes = fallsBack ? fallback(text || character, ids) : undefined;
      if (bytes) { for (const byte of bytes) encoded.push(byte); }
      else if (unknown !== null) {
        if (!fuses) flush();
        if (!ids.has(unknown)) unknownPiece(character, unknown);
        unknowns = 1;
      }
    }
    flush();
    return encoded;
  };
}

export function bpe(fields: Fields): Model {
  const vocabulary = vocabularyOf(fields);
  const { ids } = vocabulary;
  checkDropout(fields);
  const characters = characterFields(fields);
  const { prefix, suffix } = characters;
  const wholeFirst = fields.flag("ignore_merges", false);
  const merges = mergesOf(fields, ids, prefix);
  const characterIds = characterEncoder(ids, characters);
  const join = joiner(merges);
  const joined = (text: string) => join(characterIds(text));
  const words = prefix + suffix === "" && !wholeFirst ? wordsOf(ids) : undefined;
  if (words) {
    const encodeWord = cached(joined);
    return { ...vocabulary, encode: (piece) => words(piece).flatMap(encodeWord) };
  }
  return {
    ...vocabulary,
    encode(piece) {
      const pieceId = wholeFirst ? ids.get(piece) : undefined;
      return pieceId !== undefined ? [pieceId] : joined(piece);
    },
  };
}
