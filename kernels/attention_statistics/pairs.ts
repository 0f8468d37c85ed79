// WebAssembly code that visits the pairs of a tile of query rows and the keys that they see. As in attention itself, query rows
// are multiplied by packed keys, and the products are kept in the thread's own memory. The score of a pair that is not visible is
// -Infinity.
import { element, type Func, type I32, i32, i32x4, int } from "../../src/wasm/mod.ts";
import { lanes, load, type Local, type V128, v128 } from "../../src/wasm/mod.ts";
import type { Phase } from "../../src/graph/simd.ts";
import { type AttentionCall, groupOf, keyHead, keysOf, pointsOf } from "../attention/simd/points.ts";
import { lesser, panelPack, product, rowCopy, upTo } from "../attention/simd/tiles.ts";
import { type AttentionSizes, extrasOf } from "../attention/sizes.ts";

/** 0, 1, 2, 3. */
const LANES = lanes([0, 1, 2, 3]);

/** Number of rows that are multiplied at once, and number of keys that a block packs. */
const [GROUP, PACKED] = [6, 64];

/** Dot products, such as q . k, of each query row with one row for each key that the query can see. */
export interface Product {
  /** Index of the input with the query rows, [B, T, H, size]. */
  readonly x: number;
  /** Index of the input with the rows of the keys, [B, S, Hkv, size]. */
  readonly y: number;
  readonly size: number;
  /** Factor by which the products are multiplied. */
  readonly scale: number;
  /** Computes four values, such as scores, from the products of a row with keys j to j + 3. */
  readonly kept: (products: V128, points: ReturnType<typeof pointsOf>, j: I32) => V128;
}

/** Returns the product that computes the scores of pairs; a pair that is not visible has the score -Infinity. */
export const scoresOf = ({ sizes: { D }, attrs: { scale } }: AttentionCall): Product => ({
  ...{ x: 0, y: 1, size: D, scale },
  kept(products, points, j) {
    const { score, seen } = points.pairs(products, j);
    return v128.select(seen, score, -Infinity);
  },
});

/** Returns the number of elements of the packed keys of a product. */
export const packedElements = ({ B, S, HKV }: AttentionSizes, { size }: Product): number =>
  B * HKV * upTo(S, 8) * upTo(size, 4);

/**
 * Returns the phase that packs the keys of all products into scratch buffers, one buffer of `packedElements` elements per
 * product, starting at the buffer with index `first`.
 */
export function packPhase(
  label: string,
  { B, S, HKV }: AttentionSizes,
  products: readonly Product[],
  first: number,
): Phase {
  const chunks = Math.ceil(S / PACKED);
  return {
    label,
    blocks: B * HKV * chunks,
    kernel(f, block, { inputs, scratch }) {
      const head = f.let(i32.divU(block, chunks));
      const key = f.let(i32.mul(i32.remU(block, chunks), PACKED));
      const count = lesser(f, i32.sub(S, key), PACKED);
      const rows = i32.add(i32.mul(i32.divU(head, HKV), S), key);
      const row = f.let(i32.add(i32.mul(rows, HKV), i32.remU(head, HKV)));
      products.forEach(({ y, size }, k) => {
        const pack = panelPack(f, { columns: size, stride: 4 * HKV * size });
        const panels = element(scratch[first + k], head, 4 * upTo(S, 8) * upTo(size, 4));
        f.call(
          pack,
          i32.add(panels, i32.mul(key, 4 * upTo(size, 4))),
          element(inputs[y], row, 4 * size),
          count,
        );
      });
    },
  };
}

/**
 * Returns the size in bytes of an array with one entry per key. Padding makes successive arrays start in different cache sets.
 */
export const arrayBytes = ({ S }: AttentionSizes): number => 4 * (upTo(S, 8) + 16);

/** Returns the number of rows per tile, a multiple of GROUP. It is chosen so that a tile has several thousand pairs. */
export function rowsOfTile({ T, S }: AttentionSizes): number {
  const tiles = Math.ceil(T / Math.max(12, Math.min(66, Math.floor(8192 / S))));
  return upTo(Math.ceil(T / tiles), GROUP);
}

/** A tile of query rows of head h of sample b. */
export interface Tile {
  readonly call: AttentionCall;
  readonly b: Local<"i32">;
  readonly h: Local<"i32">;
  /** The head's index among the B H heads of all samples. */
  readonly index: I32;
  /** The first row of the tile, and the number of rows. The rows from T on do not exist. */
  readonly first: Local<"i32">;
  readonly rows: number;
  readonly products: readonly Product[];
  /** Address of the packed keys of each product. */
  readonly packed: readonly I32[];
  readonly inputs: readonly I32[];
  /** Address of the block's memory: `pairElements` elements, then those that the operation needs. */
  readonly memory: I32;
  /** Number of arrays over the keys that each row has: one for each product, then those of the operation. */
  readonly arrays: number;
}

/** Returns the number of elements of a tile's copy of a product's query rows. */
const copyElements = (rows: number, { size }: Product): number => rows * upTo(size, 8);

/**
 * Returns the number of elements of memory that the pairs of a tile need: the copies of the query rows, a vector for the flag of
 * `rowCopy` (which is not read), and the arrays.
 */
export const pairElements = (
  sizes: AttentionSizes,
  { rows, products, arrays }: Pick<Tile, "rows" | "products" | "arrays">,
): number =>
  products.reduce((sum, of) => sum + copyElements(rows, of), rows * arrays * arrayBytes(sizes) / 4 + 4);

/** A query row. The arrays of the row follow each other in memory, the arrays of the products first. */
export interface QueryRow {
  readonly i: I32;
  /** The range of keys that the row can see, extended to whole vectors: from `start` up to, but not including, `end`. */
  readonly start: I32;
  readonly end: I32;
  /** Address of the entry of key 0 in the first array. Array k begins k * `arrayBytes` bytes later. */
  readonly memory: I32;
  /**
   * Returns what the `kept` of each product computes for keys j to j + 3. The entries of these keys in the first array begin at
   * the address `at`.
   */
  readonly kept: (at: I32, j: I32) => Local<"v128">[];
}

/** Writes the code that computes the products and stores them in the arrays of all rows. */
function writeProducts(f: Func, tile: Tile, count: I32, arrays: I32): void {
  const { call, call: { sizes, sizes: { T, S, H, HKV } }, b, h, first, rows, inputs } = tile;
  const bytes = arrayBytes(sizes);
  const query = f.let(i32.add(i32.mul(i32.add(i32.mul(b, T), first), H), h));
  const keys = f.let(i32.add(i32.mul(b, HKV), keyHead(call, h)));
  let copies = tile.memory;
  tile.products.forEach((of, k) => {
    const { x, size, scale } = of;
    const [width, depth] = [4 * upTo(size, 8), 4 * upTo(size, 4)];
    const copy = rowCopy(f, { columns: size, stride: 4 * H * size }, rows, scale);
    const from = f.let(copies);
    f.call(copy, from, element(inputs[x], query, 4 * size), count, i32.sub(arrays, 16));
    const dot = product(f, GROUP, { aRow: width, aStep: 4, bStep: 32, cRow: tile.arrays * bytes });
    const panels = f.let(element(tile.packed[k], keys, upTo(S, 8) * depth));
    f.loop(0, count, GROUP, (row) => {
      const { lo, hi } = groupOf(f, call, i32.add(first, row), GROUP, 0, upTo(S, 8));
      const a = f.let(element(from, row, width));
      const c = f.let(i32.add(element(arrays, row, tile.arrays * bytes), k * bytes));
      f.loop(lo, hi, 8, (j) => f.call(dot, a, element(panels, j, depth), element(c, j), depth / 4));
    });
    copies = i32.add(from, 4 * copyElements(rows, of));
  });
}

/**
 * Writes a loop over the rows of a tile that have at least one key in range. The products of all rows are computed before the
 * loop.
 */
export function forRows(f: Func, tile: Tile, visit: (row: QueryRow) => void): void {
  const { call, call: { sizes, attrs }, b, h, first, rows, products, inputs } = tile;
  const extras = inputs.slice(inputs.length - extrasOf(attrs).length);
  const count = lesser(f, i32.sub(sizes.T, first), rows);
  const bytes = arrayBytes(sizes);
  const arrays = f.let(i32.add(tile.memory, 4 * pairElements(sizes, tile) - rows * tile.arrays * bytes));
  writeProducts(f, tile, count, arrays);
  f.loop(0, count, 1, (row) => {
    const i = f.let(i32.add(first, row));
    const { start = int(0), end = int(sizes.S) } = keysOf(f, call, i);
    const range = { start: f.let(i32.and(start, -4)), end: f.let(i32.and(i32.add(end, 3), -4)) };
    f.if(i32.ltU(range.start, range.end), () => {
      const memory = f.let(element(arrays, row, tile.arrays * bytes));
      const points = pointsOf(f, call, { b, h, i, extras });
      const kept = (at: I32, j: I32) =>
        products.map((of, k) => f.let(of.kept(load("v128", at, k * bytes), points, j)));
      visit({ i, ...range, memory, kept });
    });
  });
}

/**
 * Writes a loop over the keys of a row, four at a time. `visit` gets the address of the four entries in the first array, and the
 * index j of the first of these keys.
 */
export function forKeys(
  f: Func,
  { memory, start, end }: QueryRow,
  visit: (at: Local<"i32">, j: Local<"i32">) => void,
): void {
  const j = f.let(start);
  f.loop(element(memory, start), f.let(element(memory, end)), 16, (at) => {
    visit(at, j);
    f.set(j, i32.add(j, 4));
  });
}

/** Returns the vector of the indices j to j + 3. */
export const keysFrom = (j: I32): V128 => i32x4.add(i32x4.splat(j), LANES);
