// How parts of a tensor are cut into the chunks that invocations read. Decided on the host, once: the kernel follows a
// table and knows no shapes.

/** A stretch of a tensor to be summarised as one: samples of equal size, one behind another. */
export interface Segment {
  /** Where the first sample starts, in elements. */
  readonly offset: number;
  /** How many samples there are. */
  readonly samples: number;
  /** Elements of each. */
  readonly size: number;
  /** Where samples are not contiguous, the rows that they are made of: a head of [B, T, H, d] has rows of d, H d apart. */
  readonly rows?: Rows;
}

/** Rows of `length` elements, each beginning `every` elements after the one before. */
export interface Rows {
  /** Elements of a row. */
  readonly length: number;
  /** Elements between the beginnings of two rows. */
  readonly every: number;
}

/** The rows that the last chunks are made of, the fours that each may touch, and how many chunks are contiguous. */
export interface RowsAttrs extends Rows {
  readonly fours: number;
  readonly contiguous: number;
}

/** Fours of a chunk, at least, and chunks of a sample, at most: whoever merges a sample's chunks does so one by one. */
const LEAST_FOURS = 256;
const MOST_CHUNKS = 1024;

/** Chunks that share one stretch: on a GPU they take turns over it, so that neighbours read neighbouring memory. */
const MOST_SHARES = 64;

/** A chunk: its number among those that share the `length` elements from `begin` on, and theirs. */
export type Chunk = readonly [share: number, shares: number, begin: number, length: number];

/** Chunks of the elements from `begin` to before `end`. Fours lie at multiples of four elements of the whole tensor. */
function sampleChunks(begin: number, end: number): Chunk[] {
  const [first, last] = [Math.floor(begin / 4), Math.ceil(end / 4)];
  const each = Math.max(LEAST_FOURS, Math.ceil((last - first) / MOST_CHUNKS));
  const chunks: Chunk[] = [];
  for (let from = first; from < last; from += MOST_SHARES * each) {
    const to = Math.min(from + MOST_SHARES * each, last);
    const shares = Math.ceil((to - from) / each);
    const start = Math.max(begin, 4 * from);
    const length = Math.min(end, 4 * to) - start;
    for (let share = 0; share < shares; share++) chunks.push([share, shares, start, length]);
  }
  return chunks;
}

/** Fours that a row of a part may touch: where rows do not begin at fours, one more than its length says. */
export function foursOf(parts: readonly Segment[], { length, every }: Rows): number {
  const aligned = [length, every, ...parts.map(({ offset }) => offset)].every((n) => n % 4 === 0);
  return aligned ? length / 4 : Math.floor((length + 6) / 4);
}

/** Chunks of a sample whose rows do not lie one behind another: they share all of it. */
function rowChunks(begin: number, size: number, fours: number): Chunk[] {
  const shares = Math.ceil(fours / Math.max(LEAST_FOURS, Math.ceil(fours / MOST_CHUNKS)));
  return Array.from({ length: shares }, (_, share) => [share, shares, begin, size]);
}

/** The chunks of all samples of all parts in turn, how many each sample has, and the rows that the last of them are of. */
export function chunksOf(
  parts: readonly Segment[],
): { chunks: Chunk[]; counts: number[]; rows: RowsAttrs | null } {
  const inRows = parts.filter((part) => part.rows);
  const of = inRows.at(0)?.rows;
  const fours = of ? foursOf(inRows, of) : 0;
  const samples = parts.flatMap(({ offset, samples, size, rows }) => {
    const chunks = (s: number): Chunk[] => {
      if (!rows) return sampleChunks(offset + s * size, offset + (s + 1) * size);
      const count = size / rows.length;
      return rowChunks(offset + s * count * rows.every, size, count * fours);
    };
    return Array.from({ length: samples }, (_, s) => chunks(s));
  });
  const plain = parts.reduce((sum, { samples, rows }) => sum + (rows ? 0 : samples), 0);
  const contiguous = samples.slice(0, plain).flat().length;
  return {
    chunks: samples.flat(),
    counts: samples.map((chunks) => chunks.length),
    rows: of ? { ...of, fours, contiguous } : null,
  };
}
