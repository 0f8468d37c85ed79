// Rows of cells as aligned lines of text.
import { maximum } from "./extremes.ts";

/** How the columns of a table stand. */
export interface TableOptions {
  /** Which columns, from 0, begin at the left; the others end at the right. Default: none. */
  readonly left?: (column: number) => boolean;
  /** The least width of every column, or of the first ones. Default: 0. */
  readonly least?: number | readonly number[];
  /** What stands between two columns. Default: two spaces. */
  readonly gap?: string;
}

/**
 * A table as lines: each column as wide as its longest cell, in UTF-16 units. No spaces behind a last column that begins at
 * the left.
 *
 * @example
 * ```ts
 * import { alignedRows } from "../../mod.ts";
 * alignedRows([["name", "loss"], ["tiny", "2.5"]], { left: (column) => column === 0 }); // name  loss, tiny   2.5
 * ```
 * @category Scripts
 */
export function alignedRows(
  rows: readonly (readonly string[])[],
  { left = () => false, least = 0, gap = "  " }: TableOptions = {},
): string[] {
  const leastOf = (column: number) => typeof least === "number" ? least : least[column] ?? 0;
  const widths = rows[0]?.map((_, n) => maximum(rows.map((row) => row[n].length), leastOf(n)));
  return rows.map((row) => {
    const line = row.map((cell, n) => left(n) ? cell.padEnd(widths[n]) : cell.padStart(widths[n])).join(gap);
    return left(row.length - 1) ? line.trimEnd() : line;
  });
}
