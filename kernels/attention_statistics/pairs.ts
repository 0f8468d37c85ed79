// The pairs of query rows and their keys in WebAssembly: dot products of two rows with four keys at once, kept in the thread's
// own memory. Keys are read where they are: a pair is used once or twice, which does not pay for packing them.
import { element, f32x4, type Func, type I32, i32, i32x4, type Int, int } from "../../src/wasm/mod.ts";
import { lanes, type Local, type V128, v128 } from "../../src/wasm/mod.ts";
import { type AttentionCall, keyHead, keysOf, type Pairs, pointsOf } from "../attention/simd/points.ts";
import { lesser, upTo } from "../attention/simd/tiles.ts";
import type { AttentionSizes } from "../attention/sizes.ts";
import { acrossLanes } from "../simd/rows.ts";
import { loadPart } from "../simd/vectors.ts";

/** 0, 1, 2, 3. */
const LANES = lanes([0, 1, 2, 3]);

/** Rounded down or up to a multiple of four keys. */
export const roundedDown = (j: Int): I32 => i32.and(j, -4);
export const roundedUp = (j: Int): I32 => i32.and(i32.add(j, 3), -4);

/** Rows of `size` floats, `count` of them, that lie `stride` bytes apart from `first` on. */
interface Rows {
  readonly first: I32;
  readonly stride: number;
  readonly count: number;
  readonly size: number;
}

/** Vectors of a row that are multiplied in one round of a loop. */
const UNROLLED = 8;

/** The dot products of rows at each address of `x` with rows j to j + 3 of `y`; the last row stands for those past it. */
function dots(f: Func, x: readonly I32[], { first, stride, count, size }: Rows, j: I32): V128[] {
  const exact = count % 4 === 0;
  const row = (lane: number): Int => exact ? j : lesser(f, i32.add(j, lane), count - 1);
  const left = x.map((at) => f.let(at));
  const right = (exact ? [0] : [0, 1, 2, 3]).map((lane) => f.let(element(first, row(lane), stride)));
  const sums = x.map(() => [0, 1, 2, 3].map(() => f.let(f32x4.splat(0))));
  const step = (e: number): void => {
    const part = (at: I32, offset: number): V128 => f.let(loadPart(at, offset + 16 * e, size - 4 * e));
    const values = left.map((at) => part(at, 0));
    for (let lane = 0; lane < 4; lane++) {
      const y = exact ? part(right[0], lane * stride) : part(right[lane], 0);
      values.forEach((value, r) => f.set(sums[r][lane], f32x4.madd(value, y, sums[r][lane])));
    }
  };
  const steps = Math.ceil(size / 4);
  const rounds = Math.floor((steps - 1) / UNROLLED);
  f.loop(0, rounds, 1, () => {
    for (let e = 0; e < UNROLLED; e++) step(e);
    for (const at of [...left, ...right]) f.set(at, i32.add(at, 16 * UNROLLED));
  });
  size -= 4 * UNROLLED * rounds;
  for (let e = 0; 4 * e < size; e++) step(e);
  return sums.map((four) => acrossLanes(f, four));
}

/** One head of one sample, and the head of the keys and values that it reads. */
export interface HeadOfSample {
  readonly b: Local<"i32">;
  readonly h: Local<"i32">;
  readonly keyHead: Local<"i32">;
}

/** The `index`-th of B H heads. */
export function headOf(f: Func, index: I32, call: AttentionCall): HeadOfSample {
  const h = f.let(i32.remU(index, call.sizes.H));
  return { b: f.let(i32.divU(index, call.sizes.H)), h, keyHead: f.let(keyHead(call, h)) };
}

/** Products of each query row with the rows of the keys that it can see, such as q . k. */
export interface Product {
  /** [B, T, H, size] and [B, S, Hkv, size]. */
  readonly x: I32;
  readonly y: I32;
  readonly size: number;
  /** What is kept of the products of a row with keys j to j + 3. */
  readonly kept: (products: V128, points: ReturnType<typeof pointsOf>, j: I32) => V128;
}

/** The scores of pairs; a pair that is not visible has the score -Infinity. */
export function scoresOf(q: I32, k: I32, { sizes: { D }, attrs: { scale } }: AttentionCall): Product {
  return {
    ...{ x: q, y: k, size: D },
    kept(products, points, j) {
      const { score, seen }: Pairs = points.pairs(f32x4.mul(products, scale), j);
      return v128.select(seen, score, -Infinity);
    },
  };
}

/** A query row. Arrays over the keys follow each other in memory: first the kept products. */
export interface QueryRow {
  readonly i: I32;
  /** The keys of its range, in vectors: from `start` to before `end`. */
  readonly start: I32;
  readonly end: I32;
  /** Address of the entry of key 0 in the first array; in the others it is multiples of `arrayBytes` further. */
  readonly memory: I32;
}

/** Bytes of an array over the keys. */
export const arrayBytes = ({ S }: AttentionSizes): number => 4 * upTo(S, 4);

/** A tile of query rows of a head. Each row has `arrays` arrays in `memory`, two rows at a time. */
export interface Tile {
  readonly call: AttentionCall;
  readonly head: HeadOfSample;
  /** The head's index among the B H heads of all samples. */
  readonly index: I32;
  /** The first row, and the number of rows of every tile but the last. */
  readonly first: I32;
  readonly rows: number;
  readonly memory: I32;
  readonly arrays: number;
  /** The extra inputs of the attention. */
  readonly extras: readonly I32[];
}

/** Rows of a tile: some thousand pairs, and a multiple of four. */
export const rowsOfTile = ({ T, S }: AttentionSizes): number =>
  Math.min(upTo(T, 4), Math.max(4, Math.min(64, Math.floor(8192 / S) & ~3)));

/** Calls `visit` for every row of a tile whose range has a key, with its products in memory. */
export function forRows(
  f: Func,
  { call, head: { b, h, keyHead }, first, rows, memory, arrays, extras }: Tile,
  products: readonly Product[],
  visit: (row: QueryRow) => void,
): void {
  const { T, S, H, HKV } = call.sizes;
  const bytes = arrayBytes(call.sizes);
  const rangeOf = (i: I32) => {
    const { start = int(0), end = int(S) } = keysOf(f, call, i);
    return { start: f.let(roundedDown(start)), end: f.let(roundedUp(end)) };
  };
  const last = lesser(f, i32.add(first, rows), T);
  f.loop(first, last, 2, (i) => {
    const both = [i, lesser(f, i32.add(i, 1), T - 1)];
    const [{ start }, { end }] = both.map(rangeOf);
    const points = both.map((i) => pointsOf(f, call, { b, h, i, extras }));
    products.forEach(({ x, y, size, kept }, k) => {
      const row = (i: I32): I32 => i32.add(i32.mul(i32.add(i32.mul(b, T), i), H), h);
      const queries = both.map((i) => f.let(element(x, row(i), 4 * size)));
      const keys = {
        first: f.let(element(y, i32.add(i32.mul(b, S * HKV), keyHead), 4 * size)),
        ...{ stride: 4 * HKV * size, count: S, size },
      };
      f.loop(start, end, 4, (j) => {
        dots(f, queries, keys, j).forEach((values, r) => {
          f.store(element(memory, j), kept(values, points[r], j), (arrays * r + k) * bytes);
        });
      });
    });
    f.loop(i, lesser(f, i32.add(i, 2), last), 1, (row) => {
      const range = rangeOf(row);
      const at = f.let(element(memory, i32.sub(row, i), arrays * bytes));
      f.if(i32.ltU(range.start, range.end), () => visit({ i: row, ...range, memory: at }));
    });
  });
}

/** Calls `visit` for every four keys of a row: the address of their entries in the first array, and their indices. */
export function forKeys(
  f: Func,
  { memory, start, end }: QueryRow,
  visit: (at: I32, keys: V128) => void,
): void {
  f.loop(element(memory, start), f.let(element(memory, end)), 16, (at) => {
    visit(at, i32x4.add(i32x4.splat(i32.shrU(i32.sub(at, memory), 2)), LANES));
  });
}
