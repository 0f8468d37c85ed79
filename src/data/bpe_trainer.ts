// Learns the merges of byte-pair encoding from a text: again and again, the most frequent pair becomes one token.
import { checkWellFormed, cutPieces, ownCopy, pairKey, piecesOf } from "./byte_bpe.ts";
import { heapOf } from "./heap.ts";
import { partsOf } from "./ids.ts";
import type { TextPieces } from "./text_bytes.ts";

/** A piece of the text as tokens, and how often it occurs. */
interface Word {
  ids: number[];
  readonly count: number;
}

/** Two neighbouring tokens, how often they occur, and in which words, some of which may have lost it since. */
interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  readonly words: number[];
}

/** Words are counted in so many maps, by length: V8's have 2^24 entries at most. */
const MAPS = 64;

function wordsOf(text: TextPieces): Word[] {
  const maps = Array.from({ length: MAPS }, () => new Map<string, number>());
  for (const part of partsOf(text, cutPieces)) {
    checkWellFormed(part);
    for (const piece of piecesOf(part)) {
      const counts = maps[piece.length % MAPS];
      const count = counts.get(piece);
      counts.set(count === undefined ? ownCopy(piece) : piece, (count ?? 0) + 1);
    }
  }
  const utf8 = new TextEncoder();
  const words: Word[] = [];
  for (const counts of maps) {
    counts.forEach((count, piece) => words.push({ ids: Array.from(utf8.encode(piece)), count }));
    counts.clear();
  }
  return words;
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
  const words = wordsOf(text);
  const pairs = new Map<number, Pair>();
  const heap = heapOf(precedes);
  const addTo = (left: number, right: number, change: number): Pair => {
    const key = pairKey(left, right);
    let pair = pairs.get(key);
    if (!pair) pairs.set(key, pair = { left, right, count: 0, words: [] });
    pair.count += change;
    return pair;
  };
  const isIn = ({ words }: Pair, word: number) => {
    if (words[words.length - 1] !== word) words.push(word);
  };
  words.forEach(({ ids, count }, word) => {
    for (let i = 0; i + 1 < ids.length; i++) isIn(addTo(ids[i], ids[i + 1], count), word);
  });
  for (const pair of pairs.values()) heap.push({ pair, count: pair.count });

  const merges: [number, number][] = [];
  while (merges.length < count) {
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
    for (const index of pair.words) {
      const word = words[index];
      const ids = mergeIn(word.ids, pair, token);
      if (ids.length === word.ids.length) continue;
      for (let i = 0; i + 1 < word.ids.length; i++) {
        addTo(word.ids[i], word.ids[i + 1], -word.count);
      }
      for (let i = 0; i + 1 < ids.length; i++) {
        const made = addTo(ids[i], ids[i + 1], word.count);
        if (made.left !== token && made.right !== token) continue;
        isIn(made, index);
        touched.add(made);
      }
      word.ids = ids;
    }
    pairs.delete(pairKey(pair.left, pair.right));
    for (const made of touched) heap.push({ pair: made, count: made.count });
  }
  return merges;
}

/** The ids of a word with each occurrence of the pair, from the left, as one token. */
function mergeIn(ids: readonly number[], { left, right }: Pair, token: number): number[] {
  const merged: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const found = ids[i] === left && ids[i + 1] === right;
    merged.push(found ? token : ids[i]);
    if (found) i++;
  }
  return merged;
}
