// The pairs of a tile of query rows and their keys in WebAssembly: products of query rows with packed keys, in the thread's own
// memory, as in attention itself, and scores in which pairs that are not visible are -Infinity.
import { element, type Func, type I32, i32, i32x4, int } from "../../src/wasm/mod.ts";
import { lanes, load, type Local, type V128, v128 } from "../../src/wasm/mod.ts";
import type { Phase } from "../../src/graph/simd.ts";
import { type AttentionCall, groupOf, keyHead, keysOf, pointsOf } from "../attention/simd/points.ts";
import { lesser, panelPack, product, rowCopy, upTo } from "../attention/simd/tiles.ts";
import { type AttentionSizes, extrasOf } from "../attention/sizes.ts";

/** 0, 1, 2, 3. */
const LANES = lanes([0, 1, 2, 3]);

/** Rows that a product takes at once, and keys that a block packs. */
const [GROUP, PACKED] = [6, 64];

/** Products of each query row with the rows of the keys that it can see, such as q . k. */
export interface Product {
  /** Indices of the inputs [B, T, H, size] and [B, S, Hkv, size]. */
  readonly x: number;
  readonly y: number;
  readonly size: number;
  /** A factor of the products. */
  readonly scale: number;
  /** What is made of the products of a row with keys j to j + 3. */
  readonly kept: (products: V128, points: ReturnType<typeof pointsOf>, j: I32) => V128;
}

/** The scores of pairs; a pair that is not visible has the score -Infinity. */
export const scoresOf = ({ sizes: { D }, attrs: { scale } }: AttentionCall): Product => ({
  ...{ x: 0, y: 1, size: D, scale },
  kept(products, points, j) {
    const { score, seen } = points.pairs(products, j);
    return v128.select(seen, score, -Infinity);
  },
});

/** Elements of the packed keys of a product. */
export const packedElements = ({ B, S, HKV }: AttentionSizes, { size }: Product): number =>
  B * HKV * upTo(S, 8) * upTo(size, 4);

/** Packs the keys of all products; the scratch buffers from `first` on are those of `packedElements`. */
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

/** Bytes of an array over the keys; the padding spreads arrays over the sets of a cache. */
export const arrayBytes = ({ S }: AttentionSizes): number => 4 * (upTo(S, 8) + 16);

/** Rows of a tile: some thousand pairs, in whole groups. */
export function rowsOfTile({ T, S }: AttentionSizes): number {
  const tiles = Math.ceil(T / Math.max(12, Math.min(66, Math.floor(8192 / S))));
  return upTo(Math.ceil(T / tiles), GROUP);
}

/** A tile of query rows of a head of a sample. */
export interface Tile {
  readonly call: AttentionCall;
  readonly b: Local<"i32">;
  readonly h: Local<"i32">;
  /** The head's index among the B H heads of all samples. */
  readonly index: I32;
  /** The first row, and the number of rows, of which those from T on do not exist. */
  readonly first: Local<"i32">;
  readonly rows: number;
  readonly products: readonly Product[];
  /** Packed keys of each product. */
  readonly packed: readonly I32[];
  readonly inputs: readonly I32[];
  /** Memory: first `pairElements`, then what the operation needs. */
  readonly memory: I32;
  /** Arrays over the keys that each row has: one for each product, then those of the operation. */
  readonly arrays: number;
}

/** Elements of a tile's copy of the rows of x of a product. */
const copyElements = (rows: number, { size }: Product): number => rows * upTo(size, 8);

/** Elements of memory that the pairs of a tile need: copies, a vector for `rowCopy`'s flag, which nothing reads, and arrays. */
export const pairElements = (
  sizes: AttentionSizes,
  { rows, products, arrays }: Pick<Tile, "rows" | "products" | "arrays">,
): number =>
  products.reduce((sum, of) => sum + copyElements(rows, of), rows * arrays * arrayBytes(sizes) / 4 + 4);

/** A query row. Its arrays follow each other in memory: first the products. */
export interface QueryRow {
  readonly i: I32;
  /** The keys of its range, in vectors: from `start` to before `end`. */
  readonly start: I32;
  readonly end: I32;
  /** Address of the entry of key 0 in the first array; in the others it is multiples of `arrayBytes` further. */
  readonly memory: I32;
  /** Writes what is made of the products with keys j to j + 3, whose entries begin at an address. */
  readonly kept: (at: I32, j: I32) => Local<"v128">[];
}

/** Writes products to the arrays of all rows. */
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

/** Calls `visit` for every row of a tile whose range has a key, with its products in memory. */
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

/** Calls `visit` for every four keys of a row: the address of their entries in the first array, and the first key. */
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

/** Indices of four keys from j on. */
export const keysFrom = (j: I32): V128 => i32x4.add(i32x4.splat(j), LANES);
