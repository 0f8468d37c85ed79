// Sums for the statistics of attention in WebAssembly. They are float64, so that no sum of float32 values or of their squares
// overflows, and variances are accurate. A block writes one record of sums for a tile of query rows of a head; the merge phase
// adds the records of each head in order and computes the head's columns.
import { element, f32x4, f64, f64x2, type Func, i32, i32x4, load, select } from "../../src/wasm/mod.ts";
import type { F32, F64, I32, Local, V128 } from "../../src/wasm/mod.ts";
import { double, f32, v128 } from "../../src/wasm/mod.ts";
import type { Phase, Simd } from "../../src/graph/simd.ts";
import type { AttentionCall } from "../attention/simd/points.ts";
import { packedElements, packPhase, pairElements, type Product, rowsOfTile, type Tile } from "./pairs.ts";

/** Returns the sum with the given name, for one head. */
export type SumsByName = (name: string) => F64;

/** Returns the mean of n values with the given sum, or NaN if n is 0. */
export const mean = (sum: F64, n: F64): F64 => f64.div(sum, n);

/** Returns x, which is a statistic of n entries, or NaN if n is 0. */
export const among = (x: F64, n: F64): F64 => select(f64.gt(n, 0), x, double(NaN));

/**
 * Returns the standard deviation (population) of n values, computed from their sum and the sum of their squares, or NaN if n is
 * 0.
 */
export function deviation(sum: F64, squares: F64, n: F64): F64 {
  const variance = f64.sub(mean(squares, n), f64.mul(mean(sum, n), mean(sum, n)));
  return f64.sqrt(f64.max(variance, 0));
}

/** A running sum of the lanes of vectors and, if `squares` is set, of the squares of the lanes. */
export interface VectorSum {
  /** Adds the four floats of a vector, which must be a local variable. */
  add(x: V128): void;
  /** The sum so far. */
  readonly sum: F64;
  /** The sum of the squares so far; 0 unless `squares` is set. */
  readonly squares: F64;
}

/** Returns the sum of the two lanes of x. */
const total = (x: V128): F64 => f64.add(f64x2.lane(x, 0), f64x2.lane(x, 1));

/** Creates a running sum that is initially 0. */
export function vectorSum(f: Func, { squares = false } = {}): VectorSum {
  const [sum, square] = [f.let(f64x2.splat(0)), f.let(f64x2.splat(0))];
  return {
    add(x) {
      for (const half of [x, v128.shuffle(x, x, [2, 3, 2, 3])]) {
        const wide = f.let(f64x2.promote(half));
        f.set(sum, f64x2.add(sum, wide));
        if (squares) f.set(square, f64x2.add(square, f64x2.mul(wide, wide)));
      }
    },
    sum: total(sum),
    squares: total(square),
  };
}

/** Creates a counter of the lanes that are all ones in the masks passed to `add`. */
export function vectorCount(f: Func): { add(mask: V128): void; readonly count: I32 } {
  const n = f.let(i32x4.splat(0));
  const lane = (k: number): I32 => i32x4.lane(n, k);
  return {
    add: (mask) => f.set(n, i32x4.sub(n, mask)),
    count: i32.add(i32.add(lane(0), lane(1)), i32.add(lane(2), lane(3))),
  };
}

/** Returns the largest of four floats, none of which may be NaN. */
export function largestOf(x: V128): F32 {
  const lane = (k: number): F32 => f32x4.lane(x, k);
  return f32.max(f32.max(lane(0), lane(1)), f32.max(lane(2), lane(3)));
}

/** `names` lists the names of all values of a record, `largest` the names of the values that are maxima instead of sums. */
export interface RecordOfSums {
  readonly names: readonly string[];
  readonly largest: readonly string[];
}

/** Creates the local variables for the sums of a record, with their initial values. */
export function newSums(f: Func, { names, largest }: RecordOfSums) {
  const values = Object.fromEntries(names.map((name) => [name, f.local("f64")]));
  for (const name of largest) f.set(values[name], double(-Infinity));
  const combine = (name: string) => largest.includes(name) ? f64.max : f64.add;
  return {
    /** Adds x to a sum, or replaces a maximum by x if x is larger. */
    add: (name: string, x: F64): void => f.set(values[name], combine(name)(values[name], x)),
    of: (name: string): Local<"f64"> => values[name],
    values,
  };
}

/** The variables of `newSums`. */
export type Sums = ReturnType<typeof newSums>;

const bytesOf = ({ names }: RecordOfSums): number => 8 * names.length;

/** An operation that sums over tiles of query rows and computes columns from the sums. */
export interface TileSums {
  readonly label: string;
  readonly call: AttentionCall;
  readonly record: RecordOfSums;
  readonly products: readonly Product[];
  /** Number of arrays over the keys that each row of a tile needs besides those of the products. */
  readonly arrays: number;
  /** Number of additional values that each row of a tile needs. */
  readonly numbers: number;
  /** Writes the code that adds the rows of a tile to the sums. */
  readonly add: (f: Func, tile: Tile, sums: Sums) => void;
  /** Names of the sums that `sample` needs per sample. */
  readonly ofSample?: readonly string[];
  /** Writes the code that runs after each sample, given the sums of the head and the sums of the sample. */
  readonly sample?: (head: Sums, sample: SumsByName) => void;
  /** Computes the values of the columns from the sums of a head. */
  readonly columns: (sums: SumsByName) => readonly F64[];
}

/**
 * Returns the phases of an operation, which pack the keys, compute one record of sums per tile, and compute the columns of each
 * head.
 */
export function simdOfTiles(of: TileSums): Simd {
  const { label, call, call: { sizes, sizes: { B, T, H } }, record, products } = of;
  const rows = rowsOfTile(sizes);
  const tiles = Math.ceil(T / rows);
  const shape = { call, rows, products, arrays: products.length + of.arrays };
  return {
    scratch: [
      2 * record.names.length * B * H * tiles,
      ...products.map((product) => packedElements(sizes, product)),
    ],
    own: pairElements(sizes, shape) + of.numbers * rows,
    phases: [packPhase(`${label} keys`, sizes, products, 1), {
      label,
      blocks: B * H * tiles,
      kernel(f, block, { inputs, scratch: [records, ...packed], own }) {
        const index = f.let(i32.divU(block, tiles));
        const [b, h] = [f.let(i32.divU(index, H)), f.let(i32.remU(index, H))];
        const first = f.let(i32.mul(i32.remU(block, tiles), rows));
        const sums = newSums(f, record);
        of.add(f, { ...shape, b, h, index, first, packed, inputs, memory: own }, sums);
        const at = f.let(element(records, block, bytesOf(record)));
        record.names.forEach((name, k) => f.store(at, sums.of(name), 8 * k));
      },
    }, mergePhase(of, tiles)],
  };
}

/** Returns the phase that adds the records of each head over all samples and writes the head's columns to the first output. */
function mergePhase(
  { label, call: { sizes: { B, H } }, record, ofSample = [], sample, columns }: TileSums,
  tiles: number,
): Phase {
  return {
    label: `${label} of heads`,
    blocks: H,
    kernel(f, head, { scratch: [scratch], outputs: [output] }) {
      const sums = newSums(f, record);
      const own = Object.fromEntries(ofSample.map((name) => [name, f.local("f64")]));
      f.loop(0, B, 1, (b) => {
        for (const name of ofSample) f.set(own[name], double(0));
        const first = element(scratch, i32.add(i32.mul(b, H), head), tiles * bytesOf(record));
        const at = f.let(first);
        f.loop(0, tiles, 1, () => {
          record.names.forEach((name, k) => {
            const x = load("f64", at, 8 * k);
            sums.add(name, x);
            if (name in own) f.set(own[name], f64.add(own[name], x));
          });
          f.set(at, i32.add(at, bytesOf(record)));
        });
        sample?.(sums, (name) => own[name]);
      });
      const values = columns(sums.of);
      const row = f.let(element(output, head, 4 * values.length));
      values.forEach((x, k) => f.store(row, f32.demote(x), 4 * k));
    },
  };
}
