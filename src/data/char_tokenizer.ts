// The tokenizer with one token per code point, which is used for small corpora and synthetic tasks.
import { UserError } from "../base/errors.ts";
import { partsOf } from "./ids.ts";
import type { TextPieces } from "./text_bytes.ts";
import { checkedPolicy, checkIds, type Tokenizer, UNKNOWN, type UnknownPolicy } from "./tokenizer.ts";

/**
 * Formats a character for an error message, such as `"é" (U+00E9)`. JSON quoting makes control characters and lone surrogates
 * visible.
 */
function describe(character: string): string {
  const hex = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `${JSON.stringify(character)} (U+${hex})`;
}

/** Returns the last index at which a text may be cut. A cut is allowed everywhere except inside a surrogate pair. */
export function cutCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00 ? text.length - 1 : text.length;
}

/**
 * Returns a table with an entry for each code point up to the largest in the vocabulary. The entry is the character's id + 1, or
 * 0 if the vocabulary lacks the code point.
 */
function tableOf(vocabulary: readonly string[]): Uint32Array {
  const table = new Uint32Array(vocabulary[vocabulary.length - 1].codePointAt(0)! + 1);
  vocabulary.forEach((character, id) => table[character.codePointAt(0)!] = id + 1);
  return table;
}

/** Encodes a text. An unknown character becomes the id `unknown`; if `unknown` is undefined, the function throws UserError. */
function encodeWith(table: Uint32Array, unknown: number | undefined, text: string, before: number) {
  const encoded = new Uint32Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const codePoint = text.codePointAt(i)!;
    if (codePoint > 0xffff) i++;
    const id = codePoint < table.length ? table[codePoint] - 1 : -1;
    if (id < 0 && unknown === undefined) {
      const character = describe(String.fromCodePoint(codePoint));
      const size = table.reduce((count, entry) => count + (entry > 0 ? 1 : 0), 0);
      throw new UserError(
        `Text has the unknown character ${character} at position ${before + length}; expected one of the ` +
          `tokenizer's ${size} characters, or a tokenizer with unknown "token".`,
      );
    }
    encoded[length++] = id < 0 ? unknown! : id;
  }
  return length === encoded.length ? encoded : encoded.slice(0, length);
}

function fromVocabulary(vocabulary: readonly string[], unknown: UnknownPolicy): Tokenizer {
  const table = tableOf(vocabulary);
  const texts = unknown === "token" ? [...vocabulary, UNKNOWN] : vocabulary;
  const other = unknown === "token" ? vocabulary.length : undefined;
  return {
    kind: "char",
    size: texts.length,
    encode: (text, before = 0) => encodeWith(table, other, text, before),
    cut: cutCharacters,
    decode: (encoded) => {
      checkIds(encoded, texts.length);
      return Array.from(encoded, (id) => texts[id]).join("");
    },
    toJSON: () => ({ kind: "char", vocabulary: [...vocabulary], unknown }),
  };
}

/**
 * Returns the character tokenizer of a text. The distinct code points of the text, in ascending order, get the ids 0, 1, 2, ...
 * With `unknown: "token"` there is one more id, the largest, which represents every other character and decodes to `<unk>`.
 *
 * Tokens are code points, not UTF-16 units: an emoji is one token. A lone surrogate counts as a code point (U+D800
 * to U+DFFF) and survives encode, decode and the JSON file. Positions in errors count code points from 0.
 *
 * @param options `unknown`: what an unknown character becomes. Default: "error".
 * @throws UserError if the text is empty; with "error", `encode` throws for an unknown character
 *
 * @example
 * ```ts
 * import { charTokenizer } from "./char_tokenizer.ts";
 * const tokenizer = charTokenizer("hello");
 * tokenizer.encode("hole"); // Uint32Array [1, 3, 2, 0]
 * tokenizer.decode([1, 0]); // "he"
 * ```
 * @category Data
 */
export function charTokenizer(text: TextPieces, options: { unknown?: UnknownPolicy } = {}): Tokenizer {
  const seen = new Uint8Array(0x110000);
  const codePoints: number[] = [];
  for (const part of partsOf(text, cutCharacters)) {
    for (let i = 0; i < part.length; i++) {
      const codePoint = part.codePointAt(i)!;
      if (codePoint > 0xffff) i++;
      if (seen[codePoint] === 0) codePoints.push(codePoint);
      seen[codePoint] = 1;
    }
  }
  const characters = codePoints.sort((a, b) => a - b).map((codePoint) => String.fromCodePoint(codePoint));
  if (characters.length === 0) {
    throw new UserError("Text is empty; a tokenizer needs at least one character.");
  }
  return fromVocabulary(characters, options.unknown ?? "error");
}

function checkedVocabulary(value: unknown): string[] {
  const place = "Tokenizer file: vocabulary";
  if (!Array.isArray(value) || value.length === 0) {
    throw new UserError(`${place} is ${JSON.stringify(value)}; expected a list of characters.`);
  }
  let previous = -1;
  value.forEach((entry: unknown, id) => {
    if (typeof entry !== "string" || [...entry].length !== 1) {
      throw new UserError(`${place}[${id}] is ${JSON.stringify(entry)}; expected one character.`);
    }
    const codePoint = entry.codePointAt(0)!;
    if (codePoint <= previous) {
      throw new UserError(
        `${place}[${id}] is ${describe(entry)} after ${describe(value[id - 1])}; ` +
          `expected each character once, ascending by code point.`,
      );
    }
    previous = codePoint;
  });
  return value;
}

/** Builds the character tokenizer from a checkpoint's parsed tokenizer.json; throws UserError for an invalid field. */
export function charTokenizerOf({ vocabulary, unknown }: Readonly<Record<string, unknown>>): Tokenizer {
  return fromVocabulary(checkedVocabulary(vocabulary), checkedPolicy(unknown));
}
