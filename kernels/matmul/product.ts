// The parts of a matrix product, and the addresses of its operands.
import type { Addresses } from "../../src/graph/simd.ts";
import { element, type Func, type I32, i32, type Int, int } from "../../src/wasm/mod.ts";
import type { MatmulAttrs, MatmulSizes } from "./sizes.ts";

/** Approximate number of multiply-adds per block. A block takes about 5 microseconds. */
export const BLOCK = 2 ** 17;

/** A product: its sizes, and whether it has a bias, an activation and an addend. */
export interface Product extends MatmulSizes, MatmulAttrs {
  /** Whether the values before the activation are stored in the second output. */
  readonly savesPre: boolean;
}

/** A range of rows, columns or values along k. */
export interface Range {
  readonly first: number;
  readonly size: number;
}

/** The part of a product that a phase computes. */
export interface Part {
  readonly rows: Range;
  readonly columns: Range;
  readonly k: Range;
}

/** Addresses of the operands of one matrix product, at the first row and column of a part. */
export interface Operands {
  readonly a: I32;
  readonly b: I32;
  readonly bias: I32;
  readonly addend: I32;
  readonly y: I32;
  readonly pre: I32;
}

/**
 * Splits 0 to `size` into ranges of equal length, except that the last may be shorter. The length is a multiple of `unit` and
 * at most about `most`.
 */
export function rangesOf(size: number, most: number, unit: number): Range[] {
  const count = Math.ceil(size / Math.max(most, unit));
  const step = Math.ceil(size / count / unit) * unit;
  return Array.from(
    { length: Math.ceil(size / step) },
    (_, i) => ({ first: i * step, size: Math.min(step, size - i * step) }),
  );
}

/** Returns the address of the value at `row` and `column` of a matrix that has `columns` columns and is stored row by row. */
const cornerOf = (base: I32, row: number, column: number, columns: number): I32 =>
  i32.add(base, 4 * (row * columns + column));

/** Returns the addresses of the operands for a part of the matrix with index `matrix` in the batch. */
export function operandsOf(
  f: Func,
  p: Product,
  { rows, columns, k }: Part,
  at: Addresses,
  matrix: Int,
): Operands {
  const { M, N, K, transA, transB } = p;
  const [a, b, ...more] = at.inputs;
  const of = (base: I32, size: number): I32 => element(base, i32.mul(matrix, size));
  const corner = (base: I32) => f.let(cornerOf(of(base, M * N), rows.first, columns.first, N));
  return {
    a: f.let(
      transA
        ? cornerOf(of(a, M * K), k.first, rows.first, M)
        : cornerOf(of(a, M * K), rows.first, k.first, K),
    ),
    b: f.let(
      transB
        ? cornerOf(of(b, N * K), columns.first, k.first, K)
        : cornerOf(of(b, N * K), k.first, columns.first, N),
    ),
    bias: p.bias ? f.let(element(more[0], columns.first)) : int(0),
    addend: p.addend ? corner(more[p.bias ? 1 : 0]) : int(0),
    y: corner(at.outputs[0]),
    pre: p.savesPre ? corner(at.outputs[1]) : int(0),
  };
}

export const labelOf = ({ M, N, K }: Product): string => `matmul ${M}x${N}x${K}`;

/**
 * Returns the group to which a block belongs and the block's index within that group. `by` is the number of blocks per group,
 * or undefined if there is only one group.
 */
export function divided(f: Func, block: I32, by: number | undefined): [Int, I32] {
  if (by === undefined) return [0, block];
  if (by === 1) return [block, int(0)];
  const quotient = f.let(i32.divU(block, by));
  return [quotient, f.let(i32.sub(block, i32.mul(quotient, by)))];
}
