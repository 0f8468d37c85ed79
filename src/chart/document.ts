// What all charts share: the SVG document, fonts and colours, line breaking, and unique ids.

import { hash32 } from "../base/random.ts";
import { escapeXml } from "./svg_context.ts";
import { parseFont, textWidth } from "./text_width.ts";

/**
 * Eight colours for lines on white. Their pairwise difference in lightness (CIE L*) is at least 7.5, so they differ in
 * greyscale and for colour-blind readers; neighbours in the list differ most.
 */
export const CHART_COLOURS: readonly string[] = [
  "#0057a8",
  "#dd6508",
  "#1a7f37",
  "#000000",
  "#eeb000",
  "#761a48",
  "#3fa7dd",
  "#3b0f6e",
];

/**
 * Returns the colour of the bars with this index, from 0: first the eight colours, then the same colours mixed half with
 * white, then all 16 again.
 */
export function barColour(index: number): string {
  const colour = CHART_COLOURS[index % CHART_COLOURS.length];
  if (Math.floor(index / CHART_COLOURS.length) % 2 === 0) return colour;
  const half = [1, 3, 5].map((i) => Math.round((parseInt(colour.slice(i, i + 2), 16) + 255) / 2));
  return `#${half.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export interface LineStyle {
  readonly colour: string;
  /** Lengths of dashes and gaps in pixels; empty for a solid line. */
  readonly dash: readonly number[];
}

const DASHES: readonly (readonly number[])[] = [[], [2, 2], [9, 2, 2, 2]];

/** The number of distinct line styles. */
export const LINE_STYLES: number = CHART_COLOURS.length * DASHES.length;

/**
 * Returns the style of the line with this index, from 0: first the eight colours as solid lines, then as dotted lines, then
 * as dash-dotted lines, then all 24 styles again.
 */
export function lineStyle(index: number): LineStyle {
  const dash = DASHES[Math.floor(index / CHART_COLOURS.length) % DASHES.length];
  return { colour: CHART_COLOURS[index % CHART_COLOURS.length], dash };
}

export const FAMILY = 'Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
/** Colour of text on white. */
export const TEXT_COLOUR = "#222222";
/** Colour of grid lines. */
export const GRID_COLOUR = "#e4e4e4";
/** Colour of axes and ticks. */
export const AXIS_COLOUR = "#777777";
export const TITLE_SIZE = 15;
export const TEXT_SIZE = 12;

/**
 * Matches the positions at which a long word, such as a run's name, may be broken: after punctuation, but not inside a
 * number.
 */
const JOINTS = /(?<=[-_.\/,:;=+→|␣])(?![-_.\/,:;=+→|␣\d])/;

/**
 * Wraps a text, by default in the style of a title, into lines of at most `width` pixels. Lines break at spaces; a word
 * longer than a line breaks after punctuation, or, if it has none, between any two characters. A line has at least one
 * character.
 */
export function wrap(
  text: string,
  width: number,
  { size = TITLE_SIZE, bold = true }: { size?: number; bold?: boolean } = {},
): string[] {
  const font = parseFont(`${bold ? "bold " : ""}${size}px sans-serif`);
  const fits = (line: string) => textWidth(line, font) <= width;
  const lines = [""];
  const put = (piece: string, glue: string): void => {
    const last = lines.at(-1)!;
    const longer = last === "" ? piece : last + glue + piece;
    if (fits(longer)) lines[lines.length - 1] = longer;
    else if (fits(piece) || [...piece].length <= 1) {
      last === "" ? lines[lines.length - 1] = piece : lines.push(piece);
    } else {
      const parts = piece.split(JOINTS);
      const smaller = parts.length > 1 ? parts : [...piece];
      smaller.forEach((part, n) => put(part, n === 0 ? glue : ""));
    }
  };
  for (const word of text.split(/\s+/).filter(Boolean)) put(word, " ");
  return lines;
}

/**
 * Returns the FNV-1a hash of a text in hexadecimal. It makes ids that differ between the charts of a page but are the same
 * every time a chart is drawn.
 */
export const fingerprint = (text: string): string => hash32(text).toString(16).padStart(8, "0");

export function svgDocument(width: number, height: number, title: string, elements: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img" font-family="${escapeXml(FAMILY)}">\n` +
    `<title>${escapeXml(title)}</title>\n<rect width="${width}" height="${height}" fill="#ffffff"/>\n` +
    `${elements}\n</svg>\n`;
}
