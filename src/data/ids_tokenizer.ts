// A tokenizer for texts that consist of token ids in decimal, for a model whose tokenizer is not available.
import { maximum } from "../base/extremes.ts";
import { UserError } from "../base/errors.ts";
import { partsOf } from "./ids.ts";
import type { TextPieces } from "./text_bytes.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

const SPACE = /\s/;
const isSpace = (unit: number): boolean =>
  unit < 128 ? unit === 32 || unit >= 9 && unit <= 13 : SPACE.test(String.fromCharCode(unit));

/**
 * Parses decimal integers separated by white space; throws UserError at anything else and at an integer that is not below `size`.
 */
function encodeIds(text: string, before: number, size: number): Uint32Array {
  const ids = new Uint32Array((text.length >> 1) + 1);
  let count = 0;
  for (let at = 0; at < text.length;) {
    const from = at;
    let [id, digits] = [0, true];
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit >= 48 && unit <= 57) id = 10 * id + unit - 48;
      else if (isSpace(unit)) break;
      else digits = false;
    }
    if (at > from) {
      if (!digits || id >= size) throw notAnId(text.slice(from, at), before + count, size);
      ids[count++] = id;
    }
    at++;
  }
  return ids.subarray(0, count);
}

const notAnId = (word: string, position: number, size: number) =>
  new UserError(
    `Text has ${JSON.stringify(word.slice(0, 40))} at position ${position}; ` +
      `expected ids from 0 to ${size - 1}, separated by spaces.`,
  );

/**
 * Returns the tokenizer for texts that consist of ids in decimal, separated by white space, such as "15 0 7". `decode` writes one
 * space between two ids.
 *
 * @param size number of ids, which are 0 to size - 1
 * @throws RangeError unless size is an integer of at least 1; for an invalid id, `encode` throws UserError and `decode`
 *   RangeError
 *
 * @example
 * ```ts
 * import { idsTokenizer } from "./ids_tokenizer.ts";
 * idsTokenizer(50257).encode("464 2068"); // Uint32Array [464, 2068]
 * ```
 */
export function idsTokenizer(size: number): Tokenizer {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`${size} ids: expected a whole number of at least 1.`);
  }
  return {
    kind: "ids",
    size,
    encode: (text, before = 0) => encodeIds(text, before, size),
    cut: (text) => {
      for (let at = text.length; at > 0; at--) if (isSpace(text.charCodeAt(at - 1))) return at;
      return 0;
    },
    decode: (ids) => {
      checkIds(ids, size);
      return Array.from(ids).join(" ");
    },
    toJSON: () => ({ kind: "ids", size }),
  };
}

/** Returns the ids tokenizer with the smallest size that covers all ids in these texts. */
export function idsTokenizerOf(texts: Iterable<TextPieces>): Tokenizer {
  const { encode, cut } = idsTokenizer(2 ** 32);
  let most = 0;
  for (const text of texts) {
    let before = 0;
    for (const part of partsOf(text, cut)) {
      const ids = encode(part, before);
      before += ids.length;
      most = maximum(ids, most);
    }
  }
  return idsTokenizer(most + 1);
}

export function idsTokenizerFromJSON({ size }: Record<string, unknown>): Tokenizer {
  if (typeof size === "number" && Number.isSafeInteger(size) && size >= 1) return idsTokenizer(size);
  throw new UserError(
    `Tokenizer file: size is ${JSON.stringify(size)}; expected a whole number of at least 1.`,
  );
}
