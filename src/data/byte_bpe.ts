// Byte-level byte-pair encoding: UTF-8 bytes, joined pair by pair in the order of a list of merges. GPT-2's tokenizer,
// those trained on a corpus and most of Hugging Face's are this with different lists.
import { Buffer } from "node:buffer";
import { UserError } from "../base/errors.ts";
import { heapOf } from "./heap.ts";
import { numberList } from "./ids.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

/**
 * GPT-2's pre-tokenisation: no token is part of two pieces. White_Space as Unicode defines it, which `\s` of JavaScript
 * is not (U+0085, U+FEFF).
 */
const PIECES =
  /'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The pieces of a text, in order; together they are the text. */
export function piecesOf(text: string): string[] {
  return text.match(PIECES) ?? [];
}

const SPACE = /\p{White_Space}/u;
const LETTER = /\p{L}/u;
const NUMBER = /\p{N}/u;

/** Whether a piece ends between two characters, whatever stands around them. */
function partsPieces(left: string, right: string): boolean {
  if (SPACE.test(right)) return !SPACE.test(left);
  // A contraction is an apostrophe and letters: a letter may follow any other character in one piece, but not precede it.
  return (LETTER.test(left) && !LETTER.test(right)) || (NUMBER.test(left) && !NUMBER.test(right));
}

/**
 * Where a text that goes on may be cut: after a letter, a number or a sign, before white space, after a run of letters or
 * of numbers, and in none of the `special` texts. No piece goes over such a place, and none looks beyond it. 0 where the
 * whole text is one run.
 */
export function cutPieces(text: string, special: readonly string[] = []): number {
  const longest = special.reduce((most, { length }) => Math.max(most, length), 0);
  const inSpecial = (at: number) =>
    special.some((token) =>
      text.slice(Math.max(0, at - token.length + 1), at + token.length - 1).includes(token)
    );
  const characterBefore = (at: number) =>
    String.fromCodePoint(text.codePointAt(at - 1 - pairAt(text, at - 1))!);
  // Of a special text that goes on beyond the end nothing is known.
  for (let at = text.length - Math.max(1, longest); at > 0; at--) {
    if (pairAt(text, at) === 1) continue;
    const right = String.fromCodePoint(text.codePointAt(at)!);
    // Half a character at the end: what it is, is beyond it.
    if (!right.isWellFormed()) continue;
    if (partsPieces(characterBefore(at), right) && !inSpecial(at)) return at;
  }
  return 0;
}

/** 1 where a surrogate pair has its second half at `at`. */
function pairAt(text: string, at: number): 0 | 1 {
  const [left, right] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
  return left >= 0xd800 && left < 0xdc00 && right >= 0xdc00 && right < 0xe000 ? 1 : 0;
}

/** Throws UserError where a text has half of a surrogate pair: it has no UTF-8. */
export function checkWellFormed(text: string): void {
  if (text.isWellFormed()) return;
  const at = [...text].findIndex((character) => !character.isWellFormed());
  const hex = [...text][at].codePointAt(0)!.toString(16).toUpperCase();
  throw new UserError(
    `Text has the lone surrogate U+${hex} at position ${at}; expected well-formed Unicode, or the tokenizer "char".`,
  );
}

/** Two tokens and the one they become. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly token: number;
}

export interface ByteVocabulary {
  /** The bytes of each id. */
  readonly tokens: readonly Uint8Array[];
  readonly bytes: readonly number[];
  /** What is joined, the first of a text's pairs in this list first. */
  readonly merges: readonly Merge[];
  /** Texts that are one token whatever stands around them. */
  readonly special?: ReadonlyMap<string, number>;
}

/** Ids are below this: two of them make one key. */
const IDS = 2 ** 24;

export const pairKey = (left: number, right: number): number => left * IDS + right;

/** Pieces up to this length are looked through for the first pair anew each time: that is faster than a heap. */
const SHORT = 32;

type Ranks = ReadonlyMap<number, number>;

/** @internal What joins the pairs of one piece, those of the lowest rank first and from left to right. */
export function joiner(merges: readonly Merge[]): (piece: number[]) => number[] {
  const ranks: Ranks = new Map(merges.map(({ left, right }, rank) => [pairKey(left, right), rank]));
  return (piece) => (piece.length > SHORT ? joinedByHeap : joinedByScan)(piece, merges, ranks);
}

function joinedByScan(piece: number[], merges: readonly Merge[], ranks: Ranks): number[] {
  const rankAt = (at: number) => ranks.get(pairKey(piece[at], piece[at + 1])) ?? Infinity;
  const found: number[] = [];
  for (let at = 0; at + 1 < piece.length; at++) found.push(rankAt(at));
  for (;;) {
    let best = 0;
    for (let at = 1; at < found.length; at++) if (found[at] < found[best]) best = at;
    if (!(found[best] < Infinity)) return piece;
    piece[best] = merges[found[best]].token;
    piece.splice(best + 1, 1);
    found.splice(best, 1);
    if (best > 0) found[best - 1] = rankAt(best - 1);
    if (best < found.length) found[best] = rankAt(best);
  }
}

function joinedByHeap(piece: number[], merges: readonly Merge[], ranks: Ranks): number[] {
  const end = piece.length;
  const next = piece.map((_, i) => i + 1);
  const previous = piece.map((_, i) => i - 1);
  // One number holds rank and place.
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
    const gone = next[at];
    piece[at] = merges[rank].token;
    piece[gone] = -1;
    next[at] = next[gone];
    if (next[at] < end) previous[next[at]] = at;
    look(at);
    if (previous[at] >= 0) look(previous[at]);
  }
  return piece.filter((id) => id >= 0);
}

const toUtf8 = new TextEncoder();
// A byte order mark is a character like any other.
const fromUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A piece as a string of its own: V8's slices keep the whole text alive that they are cut from. */
export const ownCopy = (piece: string): string => fromUtf8.decode(toUtf8.encode(piece));

/** Pieces that are remembered, and how long they may be: words come again, and memory must not grow with a text. */
const REMEMBERED = 65536;
const REMEMBERED_LENGTH = 32;

/** @internal A function of texts that looks up what it gave for those that it has met. */
export function remembering<T>(of: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const remembered = known.get(text);
    if (remembered !== undefined) return remembered;
    const found = of(text);
    if (text.length > REMEMBERED_LENGTH) return found;
    if (known.size === REMEMBERED) known.clear();
    known.set(ownCopy(text), found);
    return found;
  };
}

/** A text cut at its special tokens; these are the entries of odd index. */
function sectionsOf(text: string, special: ReadonlyMap<string, number>): string[] {
  if (special.size === 0) return [text];
  const escaped = [...special.keys()].sort((a, b) => b.length - a.length).map((token) =>
    RegExp.escape(token)
  );
  return text.split(new RegExp(`(${escaped.join("|")})`, "u"));
}

/** What a tokenizer does by such a vocabulary. */
export function byteCoder(
  { tokens, bytes, merges, special = new Map() }: ByteVocabulary,
): Pick<Tokenizer, "encode" | "cut" | "decode"> {
  const specialTexts = [...special.keys()];
  const join = joiner(merges);
  const encodePiece = remembering((piece) => join(Array.from(toUtf8.encode(piece), (byte) => bytes[byte])));
  return {
    encode(text) {
      checkWellFormed(text);
      const found = numberList(0xffffffff, text.length);
      sectionsOf(text, special).forEach((section, i) => {
        if (i % 2 === 1) found.push(special.get(section)!);
        else for (const piece of piecesOf(section)) found.add(encodePiece(piece));
      });
      return found.all() as Uint32Array;
    },
    cut: (text) => cutPieces(text, specialTexts),
    decode: (ids) => decodeBytes(tokens, ids),
  };
}

/** The text of ids whose bytes are known; what is no UTF-8 becomes U+FFFD. */
export function decodeBytes(tokens: readonly Uint8Array[], ids: ArrayLike<number>): string {
  checkIds(ids, tokens.length);
  return fromUtf8.decode(Buffer.concat(Array.from(ids, (id) => tokens[id])));
}

/** The 256 bytes as tokens, and one token more for each merge of two that are there before it. */
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
 * The characters that GPT-2's files write for the 256 bytes: printable ones for themselves, the others from U+0100 on.
 * In this order, printable ones first, they are also GPT-2's first ids.
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
