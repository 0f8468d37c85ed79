// Sums over the rows of a matrix, for every column, in WebAssembly. A block sums some rows of some columns; if the matrix has more
// rows than a block, a second phase adds these partial sums in order.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import { element, f32x4, type Func, type I32, i32, int, load, type Local } from "../../src/wasm/mod.ts";
import { end, type Part, smaller, WHOLE } from "./rows.ts";

/** Maximum numbers of rows, elements and columns of a block. */
const MOST_ROWS = 512;
const ELEMENTS = 8192;
const COLUMNS = 64;

/** Columns whose accumulators stay in registers, even for two sums: a cache line of each row. */
export const STRIP = 16;

/** Groups of four columns of a strip: their offsets from its start in bytes, and the lanes that are columns. */
export type Strip = readonly (readonly [offset: number, part: Part])[];

/**
 * Writes a loop over strips of 16 columns (the last one may be narrower) of the block with this index, `width` columns; `body`
 * gets the first byte of a strip.
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

/** Adds four columns of a row, at an offset in bytes that is known when the code is written, to the sums. */
export type AddColumns = (sums: readonly Local<"v128">[], offset: number) => void;

/** Sums over the rows of a matrix. */
export interface ColumnSums {
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  /** Index of the output [columns] of each sum. */
  readonly outputs: readonly number[];
  /** Prepares the columns from byte `column` of a row. */
  readonly row: (f: Func, row: I32, column: I32, at: Addresses) => AddColumns;
}

/** The sums over the rows, for every column. */
export function columnSums(of: ColumnSums): Simd {
  const { rows, columns, outputs } = of;
  const strip = Math.min(columns, COLUMNS);
  const perBlock = Math.min(MOST_ROWS, Math.ceil(ELEMENTS / strip));
  const chunks = Math.ceil(rows / perBlock);
  // Partial sums are [chunk, sum, column].
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

/** Writes the sums of blocks of rows and strips of columns to the address that `to` gives. */
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
