// SentencePiece's unigram model: splits a piece into the tokens whose scores have the greatest sum.
import { fallback } from "./bpe.ts";
import { type Fields, refuse } from "./fields.ts";
import { type Model, unknownPiece } from "./vocabulary.ts";

/** The score of an unknown character is this much below the lowest score. */
const UNKNOWN_PENALTY = 10;

type Trie = ReturnType<typeof trieOf>;

/** A trie of tokens over code units. The children of a node are contiguous and sorted; a node without a token has id -1. */
function trieOf(ids: ReadonlyMap<string, number>) {
  const sorted = [...ids.keys()].filter((token) => token !== "").sort();
  const nodes = { units: [0], children: [0], ids: [-1] };
  // The trie is built breadth first. The tokens from index `low` to `high` (exclusive) share their first `depth` code units.
  const open = [{ low: 0, high: sorted.length, depth: 0 }];
  for (let node = 0; node < open.length; node++) {
    const { low, high, depth } = open[node];
    nodes.children[node] = open.length;
    for (let from = low; from < high;) {
      if (sorted[from].length === depth) {
        from++;
        continue;
      }
      const unit = sorted[from].charCodeAt(depth);
      let to = from + 1;
      while (to < high && sorted[to].charCodeAt(depth) === unit) to++;
      nodes.units[open.length] = unit;
      nodes.ids[open.length] = sorted[from].length === depth + 1 ? ids.get(sorted[from])! : -1;
      open.push({ low: from, high: to, depth: depth + 1 });
      from = to;
    }
  }
  nodes.children.push(open.length);
  return {
    units: Uint16Array.from(nodes.units),
    // The children of node i end where the children of node i + 1 start.
    children: Uint32Array.from(nodes.children),
    ids: Int32Array.from(nodes.ids),
  };
}

/** Returns the child of a node for a code unit, or -1 if there is none. */
function childOf({ units, children }: Trie, node: number, unit: number): number {
  let [low, high] = [children[node], children[node + 1]];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (units[middle] < unit) low = middle + 1;
    else high = middle;
  }
  return low < children[node + 1] && units[low] === unit ? low : -1;
}

/**
 * Returns a score as the library tokenizers parses it: it reads all digits as one integer and scales this integer by a power of
 * ten. The result can differ from the nearest float64 by one unit in the last place. This difference decides between splits that
 * would otherwise tie.
 */
function readScore(score: number): number {
  const [, digits, fraction = "", exponent = "0"] = /^(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(
    String(Math.abs(score)),
  )!;
  const power = Number(exponent) - fraction.length;
  const scale = Number(`1e${Math.abs(power)}`);
  const read = power < 0 ? Number(digits + fraction) / scale : Number(digits + fraction) * scale;
  return score < 0 ? -read : read;
}

function scoredVocabulary(fields: Fields) {
  const ids = new Map<string, number>();
  const tokens = new Map<number, string>();
  const scores = fields.list("vocab").map((entry, id): number => {
    const [token, score] = Array.isArray(entry) && entry.length === 2 ? entry : [];
    if (typeof token !== "string" || !token.isWellFormed() || !Number.isFinite(score)) {
      return refuse(`${fields.at("vocab")}[${id}]`, entry, "a token and its score");
    }
    ids.set(token, id);
    tokens.set(id, token);
    return readScore(score);
  });
  if (scores.length === 0) refuse(fields.at("vocab"), [], "tokens and their scores");
  return { ids, tokens, scores, count: scores.length };
}

function unknownId(fields: Fields, count: number): number | null {
  const id = fields.any("unk_id") ?? null;
  if (id === null || (Number.isInteger(id) && (id as number) >= 0 && (id as number) < count)) {
    return id as null;
  }
  return refuse(fields.at("unk_id"), id, `null or an id below ${count}`);
}

/**
 * The best split of a piece up to each index: `starts` has the index at which the last token of this split starts (-1 if there is
 * no split), and `last` has the id of this token.
 */
interface Cuts {
  readonly starts: Int32Array;
  readonly last: Int32Array;
}

/** Returns the texts of a piece's tokens. Adjacent unknown characters are joined into one text. */
function cutsOf(piece: string, { starts, last }: Cuts, unknown: number | null): string[] {
  const cuts: string[] = [];
  let unknownEnd = -1;
  for (let end = piece.length; end > 0; end = starts[end]) {
    if (last[end] === unknown) {
      if (unknownEnd < 0) unknownEnd = end;
      continue;
    }
    if (unknownEnd >= 0) cuts.push(piece.slice(end, unknownEnd));
    unknownEnd = -1;
    cuts.push(piece.slice(starts[end], end));
  }
  if (unknownEnd >= 0) cuts.push(piece.slice(0, unknownEnd));
  return cuts.reverse();
}

export function unigram(fields: Fields): Model {
  const { scores, ...vocabulary } = scoredVocabulary(fields);
  const { ids } = vocabulary;
  const unknown = unknownId(fields, scores.length);
  const fallsBack = fields.flag("byte_fallback", false);
  const trie = trieOf(ids);
  const unknownScore = scores.reduce((a, b) => Math.min(a, b), Infinity) - UNKNOWN_PENALTY;

  const bestCuts = (piece: string): Cuts => {
    const best = new Float64Array(piece.length + 1);
    const starts = new Int32Array(piece.length + 1).fill(-1);
    const last = new Int32Array(piece.length + 1);
    const offer = (start: number, end: number, score: number, id: number) => {
      if (starts[end] >= 0 && score <= best[end]) return;
      [best[end], starts[end], last[end]] = [score, start, id];
    };
    for (let start = 0, width = 0; start < piece.length; start += width) {
      width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
      let single = false;
      let node = 0;
      for (let end = start; end < piece.length;) {
        node = childOf(trie, node, piece.charCodeAt(end++));
        if (node < 0) break;
        const id = trie.ids[node];
        if (id < 0) continue;
        offer(start, end, scores[id] + best[start], id);
        single ||= end - start === width;
      }
      if (single) continue;
      const end = start + width;
      const score = unknownScore + best[start];
      offer(start, end, score, unknown ?? unknownPiece(piece.slice(start, end), null));
    }
    return { starts, last };
  };
  return {
    ...vocabulary,
    encode: (piece) =>
      cutsOf(piece, bestCuts(piece), unknown).flatMap((cut) =>
        ids.get(cut) ?? (fallsBack ? fallback(cut, ids) : undefined) ?? unknown ?? unknownPiece(cut, null)
      ),
  };
}
