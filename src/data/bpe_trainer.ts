// Learns the merges of byte-pair encoding from a text: again and again, the most frequent pair becomes one token.
import { checkWellFormed, cutPieces, ownCopy, pairKey, piecesOf } from "./byte_bpe.ts";
import { heapOf } from "./heap.ts";
import { type NumberList, numberList, partsOf } from "./ids.ts";
import { reportProgress } from "../base/progress.ts";
import type { TextPieces } from "./text_bytes.ts";

/** Two neighbouring tokens, how often they occur, and in which words, some of which may have lost it since. */
interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  readonly words: NumberList;
}

/** Pieces that are found by their text: words come again, and memory must not grow with a text. */
const REMEMBERED = 65536;

function hashOf(at: (i: number) => number, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ at(i), 0x01000193);
  return (hash ^ hash >>> 15) >>> 0;
}

/** Numbers words from 0, in an open hash table: a Map of strings takes ten times the memory, and 2^24 of them at most. */
function wordTable(most: number) {
  const [tokens, starts] = [numberList(most, 0), numberList(0xffffffff, 0)];
  let slots = new Uint32Array(2 * REMEMBERED);
  let words = 0;
  starts.push(0);
  /** The slot of a word, or the empty one where it belongs. */
  const slotOf = (at: (i: number) => number, length: number): number => {
    const mask = slots.length - 1;
    for (let slot = hashOf(at, length) & mask;; slot = (slot + 1) & mask) {
      if (slots[slot] === 0) return slot;
      const start = starts.at(slots[slot] - 1);
      let same = starts.at(slots[slot]) - start === length;
      for (let i = 0; same && i < length; i++) same = tokens.at(start + i) === at(i);
      if (same) return slot;
    }
  };
  const grow = () => {
    slots = new Uint32Array(2 * slots.length);
    for (let word = 0; word < words; word++) {
      const start = starts.at(word);
      slots[slotOf((i) => tokens.at(start + i), starts.at(word + 1) - start)] = word + 1;
    }
  };
  return {
    tokens,
    starts,
    numberOf(bytes: Uint8Array): number {
      const slot = slotOf((i) => bytes[i], bytes.length);
      if (slots[slot] > 0) return slots[slot] - 1;
      tokens.add(bytes);
      starts.push(tokens.length);
      slots[slot] = ++words;
      if (3 * words > 2 * slots.length) grow();
      return words - 1;
    },
  };
}

/** The different pieces of a text one after another, bytes that become tokens, and how often each occurs. */
type Words = ReturnType<typeof wordsOf>;

function wordsOf(text: TextPieces, most: number) {
  const { tokens, starts, numberOf } = wordTable(most);
  const counts = numberList(2 ** 53, 0);
  const known = new Map<string, number>();
  const utf8 = new TextEncoder();
  for (const part of partsOf(text, cutPieces)) {
    checkWellFormed(part);
    for (const piece of piecesOf(part)) {
      let word = known.get(piece);
      if (word === undefined) {
        word = numberOf(utf8.encode(piece));
        if (known.size < REMEMBERED) known.set(ownCopy(piece), word);
      }
      if (word === counts.length) counts.push(0);
      counts.set(word, counts.at(word) + 1);
    }
  }
  const all = starts.all();
  const lengths = Uint32Array.from({ length: counts.length }, (_, word) => all[word + 1] - all[word]);
  return { tokens: tokens.all(), starts: all, lengths, counts: counts.all() };
}

/** A pair of the heap with the count that it had when it was put there. */
interface Entry {
  readonly pair: Pair;
  readonly count: number;
}

/** The more frequent first; of equals the one of the lower ids, so that one text gives one list. */
function precedes(a: Entry, b: Entry): boolean {
  return a.count !== b.count
    ? a.count > b.count
    : a.pair.left !== b.pair.left
    ? a.pair.left < b.pair.left
    : a.pair.right < b.pair.right;
}

/**
 * The first `count` merges of byte-pair encoding over the pieces of a text (Sennrich et al. 2016, on bytes as GPT-2 has
 * them): each joins the pair that occurs most often, of equals that of the lower ids. Ids 0 to 255 are the bytes, 256 + i
 * is what merge i makes. A text whose pairs occur once only gives fewer.
 *
 * @example
 * ```ts
 * import { trainMerges } from "./bpe_trainer.ts";
 * trainMerges("aaab aaab", 2); // [[97, 97], [256, 97]]: "aa", "aaa"
 * ```
 */
export function trainMerges(text: TextPieces, count: number): [left: number, right: number][] {
  const words = wordsOf(text, 255 + Math.max(0, count));
  const { tokens, starts, lengths, counts } = words;
  const pairs = new Map<number, Pair>();
  const heap = heapOf(precedes);
  const addTo = (left: number, right: number, change: number): Pair => {
    const key = pairKey(left, right);
    let pair = pairs.get(key);
    if (!pair) pairs.set(key, pair = { left, right, count: 0, words: numberList(0xffffffff, 0) });
    pair.count += change;
    return pair;
  };
  const isIn = ({ words }: Pair, word: number) => {
    if (words.length === 0 || words.at(words.length - 1) !== word) words.push(word);
  };
  /** Adds to the count of each pair of a word. */
  const addAll = (word: number, change: number, added: (pair: Pair) => void) => {
    const end = starts[word] + lengths[word] - 1;
    for (let i = starts[word]; i < end; i++) added(addTo(tokens[i], tokens[i + 1], change));
  };
  for (let word = 0; word < counts.length; word++) addAll(word, counts[word], (pair) => isIn(pair, word));
  for (const pair of pairs.values()) heap.push({ pair, count: pair.count });

  const merges: [number, number][] = [];
  while (merges.length < count) {
    reportProgress({ what: "learning byte pairs", done: merges.length, total: count });
    const top = heap.pop();
    if (!top || top.count < 2) break;
    const { pair } = top;
    if (pair.count !== top.count) {
      // It has lost occurrences to other merges since.
      heap.push({ pair, count: pair.count });
      continue;
    }
    const token = 256 + merges.push([pair.left, pair.right]) - 1;
    const touched = new Set<Pair>();
    for (const word of pair.words.all()) {
      if (!has(words, word, pair)) continue;
      addAll(word, -counts[word], () => {});
      mergeIn(words, word, pair, token);
      addAll(word, counts[word], (made) => {
        if (made.left !== token && made.right !== token) return;
        isIn(made, word);
        touched.add(made);
      });
    }
    pairs.delete(pairKey(pair.left, pair.right));
    for (const made of touched) heap.push({ pair: made, count: made.count });
  }
  return merges;
}

function has({ tokens, starts, lengths }: Words, word: number, { left, right }: Pair): boolean {
  const end = starts[word] + lengths[word] - 1;
  for (let i = starts[word]; i < end; i++) if (tokens[i] === left && tokens[i + 1] === right) return true;
  return false;
}

/** Makes each occurrence of the pair in a word, from the left, one token. */
function mergeIn({ tokens, starts, lengths }: Words, word: number, { left, right }: Pair, token: number) {
  const [start, end] = [starts[word], starts[word] + lengths[word]];
  let to = start;
  for (let i = start; i < end; i++) {
    const found = tokens[i] === left && i + 1 < end && tokens[i + 1] === right;
    tokens[to++] = found ? token : tokens[i];
    if (found) i++;
  }
  lengths[word] = to - start;
}
