// Splits parts of a tensor into chunks, each of which one invocation reads. The host does this once and passes the chunks to
// the kernel in a table, so that the kernel does not depend on shapes.

/** A part of a tensor that gets one row of statistics: consecutive samples of equal size. */
export interface Segment {
  /** Index of the first element of the first sample. */
  readonly offset: number;
  /** Number of samples. */
  readonly samples: number;
  /** Number of elements per sample. */
  readonly size: number;
  /** The rows of a sample that is not contiguous. For example, a head of [B, T, H, d] has rows of length d at stride H d. */
  readonly rows?: Rows;
}

/** Rows of `length` elements; a row begins every `every` elements. */
export interface Rows {
  /** Number of elements per row. */
  readonly length: number;
  /** Stride: number of elements from the start of a row to the start of the next. */
  readonly every: number;
}

/** The rows of the chunks that are not contiguous. */
export interface RowsAttrs extends Rows {
  /** Maximum number of vec4s that a row touches. */
  readonly fours: number;
  /** Number of contiguous chunks, which precede the chunks of rows. */
  readonly contiguous: number;
}

/** Minimum size of a chunk in vec4s, and maximum number of chunks per sample, which one invocation merges one by one. */
const LEAST_FOURS = 256;
const MOST_CHUNKS = 1024;

/**
 * Maximum number of chunks that share a range of elements. On a GPU, the vec4s of these chunks are interleaved, so that adjacent
 * invocations read adjacent memory.
 */
const MOST_SHARES = 64;

/**
 * A chunk. The `length` elements from element `begin` on are split into `shares` chunks, of which this is number `share`, from 0.
 */
export type Chunk = readonly [share: number, shares: number, begin: number, length: number];

/**
 * Returns the chunks of the elements from `begin` up to, but not including, `end`. A vec4 begins at a multiple of four elements.
 */
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

/** Returns the maximum number of vec4s that a row touches. It exceeds length / 4 if the rows are not aligned to vec4s. */
export function foursOf(parts: readonly Segment[], { length, every }: Rows): number {
  const aligned = [length, every, ...parts.map(({ offset }) => offset)].every((n) => n % 4 === 0);
  return aligned ? length / 4 : Math.floor((length + 6) / 4);
}

/** Returns the chunks of a sample whose rows are not contiguous. All of these chunks share the entire sample. */
function rowChunks(begin: number, size: number, fours: number): Chunk[] {
  const shares = Math.ceil(fours / Math.max(LEAST_FOURS, Math.ceil(fours / MOST_CHUNKS)));
  return Array.from({ length: shares }, (_, share) => [share, shares, begin, size]);
}

/**
 * Returns the chunks of all samples of all parts in order, the number of chunks of each sample, and the attributes of the parts
 * with `rows` (null if there are no such parts).
 */
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
