// How kernels take the rows of a matrix: four numbers at a time, and some rows at a time of one that is larger than an adapter binds.
import { ALIGN } from "../src/graph/structure.ts";
import type { ElementRange } from "../src/graph/tensor.ts";

/** Some rows of a matrix, and the elements that they are. */
export interface RowPart {
  /** The first of them. */
  readonly first: number;
  /** How many. */
  readonly rows: number;
  /** Where they lie; undefined: the whole matrix. */
  readonly range: ElementRange | undefined;
}

/**
 * Cuts a matrix [rows, width] of f32 into the fewest parts of at most `maxBytes`, each a multiple of 64 rows but for the
 * last, so that all begin where a binding may. A matrix that fits is one part.
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

/** Rows of `size` numbers as kernels take them: WIDTH items of four numbers, where each of `lanes` gets one, or of one. */
export function itemsOf(size: number, lanes = 1): { readonly WIDTH: number; readonly Item: string } {
  const fours = size % 4 === 0 && size >= 4 * lanes;
  return fours ? { WIDTH: size / 4, Item: "vec4f" } : { WIDTH: size, Item: "f32" };
}
