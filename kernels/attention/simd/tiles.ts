// Matrices in a thread's own memory, and the code that multiplies them in register tiles. Rows are padded with zeros to a
// multiple of 8 values, so that kernels need no special code for the end of a row.
import {
  element,
  f32x4,
  type Func,
  i32,
  i32x4,
  int,
  lanes,
  load,
  loadSplat,
  select,
  v128,
} from "../../../src/wasm/mod.ts";
import {
  type F32,
  type FunctionRef,
  type I32,
  type Int,
  type Local,
  type Module,
  sumLanes,
  type V128,
} from "../../../src/wasm/mod.ts";

import { acrossLanes } from "../../simd/rows.ts";

/** Defines a function with `count` integer parameters and no result. */
export function helper(
  { module }: Func,
  count: number,
  body: (f: Func, ...params: Local<"i32">[]) => void,
): FunctionRef {
  return module.func({ params: Array.from({ length: count }, () => "i32" as const) }, (f, ...params) => {
    body(f, ...params);
  });
}

/** Returns n rounded up to a multiple of `multiple`. */
export const upTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/** `lesser` returns the smaller, `greater` the larger of two signed integers. */
export const lesser = (f: Func, a: Int, b: Int): Local<"i32"> => chosen(f, a, b, i32.ltS);
export const greater = (f: Func, a: Int, b: Int): Local<"i32"> => chosen(f, a, b, i32.gtS);

function chosen(f: Func, a: Int, b: Int, better: (a: Int, b: Int) => I32): Local<"i32"> {
  const [x, y] = [f.let(int(a)), f.let(int(b))];
  f.set(x, select(better(x, y), x, y));
  return x;
}

/**
 * Strides in bytes of a product c = a b: `aRow` between rows of a, `aStep` and `bStep` between steps along k in a and in b, and
 * `cRow` between rows of c.
 */
export interface Product {
  readonly aRow: number;
  readonly aStep: number;
  readonly bStep: number;
  readonly cRow: number;
  /** Whether to add to c instead of overwriting it. */
  readonly add?: boolean;
  /** Whether values of a that are HIDDEN must be skipped, because the corresponding values of b may be NaN or infinite. */
  readonly masked?: boolean;
}

/**
 * The value that marks the weight or gradient of a pair that is not visible: -0, which no visible pair has. It adds nothing to a
 * product, unless it is multiplied by NaN or infinity; in that case the products are computed with `masked`, which skips hidden
 * pairs.
 */
export const HIDDEN = -0;
const HIDDEN_BITS = 0x80000000;

/** Number of rows of a register tile: 6 x 8 sums and their operands fill the 16 vector registers. */
const ROWS = 6;
const UNROLL = 4;

/**
 * Writes loops over `count` rows in groups of at most 6; `body` gets the first row and the size of a group. The sizes of groups
 * differ by at most 1.
 */
export function forGroups(f: Func, count: number, body: (row: I32, size: number) => void): void {
  const groups = Math.ceil(count / ROWS);
  const small = Math.floor(count / groups);
  const large = (count - small * groups) * (small + 1);
  f.loop(0, large, small + 1, (row) => body(row, small + 1));
  f.loop(large, count, small, (row) => body(row, small));
}

/**
 * Returns the function (a, b, c, n) that computes c[r][0..7] = sum over k < n of a[r][k] b[k][0..7] for `rows` rows r, or adds
 * this sum to c if `add` is set. n must be a multiple of 4; if n is not positive, the sum is 0.
 */
export function product({ module }: Func, rows: number, strides: Product): FunctionRef {
  const known = products.get(module) ?? new Map<string, FunctionRef>();
  products.set(module, known);
  const key = `${rows} ${JSON.stringify(strides)}`;
  const made = known.get(key) ?? productFunction(module, rows, strides);
  known.set(key, made);
  return made;
}

/** The functions generated so far, keyed by module, because the same function is requested many times. */
const products = new WeakMap<Module, Map<string, FunctionRef>>();

function productFunction(
  module: Module,
  rows: number,
  { aRow, aStep, bStep, cRow, add = false, masked = false }: Product,
): FunctionRef {
  return module.func({ params: ["i32", "i32", "i32", "i32"] }, (f, a, b, c, n) => {
    const sums = Array.from(
      { length: 2 * rows },
      (_, s) => add ? f.let(load("v128", c, (s >> 1) * cRow + (s & 1) * 16)) : f.local("v128"),
    );
    const [left, right, value] = [f.local("v128"), f.local("v128"), f.local("v128")];
    f.if(i32.gtS(n, 0), () => {
      const end = f.let(i32.add(a, i32.mul(n, aStep)));
      f.repeat((again) => {
        for (let u = 0; u < UNROLL; u++) {
          f.set(left, load("v128", b, u * bStep));
          f.set(right, load("v128", b, u * bStep + 16));
          for (let r = 0; r < rows; r++) {
            f.set(value, loadSplat(a, r * aRow + u * aStep));
            const seen = masked ? f.let(i32x4.ne(value, HIDDEN_BITS)) : undefined;
            [left, right].forEach((b, side) => {
              const sum = sums[2 * r + side];
              f.set(sum, f32x4.madd(value, seen ? v128.and(b, seen) : b, sum));
            });
          }
        }
        f.set(a, i32.add(a, UNROLL * aStep));
        f.set(b, i32.add(b, UNROLL * bStep));
        again(i32.ne(a, end));
      });
    });
    sums.forEach((sum, s) => f.store(c, sum, (s >> 1) * cRow + (s & 1) * 16));
  });
}

/** Rows of `columns` values in a tensor, `stride` bytes apart. */
export interface Rows {
  readonly columns: number;
  readonly stride: number;
}

/** Loads four values of a row from column e on; values past the end are 0, although up to 12 bytes past the end are read. */
export function loadColumns(address: Int, columns: number, e: number): V128 {
  const x = load("v128", address, 4 * e);
  const rest = columns - e;
  if (rest >= 4) return x;
  return v128.and(x, lanes([0, 1, 2, 3].map((c) => c < rest ? -1 : 0) as [number, number, number, number]));
}

/** Returns the dot product of the rows of `columns` values at the addresses x and y. */
export function rowProduct(f: Func, x: I32, y: I32, columns: number): F32 {
  const [a, b, sum] = [f.let(x), f.let(y), f.let(f32x4.splat(0))];
  const whole = columns - columns % 4;
  f.loop(0, 4 * whole, 16, (e) => {
    f.set(sum, f32x4.madd(load("v128", i32.add(a, e)), load("v128", i32.add(b, e)), sum));
  });
  if (columns % 4) {
    f.set(sum, f32x4.madd(loadColumns(a, columns, whole), loadColumns(b, columns, whole), sum));
  }
  return sumLanes(sum);
}

/**
 * Returns the function (x, y, to, first, end) that stores the dot products of a row x with the rows y[j] at to[j], for first <= j
 * < end. `first`, `end` and the number of columns must be multiples of 4.
 */
export function rowDots(f: Func, { columns, stride }: Rows): FunctionRef {
  return helper(f, 5, (f, x, y, to, first, end) => {
    const sums = [0, 1, 2, 3].map(() => f.local("v128"));
    f.loop(first, end, 4, (j) => {
      const row = f.let(element(y, j, stride));
      for (const sum of sums) f.set(sum, f32x4.splat(0));
      f.loop(0, 4 * columns, 16, (e) => {
        const value = f.let(load("v128", i32.add(x, e)));
        const at = f.let(i32.add(row, e));
        sums.forEach((sum, r) => f.set(sum, f32x4.madd(value, load("v128", at, r * stride), sum)));
      });
      f.store(element(to, j), acrossLanes(f, sums));
    });
  });
}

/** Returns 1 if a lane of `sum` is NaN, else 0. `sum` is a sum of values times 0, which is NaN if a value is NaN or infinite. */
function isNotFinite(f: Func, sum: V128): I32 {
  const x = f.let(sum);
  return v128.anyTrue(f32x4.ne(x, x));
}

/** Returns 1 if any of `count` values in memory is NaN or infinite, else 0. `count` must be a multiple of 4. */
export function hasNotFinite(f: Func, address: I32, count: number): I32 {
  const check = f.let(f32x4.splat(0));
  f.loop(0, 4 * count, 16, (e) => f.set(check, f32x4.madd(load("v128", i32.add(address, e)), 0, check)));
  return isNotFinite(f, check);
}

/**
 * Returns the function (to, from, count, flag) that copies `count` rows, multiplied by `scale`, to rows padded to a multiple of 8
 * values, and adds rows of zeros up to `rows`. It stores 1 at `flag` if any value is NaN or infinite, else 0.
 */
export function rowCopy(f: Func, { columns, stride }: Rows, rows: number, scale = 1): FunctionRef {
  const width = 4 * upTo(columns, 8);
  return helper(f, 4, (f, to, from, count, flag) => {
    const checks = [f.local("v128"), f.local("v128")];
    const end = f.let(element(to, count, width));
    const last = f.let(i32.add(to, rows * width));
    const value = f.local("v128");
    f.while(() => i32.ltU(to, end), () => {
      for (let e = 0; e < width / 4; e += 4) {
        if (e >= columns) {
          f.store(to, f32x4.splat(0), 4 * e);
          continue;
        }
        const x = loadColumns(from, columns, e);
        f.set(value, scale === 1 ? x : f32x4.mul(x, scale));
        const check = checks[(e >> 2) & 1];
        f.set(check, f32x4.madd(value, 0, check));
        f.store(to, value, 4 * e);
      }
      f.set(to, i32.add(to, width));
      f.set(from, i32.add(from, stride));
    });
    f.zero(to, i32.sub(last, to));
    f.store(flag, isNotFinite(f, f32x4.add(checks[0], checks[1])));
  });
}

/**
 * Returns the function (to, from, count, factors) that copies padded rows back to a tensor. If `scaled`, each row is multiplied
 * by its value at the address `factors`.
 */
export function rowStore(f: Func, { columns, stride }: Rows, scaled: boolean): FunctionRef {
  const width = 4 * upTo(columns, 8);
  return helper(f, 4, (f, to, from, count, factors) => {
    f.loop(0, count, 1, () => {
      const factor = scaled ? f.let(loadSplat(factors)) : undefined;
      const value = (e: number): V128 => {
        const x = load("v128", from, 4 * e);
        return factor ? f32x4.mul(x, factor) : x;
      };
      for (let e = 0; e + 4 <= columns; e += 4) f.store(to, value(e), 4 * e);
      const whole = columns - columns % 4;
      for (let e = whole; e < columns; e++) f.storeLane(to, value(whole), e - whole, 4 * e);
      f.set(to, i32.add(to, stride));
      f.set(from, i32.add(from, width));
      if (scaled) f.set(factors, i32.add(factors, 4));
    });
  });
}

/** Transposes a 4 x 4 matrix. */
function transposed(f: Func, rows: readonly V128[]): V128[] {
  const [a, b, c, d] = rows.map((row) => f.let(row));
  const low = [v128.shuffle(a, b, [0, 4, 1, 5]), v128.shuffle(c, d, [0, 4, 1, 5])].map((x) => f.let(x));
  const high = [v128.shuffle(a, b, [2, 6, 3, 7]), v128.shuffle(c, d, [2, 6, 3, 7])].map((x) => f.let(x));
  return [low, high].flatMap((
    [x, y],
  ) => [v128.shuffle(x, y, [0, 1, 4, 5]), v128.shuffle(x, y, [2, 3, 6, 7])]);
}

/**
 * Returns the function (to, from, count) that packs `count` rows in panels of 8 rows. In a panel, the 8 values of each column
 * follow each other, and the columns are padded to a multiple of 4. A panel with fewer rows repeats the last row.
 */
export function panelPack(f: Func, { columns, stride }: Rows): FunctionRef {
  return helper(f, 3, (f, to, from, count) => {
    const last = f.let(element(from, i32.sub(count, 1), stride));
    f.loop(0, count, 8, () => {
      for (const half of [0, 16]) {
        const rows = [0, 1, 2, 3].map(() => {
          const row = f.let(select(i32.ltU(from, last), from, last));
          f.set(from, i32.add(from, stride));
          return row;
        });
        const block = (to: Int, shift: Int, columns: number): void =>
          transposed(f, rows.map((row) => loadColumns(i32.add(row, shift), columns, 0)))
            .forEach((x, c) => f.store(to, x, 32 * c + half));
        const whole = 4 * (columns - columns % 4);
        f.loop(0, whole, 16, (e) => block(i32.add(to, i32.mul(e, 8)), e, 4));
        if (columns % 4) block(i32.add(to, 8 * whole), int(whole), columns % 4);
      }
      f.set(to, i32.add(to, 32 * upTo(columns, 4)));
    });
  });
}

/**
 * Returns the function (to, from, count, all) that packs `count` rows in panels of 8 columns, `panel` bytes apart. In a panel,
 * the 8 values of each row follow each other. Rows from `count` up to `all` are filled with zeros.
 */
export function columnPack(f: Func, { columns, stride }: Rows, panel: number): FunctionRef {
  return helper(f, 4, (f, to, from, count, all) => {
    for (let first = 0; first < columns; first += 8) {
      const target = f.let(i32.add(to, first / 8 * panel));
      const row = f.let(from);
      f.loop(0, count, 1, () => {
        for (const e of [first, first + 4]) {
          f.store(target, e < columns ? loadColumns(row, columns, e) : f32x4.splat(0), 4 * (e - first));
        }
        f.set(row, i32.add(row, stride));
        f.set(target, i32.add(target, 32));
      });
      f.zero(target, i32.mul(i32.sub(all, count), 32));
    }
  });
}
