// The inner loop of a product. A tile of up to 6 x 8 results is kept in 12 registers; each step along k loads two vectors of b,
// and one value of a per row. V8 can keep 15 vectors in registers.
import { f32x4, type Func, type FunctionRef, i32, loadSplat } from "../../src/wasm/mod.ts";
import type { I32, Local, Module, V128 } from "../../src/wasm/mod.ts";
import { end, WHOLE } from "../simd/rows.ts";
import { loadPart } from "../simd/vectors.ts";

/** Number of columns of a tile, and of a packed strip of b. */
export const COLUMNS = 8;
/** Maximum number of rows of a tile. */
export const ROWS = 6;

/** Stores the first `count` lanes. */
export const storePart = (f: Func, address: I32, value: V128, offset: number, count: number): void =>
  (count >= 4 ? WHOLE : end(count)).store(f, address, value, offset);

/** Describes the computation of a tile and the layout of its operands. Distances are in bytes. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly K: number;
  /** Distances between the rows of a, and between its values along k. */
  readonly a: { readonly row: number; readonly step: number };
  /** Distances between the values of b along k, and between two strips of columns. */
  readonly b: { readonly step: number; readonly strip: number };
  /** Initial values of the sums. */
  readonly from: "zero" | "bias" | "y";
  /** Whether the addend is added at the end. */
  readonly addend: boolean;
}

/**
 * Types of the parameters of a product's function: the addresses of a, b, bias, addend and y, the number of bytes between the
 * rows of y, and the number of strips.
 */
export const PARAMS = ["i32", "i32", "i32", "i32", "i32", "i32", "i32"] as const;

/** Returns the function (a, b, bias, addend, y, row, strips) that computes a row of tiles. */
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

/** Adds a b to the sums, four steps along k per iteration. */
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
