// One token a code point: the tokenizer of small corpora and synthetic tasks.
import { UserError } from "../errors.ts";
import { checkedPolicy, type Tokenizer, UNKNOWN, type UnknownPolicy } from "./tokenizer.ts";

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

/** The tokenizer of a checked vocabulary. */
function fromVocabulary(vocabulary: readonly string[], unknown: UnknownPolicy): Tokenizer {
  const ids = new Map(vocabulary.map((character, id) => [character, id]));
  const texts = unknown === "token" ? [...vocabulary, UNKNOWN] : vocabulary;
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
 * import { charTokenizer } from "./char_tokenizer.ts";
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

/** The character tokenizer that a parsed tokenizer.json describes; throws UserError at a field that is wrong. */
export function charTokenizerOf({ vocabulary, unknown }: Readonly<Record<string, unknown>>): Tokenizer {
  return fromVocabulary(checkedVocabulary(vocabulary), checkedPolicy(unknown));
}
