// SentencePiece's normalizer: a double-array trie of the texts to replace, and their replacements.
import { cached } from "../byte_bpe.ts";
import { type Fields, refuse } from "./fields.ts";

const UTF8 = new TextEncoder();

/** A double-array trie (Darts): each unit has a label, an offset to its children and a flag for a value. */
type DoubleArray = Uint32Array;

/** Returns the value of the shortest key that is a prefix of `bytes`, or undefined if there is none. */
function shortest(units: DoubleArray, bytes: Uint8Array): number | undefined {
  const offset = (unit: number) => (unit >>> 10) << ((unit & 0x200) >>> 6);
  let at = offset(units[0]);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    at ^= byte;
    const unit = units[at];
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined;
    at ^= offset(unit);
    if ((unit >>> 8) & 1) return units[at] & 0x7fffffff;
  }
}

function bytesOfBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text);
  } catch { /* Refused below. */ }
}

function mappingOf(charsmap: Uint8Array): ((text: string) => string | undefined) | undefined {
  if (charsmap.length < 4) return undefined;
  const view = new DataView(charsmap.buffer, charsmap.byteOffset, charsmap.byteLength);
  const size = view.getUint32(0, true);
  if (size === 0 || size % 4 !== 0 || 4 + size > charsmap.length) return undefined;
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
  const texts = charsmap.subarray(4 + size);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return (text) => {
    const from = shortest(units, UTF8.encode(text));
    if (from === undefined || from > texts.length) return undefined;
    const end = texts.indexOf(0, from);
    return decoder.decode(texts.subarray(from, end < 0 ? texts.length : end));
  };
}

/**
 * A character below U+0300 is a grapheme by itself, unless it is a CR before an LF or is next to a character from U+0300 on. The
 * first group of PARTS matches characters that are graphemes by themselves; everything else has to be segmented into graphemes.
 */
const LOW = "[^\\r\\u{300}-\\u{10ffff}]";
const HIGH = "[\\u{300}-\\u{10ffff}]";
const PARTS = new RegExp(`(${LOW}{1,4096})(?!${HIGH})|\\r\\n?|${LOW}?(?:${HIGH}+${LOW}?)+`, "gv");

/**
 * @internal SentencePiece's normalizer. A grapheme of at most five bytes is looked up as a whole. Longer graphemes, and graphemes
 * that are not found, are looked up character by character.
 */
export function precompiled(fields: Fields): (text: string) => string {
  const written = fields.text("precompiled_charsmap");
  const charsmap = bytesOfBase64(written);
  const mapped = charsmap && mappingOf(charsmap);
  if (!mapped) return refuse(fields.at("precompiled_charsmap"), written, "SentencePiece's map in base64");
  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });
  const normalized = cached((grapheme: string): string => {
    const replacement = UTF8.encode(grapheme).length < 6 ? mapped(grapheme) : undefined;
    return replacement ?? [...grapheme].map((character) => mapped(character) ?? character).join("");
  });
  return (text) => {
    let output = "";
    for (const [part, plain] of text.matchAll(PARTS)) {
      if (plain !== undefined) {
        for (const character of plain) output += normalized(character);
      } else for (const { segment } of graphemes.segment(part)) output += normalized(segment);
    }
    return output;
  };
}
