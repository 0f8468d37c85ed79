// Formats rows of statistics as text for a terminal and for other tools. Each row is written without knowing the next one,
// so that logs of any size can be streamed. Every column is therefore as wide as its heading and the longest possible
// number.

import { alignedRows } from "../base/table.ts";
import { cellText } from "../base/terminal.ts";
import { csvField } from "./csv.ts";
import { formatRecord } from "./records.ts";
import type { StatRow } from "./stat_rows.ts";

/** Formats of rows of statistics and of tables of results.
 * @category Logs */
export const STAT_FORMATS = ["table", "ndjson", "csv"] as const;

/** One of {@link STAT_FORMATS}. */
export type StatFormat = (typeof STAT_FORMATS)[number];

/** Widths of the columns before the statistics; the longest name of a parameter's state has 36 characters. */
const LEADING = { step: 8, kind: 10, tap: 36, layer: 5, head: 4 };
const isText = (column: number): boolean => column === 1 || column === 2;
/** Width of a number in a table, the length of `-0.000123457`. */
const NUMBER_WIDTH = 12;

/**
 * Formats a number for human readers. Integers of up to 9 digits are written in full, and other numbers with `digits`
 * significant digits. Very small and very large numbers have one digit less and an exponent. By default no number has more
 * than 12 characters. null is written as `-`.
 *
 * @param digits the number of significant digits
 *
 * @example
 * ```ts
 * import { shortNumber } from "../../mod.ts";
 * [shortNumber(1 / 3), shortNumber(12), shortNumber(-1.23456e-10)]; // 0.333333, 12, -1.2346e-10
 * ```
 * @category Logs
 */
export function shortNumber(value: number | null | undefined, digits = 6): string {
  if (value === null || value === undefined) return "-";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return String(value + 0);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(digits - 2).replace("e+", "e");
  return String(Number(value.toPrecision(digits)));
}

/**
 * Formats a loss in nats for human readers: with four decimals or, if the loss is very small or very large, like
 * {@link shortNumber} with 4 digits.
 *
 * @example
 * ```ts
 * import { showLoss } from "../../mod.ts";
 * [showLoss(2.42591), showLoss(0.0000321), showLoss(undefined)]; // 2.4259, 3.21e-5, -
 * ```
 * @category Logs
 */
export function showLoss(loss: number | null | undefined): string {
  const size = Math.abs(loss ?? NaN);
  return size === 0 || (size >= 1e-3 && size < 1e4) ? loss!.toFixed(4) : shortNumber(loss, 4);
}

function csvNumber(value: number | null): string {
  if (value === null) return "";
  return Number.isNaN(value) ? "NaN" : String(value).replace("Infinity", "inf");
}

function csvLines(): (row: StatRow) => string {
  let before = "step,kind,tap,layer,head,stat,value\n";
  return ({ step, kind, tap, layer, head, statistics }) => {
    const lead = `${step},${csvField(kind)},${csvField(tap)},${layer ?? ""},${head ?? ""}`;
    const lines = statistics.map(([name, value]) => `${lead},${csvField(name)},${csvNumber(value)}\n`);
    const text = before + lines.join("");
    before = "";
    return text;
  };
}

function ndjsonLines({ statistics, ...lead }: StatRow): string {
  return statistics.map(([stat, value]) => `${formatRecord({ type: "statistic", ...lead, stat, value })}\n`)
    .join("");
}

const line = (cells: readonly string[], least: readonly number[]): string =>
  `${alignedRows([cells.map(cellText)], { left: isText, least })[0]}\n`;

/** Returns a function that writes one line per record, and new headings when the statistics change. */
function tableLines(stats: readonly string[] | undefined): (row: StatRow) => string {
  let widths: number[] = [];
  let headings: string | undefined;
  return ({ step, kind, tap, layer, head, statistics }) => {
    const names = stats ?? statistics.map(([name]) => name);
    let before = "";
    if (headings !== names.join()) {
      widths = [
        ...Object.values(LEADING),
        ...names.map((name) => Math.max(NUMBER_WIDTH, cellText(name).length)),
      ];
      before = (headings === undefined ? "" : "\n") + line([...Object.keys(LEADING), ...names], widths);
      headings = names.join();
    }
    const values = names.map((name) => shortNumber(statistics.find(([key]) => key === name)?.[1]));
    return before + line([`${step}`, kind, tap, `${layer ?? "-"}`, `${head ?? "-"}`, ...values], widths);
  };
}

/**
 * Returns a function that formats rows of statistics, called with one row after another; its results end with a newline.
 *
 * - `table`: one line per record, `step kind tap layer head` and one column per statistic ({@link shortNumber}); `-` for a
 *   missing number. Without `stats`, headings are repeated when the statistics change.
 * - `csv`: one line per number, `step,kind,tap,layer,head,stat,value`; null is empty, non-finite numbers are `NaN`, `inf`, `-inf`.
 * - `ndjson`: one record of type `statistic` per number, with the same fields; for numbers that are not finite see
 *   `formatRecord`.
 *
 * @param stats the table's columns. Default: the statistics of each record
 *
 * @example
 * ```ts
 * import { statWriter } from "../../mod.ts";
 * const write = statWriter("csv");
 * write({ step: 1, kind: "act", tap: "embed", layer: null, head: null, statistics: [["mean", 0.5]] });
 * // step,kind,tap,layer,head,stat,value
 * // 1,act,embed,,,mean,0.5
 * ```
 * @category Logs
 */
export function statWriter(format: StatFormat, stats?: readonly string[]): (row: StatRow) => string {
  if (format === "csv") return csvLines();
  return format === "ndjson" ? ndjsonLines : tableLines(stats);
}
