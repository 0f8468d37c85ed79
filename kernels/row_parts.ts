// Row access for kernels: rows are read as vec4f if possible, and matrices larger than the adapter's binding limit are split
// into parts of whole rows.
import { ALIGN } from "../src/graph/structure.ts";
import type { ElementRange } from "../src/graph/tensor.ts";

/** A range of consecutive rows of a matrix. */
export interface RowPart {
  /** Index of the first row. */
  readonly first: number;
  /** Number of rows. */
  readonly rows: number;
  /** Range of the elements of these rows; undefined for the entire matrix. */
  readonly range: ElementRange | undefined;
}

/**
 * Splits a matrix [rows, width] of f32 into as few parts of at most `maxBytes` as possible. Every part except the last has a
 * multiple of 64 rows, so that every part starts at a valid binding offset. A matrix that fits is one part.
 */
export function rowParts(rows: number, width: number, maxBytes: number): RowPart[] {
  if (4 * rows * width <= maxBytes) return [{ first: 0, rows, range: undefined }];
  const most = Math.max(ALIGN, Math.floor(maxBytes / (4 * width * ALIGN)) * ALIGN);
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => {
    const first = i * most;
    const count = Math.min(most, rows - first);
    return { first, rows: count, range: { offset: first * width, size: count * width } };
  });
}

/**
 * Returns the WGSL type `Item` with which a kernel reads a row of `size` values, and the number `WIDTH` of such items in a
 * row. The type is vec4f if `size` is a multiple of 4 and each lane gets at least one vec4f, else f32.
 */
export function itemsOf(size: number, lanes = 1): { readonly WIDTH: number; readonly Item: string } {
  const fours = size % 4 === 0 && size >= 4 * lanes;
  return fours ? { WIDTH: size / 4, Item: "vec4f" } : { WIDTH: size, Item: "f32" };
}
