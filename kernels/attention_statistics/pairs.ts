// The pairs of two query rows and their keys in WebAssembly: which keys a row can see, dot products of four keys at once,
// and modified scores. A pair that is not visible has the score -Infinity.
import {
  element,
  f32,
  f32x4,
  type Func,
  i32,
  i32x4,
  lanes,
  load,
  loadTwo,
  loadZero,
} from "../../src/wasm/mod.ts";
import { type I32, type Int, int, type Local, select, type V128, v128 } from "../../src/wasm/mod.ts";
import { variablesOf } from "../expression/expression.ts";
import { toWasm, toWasmCondition } from "../expression/wasm.ts";
import { gather } from "../simd/vectors.ts";
import { ATTENTION_CHOICES } from "../attention/activations.ts";
import { type AttentionAttrs, type AttentionSizes, queryOffset } from "../attention/sizes.ts";

/** 0, 1, 2, 3. */
export const LANES = lanes([0, 1, 2, 3]);

const smaller = (a: I32, b: Int): I32 => select(i32.ltS(a, b), a, int(b));
const larger = (a: I32, b: Int): I32 => select(i32.gtS(a, b), a, int(b));

/** One head of one sample. */
export interface HeadOfSample {
  readonly batch: Local<"i32">;
  readonly head: Local<"i32">;
  /** The head of the keys and values that it reads. */
  readonly keyHead: Local<"i32">;
}

/** The `index`-th of B H heads. */
export function headOf(f: Func, index: I32, { H, HKV }: AttentionSizes, attrs: AttentionAttrs): HeadOfSample {
  const { keyHead } = ATTENTION_CHOICES.kvHead[attrs.kvHead];
  const head = f.let(i32.remU(index, H));
  const keyHeads = Array.from({ length: H }, (_, h) => keyHead(h, H, HKV));
  return {
    batch: f.let(i32.divU(index, H)),
    head,
    keyHead: f.let(keyHeads.reduce<I32>((x, kv, h) => select(i32.eq(head, h), int(kv), x), int(0))),
  };
}

/** The range of keys that row i can see: from `start` to `limit` exclusive; it is empty if `start` is not below `limit`. */
export function rangeOfRow(
  f: Func,
  i: I32,
  sizes: AttentionSizes,
  attrs: AttentionAttrs,
): { start: I32; limit: I32 } {
  const { window, causal, symmetric } = attrs;
  const { S } = sizes;
  const position = i32.add(i, queryOffset(sizes, attrs));
  const ahead = causal ? 1 : symmetric && window > 0 ? window : undefined;
  return {
    start: window > 0 ? f.let(larger(i32.add(position, 1 - window), 0)) : int(0),
    limit: ahead === undefined ? int(S) : f.let(smaller(larger(i32.add(position, ahead), 0), S)),
  };
}

/** Rounded down or up to a multiple of four keys. */
export const roundedDown = (j: I32): I32 => i32.and(j, -4);
export const roundedUp = (j: I32): I32 => i32.and(i32.add(j, 3), -4);

/** The first `count` < 4 floats at an address, zeros in the other lanes. */
export function loadPart(at: I32, count: number, offset: number): V128 {
  if (count === 1) return loadZero(at, offset);
  const two = loadTwo(at, offset);
  return count === 2 ? two : f32x4.replace(two, 2, load("f32", at, offset + 8));
}

/** The sums of the lanes of four vectors, one in each lane. */
function sumsOfLanes(f: Func, [a, b, c, d]: readonly V128[]): V128 {
  const halves = (x: V128, y: V128) =>
    f.let(f32x4.add(v128.shuffle(x, y, [0, 4, 1, 5]), v128.shuffle(x, y, [2, 6, 3, 7])));
  const [x, y] = [halves(a, b), halves(c, d)];
  return f32x4.add(v128.shuffle(x, y, [0, 1, 4, 5]), v128.shuffle(x, y, [2, 3, 6, 7]));
}

/** Rows to multiply: `count` rows of `size` floats that lie `stride` bytes apart from `first`. */
export interface Rows {
  readonly first: I32;
  readonly stride: number;
  readonly count: number;
  readonly size: number;
}

/** Vectors of a row that are multiplied between two jumps. */
const UNROLLED = 8;

/** The dot products of rows at each address of `x` with rows j to j + 3 of `y`; rows past the last repeat it. */
export function dots(f: Func, x: readonly I32[], { first, stride, count, size }: Rows, j: I32): V128[] {
  const row = (lane: number): I32 => {
    if (count % 4 === 0) return i32.add(first, i32.mul(j, stride));
    return i32.add(first, i32.mul(smaller(i32.add(j, lane), count - 1), stride));
  };
  const exact = count % 4 === 0;
  const left = x.map((at) => f.let(at));
  const right = exact ? [f.let(row(0))] : [0, 1, 2, 3].map((lane) => f.let(row(lane)));
  const sums = x.map(() => [0, 1, 2, 3].map(() => f.let(f32x4.splat(0))));
  const step = (read: (at: I32, offset: number) => V128, shift: number): void => {
    const values = left.map((at) => f.let(read(at, shift)));
    for (let lane = 0; lane < 4; lane++) {
      const y = f.let(exact ? read(right[0], lane * stride + shift) : read(right[lane], shift));
      values.forEach((value, r) => f.set(sums[r][lane], f32x4.madd(value, y, sums[r][lane])));
    }
  };
  const steps = (n: number): void => {
    for (let e = 0; e < n; e++) step((at, offset) => load("v128", at, offset), 16 * e);
  };
  const vectors = Math.floor(size / 4);
  const rounds = Math.max(0, Math.floor((vectors - 1) / UNROLLED));
  f.loop(0, rounds, 1, () => {
    steps(UNROLLED);
    for (const at of [...left, ...right]) f.set(at, i32.add(at, 16 * UNROLLED));
  });
  const rest = vectors - rounds * UNROLLED;
  steps(rest);
  if (size % 4) step((at, offset) => loadPart(at, size % 4, offset), 16 * rest);
  return sums.map((four) => sumsOfLanes(f, four));
}

/** Writes the code of modified scores: from scale q . k to the activation's input, -Infinity if the mask hides the pair. */
export function scoreModifier(
  f: Func,
  { batch, head }: HeadOfSample,
  attrs: AttentionAttrs,
  tables: readonly I32[],
): (score: V128, i: I32, j: I32) => V128 {
  const used = variablesOf(attrs.score).union(attrs.mask ? variablesOf(attrs.mask) : new Set());
  const floats = (x: I32): V128 => f32x4.splat(f32.fromU(x));
  const known = {
    ...(used.has("b") ? { b: f.let(floats(batch)) } : {}),
    ...(used.has("h") ? { h: f.let(floats(head)) } : {}),
  };
  const lookups = Object.fromEntries(
    attrs.tables.map((name, t) => [name, (index: V128) => gather(tables[t], index)]),
  );
  return (score, i, j) => {
    const variables = {
      ...known,
      score: f.let(score),
      ...(used.has("i") ? { i: f.let(floats(i)) } : {}),
      ...(used.has("j") ? { j: f.let(f32x4.fromS(i32x4.add(i32x4.splat(j), LANES))) } : {}),
    };
    const modified = f.let(toWasm(attrs.score, f, variables, lookups));
    if (!attrs.mask) return modified;
    return v128.select(toWasmCondition(attrs.mask, f, variables, lookups), modified, -Infinity);
  };
}

/** Hides the keys outside a row's range in its first and last four scores; those of key 0 begin at `scores`. */
export function hideOutside(f: Func, scores: I32, start: I32, limit: I32, window: number): void {
  const hide = (j: I32, compare: typeof i32x4.geS, bound: I32): void => {
    const first = f.let(j);
    const at = f.let(i32.add(scores, i32.shl(first, 2)));
    const inside = compare(i32x4.add(i32x4.splat(first), LANES), i32x4.splat(bound));
    f.store(at, v128.select(inside, load("v128", at), -Infinity));
  };
  if (window > 0) hide(roundedDown(start), i32x4.geS, start);
  hide(i32.sub(roundedUp(limit), 4), i32x4.ltS, limit);
}

/** Products of each query row with the rows of its visible keys, such as q . k. */
export interface Product {
  /** [B, T, H, size] and [B, S, Hkv, size]. */
  readonly x: I32;
  readonly y: I32;
  readonly size: number;
  /** What is kept of the products of row i with keys j to j + 3. */
  readonly kept: (products: V128, i: I32, j: I32) => V128;
}

/** A query row that sees a key by its range. Arrays over the keys follow each other in memory: first the kept products. */
export interface QueryRow {
  readonly i: I32;
  /** The keys of its range. */
  readonly start: I32;
  readonly limit: I32;
  /** Address of the entry of key 0 in the first array; others are multiples of `arrayBytes` further. */
  readonly memory: I32;
}

/** Bytes of an array over the keys. */
export const arrayBytes = ({ S }: AttentionSizes): number => 4 * (S + 3 & ~3);

/** A tile of query rows: `rows` rows from `first` of a head; each row has `arrays` arrays in `memory`, two rows at a time. */
export interface Tile {
  readonly head: HeadOfSample;
  readonly first: I32;
  readonly rows: number;
  readonly memory: I32;
  readonly arrays: number;
}

/** Calls `visit` for every row of a tile that sees a key by its range, with its products in memory. */
export function forRows(
  f: Func,
  { head: { batch, head, keyHead }, first, rows, memory, arrays }: Tile,
  sizes: AttentionSizes,
  attrs: AttentionAttrs,
  products: readonly Product[],
  visit: (row: QueryRow) => void,
): void {
  const { T, S, H, HKV } = sizes;
  const bytes = arrayBytes(sizes);
  const end = f.let(smaller(i32.add(first, rows), T));
  f.loop(first, end, 2, (i) => {
    const both = [i, f.let(smaller(i32.add(i, 1), T - 1))];
    const from = f.let(roundedDown(rangeOfRow(f, both[0], sizes, attrs).start));
    const to = f.let(roundedUp(rangeOfRow(f, both[1], sizes, attrs).limit));
    products.forEach(({ x, y, size, kept }, k) => {
      const row = (i: I32): I32 => i32.add(i32.mul(i32.add(i32.mul(batch, T), i), H), head);
      const queries = both.map((i) => f.let(element(x, row(i), 4 * size)));
      const keys = {
        first: f.let(element(y, i32.add(i32.mul(batch, S * HKV), keyHead), 4 * size)),
        ...{ stride: 4 * HKV * size, count: S, size },
      };
      f.loop(from, to, 4, (j) => {
        dots(f, queries, keys, j).forEach((values, r) => {
          f.store(element(memory, j), kept(values, both[r], j), (arrays * r + k) * bytes);
        });
      });
    });
    f.loop(i, smaller(i32.add(i, 2), end), 1, (row) => {
      const { start, limit } = rangeOfRow(f, row, sizes, attrs);
      f.if(i32.ltU(start, limit), () => {
        const at = f.let(element(memory, i32.sub(row, i), arrays * bytes));
        hideOutside(f, at, start, limit, attrs.window);
        visit({ i: row, start, limit, memory: at });
      });
    });
  });
}

/** Calls `visit` for every four keys of a row: the address of their entries in the first array, and their indices. */
export function forKeys(
  f: Func,
  { memory, start, limit }: QueryRow,
  visit: (at: I32, keys: V128) => void,
): void {
  f.loop(element(memory, roundedDown(start)), f.let(element(memory, roundedUp(limit))), 16, (at) => {
    visit(at, i32x4.add(i32x4.splat(i32.shrU(i32.sub(at, memory), 2)), LANES));
  });
}

/** Rows of a tile: some thousand pairs, and a multiple of four. */
export const rowsOfTile = ({ T, S }: AttentionSizes): number =>
  Math.min(T + 3 & ~3, Math.max(4, Math.min(64, Math.floor(8192 / S) & ~3)));
