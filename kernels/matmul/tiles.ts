// The inner loops of a product: tiles of up to 6 x 8 results in 12 registers, each step of k two vectors of b and one value of
// a per row; and dot products for few rows. V8 keeps 15 vectors in registers.
import {
  f32x4,
  type Func,
  type FunctionRef,
  i32,
  type Int,
  int,
  load,
  loadSplat,
  select,
} from "../../src/wasm/mod.ts";
import { type I32, loadTwo, loadZero, type Local, type Module, type V128, v128 } from "../../src/wasm/mod.ts";

/** Columns of a tile, and of a packed strip of b. */
export const COLUMNS = 8;
/** Maximum number of rows of a tile. */
export const ROWS = 6;

/** The smaller of two unsigned integers; both are written twice. */
export const smaller = (a: I32, b: Int): I32 => select(i32.ltU(a, b), a, int(b));

/** The next `count` values, zeros in the other lanes; it reads no more. */
export function loadPart(address: I32, offset: number, count: number): V128 {
  if (count >= 4) return load("v128", address, offset);
  if (count === 1) return loadZero(address, offset);
  const two = loadTwo(address, offset);
  return count === 2 ? two : f32x4.replace(two, 2, load("f32", address, offset + 8));
}

/** Stores the first `count` lanes. */
export function storePart(f: Func, address: I32, value: V128, offset: number, count: number): void {
  if (count >= 4) return f.store(address, value, offset);
  const kept = f.let(value);
  for (let lane = 0; lane < count; lane++) f.storeLane(address, kept, lane, offset + 4 * lane);
}

/** The computation of a tile and the layout of its operands; distances are in bytes. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly K: number;
  /** Distances between rows of a, and between its values along k. */
  readonly a: { readonly row: number; readonly step: number };
  /** Distances between the rows of b (along k), and between two strips of columns. */
  readonly b: { readonly step: number; readonly strip: number };
  /** Initial values of the sums. */
  readonly from: "zero" | "bias" | "y";
  /** Whether the addend is added at the end. */
  readonly addend: boolean;
}

/** Parameters of a product's function: addresses of the first values, bytes between rows of y, number of strips. */
const PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const;

/** The function (a, b, bias, addend, y, row, strips) that computes tiles side by side. */
export function rowOfTiles(module: Module, tile: Tile): FunctionRef {
  return module.func({ params: PARAMS }, (f, a, b, bias, addend, y, row, strips) => {
    const sums = Array.from(
      { length: tile.rows },
      () => Array.from({ length: Math.ceil(tile.columns / 4) }, () => f.local("v128")),
    );
    const registers = { b: [f.local("v128"), f.local("v128")], a: f.local("v128") };
    const [p, q] = [f.local("i32"), f.local("i32")];
    f.loop(0, strips, 1, () => {
      start(f, tile, sums, { bias, y, row, at: p });
      f.set(p, a);
      f.set(q, b);
      product(f, tile, sums, registers, p, q);
      finish(f, tile, sums, { addend, y, row, atAddend: p, atY: q });
      f.set(b, i32.add(b, tile.b.strip));
      for (const address of [bias, addend, y]) f.set(address, i32.add(address, 4 * tile.columns));
    });
  });
}

type Sums = readonly (readonly Local<"v128">[])[];
type Address = Local<"i32">;

function start(
  f: Func,
  { from, columns }: Tile,
  sums: Sums,
  { bias, y, row, at }: { bias: Address; y: Address; row: Address; at: Address },
): void {
  if (from === "y") f.set(at, y);
  sums.forEach((vectors, i) => {
    if (from === "y" && i > 0) f.set(at, i32.add(at, row));
    vectors.forEach((sum, j) => {
      if (from === "zero") f.set(sum, f32x4.splat(0));
      else f.set(sum, loadPart(from === "y" ? at : bias, 16 * j, columns - 4 * j));
    });
  });
}

/** sums += a b over k, four values of k per iteration. */
function product(
  f: Func,
  { columns, K, a, b }: Tile,
  sums: Sums,
  registers: { b: readonly Local<"v128">[]; a: Local<"v128"> },
  p: Address,
  q: Address,
): void {
  const steps = (count: number): void => {
    for (let k = 0; k < count; k++) {
      sums[0].forEach((_, j) => f.set(registers.b[j], loadPart(q, k * b.step + 16 * j, columns - 4 * j)));
      sums.forEach((vectors, i) => {
        f.set(registers.a, loadSplat(p, i * a.row + k * a.step));
        vectors.forEach((sum, j) => f.set(sum, f32x4.madd(registers.a, registers.b[j], sum)));
      });
    }
  };
  const unroll = 4;
  const rest = K % unroll;
  f.loop(0, K - rest, unroll, () => {
    steps(unroll);
    f.set(p, i32.add(p, unroll * a.step));
    f.set(q, i32.add(q, unroll * b.step));
  });
  steps(rest);
}

function finish(
  f: Func,
  { columns, addend: hasAddend }: Tile,
  sums: Sums,
  { addend, y, row, atAddend, atY }: Record<"addend" | "y" | "row" | "atAddend" | "atY", Address>,
): void {
  f.set(atY, y);
  if (hasAddend) f.set(atAddend, addend);
  sums.forEach((vectors, i) => {
    if (i > 0) f.set(atY, i32.add(atY, row));
    if (i > 0 && hasAddend) f.set(atAddend, i32.add(atAddend, row));
    vectors.forEach((sum, j) => {
      const [offset, count] = [16 * j, columns - 4 * j];
      storePart(f, atY, hasAddend ? f32x4.add(sum, loadPart(atAddend, offset, count)) : sum, offset, count);
    });
  });
}

/** The sums of the lanes of four vectors, as one vector. */
export function sumsOfLanes(f: Func, x: readonly Local<"v128">[]): V128 {
  const pair = (a: V128, b: V128) =>
    f.let(f32x4.add(v128.shuffle(a, b, [0, 4, 1, 5]), v128.shuffle(a, b, [2, 6, 3, 7])));
  const [low, high] = [pair(x[0], x[1]), pair(x[2], x[3])];
  return f32x4.add(v128.shuffle(low, high, [0, 1, 4, 5]), v128.shuffle(low, high, [2, 3, 6, 7]));
}

/** Dot products of all rows of a with rows of b. */
export interface Dots {
  /** Rows of a, and rows of b, at most 8, that are taken at once. */
  readonly rows: number;
  readonly columns: number;
  readonly K: number;
  readonly bias: boolean;
  readonly addend: boolean;
}

/**
 * The function (a, b, bias, addend, y, row, strips) that computes y = a b' for few rows, whose values lie along k in both
 * operands: each row of b is read from memory once.
 */
export function rowsOfDots(module: Module, dots: Dots): FunctionRef {
  const { rows, columns, K, bias: hasBias, addend: hasAddend } = dots;
  const pairs = Array.from({ length: Math.ceil(rows / 2) }, (_, i) => Math.min(2, rows - 2 * i));
  return module.func({ params: PARAMS }, (f, a, b, bias, addend, y, row, strips) => {
    f.loop(0, strips, 1, () => {
      const at = f.let(int(0));
      pairs.forEach((count, pair) => {
        const sums = dotProducts(f, dots, a, b, 8 * pair * K, count);
        sums.forEach((vectors) => {
          for (let j = 0; 4 * j < columns; j++) {
            const [offset, lanes] = [16 * j, columns - 4 * j];
            let sum: V128 = sumsOfLanes(f, vectors.slice(4 * j, 4 * j + 4));
            if (hasBias) sum = f32x4.add(sum, loadPart(bias, offset, lanes));
            if (hasAddend) sum = f32x4.add(sum, loadPart(i32.add(addend, at), offset, lanes));
            storePart(f, i32.add(y, at), sum, offset, lanes);
          }
          f.set(at, i32.add(at, row));
        });
      });
      f.set(b, i32.add(b, 4 * columns * K));
      for (const address of [bias, addend, y]) f.set(address, i32.add(address, 4 * columns));
    });
  });
}

/** Vectors whose lanes add up to the dot products of `count` rows of a, from an offset on, and the rows of b. */
function dotProducts(f: Func, { columns, K }: Dots, a: Address, b: Address, first: number, count: number) {
  const sums = Array.from({ length: count }, () =>
    Array.from({ length: 4 * Math.ceil(columns / 4) }, () => {
      const sum = f.local("v128");
      f.set(sum, f32x4.splat(0));
      return sum;
    }));
  const [p, q] = [f.let(a), f.let(b)];
  const step = (lanes: number): void => {
    const rows = sums.map((_, i) => f.let(loadPart(p, first + 4 * i * K, lanes)));
    for (let j = 0; j < columns; j++) {
      const w = f.let(loadPart(q, 4 * j * K, lanes));
      rows.forEach((x, i) => f.set(sums[i][j], f32x4.madd(x, w, sums[i][j])));
    }
  };
  f.loop(0, K - K % 4, 4, () => {
    step(4);
    for (const address of [p, q]) f.set(address, i32.add(address, 16));
  });
  if (K % 4) step(K % 4);
  return sums;
}
