// Gradients of attention in WebAssembly. A block computes dk and dv for some tiles of keys of a head: for each tile of queries it
// recomputes the weights p in the thread's own memory, then adds the tile's contribution to dv = p^T dz, dk = ds^T q and dq = ds
// k. At the end, the partial sums of dq from several blocks are added in a fixed order. Tiles, and parts of tiles, that no query
// sees are skipped.
import type { Addresses, Phase } from "../../../src/graph/simd.ts";
import { element, f32x4, type Func, type FunctionRef, type I32, i32 } from "../../../src/wasm/mod.ts";
import { type Int, load, loadSplat, type Local, type V128 } from "../../../src/wasm/mod.ts";
import { extrasOf, hasRowTerm, isExact } from "../sizes.ts";
import { type AttentionCall, groupOf, type Pairs, type Points, pointsOf } from "./points.ts";
import { queriesIn, queriesOf, queryHead, tileVisible } from "./points.ts";
import {
  forGroups,
  helper,
  HIDDEN,
  lesser,
  panelPack,
  product,
  rowCopy,
  rowProduct,
  rowStore,
} from "./tiles.ts";
import { upTo } from "./tiles.ts";
import { gradientsOf } from "./weights.ts";

/** Maximum number of queries, and of keys, per tile. */
const TILE = 64;
/**
 * If a batch has fewer key heads than this, the keys of each head are split into parts to get about this many blocks. Each part
 * needs its own memory for dq.
 */
const PARALLEL = 16;
/**
 * Maximum number of floating-point operations per block. Such a block takes a few seconds, less than the time for which threads
 * wait for each other.
 */
const MOST_FLOPS = 2e11;

/** Returns the tile sizes, the padded sizes, and the number of parts into which the keys are split. */
export function gradientShapes({ sizes: { B, T, S, H, HKV, D, DV } }: AttentionCall) {
  const [rows, keys] = [Math.min(TILE, upTo(T, 4)), Math.min(TILE, upTo(S, 8))];
  const tiles = Math.ceil(S / keys);
  const flops = 2 * T * S * (H / HKV) * (3 * D + 2 * DV);
  const parts = Math.min(tiles, Math.max(Math.ceil(PARALLEL / (B * HKV)), Math.ceil(flops / MOST_FLOPS)));
  const perPart = Math.ceil(tiles / parts);
  return {
    rows,
    keys,
    perPart,
    parts: Math.ceil(tiles / perPart),
    T8: upTo(T, rows),
    ...{ D4: upTo(D, 4), D8: upTo(D, 8), V4: upTo(DV, 4), V8: upTo(DV, 8) },
  };
}

type Shapes = ReturnType<typeof gradientShapes>;

/** Returns the byte offsets of the arrays in a thread's memory, and `size`, the total number of 4-byte elements. */
function memoryOf({ rows, keys, D4, D8, V4, V8 }: Shapes) {
  let size = 0;
  const take = (count: number): number => 4 * ((size += count) - count);
  return {
    keyPanels: take(keys * D4),
    keyRows: take(keys * D8),
    valuePanels: take(keys * V4),
    dk: take(keys * D8),
    dv: take(keys * V8),
    q: take(rows * D8),
    dz: take(rows * V8),
    /** Scores, which are replaced by weights. */
    p: take(rows * keys),
    /** Gradients of the weights, which are replaced by gradients of the scores. */
    ds: take(rows * keys),
    /** Flags: whether keys, queries and dz contain values that are not finite. */
    flags: take(4),
    size,
  };
}

type Memory = ReturnType<typeof memoryOf>;

/** The gradients to compute. */
export interface Wanted {
  readonly dq: boolean;
  readonly dk: boolean;
  readonly dv: boolean;
  /** Writes the code that adds to `sums` what a row contributes to the gradients of learned tables; see tables.ts. */
  readonly slopes?: (f: Func, points: Points, sums: I32) => readonly Slope[];
}

/** Writes the code of one lookup: `add` for each four pairs, given the gradients of their scores; `end` for the end of a row. */
export interface Slope {
  readonly add: (pairs: Pairs, ds: V128) => void;
  readonly end: () => void;
}

/** A call of attention, and the values that are derived from it. */
export interface Plan {
  readonly call: AttentionCall;
  readonly shapes: Shapes;
  readonly memory: Memory;
  readonly wanted: Wanted;
}

/** Returns the plan of a call. */
export function gradientPlan(call: AttentionCall, wanted: Wanted): Plan {
  const shapes = gradientShapes(call);
  return { call, shapes, memory: memoryOf(shapes), wanted };
}

/** Returns the phase that computes delta_i = dz_i . inner_i, 64 rows per block. `to` returns the address of delta [B, H, T]. */
export function deltaPhase({ sizes: { B, T, H, DV } }: AttentionCall, to: (at: Addresses) => I32): Phase {
  const rows = B * T * H;
  return {
    label: "attention delta",
    blocks: Math.ceil(rows / 64),
    kernel(f, block, at) {
      const [dz, inner] = [at.inputs[3], at.inputs[5]];
      const first = f.let(i32.mul(block, 64));
      f.loop(first, lesser(f, i32.add(first, 64), rows), 1, (row) => {
        const [a, b] = [dz, inner].map((x) => element(x, row, 4 * DV));
        const [bt, h] = [f.let(i32.divU(row, H)), i32.remU(row, H)];
        const head = i32.add(i32.mul(i32.divU(bt, T), H), h);
        f.store(element(to(at), i32.add(i32.mul(head, T), i32.remU(bt, T))), rowProduct(f, a, b, DV));
      });
    },
  };
}

/** Returns the function for one query row of a tile, which replaces scores by weights, and dz . v by gradients of the scores. */
function rowFunction(f: Func, { call, shapes: { rows, keys }, memory, wanted }: Plan): FunctionRef {
  const { attrs, sizes: { T } } = call;
  const count = 10 + extrasOf(attrs).length;
  return helper(f, count, (f, p, i, first, lo, hi, b, h, term, delta, sums, ...extras) => {
    const ds = f.let(i32.add(p, memory.ds - memory.p));
    const clear = (from: Int, to: Int): void =>
      f.loop(from, to, 4, (j) => {
        f.store(element(p, j), f32x4.splat(HIDDEN));
        f.store(element(ds, j), f32x4.splat(HIDDEN));
      });
    if (T % rows) {
      f.if(i32.geU(i, T), () => {
        clear(0, keys);
        f.return();
      });
    }
    const points = pointsOf(f, call, { b, h, i, extras });
    const terms = {
      term: f.let(hasRowTerm(attrs) ? loadSplat(term) : f32x4.splat(1)),
      delta: f.let(isExact(attrs) ? loadSplat(delta) : f32x4.splat(0)),
    };
    const slopes = wanted.slopes?.(f, points, sums) ?? [];
    clear(0, lo);
    f.loop(lo, hi, 4, (j) => {
      const pairs = points.pairs(load("v128", element(p, j)), i32.add(first, j));
      const keep = points.keep && f.let(points.keep(pairs.j));
      const da = f.let(load("v128", element(ds, j)));
      if (keep) f.set(da, f32x4.mul(da, keep));
      const gradients = gradientsOf(f, attrs, pairs, da, terms);
      for (const slope of slopes) slope.add(pairs, gradients.ds);
      f.store(element(p, j), keep ? f32x4.mul(gradients.a, keep) : gradients.a);
      f.store(element(ds, j), points.throughModifier(pairs, gradients.ds));
    });
    for (const slope of slopes) slope.end();
    clear(hi, keys);
  });
}

/** Local variables of the function that computes a tile. */
interface Tile {
  readonly own: I32;
  /** The first query (i) and the first key (j) of the tile. */
  readonly i: I32;
  readonly j: I32;
  /** Address of the head's partial sums of dq. */
  readonly dq: I32;
  /** Whether products must leave out hidden pairs, because some values are not finite. */
  readonly masked: boolean;
  /** Writes a call of the function for one row (see `rowFunction`). */
  readonly weigh: (row: I32, lo: Int, hi: Int) => void;
}

/** Writes the code that computes the rows of p and ds of a group of queries, and adds the tile's contribution to their dq. */
function queryGroup(
  f: Func,
  { call, shapes, memory, wanted }: Plan,
  tile: Tile,
  row: I32,
  size: number,
): void {
  const { keys, D4, D8, V4, V8 } = shapes;
  const { own, i, j, masked } = tile;
  const { lo, hi } = groupOf(f, call, i32.add(i, row), size, j, keys);
  const at = (place: number, columns: number): I32 =>
    f.let(i32.add(i32.add(own, place), i32.mul(row, 4 * columns)));
  const [q, dz, p, ds] = [at(memory.q, D8), at(memory.dz, V8), at(memory.p, keys), at(memory.ds, keys)];
  const dot = (width: number) => product(f, size, { aRow: 4 * width, aStep: 4, bStep: 32, cRow: 4 * keys });
  const panel = (place: number, key: I32, columns: number) => element(i32.add(own, place), key, 4 * columns);
  const [scores, gradients] = [dot(D8), dot(V8)];
  f.loop(lo, hi, 8, (c) => {
    f.call(scores, q, panel(memory.keyPanels, c, D4), element(p, c), D4);
    f.call(gradients, dz, panel(memory.valuePanels, c, V4), element(ds, c), V4);
  });
  f.loop(row, i32.add(row, size), 1, (r) => tile.weigh(r, lo, hi));
  if (!wanted.dq) return;
  const strides = { aRow: 4 * keys, aStep: 4, bStep: 4 * D8, cRow: 4 * D8 };
  const sum = product(f, size, { ...strides, add: true, masked });
  const [from, to] = [panel(memory.keyRows, lo, D8), element(tile.dq, i32.add(i, row), 4 * D8)].map((x) =>
    f.let(x)
  );
  const [a, n] = [f.let(element(ds, lo)), f.let(i32.sub(hi, lo))];
  f.loop(0, 4 * D8, 32, (e) => f.call(sum, a, i32.add(from, e), i32.add(to, e), n));
}

/** Writes the code that adds the contribution of a tile of queries to dk and dv of a group of keys. */
function keyGroup(f: Func, { call, shapes, memory, wanted }: Plan, tile: Tile, key: I32, size: number): void {
  const { rows, keys, D8, V8 } = shapes;
  const { own, i, j, masked } = tile;
  const { from, to } = queriesIn(f, call, i32.add(j, key), size, i, rows);
  const n = f.let(i32.sub(to, from));
  const add = (weights: number, values: number, sums: number, width: number): void => {
    const strides = { aRow: 4, aStep: 4 * keys, bStep: 4 * width, cRow: 4 * width };
    const sum = product(f, size, { ...strides, add: true, masked });
    const a = f.let(i32.add(element(i32.add(own, weights), from, 4 * keys), i32.mul(key, 4)));
    const b = f.let(element(i32.add(own, values), from, 4 * width));
    const c = f.let(element(i32.add(own, sums), key, 4 * width));
    f.loop(0, 4 * width, 32, (e) => f.call(sum, a, i32.add(b, e), i32.add(c, e), n));
  };
  if (wanted.dk) add(memory.ds, memory.q, memory.dk, D8);
  if (wanted.dv) add(memory.p, memory.dz, memory.dv, V8);
}

/** Returns the function (own, terms, deltas, dq, sums, i, j, b, h, extras) that computes a tile after its data were copied. */
function productsFunction(f: Func, plan: Plan, masked: boolean): FunctionRef {
  const { call: { attrs }, shapes: { rows, keys }, memory, wanted } = plan;
  const count = 9 + extrasOf(attrs).length;
  return helper(f, count, (f, own, terms, deltas, dq, sums, i, j, b, h, ...extras) => {
    const row = rowFunction(f, plan);
    const weigh = (r: I32, lo: Int, hi: Int): void => {
      const query = f.let(i32.add(i, r));
      const [p, term, delta] = [
        element(i32.add(own, memory.p), r, 4 * keys),
        ...[terms, deltas].map((x) => element(x, query)),
      ];
      f.call(row, p, query, j, lo, hi, b, h, term, delta, sums, ...extras);
    };
    const tile = { own, i, j, dq, masked, weigh };
    forGroups(f, rows, (row, size) => queryGroup(f, plan, tile, row, size));
    if (!wanted.dk && !wanted.dv) return;
    forGroups(f, keys, (key, size) => keyGroup(f, plan, tile, key, size));
  });
}

/** Returns the function (q, dz, own, ...) that copies the queries of a tile and then calls the function of `productsFunction`. */
function tileFunction(f: Func, plan: Plan): FunctionRef {
  const { call, shapes: { rows }, memory } = plan;
  const { sizes: { T, H, D, DV }, attrs } = call;
  return helper(f, 11 + extrasOf(attrs).length, (f, q, dz, own, ...rest) => {
    const i = rest[4];
    const flags = f.let(i32.add(own, memory.flags));
    const count = lesser(f, i32.sub(T, i), rows);
    const copy = (columns: number, scale: number, place: number, from: I32, flag: number): void => {
      const stride = 4 * H * columns;
      const run = rowCopy(f, { columns, stride }, rows, scale);
      f.call(run, i32.add(own, place), element(from, i, stride), count, i32.add(flags, flag));
    };
    copy(D, attrs.scale, memory.q, q, 4);
    copy(DV, 1, memory.dz, dz, 8);
    const [keys, queries, gradients] = [0, 4, 8].map((flag) => load("i32", flags, flag));
    const run = (masked: boolean) => f.call(productsFunction(f, plan, masked), own, ...rest);
    f.if(i32.or(keys, i32.or(queries, gradients)), () => run(true), () => run(false));
  });
}

/** Addresses of the tensors that the gradients of a call read and write, other than q, k, v and dz. */
export interface GradientMemory {
  readonly at: Addresses;
  readonly terms: I32;
  readonly deltas: I32;
  /** Partial sums of dq, [parts, B, H, T8, D8]. */
  readonly dq?: I32;
  readonly dk?: I32;
  readonly dv?: I32;
  /** Sums of the gradients of the learned tables. */
  readonly sums?: I32;
}

/** Writes the code that packs a tile of `count` keys and values, and sets dk and dv of the tile to 0. */
function packTile(
  f: Func,
  { call, shapes: { keys, D8, V8 }, memory }: Plan,
  own: I32,
  k: I32,
  v: I32,
  count: I32,
): void {
  const { HKV, D, DV } = call.sizes;
  const [ofKeys, ofValues] = [{ columns: D, stride: 4 * HKV * D }, { columns: DV, stride: 4 * HKV * DV }];
  f.call(panelPack(f, ofKeys), i32.add(own, memory.keyPanels), k, count);
  f.call(rowCopy(f, ofKeys, keys), i32.add(own, memory.keyRows), k, count, i32.add(own, memory.flags));
  f.call(panelPack(f, ofValues), i32.add(own, memory.valuePanels), v, count);
  f.zero(i32.add(own, memory.dk), 4 * keys * D8);
  f.zero(i32.add(own, memory.dv), 4 * keys * V8);
}

/** Writes the code of a block, which processes one part of the keys of key head `kv` in sample b. */
export function gradientBlock(
  f: Func,
  plan: Plan,
  { at, terms, deltas, sums = at.own, dq = at.own, dk = at.own, dv = at.own }: GradientMemory,
  { b, kv, part }: { b: Local<"i32">; kv: Local<"i32">; part: Local<"i32"> },
): void {
  const { call, shapes: { rows, keys, perPart, T8, D8 }, memory, wanted } = plan;
  const { sizes: { B, T, S, H, HKV, D, DV }, attrs } = call;
  const { own, inputs: [q, k, v, dz] } = at;
  const extras = at.inputs.slice(at.inputs.length - extrasOf(attrs).length);
  const eachHead = (body: (h: Local<"i32">) => void): void =>
    f.loop(0, H / HKV, 1, (m) => body(f.let(queryHead(call, kv, m))));
  /** Returns the address of the partial sums of dq for a head. */
  const partial = (h: I32): I32 =>
    element(dq, i32.add(i32.mul(i32.add(i32.mul(part, B), b), H), h), 4 * T8 * D8);
  if (wanted.dq) eachHead((h) => f.zero(partial(h), 4 * T8 * D8));
  const tile = tileFunction(f, plan);
  const begin = f.let(i32.mul(part, perPart * keys));
  f.loop(begin, lesser(f, i32.add(begin, perPart * keys), S), keys, (j) => {
    const count = lesser(f, i32.sub(S, j), keys);
    const key = f.let(i32.add(i32.mul(i32.add(i32.mul(b, S), j), HKV), kv));
    packTile(f, plan, own, f.let(element(k, key, 4 * D)), f.let(element(v, key, 4 * DV)), count);
    const first = queriesOf(f, call, j).start;
    const last = queriesOf(f, call, i32.add(j, i32.sub(count, 1))).end;
    eachHead((h) => {
      const query = f.let(i32.add(i32.mul(i32.mul(b, T), H), h));
      const head = f.let(i32.mul(i32.add(i32.mul(b, H), h), T));
      const run = (i: I32): void =>
        f.call(
          tile,
          ...[element(q, query, 4 * D), element(dz, query, 4 * DV), own],
          ...[element(terms, head), element(deltas, head), partial(h), sums, i, j, b, h],
          ...extras,
        );
      f.loop(first ? i32.mul(i32.divU(first, rows), rows) : 0, last ?? T, rows, (i) => {
        if (!attrs.blocks) run(i);
        else f.if(tileVisible(f, call, extras, { b, h, i, rows, j, keys }), () => run(i));
      });
    });
    const store = (columns: number, to: I32, place: number): void => {
      const stride = 4 * HKV * columns;
      f.call(
        rowStore(f, { columns, stride }, false),
        element(to, key, 4 * columns),
        i32.add(own, place),
        count,
        0,
      );
    };
    if (wanted.dk) store(D, dk, memory.dk);
    if (wanted.dv) store(DV, dv, memory.dv);
  });
}

/** Returns the phase that computes dq, which is scale times the sum of the partial sums. A block computes one tile of queries. */
export function querySumPhase({ call, shapes: { rows, parts, T8, D8 } }: Plan): Phase {
  const { sizes: { B, T, H, D }, attrs: { scale } } = call;
  const tiles = T8 / rows;
  return {
    label: "attention query gradient",
    blocks: B * H * tiles,
    kernel(f, block, { outputs: [dq], scratch: [partial] }) {
      const [head, i] = [f.let(i32.divU(block, tiles)), f.let(i32.mul(i32.remU(block, tiles), rows))];
      const query = i32.add(i32.mul(i32.add(i32.mul(i32.divU(head, H), T), i), H), i32.remU(head, H));
      const to = f.let(element(dq, query, 4 * D));
      const from = f.let(element(partial, i32.add(i32.mul(head, T8), i), 4 * D8));
      const sumAt = (e: Int): Local<"v128"> => {
        const at = f.let(i32.add(from, e));
        const sum = f.let(load("v128", at));
        for (let part = 1; part < parts; part++) {
          f.set(sum, f32x4.add(sum, load("v128", at, part * 4 * B * H * T8 * D8)));
        }
        f.set(sum, f32x4.mul(sum, scale));
        return sum;
      };
      const whole = D - D % 4;
      f.loop(0, lesser(f, i32.sub(T, i), rows), 1, () => {
        f.loop(0, 4 * whole, 16, (e) => f.store(i32.add(to, e), sumAt(e)));
        if (whole < D) {
          const rest = sumAt(4 * whole);
          for (let lane = 0; lane < D - whole; lane++) f.storeLane(to, rest, lane, 4 * (whole + lane));
        }
        f.set(to, i32.add(to, 4 * H * D));
        f.set(from, i32.add(from, 4 * D8));
      });
    },
  };
}
