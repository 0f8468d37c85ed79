// Byte-level byte-pair encoding: a text becomes its UTF-8 bytes, of which adjacent pairs are merged in the order of a list of
// merges. GPT-2's tokenizer and the tokenizers trained on a corpus differ mainly in that list. The tokenizers in huggingface/ use
// `piecesOf`, `cutPieces` and `joiner` too.
import { Buffer } from "node:buffer";
import { UserError } from "../base/errors.ts";
import { heapOf } from "./heap.ts";
import { numberList } from "./ids.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

/**
 * GPT-2's pre-tokenisation, which splits a text into pieces; no token spans two of them. The expression uses Unicode's property
 * White_Space, from which JavaScript's `\s` differs at U+0085 and U+FEFF.
 */
const PIECES =
  /'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Returns the pieces of a text in order. Their concatenation is the text. */
export function piecesOf(text: string): string[] {
  return text.match(PIECES) ?? [];
}

const SPACE = /\p{White_Space}/u;
const LETTER = /\p{L}/u;
const NUMBER = /\p{N}/u;

/** True if a piece ends between these two characters in every context. */
function splitsBetween(left: string, right: string): boolean {
  if (SPACE.test(right)) return !SPACE.test(left);
  // No piece contains a letter followed by a character that is not a letter. The reverse occurs, in contractions such as 's.
  return (LETTER.test(left) && !LETTER.test(right)) || (NUMBER.test(left) && !NUMBER.test(right));
}

/**
 * Returns the last index at which `text`, the beginning of a longer text, may be cut, or 0 if there is no such index. The index
 * is after a run of letters or of numbers, or before white space that follows another character, but not inside one of the
 * `special` texts. No piece of the longer text crosses the index, and no piece before it depends on the text after it.
 */
export function cutPieces(text: string, special: readonly string[] = []): number {
  const longest = special.reduce((most, { length }) => Math.max(most, length), 0);
  const inSpecial = (at: number) =>
    special.some((token) =>
      text.slice(Math.max(0, at - token.length + 1), at + token.length - 1).includes(token)
    );
  const characterBefore = (at: number) =>
    String.fromCodePoint(text.codePointAt(at - 1 - pairAt(text, at - 1))!);
  // A special text may continue beyond the end of `text`.
  for (let at = text.length - Math.max(1, longest); at > 0; at--) {
    if (pairAt(text, at) === 1) continue;
    const right = String.fromCodePoint(text.codePointAt(at)!);
    // The second half of this surrogate pair is beyond the end of `text`.
    if (!right.isWellFormed()) continue;
    if (splitsBetween(characterBefore(at), right) && !inSpecial(at)) return at;
  }
  return 0;
}

/** Returns 1 if index `at` is between the halves of a surrogate pair, otherwise 0. */
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
  /** Maps each text that is one token in any context to the id of that token. */
  readonly special?: ReadonlyMap<string, number>;
}

/** All ids are below this number, so that two ids can be combined into one number, which is the key of their pair. */
const IDS = 2 ** 24;

export const pairKey = (left: number, right: number): number => left * IDS + right;

/** A piece of at most this many tokens is scanned for the best pair after each merge, which is faster than a heap. */
const SHORT = 32;

type Ranks = ReadonlyMap<number, number>;

/**
 * @internal Returns a function that merges adjacent tokens of a piece in the order of `merges`, and equal pairs from left to
 * right.
 */
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
  // Each entry of the heap encodes the rank of a merge and a position as the number rank * end + position.
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
// The option `ignoreBOM` keeps a byte order mark, which is a character like any other.
const fromUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Returns a copy of a piece, because a slice would keep in memory the whole text from which it was cut. */
export const ownCopy = (piece: string): string => fromUtf8.decode(toUtf8.encode(piece));

/** The maximum number of cached pieces and the maximum length of a cached piece. They keep memory from growing with the text. */
const CACHE_SIZE = 65536;
const CACHED_LENGTH = 32;

/** @internal Returns a function that returns the same results as `of` and caches them. */
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

/** Splits a text at its special tokens, which are the entries at odd indices of the result. */
function sectionsOf(text: string, special: ReadonlyMap<string, number>): string[] {
  if (special.size === 0) return [text];
  const escaped = [...special.keys()].sort((a, b) => b.length - a.length).map((token) =>
    RegExp.escape(token)
  );
  return text.split(new RegExp(`(${escaped.join("|")})`, "u"));
}

/** Returns the functions of the tokenizer that has this vocabulary. */
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

/** Returns the vocabulary that consists of the 256 bytes and, for each merge, one more token, which joins two earlier tokens. */
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
 * Returns the characters that represent the 256 bytes in GPT-2's files. A printable byte is represented by the character with the
 * same code, the other bytes by the characters from U+0100 on. Printable bytes come first in the result, which is the order of
 * GPT-2's first 256 ids.
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
