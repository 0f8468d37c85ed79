// Between text and token ids. A tokenizer is a record of two functions and its file form, so that a
// checkpoint can carry it and generation reads back the very vocabulary a model was trained with.
import { suggestion, UserError } from "../errors.ts";
import { idsTokenizerFromJSON } from "./ids_tokenizer.ts";

/** What an unknown character becomes: a UserError, or the id of `<unk>`. */
export type UnknownPolicy = "error" | "token";

/**
 * A tokenizer as tokenizer.json keeps it; `vocabulary[id]` is the character of `id`, `<unk>` not among them.
 */
export interface TokenizerFile {
  /** Which tokenizer this is. */
  kind: "char";
  /** One code point an entry, ascending by code point. */
  vocabulary: string[];
  /** With "token" the id `vocabulary.length` stands for every unknown character. */
  unknown: UnknownPolicy;
}

/** A tokenizer of ids as tokenizer.json keeps it. */
export interface IdsTokenizerFile {
  /** Which tokenizer this is. */
  kind: "ids";
  /** Number of ids. */
  size: number;
}

/** Text to ids and back; `decode(encode(x)) = x` for every text of known characters. */
export interface Tokenizer {
  /** Which tokenizer this is. */
  readonly kind: "char" | "ids";
  /** Number of ids; ids are 0 to size - 1. */
  readonly size: number;
  /**
   * The ids of a text, one a code point; throws UserError at an unknown character unless `<unk>` stands for
   * it.
   */
  encode(text: string): Uint32Array;
  /** The text of ids; throws RangeError at an id outside 0 to size - 1. */
  decode(ids: ArrayLike<number>): string;
  /** The form that JSON.stringify writes and `tokenizerFromJSON` reads. */
  toJSON(): TokenizerFile | IdsTokenizerFile;
}

const UNKNOWN_TEXT = "<unk>";
const POLICIES: readonly UnknownPolicy[] = ["error", "token"];

/** `"é" (U+00E9)`: JSON quoting also shows controls and lone surrogates. */
function describe(character: string): string {
  const hex = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return `${JSON.stringify(character)} (U+${hex})`;
}

function encodeWith(ids: ReadonlyMap<string, number>, unknown: UnknownPolicy, text: string): Uint32Array {
  const encoded = new Uint32Array(text.length);
  let length = 0;
  for (const character of text) {
    let id = ids.get(character);
    if (id === undefined) {
      if (unknown === "error") {
        throw new UserError(
          `Text has the unknown character ${
            describe(character)
          } at position ${length}; expected one of the ` +
            `tokenizer's ${ids.size} characters, or a tokenizer with unknown "token".`,
        );
      }
      id = ids.size;
    }
    encoded[length++] = id;
  }
  return encoded.slice(0, length);
}

function fromVocabulary(vocabulary: readonly string[], unknown: UnknownPolicy): Tokenizer {
  const ids = new Map(vocabulary.map((character, id) => [character, id]));
  const texts = unknown === "token" ? [...vocabulary, UNKNOWN_TEXT] : vocabulary;
  return {
    kind: "char",
    size: texts.length,
    encode: (text) => encodeWith(ids, unknown, text),
    decode: (encoded) => {
      const parts: string[] = [];
      for (let i = 0; i < encoded.length; i++) {
        const text = texts[encoded[i]];
        if (text === undefined) {
          throw new RangeError(`Id ${encoded[i]} at position ${i} is not among 0 to ${texts.length - 1}`);
        }
        parts.push(text);
      }
      return parts.join("");
    },
    toJSON: () => ({ kind: "char", vocabulary: [...vocabulary], unknown }),
  };
}

/**
 * The character tokenizer of a text: its distinct code points in ascending order are the ids 0, 1, 2, ...;
 * with `unknown: "token"` one more id, the last, stands for every other character and decodes to `<unk>`.
 *
 * Code points, not UTF-16 units: an emoji is one token. A lone surrogate is a code point of its own (U+D800
 * to U+DFFF) and survives encode, decode and the JSON file. Positions in errors count code points from 0.
 *
 * @param text the text whose characters make the vocabulary
 * @param options `unknown`: what an unknown character becomes, "error" unless told
 * @throws UserError where the text is empty; the tokenizer's `encode` at an unknown character with "error"
 *
 * @example
 * ```ts
 * import { charTokenizer } from "./tokenizer.ts";
 * const tokenizer = charTokenizer("hello");
 * tokenizer.encode("hole"); // Uint32Array [1, 3, 2, 0]
 * tokenizer.decode([1, 0]); // "he"
 * ```
 */
export function charTokenizer(text: string, options: { unknown?: UnknownPolicy } = {}): Tokenizer {
  const characters = [...new Set(text)];
  if (characters.length === 0) {
    throw new UserError("Text is empty; a tokenizer needs at least one character.");
  }
  characters.sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!);
  return fromVocabulary(characters, options.unknown ?? "error");
}

function checkedVocabulary(found: unknown): string[] {
  const place = "Tokenizer file: vocabulary";
  if (!Array.isArray(found) || found.length === 0) {
    throw new UserError(`${place} is ${JSON.stringify(found)}; expected a list of characters.`);
  }
  let previous = -1;
  found.forEach((entry: unknown, id) => {
    if (typeof entry !== "string" || [...entry].length !== 1) {
      throw new UserError(`${place}[${id}] is ${JSON.stringify(entry)}; expected one character.`);
    }
    const codePoint = entry.codePointAt(0)!;
    if (codePoint <= previous) {
      throw new UserError(
        `${place}[${id}] is ${describe(entry)} after ${describe(found[id - 1])}; ` +
          `expected each character once, ascending by code point.`,
      );
    }
    previous = codePoint;
  });
  return found;
}

/**
 * The tokenizer that a parsed tokenizer.json describes: the inverse of `toJSON`.
 *
 * @param file what JSON.parse gave; every field is checked
 * @throws UserError naming the field, what was found and what was expected
 *
 * @example
 * ```ts
 * import { charTokenizer, tokenizerFromJSON } from "./tokenizer.ts";
 * const file = JSON.stringify(charTokenizer("abc"));
 * tokenizerFromJSON(JSON.parse(file)).size; // 3
 * ```
 */
export function tokenizerFromJSON(file: unknown): Tokenizer {
  if (typeof file !== "object" || file === null || Array.isArray(file)) {
    const found = file === null ? "null" : Array.isArray(file) ? "a list" : `a ${typeof file}`;
    throw new UserError(`Tokenizer file is ${found}; expected an object with kind, vocabulary and unknown.`);
  }
  const { kind, vocabulary, unknown } = file as Record<string, unknown>;
  if (kind === "ids") return idsTokenizerFromJSON(file as Record<string, unknown>);
  if (kind !== "char") {
    throw new UserError(
      `Tokenizer file: kind is ${JSON.stringify(kind)}; expected "char" or "ids".${
        suggestion(String(kind), ["char", "ids"])
      }`,
    );
  }
  if (!POLICIES.includes(unknown as UnknownPolicy)) {
    throw new UserError(
      `Tokenizer file: unknown is ${JSON.stringify(unknown)}; expected "error" or "token".` +
        suggestion(String(unknown), POLICIES),
    );
  }
  return fromVocabulary(checkedVocabulary(vocabulary), unknown as UnknownPolicy);
}
