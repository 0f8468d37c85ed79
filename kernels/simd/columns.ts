// Sums over the rows of a matrix, one sum per column, in WebAssembly. A block sums a range of rows for a range of columns. If
// the matrix has more rows than a block, a second phase adds the blocks' partial sums in order.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import { element, f32x4, type Func, type I32, i32, int, load, type Local } from "../../src/wasm/mod.ts";
import { end, type Part, smaller, WHOLE } from "./rows.ts";

/** Maximum number of rows per block. */
const MOST_ROWS = 512;
/** Approximate number of elements per block. */
const ELEMENTS = 8192;
/** Maximum number of columns per block. */
const COLUMNS = 64;

/**
 * Number of columns per strip: one cache line of a row. The accumulators of a strip fit in registers, even with two sums per
 * column.
 */
export const STRIP = 16;

/**
 * The groups of up to four columns in a strip. Each has a byte offset, which is added to the offset that `eachStrip` passes,
 * and a `Part` that says how many columns the group has (1 to 4).
 */
export type Strip = readonly (readonly [offset: number, part: Part])[];

/**
 * Writes a loop over the strips in the block of `width` columns with this index. A strip has 16 columns, but the last strip of
 * a row may be narrower. `body` gets a byte offset within a row, to which the offsets of the strip's groups are added.
 */
export function eachStrip(
  f: Func,
  columns: number,
  width: number,
  index: I32,
  body: (column: I32, strip: Strip) => void,
): void {
  const whole = columns - columns % STRIP;
  const from = f.let(i32.mul(index, 4 * width));
  const to = f.let(i32.add(from, 4 * width));
  const until = f.let(smaller(to, 4 * whole));
  f.loop(from, until, 4 * STRIP, (column) => body(column, [0, 16, 32, 48].map((offset) => [offset, WHOLE])));
  if (whole === columns) return;
  const rest: [number, Part][] = [];
  for (let i = whole; i < columns; i += 4) rest.push([4 * i, columns - i < 4 ? end(columns - i) : WHOLE]);
  f.if(i32.geU(to, 4 * columns), () => body(int(0), rest));
}

/**
 * Writes code that adds four columns of a row to the sums. The byte offset of the columns is known when the code is generated.
 */
export type AddColumns = (sums: readonly Local<"v128">[], offset: number) => void;

/** Sums over the rows of a matrix. */
export interface ColumnSums {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  /** For each sum, the index of its output [columns]. */
  readonly outputs: readonly number[];
  /**
   * Writes the code that runs once per row and strip, and returns a function that writes the code for four columns. The byte
   * offset of these columns is relative to `column`.
   */
  readonly row: (f: Func, row: I32, column: I32, at: Addresses) => AddColumns;
}

/** Returns the phases that sum over the rows, with one sum per column and output. */
export function columnSums(of: ColumnSums): Simd {
  const { rows, columns, outputs } = of;
  const strip = Math.min(columns, COLUMNS);
  const perBlock = Math.min(MOST_ROWS, Math.ceil(ELEMENTS / strip));
  const chunks = Math.ceil(rows / perBlock);
  // The shape of the partial sums is [chunk, sum, column].
  const all = outputs.length * columns;
  const partial = partialSums(of, strip, perBlock, (at, chunk, k) => {
    return chunks === 1
      ? at.outputs[outputs[k]]
      : element(at.scratch[0], i32.add(i32.mul(chunk, all), k * columns));
  });
  if (chunks === 1) return { phases: [partial] };
  return {
    scratch: [chunks * all],
    phases: [
      partial,
      ...outputs.map((output, k) => {
        const row: ColumnSums["row"] = (f, row, column, { scratch: [sums] }) => {
          const from = f.let(i32.add(element(sums, i32.add(i32.mul(row, all), k * columns)), column));
          return ([sum], offset) => f.set(sum, f32x4.add(sum, load("v128", from, offset)));
        };
        const label = `${of.label}_sum`;
        return partialSums(
          { label, rows: chunks, columns, outputs: [output], row },
          strip,
          chunks,
          (at) => at.outputs[output],
        );
      }),
    ],
  };
}

/** Returns the phase that sums blocks of rows for strips of columns, and writes the sums to the address that `to` returns. */
function partialSums(
  { label, rows, columns, outputs, row }: ColumnSums,
  strip: number,
  perBlock: number,
  to: (at: Addresses, chunk: I32, sum: number) => I32,
): Phase {
  const strips = Math.ceil(columns / strip);
  return {
    label,
    blocks: strips * Math.ceil(rows / perBlock),
    kernel(f, block, at) {
      const chunk = f.let(i32.divU(block, strips));
      const first = f.let(i32.mul(chunk, perBlock));
      const last = f.let(i32.add(first, perBlock));
      if (rows % perBlock) f.set(last, smaller(last, rows));
      const targets = outputs.map((_, k) => f.let(to(at, chunk, k)));
      eachStrip(f, columns, strip, i32.remU(block, strips), (column, parts) => {
        const sums = parts.map(() => outputs.map(() => f.let(f32x4.splat(0))));
        f.loop(first, last, 1, (r) => {
          const add = row(f, r, column, at);
          parts.forEach(([offset], p) => add(sums[p], offset));
        });
        targets.forEach((target, k) => {
          const address = f.let(i32.add(target, column));
          parts.forEach(([offset, part], p) => part.store(f, address, sums[p][k], offset));
        });
      });
    },
  };
}
