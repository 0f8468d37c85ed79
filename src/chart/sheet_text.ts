// Text and legends of the charts that are drawn without Chart.js.

import { maximum } from "../base/extremes.ts";
import { FAMILY, TEXT_COLOUR, wrap } from "./document.ts";
import { escapeXml } from "./svg_context.ts";
import { textWidth } from "./text_width.ts";

export const LABEL_SIZE = 11;

export interface TextOptions {
  /** Font size in pixels. Default: {@link LABEL_SIZE}. */
  readonly size?: number;
  /** Which part of the text is at x. Default: the middle. */
  readonly anchor?: "start" | "middle" | "end";
  /** The colour of the text. Default: dark grey. */
  readonly colour?: string;
  readonly bold?: boolean;
  /** Whether the text is rotated to read upwards. */
  readonly turned?: boolean;
}

/** Formats a coordinate with one decimal. */
export const num = (x: number): string => String(Math.round(x * 10) / 10);

export const labelWidth = (label: string): number =>
  textWidth(label, { style: "normal", weight: "normal", size: LABEL_SIZE, family: FAMILY });

const BLANKS: Readonly<Record<string, string>> = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍" };

/** Returns a token's text with visible characters in place of white space. */
export const withBlanks = (label: string): string => label.replace(/[ \n\t\r]/g, (blank) => BLANKS[blank]);

/** Returns the SVG of a line of text whose baseline is at (x, y). */
export function text(x: number, y: number, content: string, options: TextOptions = {}): string {
  const { size = LABEL_SIZE, anchor = "middle", colour = TEXT_COLOUR, bold, turned } = options;
  const [px, py] = [num(x), num(y)];
  return `<text x="${px}" y="${py}" font-size="${size}" fill="${colour}"` +
    (anchor === "start" ? "" : ` text-anchor="${anchor}"`) + (bold ? ` font-weight="bold"` : "") +
    (turned ? ` transform="rotate(-90 ${px} ${py})"` : "") + `>${escapeXml(content)}</text>`;
}

export const lineHeight = (size: number): number => Math.round(1.2 * size);

/**
 * Returns the SVG of a text's lines, centred at (x, y). The lines are below each other, or side by side if `turned`. The
 * baseline of a single line is placed so that the line looks centred.
 */
export function texts(x: number, y: number, lines: readonly string[], options: TextOptions = {}): string[] {
  const { size = LABEL_SIZE, turned } = options;
  return lines.map((line, n) => {
    const shift = (n - (lines.length - 1) / 2) * lineHeight(size) + 0.36 * size;
    return turned ? text(x + shift, y, line, options) : text(x, y + shift, line, options);
  });
}

export function titleTexts(lines: readonly string[], width: number, top: number, size: number): string[] {
  return lines.map((line, n) => text(width / 2, top + (n + 0.8) * (size + 4), line, { size, bold: true }));
}

/** Shortens a text until it fits: keeps characters at both ends, with … between them. */
export function shortened(label: string, fits: (label: string) => boolean): string {
  if (fits(label)) return label;
  const all = [...label];
  // A text of more than 300 characters never fits.
  let kept = Math.min(all.length - 1, 300);
  const cut = () =>
    `${all.slice(0, Math.ceil(kept / 2)).join("")}…${all.slice(all.length - Math.floor(kept / 2)).join("")}`;
  while (kept > 1 && !fits(cut())) kept--;
  return cut();
}

/** Two widths in pixels: that of a legend's mark including the space after it, and that of the space between two entries. */
const [MARK, BETWEEN] = [26, 18];

/** Returns the layout of a legend, whose columns have equal width; long names wrap. */
export function legendRows(names: readonly string[], width: number) {
  const lines = names.map((name) => wrap(name, width - MARK - BETWEEN, { size: LABEL_SIZE, bold: false }));
  const entry = maximum(lines.flat().map(labelWidth), 0) + MARK + BETWEEN;
  const columns = Math.max(1, Math.min(names.length, Math.floor(width / entry)));
  const start = (width - columns * entry) / 2;
  const most = maximum(lines.map(({ length }) => length), 1);
  const step = LABEL_SIZE + 6 + (most - 1) * lineHeight(LABEL_SIZE);
  return {
    height: Math.ceil(names.length / columns) * step,
    entries: names.map((name, i) => ({
      name,
      lines: lines[i],
      at: start + (i % columns) * entry,
      /** The distance in pixels from the top of the legend down to the middle of the entry. */
      middle: Math.floor(i / columns) * step + (LABEL_SIZE + (most - 1) * lineHeight(LABEL_SIZE)) / 2,
    })),
  };
}

/** Returns the note that only every k-th row or column is labelled, such as `every 2nd labelled`. */
export function everyLabelled(every: number): string {
  const teens = Math.floor(every / 10) % 10 === 1;
  return `every ${every}${teens ? "th" : ["th", "st", "nd", "rd"][every % 10] ?? "th"} labelled`;
}

/** Returns whether labels are consecutive integers, so that a reader can infer omitted labels. */
export const countUp = (labels: readonly string[]): boolean =>
  labels.every((label, i) => label === `${Number(labels[0]) + i}`);

/**
 * Returns the label of an axis, with a note if only every k-th row or column is labelled and the labels are not consecutive
 * integers.
 */
export function labelWithGap(label: string, labels: readonly string[], every: number): string {
  if (every === 1 || countUp(labels)) return label;
  return label ? `${label} (${everyLabelled(every)})` : everyLabelled(every);
}
