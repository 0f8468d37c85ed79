// Texts of the charts that are drawn here and not by Chart.js, and the rows that a legend takes.

import { maximum } from "../extremes.ts";
import { FAMILY, TEXT_COLOUR } from "./document.ts";
import { escapeXml } from "./svg_context.ts";
import { textWidth } from "./text_width.ts";

/** Pixels of labels, ticks and legends. */
export const LABEL_SIZE = 11;

/** How a text is set. */
export interface TextOptions {
  /** Pixels, {@link LABEL_SIZE} unless told. */
  readonly size?: number;
  /** Which part of it stands at x, its middle unless told. */
  readonly anchor?: "start" | "middle" | "end";
  /** Dark grey unless told. */
  readonly colour?: string;
  /** In bold. */
  readonly bold?: boolean;
  /** Read from below. */
  readonly turned?: boolean;
}

/** A coordinate with one decimal. */
export const num = (x: number): string => String(Math.round(x * 10) / 10);

/** Pixels of a label. */
export const labelWidth = (label: string): number =>
  textWidth(label, { style: "normal", weight: "normal", size: LABEL_SIZE, family: FAMILY });

const BLANKS: Readonly<Record<string, string>> = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

/** A token's text with its blanks seen. */
export const withBlanks = (label: string): string => label.replace(/[ \n\t\r]/g, (blank) => BLANKS[blank]);

/** One text, its baseline at (x, y). */
export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { size = LABEL_SIZE, anchor = "middle", colour = TEXT_COLOUR, bold, turned } = options;
  const [px, py] = [num(x), num(y)];
  return `<text x="${px}" y="${py}" font-size="${size}" fill="${colour}"` +
    (anchor === "start" ? "" : ` text-anchor="${anchor}"`) + (bold ? ` font-weight="bold"` : "") +
    (turned ? ` transform="rotate(-90 ${px} ${py})"` : "") + `>${escapeXml(content)}</text>`;
}

/** The lines of a title above a drawing of a width. */
export function titleTexts(lines: readonly string[], width: number, top: number, size: number): string[] {
  return lines.map((line, n) => text(width / 2, top + (n + 0.8) * (size + 4), line, { size, bold: true }));
}

/** Where the entries of a legend stand: in rows of equal columns, from the left. */
export function legendRows(names: readonly string[], width: number) {
  const entry = maximum(names.map(labelWidth), 0) + 26 + 18;
  const columns = Math.max(1, Math.min(names.length, Math.floor(width / entry)));
  const start = (width - columns * entry) / 2;
  return {
    rows: Math.ceil(names.length / columns),
    entries: names.map((name, i) => ({
      name,
      at: start + (i % columns) * entry,
      row: Math.floor(i / columns),
    })),
  };
}

/** What a chart says where it labels every k-th row or column: `every 2nd labelled`. */
export function everyLabelled(every: number): string {
  const teens = Math.floor(every / 10) % 10 === 1;
  return `every ${every}${teens ? "th" : ["th", "st", "nd", "rd"][every % 10] ?? "th"} labelled`;
}

/** Whether labels are whole numbers, each one more than the one before: a gap between them hides nothing. */
export const countUp = (labels: readonly string[]): boolean =>
  labels.every((label, i) => label === `${Number(labels[0]) + i}`);

/** The label of an axis, with which of its rows or columns are labelled where some have no room and they do not count up. */
export function labelWithGap(label: string, labels: readonly string[], every: number): string {
  if (every === 1 || countUp(labels)) return label;
  return label ? `${label} (${everyLabelled(every)})` : everyLabelled(every);
}
