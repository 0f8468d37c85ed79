// Attention in WebAssembly: z = act(modified scores) v. If there are more than a few queries, keys and values are packed first. A
// block computes one tile of query rows of a head. It writes all scores of these rows to the thread's own memory (whose size is
// linear in S), replaces the scores by the weights, and then computes the weighted sums of the values. Only keys that a row can
// see are read.
import type { Addresses, Phase, Simd } from "../../../src/graph/simd.ts";
import type { Call } from "../../../src/graph/tensor.ts";
import {
  element,
  f32,
  float,
  type Func,
  type I32,
  i32,
  type Int,
  int,
  select,
} from "../../../src/wasm/mod.ts";
import { type AttentionAttrs, attentionSizes, hasRowTerm, keepsInner } from "../sizes.ts";
import { type AttentionCall, groupOf, keyHead, pointsOf, tileVisible } from "./points.ts";
import {
  columnPack,
  forGroups,
  greater,
  hasNotFinite,
  helper,
  lesser,
  panelPack,
  product,
  rowCopy,
  rowDots,
  rowStore,
  upTo,
} from "./tiles.ts";
import { isKnown, weighOf } from "./weights.ts";

/** QUERIES is the maximum number of queries per block. If their scores need more than SCORES bytes, the maximum is 6. */
const QUERIES = 24;
const SCORES = 1 << 20;
/**
 * Number of keys that are processed together. The keys and their values stay in the L1 cache while all rows of a tile use them.
 */
const NEAR = 64;
/** For up to this number of queries, packing keys and values would take longer than reading them in place. */
const FEW = 4;

/** Returns the tile sizes and padded sizes of a call, and `packs`, which is true if keys and values are packed. */
function shapesOf({ sizes: { T, S, D, DV } }: AttentionCall) {
  const packs = T > FEW || S % 8 > 0 || D % 4 > 0 || DV % 8 > 0;
  const [S8, D4, D8, V8] = [upTo(S, 8), upTo(D, 4), upTo(D, 8), upTo(DV, 8)];
  // The padding makes the scores of different rows start in different sets of the cache.
  const row = 4 * (S8 + 16);
  const rows = Math.min(T, QUERIES * row > SCORES ? 6 : QUERIES);
  return { packs, S8, D4, D8, V8, row, rows, tiles: Math.ceil(T / rows) };
}

type Shapes = ReturnType<typeof shapesOf>;

/** Returns the phase that packs keys and values. A block packs 64 keys of a head. */
function packPhase({ sizes: { B, S, HKV, D, DV } }: AttentionCall, { S8, D4, V8 }: Shapes): Phase {
  const chunks = Math.ceil(S / 64);
  return {
    label: "attention keys",
    blocks: B * HKV * chunks,
    kernel(f, block, { inputs: [, k, v], scratch: [keys, values] }) {
      const head = f.let(i32.divU(block, chunks));
      const first = f.let(i32.mul(i32.remU(block, chunks), 64));
      const count = lesser(f, i32.sub(S, first), 64);
      const all = lesser(f, i32.sub(S8, first), 64);
      const row = f.let(
        i32.add(i32.mul(i32.add(i32.mul(i32.divU(head, HKV), S), first), HKV), i32.remU(head, HKV)),
      );
      f.call(
        panelPack(f, { columns: D, stride: 4 * HKV * D }),
        i32.add(element(keys, head, 4 * S8 * D4), i32.mul(first, 4 * D4)),
        element(k, row, 4 * D),
        count,
      );
      f.call(
        columnPack(f, { columns: DV, stride: 4 * HKV * DV }, 32 * S8),
        i32.add(element(values, head, 4 * S8 * V8), i32.mul(first, 32)),
        element(v, row, 4 * DV),
        count,
        all,
      );
    },
  };
}

/** Returns the byte offsets of the arrays in a thread's memory, and `size`, the total number of 4-byte elements. */
function memoryOf({ attrs }: AttentionCall, { D8, V8, row, rows }: Shapes) {
  const inner = keepsInner(attrs) ? 1 : 0;
  const q = 0;
  const s = q + 4 * rows * D8;
  const z = s + rows * row * (1 + inner);
  const factors = z + 4 * rows * V8 * (1 + inner);
  const size = factors / 4 + 2 * upTo(rows, 4);
  return {
    q,
    s,
    z,
    factors,
    size,
    shares: rows * row,
    inner: 4 * rows * V8,
    innerFactors: 4 * upTo(rows, 4),
  };
}

type Memory = ReturnType<typeof memoryOf>;

/** The variables of the code for one tile of queries. */
interface Tile {
  readonly call: AttentionCall;
  readonly shapes: Shapes;
  readonly memory: Memory;
  readonly at: Addresses;
  readonly needed: readonly boolean[];
  /** The sample (b), the head (h) and the first query (i) of the tile. */
  readonly b: I32;
  readonly h: I32;
  readonly i: I32;
  /** Number of queries. */
  readonly rows: number;
  /** Addresses of the head's keys and values, packed or not. */
  readonly keys: I32;
  readonly values: I32;
}

/** The keys from `lo` up to, but not including, `hi`. */
interface KeyRange {
  readonly lo: Int;
  readonly hi: Int;
}

/** A group of `size` rows of a tile, starting at `row`, and the range of keys that any of these rows can see. */
interface Group {
  readonly row: I32;
  readonly size: number;
  readonly from: Int;
  readonly to: Int;
}

/** Nonzero if the block mask shows any of the NEAR keys from key j on to any row of a tile. */
const visible = (f: Func, { call, at, b, h, i, rows }: Tile, j: I32): I32 =>
  tileVisible(f, call, at.inputs.slice(3), { b, h, i, rows, j, keys: NEAR });

/** Returns the range of keys that any row of a tile can see. A block mask may shorten this range at both ends. */
function keysOfTile(f: Func, tile: Tile): KeyRange {
  const { call, shapes: { S8 }, i, rows } = tile;
  const { lo, hi } = groupOf(f, call, i, rows, 0, S8);
  if (!call.attrs.blocks) return { lo, hi };
  const [first, last] = [f.let(i32.and(lo, -NEAR)), f.let(i32.and(i32.add(hi, NEAR - 1), -NEAR))];
  const hidden = (at: I32): I32 => {
    const none = f.let(int(0));
    f.if(i32.ltS(first, last), () => f.set(none, i32.eqz(visible(f, tile, at))));
    return none;
  };
  f.while(() => hidden(first), () => f.set(first, i32.add(first, NEAR)));
  f.while(() => hidden(i32.sub(last, NEAR)), () => f.set(last, i32.sub(last, NEAR)));
  return { lo: greater(f, lo, first), hi: lesser(f, hi, last) };
}

/**
 * Writes a loop over the keys of a tile in steps of NEAR keys. In each step, `body` writes the code for each group of rows and
 * the keys of this step that the group can see.
 */
function eachGroup(f: Func, tile: Tile, { lo, hi }: KeyRange, body: (group: Group) => void): void {
  const { call, shapes: { S8 }, i, rows } = tile;
  f.loop(i32.and(lo, -NEAR), hi, NEAR, (first) => {
    const end = f.let(i32.add(first, NEAR));
    const groups = (): void =>
      forGroups(f, rows, (row, size) => {
        const range = groupOf(f, call, i32.add(i, row), size, 0, S8);
        body({ row, size, from: greater(f, range.lo, first), to: lesser(f, range.hi, end) });
      });
    if (call.attrs.blocks) f.if(visible(f, tile, first), groups);
    else groups();
  });
}

/** Writes the code that computes the scores of a tile, s = scale * (q . k). */
function writeScores(f: Func, tile: Tile, seen: KeyRange): void {
  const { call: { sizes: { HKV, D } }, shapes: { packs, D4, D8, row: sRow }, memory, at: { own } } = tile;
  eachGroup(f, tile, seen, ({ row, size, from, to }) => {
    const dot = product(f, size, { aRow: 4 * D8, aStep: 4, bStep: 32, cRow: sRow });
    const q = f.let(i32.add(element(own, row, 4 * D8), memory.q));
    const s = f.let(i32.add(element(own, row, sRow), memory.s));
    if (!packs) {
      const dots = rowDots(f, { columns: D, stride: 4 * HKV * D });
      f.loop(0, size, 1, (r) => {
        f.call(dots, element(q, r, 4 * D8), tile.keys, element(s, r, sRow), from, to);
      });
      return;
    }
    f.loop(from, to, 8, (j) => f.call(dot, q, element(tile.keys, j, 4 * D4), element(s, j), D4));
  });
}

/** Returns the function for one row, which replaces the scores by weights, and computes the row's factors and row term. */
function rowFunction(f: Func, { call, memory, at, needed }: Tile) {
  const count = at.inputs.length - 3;
  return helper(f, 8 + count, (f, s, i, lo, hi, b, h, factor, term, ...extras) => {
    const points = pointsOf(f, call, { b, h, i, extras });
    const storeShare: Parameters<ReturnType<typeof weighOf>>[1]["storeShare"] = (j, share) =>
      f.store(element(s, j), share, memory.shares);
    const result = weighOf(call.attrs)(f, { address: s, lo, hi, points, storeShare });
    f.store(factor, result.factor);
    if (hasRowTerm(call.attrs) && needed[1]) f.store(term, result.term);
    if (result.shares) {
      const sum = f.let(result.shares);
      f.store(factor, select(f32.eq(sum, 0), float(0), f32.div(1, sum)), memory.innerFactors);
    }
  });
}

/** Writes the code that computes the weights of a tile. */
function writeWeights(f: Func, tile: Tile, seen: KeyRange): void {
  const { call, shapes: { S8, row: sRow }, memory, at: { own, inputs, outputs }, b, h, i, rows } = tile;
  const { H, T } = call.sizes;
  const weigh = rowFunction(f, tile);
  const term = f.let(element(outputs[1] ?? own, i32.add(i32.mul(i32.add(i32.mul(b, H), h), T), i)));
  forGroups(f, rows, (row, size) => {
    const range = groupOf(f, call, i32.add(i, row), size, 0, S8);
    const [lo, hi] = [greater(f, range.lo, seen.lo), lesser(f, range.hi, seen.hi)];
    f.loop(row, i32.add(row, size), 1, (r) => {
      const s = i32.add(element(own, r, sRow), memory.s);
      const factor = i32.add(element(own, r), memory.factors);
      f.call(weigh, s, i32.add(i, r), lo, hi, b, h, factor, element(term, r), ...inputs.slice(3));
    });
  });
}

/**
 * Writes the code that computes the weighted sums of the values and stores the rows at `to`. `kind` holds the byte offsets of the
 * weights (or shares), the sums and the factors.
 */
function writeValues(
  f: Func,
  tile: Tile,
  seen: KeyRange,
  kind: { weights: number; sums: number; factors: number },
  to: I32,
): void {
  const { call: { sizes: { H, HKV, DV } }, shapes, memory, at: { own }, rows } = tile;
  const { packs, S8, V8, row: sRow } = shapes;
  // Distances in bytes between the values of neighbouring keys, and between neighbouring groups of eight columns.
  const [bStep, panel] = packs ? [32, 32 * S8] : [4 * HKV * DV, 32];
  const z = f.let(i32.add(own, memory.z + kind.sums));
  const compute = (masked: boolean): void => {
    f.zero(z, 4 * rows * V8);
    eachGroup(f, tile, seen, ({ row, size, from, to }) => {
      const sum = product(f, size, { aRow: sRow, aStep: 4, bStep, cRow: 4 * V8, add: true, masked });
      const a = f.let(element(i32.add(element(own, row, sRow), memory.s + kind.weights), from));
      const n = f.let(i32.sub(to, from));
      f.loop(0, V8, 8, (e) => {
        const values = i32.add(element(tile.values, e, panel / 8), i32.mul(from, bStep));
        f.call(sum, a, values, element(element(z, row, 4 * V8), e), n);
      });
    });
  };
  compute(false);
  f.if(hasNotFinite(f, z, rows * V8), () => compute(true));
  const store = rowStore(f, { columns: DV, stride: 4 * H * DV }, true);
  f.call(store, to, z, rows, i32.add(own, memory.factors + kind.factors));
}

function writeTile(f: Func, tile: Tile): void {
  const { call, memory, at: { own, inputs: [q], outputs }, needed, b, h, i, rows } = tile;
  const { sizes: { T, H, D, DV }, attrs: { scale } } = call;
  const query = f.let(i32.add(i32.mul(i32.add(i32.mul(b, T), i), H), h));
  const copy = rowCopy(f, { columns: D, stride: 4 * H * D }, tile.shapes.rows, scale);
  const flag = i32.add(own, memory.factors);
  f.call(copy, i32.add(own, memory.q), element(q, query, 4 * D), rows, flag);
  const seen = keysOfTile(f, tile);
  writeScores(f, tile, seen);
  writeWeights(f, tile, seen);
  if (needed[0]) {
    writeValues(f, tile, seen, { weights: 0, sums: 0, factors: 0 }, element(outputs[0], query, 4 * DV));
  }
  if (needed[2]) {
    const { shares, inner, innerFactors } = memory;
    writeValues(
      f,
      tile,
      seen,
      { weights: shares, sums: inner, factors: innerFactors },
      element(outputs[2], query, 4 * DV),
    );
  }
}

/** Returns the number of elements of the packed keys, and the number of elements of the packed values. */
const packedSizes = ({ sizes: { B, HKV } }: AttentionCall, { S8, D4, V8 }: Shapes): [number, number] => [
  B * HKV * S8 * D4,
  B * HKV * S8 * V8,
];

/** Returns the addresses of the keys and values (packed or not) of key head `kv` in sample b. */
function keysAndValues(
  f: Func,
  call: AttentionCall,
  shapes: Shapes,
  { inputs: [, k, v], scratch: [keys, values] }: Addresses,
  { b, kv }: { b: I32; kv: I32 },
): { keys: I32; values: I32 } {
  const { B, S, HKV, D, DV } = call.sizes;
  const head = f.let(i32.add(i32.mul(b, HKV), kv));
  if (shapes.packs) {
    const [ofKeys, ofValues] = packedSizes(call, shapes).map((size) => size / (B * HKV));
    return {
      keys: f.let(element(keys, head, 4 * ofKeys)),
      values: f.let(element(values, head, 4 * ofValues)),
    };
  }
  const first = f.let(i32.add(i32.mul(i32.mul(b, S), HKV), kv));
  return { keys: f.let(element(k, first, 4 * D)), values: f.let(element(v, first, 4 * DV)) };
}

/** Returns the phases of `attention`, or undefined if the activation has no WebAssembly code. */
export function attentionSimd({ inputs, attrs, needed }: Call<AttentionAttrs>): Simd | undefined {
  if (!isKnown(attrs)) return undefined;
  const call = { sizes: attentionSizes(inputs), attrs };
  const { B, T, H } = call.sizes;
  const shapes = shapesOf(call);
  const memory = memoryOf(call, shapes);
  const { packs, rows, tiles } = shapes;
  const last = T - (tiles - 1) * rows;
  return {
    own: memory.size,
    scratch: packs ? packedSizes(call, shapes) : [],
    phases: [...(packs ? [packPhase(call, shapes)] : []), {
      label: `attention ${attrs.activation}`,
      blocks: B * H * tiles,
      kernel(f, block, at) {
        const head = f.let(i32.divU(block, tiles));
        const t = f.let(i32.remU(block, tiles));
        const [b, h] = [f.let(i32.divU(head, H)), f.let(i32.remU(head, H))];
        const { keys, values } = keysAndValues(f, call, shapes, at, { b, kv: keyHead(call, h) });
        const tile = { call, shapes, memory, at, needed, b, h, i: f.let(i32.mul(t, rows)), keys, values };
        if (last === rows) writeTile(f, { ...tile, rows });
        else {
          f.if(
            i32.eq(t, tiles - 1),
            () => writeTile(f, { ...tile, rows: last }),
            () => writeTile(f, { ...tile, rows }),
          );
        }
      },
    }],
  };
}
