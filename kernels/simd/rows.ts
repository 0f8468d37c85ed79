// Rows of floats in WebAssembly kernels: blocks of rows, loops over a row four floats at a time, and sums over several rows
// at once, whose additions are independent and can overlap.
import { type Func, type I32, i32, int, select, v128 } from "../../src/wasm/mod.ts";
import { f32x4, lanes, type V128 } from "../../src/wasm/mod.ts";

/** Four consecutive floats of a row, or the last one to three floats of the row. */
export interface Part {
  /** Number of floats. */
  readonly count: number;
  /** Keeps the lanes that belong to the row, and replaces those past its end by `other` (default: zeros). */
  keep(x: V128, other?: V128): V128;
  /** Stores the lanes that are in the row. */
  store(f: Func, address: I32, x: V128, offset: number): void;
}

/** A part with four floats. */
export const WHOLE: Part = {
  count: 4,
  keep: (x) => x,
  store: (f, address, x, offset) => f.store(address, x, offset),
};

/** Returns the part that has the last `count` floats of a row, where `count` is 1 to 3. */
export function end(count: number): Part {
  const ones = (lane: number): number => lane < count ? -1 : 0;
  const inside = lanes([ones(0), ones(1), ones(2), ones(3)]);
  return {
    count,
    keep: (x, other) => other ? v128.select(inside, x, other) : v128.and(x, inside),
    store(f, address, x, offset) {
      const kept = f.let(x);
      for (let lane = 0; lane < count; lane++) f.storeLane(address, kept, lane, offset + 4 * lane);
    },
  };
}

/** Writes code for four floats at `i + offset` bytes from the start of a row; `offset` is known when the code is generated. */
export type PartBody = (i: I32, offset: number, part: Part) => void;

/** Writes a loop over a row of `size` floats, `unroll` vectors per iteration, then code for the remaining floats. */
export function eachPart(f: Func, size: number, body: PartBody, unroll = 1): void {
  const bytes = 16 * unroll;
  const rounds = Math.floor(4 * size / bytes);
  const round = (i: I32, from: number): void => {
    for (let k = 0; k < unroll; k++) body(i, from + 16 * k, WHOLE);
  };
  if (rounds > 1) f.loop(0, rounds * bytes, bytes, (i) => round(i, 0));
  else if (rounds === 1) round(int(0), 0);
  for (let at = rounds * unroll * 4; at < size; at += 4) {
    body(int(0), 4 * at, size - at < 4 ? end(size - at) : WHOLE);
  }
}

/** Returns the smaller of two unsigned integers. The code of `a` is generated twice. */
export const smaller = (a: I32, b: number): I32 => select(i32.ltU(a, b), a, int(b));

/** The rows of a block: from `first` up to, but not including, `last`. */
export interface RowRange {
  readonly first: I32;
  readonly last: I32;
}

/** Splits rows into blocks, and each block into groups of `together` rows that a kernel computes at once. */
export interface RowGroups {
  /** Number of blocks. */
  readonly blocks: number;
  /** Rows per group, at most 4. */
  readonly together: number;
  /** The rows of a block. */
  range(f: Func, block: I32): RowRange;
  /**
   * Writes a loop over the groups of a block; `body` gets the first row of a group. The last group is moved back so that it is
   * complete. Some rows may therefore be computed twice, and `body` must not read values that it writes.
   */
  each(f: Func, rows: RowRange, body: (row: I32) => void): void;
}

/** Splits a matrix into blocks of about `elements` elements and groups of at most `most` rows. */
export function rowGroups(rows: number, size: number, { most = 4, elements = 8192 } = {}): RowGroups {
  const together = Math.min(most, rows);
  const perBlock = together * Math.max(1, Math.round(elements / (size * together)));
  // If fewer rows remain than a group has, they belong to the last block.
  const blocks = Math.ceil((rows - together + 1) / perBlock);
  return {
    blocks,
    together,
    range(f, block) {
      const first = f.let(i32.mul(block, perBlock));
      const last = f.let(i32.add(first, perBlock));
      if (rows % perBlock) f.if(i32.eq(block, blocks - 1), () => f.set(last, int(rows)));
      return { first, last };
    },
    each(f, { first, last }, body) {
      f.loop(first, last, together, (row) => {
        body(rows % together ? f.let(smaller(row, rows - together)) : row);
      });
    },
  };
}

/**
 * Combines the four lanes of each vector, by default by adding them in the order (0 + 2) + (1 + 3). Lane k of the result
 * belongs to vector k. If there are fewer than four vectors, the remaining lanes hold copies.
 */
export function acrossLanes(f: Func, vectors: readonly V128[], combine = f32x4.add): V128 {
  const kept = vectors.map((x) => f.let(x));
  const [a, b = a, c = a, d = b] = kept;
  const halves = (x: V128, y: V128) =>
    f.let(combine(v128.shuffle(x, y, [0, 1, 4, 5]), v128.shuffle(x, y, [2, 3, 6, 7])));
  const low = halves(a, b);
  const high = c === a ? low : halves(c, d);
  return combine(v128.shuffle(low, high, [0, 2, 4, 6]), v128.shuffle(low, high, [1, 3, 5, 7]));
}

/**
 * Writes sums over `count` rows of `size` elements at once. Lane r of the result is the sum of row r. `step` returns the
 * vector of a row's partial sums with four more elements added.
 */
export function rowSums(
  f: Func,
  size: number,
  count: number,
  step: (sum: V128, row: number, i: I32, offset: number, part: Part) => V128,
  unroll = 1,
): V128 {
  const sums = Array.from({ length: count }, () => f.let(f32x4.splat(0)));
  eachPart(f, size, (i, offset, part) => {
    sums.forEach((sum, row) => f.set(sum, step(sum, row, i, offset, part)));
  }, unroll);
  return f.let(acrossLanes(f, sums));
}

/** Copies one lane of a vector to all lanes. */
export const spread = (x: V128, lane: number): V128 => v128.shuffle(x, x, [lane, lane, lane, lane]);

/** Stores the first `count` lanes of `x`, which must be a local variable, because its code may be generated several times. */
export function storeLanes(f: Func, address: I32, x: V128, count: number): void {
  if (count === 4) f.store(address, x);
  else for (let lane = 0; lane < count; lane++) f.storeLane(address, x, lane, 4 * lane);
}
