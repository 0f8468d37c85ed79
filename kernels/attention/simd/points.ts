// Properties of the pairs of a query and a key: whether a pair is visible, its modified score, and its dropout factor. They are
// computed for four keys of one query at a time.
import {
  element,
  f32x4,
  type Func,
  type I32,
  i32,
  i32x4,
  type Int,
  int,
  lanes,
  load,
  type Local,
} from "../../../src/wasm/mod.ts";
import { loadSplat, type V128, v128 } from "../../../src/wasm/mod.ts";
import { toWasm, toWasmCondition, type VectorTables } from "../../expression/wasm.ts";
import { derivative, type Expression, type Lookup } from "../../expression/expression.ts";
import { threefry, threefryKey } from "../../random/threefry_simd.ts";
import { gather } from "../../simd/vectors.ts";
import type { AttentionChoice } from "../activations.ts";
import { type AttentionAttrs, type AttentionSizes, BLOCK, extrasOf } from "../sizes.ts";
import { modifies, queryOffset } from "../sizes.ts";
import { greater, HIDDEN, lesser } from "./tiles.ts";

/** A call of attention: its sizes and attributes. */
export interface AttentionCall {
  readonly sizes: AttentionSizes;
  readonly attrs: AttentionAttrs;
}

/** Clamps an integer to the range from `low` to `high`. */
const clamp = (f: Func, x: Int, low: number, high: number): Local<"i32"> =>
  lesser(f, greater(f, x, low), high);

/**
 * Returns the range of keys that query i can see: from `start` up to, but not including, `end`. If `start` or `end` is undefined,
 * there is no limit. A mask may hide some of these keys.
 */
export function keysOf(
  f: Func,
  { sizes, attrs: { causal, window, symmetric, ...rest } }: AttentionCall,
  i: Int,
) {
  const position = i32.add(i, queryOffset(sizes, rest));
  const ahead = causal ? 1 : symmetric && window > 0 ? window : undefined;
  return {
    start: window > 0 ? clamp(f, i32.add(position, 1 - window), 0, sizes.S) : undefined,
    end: ahead === undefined ? undefined : clamp(f, i32.add(position, ahead), 0, sizes.S),
  };
}

/** Returns the range of queries that can see key j: from `start` up to, but not including, `end` (undefined: no limit). */
export function queriesOf(
  f: Func,
  { sizes, attrs: { causal, window, symmetric, ...rest } }: AttentionCall,
  j: Int,
) {
  const row = i32.sub(j, queryOffset(sizes, rest));
  const ahead = causal ? 0 : symmetric && window > 0 ? window - 1 : undefined;
  return {
    start: ahead === undefined ? undefined : clamp(f, i32.sub(row, ahead), 0, sizes.T),
    end: window > 0 ? clamp(f, i32.add(row, window), 0, sizes.T) : undefined,
  };
}

/** The key head that query head h reads, and the m-th query head that reads key head `kv`. */
const HEADS: Readonly<
  Record<
    AttentionChoice<"kvHead">,
    { keyHead(h: Int, H: number, HKV: number): I32; head(kv: Int, m: Int, H: number, HKV: number): I32 }
  >
> = {
  grouped: {
    keyHead: (h, H, HKV) => i32.divU(h, H / HKV),
    head: (kv, m, H, HKV) => i32.add(i32.mul(kv, H / HKV), m),
  },
  modulo: {
    keyHead: (h, _H, HKV) => i32.remU(h, HKV),
    head: (kv, m, _H, HKV) => i32.add(kv, i32.mul(m, HKV)),
  },
};

/** Returns the key head that query head h reads. */
export const keyHead = ({ sizes: { H, HKV }, attrs }: AttentionCall, h: Int): I32 =>
  HEADS[attrs.kvHead].keyHead(h, H, HKV);

/** Returns the m-th query head that reads key head `kv`. */
export const queryHead = ({ sizes: { H, HKV }, attrs }: AttentionCall, kv: Int, m: Int): I32 =>
  HEADS[attrs.kvHead].head(kv, m, H, HKV);

/**
 * Returns the range of keys that any of the queries i to i + size - 1 can see, extended to multiples of 8. The range is relative
 * to key `first` and clamped to `count` keys.
 */
export function groupOf(f: Func, call: AttentionCall, i: Int, size: number, first: Int, count: number) {
  const { start } = keysOf(f, call, i);
  const { end } = keysOf(f, call, i32.add(i, size - 1));
  const inTile = (x: Int): Int => clamp(f, i32.sub(x, first), 0, count);
  return {
    lo: start ? f.let(i32.and(inTile(start), -8)) : int(0),
    hi: end ? f.let(i32.and(i32.add(inTile(end), 7), -8)) : int(count),
  };
}

/**
 * Returns the range of queries that can see any of the keys j to j + size - 1, extended to multiples of 4. The range is relative
 * to query `first` and clamped to `count` queries.
 */
export function queriesIn(f: Func, call: AttentionCall, j: Int, size: number, first: Int, count: number) {
  const { start } = queriesOf(f, call, j);
  const { end } = queriesOf(f, call, i32.add(j, size - 1));
  const inTile = (x: Int): Int => clamp(f, i32.sub(x, first), 0, count);
  return {
    from: start ? f.let(i32.and(inTile(start), -4)) : int(0),
    to: end ? f.let(i32.and(i32.add(inTile(end), 3), -4)) : int(count),
  };
}

/** A tile of pairs: `rows` queries from i on, and `keys` keys from j on. */
export interface PairTile {
  readonly b: I32;
  readonly h: I32;
  readonly i: I32;
  readonly rows: number;
  readonly j: I32;
  readonly keys: number;
}

/** Nonzero if the block mask shows any pair of a tile. */
export function tileVisible(
  f: Func,
  { sizes: { T, S }, attrs }: AttentionCall,
  extras: readonly I32[],
  { b, h, i, rows, j, keys }: PairTile,
): I32 {
  const [B, H, queryBlocks, keyBlocks] = attrs.blocks!;
  const matrix = i32.add(i32.mul(B === 1 ? 0 : b, H), H === 1 ? 0 : h);
  const states = f.let(
    element(extras[extrasOf(attrs).indexOf("blocks")], matrix, 4 * queryBlocks * keyBlocks),
  );
  const last = (first: I32, count: number, size: number) =>
    f.let(i32.divU(i32.sub(lesser(f, i32.add(first, count), size), 1), BLOCK));
  const [lastRow, lastKey] = [last(i, rows, T), last(j, keys, S)];
  const seen = f.let(int(0));
  f.loop(i32.divU(i, BLOCK), i32.add(lastRow, 1), 1, (row) => {
    f.loop(i32.divU(j, BLOCK), i32.add(lastKey, 1), 1, (key) => {
      f.set(seen, i32.or(seen, load("i32", element(states, i32.add(i32.mul(row, keyBlocks), key)))));
    });
  });
  return seen;
}

/** A query: its sample b, head h and row i, and the addresses of the extra inputs. */
export interface Query {
  readonly b: I32;
  readonly h: I32;
  readonly i: I32;
  readonly extras: readonly I32[];
}

/** The pairs of a query with four keys. */
export interface Pairs {
  /** Index of the first key. */
  readonly j: I32;
  /** Scores before the modifier. */
  readonly raw: Local<"v128">;
  /** Scores after the modifier. */
  readonly score: Local<"v128">;
  /** Mask of the lanes whose pair is visible. */
  readonly seen: Local<"v128">;
}

const IOTA = lanes([0, 1, 2, 3]);

/** Writes the code that is common to all pairs of a query; returns functions that write the code for four pairs. */
export function pointsOf(f: Func, call: AttentionCall, { b, h, i, extras }: Query) {
  const { sizes, attrs } = call;
  const names = extrasOf(attrs);
  const tables: VectorTables = Object.fromEntries(attrs.tables.map((table) => {
    const base = extras[names.indexOf(`table_${table}`)];
    return [table, (index: V128) => gather(base, index)];
  }));
  const vector = (x: I32): Local<"v128"> => f.let(f32x4.fromS(i32x4.splat(x)));
  const evaluates = modifies(attrs) || attrs.mask !== undefined;
  const query = evaluates ? { b: vector(b), h: vector(h), i: vector(i) } : undefined;
  const variables = (j: I32) => ({ ...query, j: f32x4.fromS(i32x4.add(i32x4.splat(j), IOTA)) });
  const { start, end = sizes.S } = keysOf(f, call, i);
  const [first, limit] = [start && f.let(i32x4.splat(start)), f.let(i32x4.splat(end))];
  const slope = derivative(attrs.score, "score");
  return {
    /** Computes the modified scores of four pairs, and which of the pairs are visible. */
    pairs(raw: V128, j: I32): Pairs {
      const key = f.let(i32x4.add(i32x4.splat(j), IOTA));
      const seen = f.let(i32x4.ltS(key, limit));
      if (first) f.set(seen, v128.and(seen, i32x4.geS(key, first)));
      const before = f.let(raw);
      const point = evaluates ? { ...variables(j), score: before } : {};
      if (attrs.mask) f.set(seen, v128.and(seen, toWasmCondition(attrs.mask, f, point, tables)));
      const score = modifies(attrs) ? f.let(toWasm(attrs.score, f, point, tables)) : before;
      f.set(seen, v128.and(seen, f32x4.ne(score, -Infinity)));
      return { j, raw: before, score, seen };
    },
    /** Returns the gradient of the raw scores of pairs, given the gradient `ds` of the modified scores. */
    throughModifier({ j, raw, seen }: Pairs, ds: V128): V128 {
      if (slope.kind === "number" && slope.value === 1) return ds;
      const factor = toWasm(slope, f, { ...variables(j), score: raw }, tables);
      return v128.select(seen, f32x4.madd(ds, factor, 0), HIDDEN);
    },
    /** Returns the value of an expression for four pairs. */
    value: (e: Expression, { j, raw }: Pairs, more: Readonly<Record<string, V128>> = {}): V128 =>
      toWasm(e, f, { ...variables(j), score: raw, ...more }, tables),
    /** Returns the table entries that four pairs look up, and the flat indices of these entries. */
    entryOf(lookup: Lookup, { j, raw }: Pairs): { entry: V128; index: V128 } {
      let index: V128 | undefined;
      const read = (at: V128): V128 => tables[lookup.table](index = at);
      const all = { ...tables, [lookup.table]: read };
      const entry = f.let(toWasm(lookup, f, { ...variables(j), score: raw }, all));
      return { entry, index: index! };
    },
    /** Returns the dropout factors (0 or 1 / (1 - p)) of the pairs with keys j to j + 3; undefined if there is no dropout. */
    keep: attrs.dropout.p > 0 ? dropoutOf(f, call, { b, h, i, extras }) : undefined,
  };
}

/** The return type of `pointsOf`. */
export type Points = ReturnType<typeof pointsOf>;

/** Returns a function that computes the dropout factors of the query's pairs with keys j to j + 3 (see rows.ts). */
function dropoutOf(f: Func, { sizes: { T, S, H }, attrs }: AttentionCall, { b, h, i, extras }: Query) {
  const { p, site } = attrs.dropout;
  const seed = extras[extrasOf(attrs).indexOf("seed")];
  const [key, counter] = [threefryKey(f, loadSplat(seed), site), f.let(loadSplat(seed, 4))];
  const matrix = i32.mul(i32.add(i32.mul(b, H), h), Math.floor((T * S + 1) / 2));
  const first = f.let(i32x4.splat(matrix));
  const row = f.let(i32.mul(i, S));
  return (j: I32): V128 => {
    const at = f.let(i32x4.add(i32x4.splat(i32.add(row, j)), IOTA));
    const [even, odd] = threefry(f, key, [i32x4.add(first, i32x4.shrU(at, 1)), counter]);
    const isOdd = i32x4.eq(v128.and(at, i32x4.splat(1)), 1);
    const kept = i32x4.geU(v128.select(isOdd, odd, even), Math.floor(p * 2 ** 32));
    return v128.and(kept, f32x4.splat(1 / (1 - p)));
  };
}
