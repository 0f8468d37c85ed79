// Formats rows of cells as aligned lines of text.
import { maximum } from "./extremes.ts";

/** Alignment of a table's columns. */
export interface TableOptions {
  /**
   * Returns whether the column with this index, from 0, is left-aligned; all others are right-aligned. Default: no column
   * is left-aligned.
   */
  readonly left?: (column: number) => boolean;
  /** The minimum width of every column, or a list of minimum widths for the first columns. Default: 0. */
  readonly least?: number | readonly number[];
  /** The text between columns. Default: two spaces. */
  readonly gap?: string;
}

/**
 * Formats a table as lines of text. Each column is as wide as its longest cell, in UTF-16 units; a left-aligned last column
 * has no trailing spaces.
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
