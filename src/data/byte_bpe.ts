// Byte-level byte-pair encoding: UTF-8 bytes, merged pair by pair in the order of a list of merges. GPT-2's tokenizer,
// tokenizers trained on a corpus and most of Hugging Face's differ only in that list.
import { Buffer } from "node:buffer";
import { UserError } from "../base/errors.ts";
import { heapOf } from "./heap.ts";
import { numberList } from "./ids.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

/**
 * GPT-2's pre-tokenisation, which splits a text into pieces; no token spans two of them. White_Space is Unicode's property;
 * JavaScript's `\s` differs from it at U+0085 and U+FEFF.
 */
const PIECES =
  /'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The pieces of a text, in order; their concatenation is the text. */
export function piecesOf(text: string): string[] {
  return text.match(PIECES) ?? [];
}

const SPACE = /\p{White_Space}/u;
const LETTER = /\p{L}/u;
const NUMBER = /\p{N}/u;

/** Whether a piece always ends between these two characters, in any context. */
function splitsBetween(left: string, right: string): boolean {
  if (SPACE.test(right)) return !SPACE.test(left);
  // In a contraction such as 's, another character precedes a letter within a piece, but none ever follows a letter.
  return (LETTER.test(left) && !LETTER.test(right)) || (NUMBER.test(left) && !NUMBER.test(right));
}

/**
 * The last index at which `text`, the beginning of a longer text, may be cut: between another character and white space, or
 * after a run of letters or of numbers, but not inside one of the `special` texts. No piece crosses such an index or depends
 * on what follows it. 0 if there is none.
 */
export function cutPieces(text: string, special: readonly string[] = []): number {
  const longest = special.reduce((most, { length }) => Math.max(most, length), 0);
  const inSpecial = (at: number) =>
    special.some((token) =>
      text.slice(Math.max(0, at - token.length + 1), at + token.length - 1).includes(token)
    );
  const characterBefore = (at: number) =>
    String.fromCodePoint(text.codePointAt(at - 1 - pairAt(text, at - 1))!);
  // A special text may continue beyond the end of this one.
  for (let at = text.length - Math.max(1, longest); at > 0; at--) {
    if (pairAt(text, at) === 1) continue;
    const right = String.fromCodePoint(text.codePointAt(at)!);
    // The second half of this surrogate pair is beyond the end.
    if (!right.isWellFormed()) continue;
    if (splitsBetween(characterBefore(at), right) && !inSpecial(at)) return at;
  }
  return 0;
}

/** 1 if index `at` is between the halves of a surrogate pair, otherwise 0. */
function pairAt(text: string, at: number): 0 | 1 {
  const [left, right] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  return left >= 0xd800 && left < 0xdc00 && right >= 0xdc00 && right < 0xe000 ? 1 : 0;
}

/** Throws UserError if a text has a lone surrogate, which UTF-8 cannot represent. */
export function checkWellFormed(text: string): void {
  if (text.isWellFormed()) return;
  const at = [...text].findIndex((character) => !character.isWellFormed());
  const hex = [...text][at].codePointAt(0)!.toString(16).toUpperCase();
  throw new UserError(
    `Text has the lone surrogate U+${hex} at position ${at}; expected well-formed Unicode, or the tokenizer "char".`,
  );
}

/** Two tokens and the token they merge into. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly token: number;
}

export interface ByteVocabulary {
  /** `tokens[id]` is the bytes that the id represents. */
  readonly tokens: readonly Uint8Array[];
  /** `bytes[byte]` is the id of a single byte. */
  readonly bytes: readonly number[];
  /** The merges, in order of priority. */
  readonly merges: readonly Merge[];
  /** Texts that are one token in any context. */
  readonly special?: ReadonlyMap<string, number>;
}

/** All ids are below this, so that two of them can be combined into one number, the key of a pair. */
const IDS = 2 ** 24;

export const pairKey = (left: number, right: number): number => left * IDS + right;

/** Pieces up to this length are scanned for the best pair after each merge, which is faster than a heap. */
const SHORT = 32;

type Ranks = ReadonlyMap<number, number>;

/** @internal Returns a function that merges the pairs of a piece, lowest rank first, from left to right. */
export function joiner(merges: readonly Merge[]): (piece: number[]) => number[] {
  const ranks: Ranks = new Map(merges.map(({ left, right }, rank) => [pairKey(left, right), rank]));
  return (piece) => (piece.length > SHORT ? joinedByHeap : joinedByScan)(piece, merges, ranks);
}

function joinedByScan(piece: number[], merges: readonly Merge[], ranks: Ranks): number[] {
  const rankAt = (at: number) => ranks.get(pairKey(piece[at], piece[at + 1])) ?? Infinity;
  const pairRanks: number[] = [];
  for (let at = 0; at + 1 < piece.length; at++) pairRanks.push(rankAt(at));
  for (;;) {
    let best = 0;
    for (let at = 1; at < pairRanks.length; at++) if (pairRanks[at] < pairRanks[best]) best = at;
    if (!(pairRanks[best] < Infinity)) return piece;
    piece[best] = merges[pairRanks[best]].token;
    piece.splice(best + 1, 1);
    pairRanks.splice(best, 1);
    if (best > 0) pairRanks[best - 1] = rankAt(best - 1);
    if (best < pairRanks.length) pairRanks[best] = rankAt(best);
  }
}

function joinedByHeap(piece: number[], merges: readonly Merge[], ranks: Ranks): number[] {
  const end = piece.length;
  const next = piece.map((_, i) => i + 1);
  const previous = piece.map((_, i) => i - 1);
  // One number encodes rank and position.
  const heap = heapOf<number>((a, b) => a < b);
  const rankAt = (at: number) => next[at] < end ? ranks.get(pairKey(piece[at], piece[next[at]])) : undefined;
  const look = (at: number) => {
    const rank = rankAt(at);
    if (rank !== undefined) heap.push(rank * end + at);
  };
  for (let at = 0; at < end - 1; at++) look(at);
  for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
    const at = key % end;
    const rank = (key - at) / end;
    if (piece[at] < 0 || rankAt(at) !== rank) continue;
    const right = next[at];
    piece[at] = merges[rank].token;
    piece[right] = -1;
    next[at] = next[right];
    if (next[at] < end) previous[next[at]] = at;
    look(at);
    if (previous[at] >= 0) look(previous[at]);
  }
  return piece.filter((id) => id >= 0);
}

const toUtf8 = new TextEncoder();
// A byte order mark is a character like any other.
const fromUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A copy of a piece: a slice would keep the whole text that it was cut from in memory. */
export const ownCopy = (piece: string): string => fromUtf8.decode(toUtf8.encode(piece));

/** Maximum number of cached pieces, and their maximum length, so that memory does not grow with the text. */
const CACHE_SIZE = 65536;
const CACHED_LENGTH = 32;

/** @internal Caches the results of a function of texts. */
export function cached<T>(of: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const hit = known.get(text);
    if (hit !== undefined) return hit;
    const result = of(text);
    if (text.length > CACHED_LENGTH) return result;
    if (known.size === CACHE_SIZE) known.clear();
    known.set(ownCopy(text), result);
    return result;
  };
}

/** Splits a text at its special tokens, which are the entries of odd index in the result. */
function sectionsOf(text: string, special: ReadonlyMap<string, number>): string[] {
  if (special.size === 0) return [text];
  const escaped = [...special.keys()].sort((a, b) => b.length - a.length).map((token) =>
    RegExp.escape(token)
  );
  return text.split(new RegExp(`(${escaped.join("|")})`, "u"));
}

/** The functions of a tokenizer with this vocabulary. */
export function byteCoder(
  { tokens, bytes, merges, special = new Map() }: ByteVocabulary,
): Pick<Tokenizer, "encode" | "cut" | "decode"> {
  const specialTexts = [...special.keys()];
  const join = joiner(merges);
  const encodePiece = cached((piece) => join(Array.from(toUtf8.encode(piece), (byte) => bytes[byte])));
  return {
    encode(text) {
      checkWellFormed(text);
      const ids = numberList(0xffffffff, text.length);
      sectionsOf(text, special).forEach((section, i) => {
        if (i % 2 === 1) ids.push(special.get(section)!);
        else for (const piece of piecesOf(section)) ids.add(encodePiece(piece));
      });
      return ids.all() as Uint32Array;
    },
    cut: (text) => cutPieces(text, specialTexts),
    decode: (ids) => decodeBytes(tokens, ids),
  };
}

/** Decodes ids to text, given the bytes of each id; invalid UTF-8 becomes U+FFFD. */
export function decodeBytes(tokens: readonly Uint8Array[], ids: ArrayLike<number>): string {
  checkIds(ids, tokens.length);
  return fromUtf8.decode(Buffer.concat(Array.from(ids, (id) => tokens[id])));
}

/** The vocabulary of the 256 bytes and one more token per merge, which joins two earlier tokens. */
export function mergedVocabulary(
  bytes: readonly number[],
  pairs: readonly (readonly [left: number, right: number])[],
): ByteVocabulary & { tokens: Uint8Array[] } {
  const tokens: Uint8Array[] = [];
  bytes.forEach((id, byte) => tokens[id] = Uint8Array.of(byte));
  const merges = pairs.map(([left, right]) => {
    tokens.push(Uint8Array.from([...tokens[left], ...tokens[right]]));
    return { left, right, token: tokens.length - 1 };
  });
  return { tokens, bytes, merges };
}

/**
 * The characters that GPT-2's files use for the 256 bytes: printable bytes are written as the characters with the same
 * codes, the others as the characters from U+0100 on. Printable bytes come first, which is the order of GPT-2's first ids.
 */
export function byteCharacters(): { byte: number; character: string }[] {
  const isPrintable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  const all = Array.from({ length: 256 }, (_, byte) => byte);
  const of = (byte: number, code: number) => ({ byte, character: String.fromCodePoint(code) });
  return [
    ...all.filter(isPrintable).map((byte) => of(byte, byte)),
    ...all.filter((byte) => !isPrintable(byte)).map((byte, i) => of(byte, 0x100 + i)),
  ];
}
