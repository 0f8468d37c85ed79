// Learns the merges of byte-pair encoding from a text. Each merge replaces the most frequent pair of adjacent tokens by a new
// token.
import { checkWellFormed, cutPieces, ownCopy, pairKey, piecesOf } from "./byte_bpe.ts";
import { heapOf } from "./heap.ts";
import { type NumberList, numberList, partsOf } from "./ids.ts";
import { reportProgress } from "../base/progress.ts";
import type { TextPieces } from "./text_bytes.ts";

/**
 * A pair of adjacent tokens, the number of its occurrences in the text, and the indices of the words that contain the pair or
 * contained it before a merge.
 */
interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  readonly words: NumberList;
}

/** Maximum number of cached pieces, so that memory does not grow with the text. */
const CACHE_SIZE = 65536;

function hashOf(at: (i: number) => number, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ at(i), 0x01000193);
  return (hash ^ hash >>> 15) >>> 0;
}

/**
 * Gives distinct words the indices 0, 1, ... The words are in an open-addressing hash table, because a Map of strings would
 * take ten times the memory and hold at most 2^24 words.
 */
function wordTable(most: number) {
  const [tokens, starts] = [numberList(most, 0), numberList(0xffffffff, 0)];
  let slots = new Uint32Array(2 * CACHE_SIZE);
  let words = 0;
  starts.push(0);
  /** The slot of a word, or the empty slot to insert it at. */
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

/**
 * The distinct pieces of a text, called words. Word i has `lengths[i]` tokens (before the first merge, bytes), which begin at
 * index `starts[i]` of `tokens`, and occurs `counts[i]` times in the text.
 */
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
        if (known.size < CACHE_SIZE) known.set(ownCopy(piece), word);
      }
      if (word === counts.length) counts.push(0);
      counts.set(word, counts.at(word) + 1);
    }
  }
  const all = starts.all();
  const lengths = Uint32Array.from({ length: counts.length }, (_, word) => all[word + 1] - all[word]);
  return { tokens: tokens.all(), starts: all, lengths, counts: counts.all() };
}

/** An entry of the heap: a pair, and the count that it had when it was pushed. */
interface Entry {
  readonly pair: Pair;
  readonly count: number;
}

/**
 * True if `a` is merged before `b`. The pair with the higher count comes first. Of two pairs with the same count, the pair with
 * the lower ids comes first, so that the result is deterministic.
 */
function precedes(a: Entry, b: Entry): boolean {
  return a.count !== b.count
    ? a.count > b.count
    : a.pair.left !== b.pair.left
    ? a.pair.left < b.pair.left
    : a.pair.right < b.pair.right;
}

/**
 * Returns the first `count` merges of byte-pair encoding over the pieces of a text (Sennrich et al. 2016, on bytes as in GPT-2).
 * Each merge joins the most frequent pair; of several equally frequent pairs, it joins the pair with the lowest ids. Ids 0 to 255
 * are the bytes, and 256 + i is the token that merge i creates. Returns fewer merges if no remaining pair occurs twice.
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
  const addWord = ({ words }: Pair, word: number) => {
    if (words.length === 0 || words.at(words.length - 1) !== word) words.push(word);
  };
  /** Adds `change` to the count of each pair of a word. */
  const addAll = (word: number, change: number, added: (pair: Pair) => void) => {
    const end = starts[word] + lengths[word] - 1;
    for (let i = starts[word]; i < end; i++) added(addTo(tokens[i], tokens[i + 1], change));
  };
  for (let word = 0; word < counts.length; word++) addAll(word, counts[word], (pair) => addWord(pair, word));
  for (const pair of pairs.values()) heap.push({ pair, count: pair.count });

  const merges: [number, number][] = [];
  while (merges.length < count) {
    reportProgress({ what: "learning byte pairs", done: merges.length, total: count });
    const top = heap.pop();
    if (!top || top.count < 2) break;
    const { pair } = top;
    if (pair.count !== top.count) {
      // Other merges have reduced the pair's count since it was pushed.
      heap.push({ pair, count: pair.count });
      continue;
    }
    const token = 256 + merges.push([pair.left, pair.right]) - 1;
    const touched = new Set<Pair>();
    for (const word of pair.words.all()) {
      if (!containsPair(words, word, pair)) continue;
      addAll(word, -counts[word], () => {});
      mergeIn(words, word, pair, token);
      addAll(word, counts[word], (neighbour) => {
        if (neighbour.left !== token && neighbour.right !== token) return;
        addWord(neighbour, word);
        touched.add(neighbour);
      });
    }
    pairs.delete(pairKey(pair.left, pair.right));
    for (const neighbour of touched) heap.push({ pair: neighbour, count: neighbour.count });
  }
  return merges;
}

function containsPair({ tokens, starts, lengths }: Words, word: number, { left, right }: Pair): boolean {
  const end = starts[word] + lengths[word] - 1;
  for (let i = starts[word]; i < end; i++) if (tokens[i] === left && tokens[i + 1] === right) return true;
  return false;
}

/** Replaces each occurrence of the pair in a word by one token, from left to right. */
function mergeIn({ tokens, starts, lengths }: Words, word: number, { left, right }: Pair, token: number) {
  const [start, end] = [starts[word], starts[word] + lengths[word]];
  let to = start;
  for (let i = start; i < end; i++) {
    const isPair = tokens[i] === left && i + 1 < end && tokens[i + 1] === right;
    tokens[to++] = isPair ? token : tokens[i];
    if (isPair) i++;
  }
  lengths[word] = to - start;
}
