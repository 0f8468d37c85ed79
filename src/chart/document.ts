// What every chart shares: the document round it, its type and colours, broken titles, ids that do not meet another's.

import { escapeXml } from "./svg_context.ts";
import { parseFont, textWidth } from "./text_width.ts";

/**
 * Eight colours for lines on white. Their lightness (CIE L*) is at least 7.5 apart pair by pair, so they differ as greys
 * and for colour-blind readers; those that stand next to each other in the list differ most.
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

/** How a line is told from others: its colour and its dashes. */
export interface LineStyle {
  /** One of {@link CHART_COLOURS}. */
  readonly colour: string;
  /** Lengths of dashes and gaps in pixels; none for a full line. */
  readonly dash: readonly number[];
}

const DASHES: readonly (readonly number[])[] = [[], [2, 2], [9, 2, 2, 2]];

/** How many lines of a chart look different from each other. */
export const LINE_STYLES: number = CHART_COLOURS.length * DASHES.length;

/** The style of the line of an index: eight colours, then the same in dots, then in dashes and dots, then again. */
export function lineStyle(index: number): LineStyle {
  const dash = DASHES[Math.floor(index / CHART_COLOURS.length) % DASHES.length];
  return { colour: CHART_COLOURS[index % CHART_COLOURS.length], dash };
}

/** The list of families that every text is set in. */
export const FAMILY = 'Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
/** Of text on white. */
export const TEXT_COLOUR = "#222222";
/** Of the lines behind the data. */
export const GRID_COLOUR = "#e4e4e4";
/** Of axes and ticks. */
export const AXIS_COLOUR = "#777777";
/** Pixels of a chart's title. */
export const TITLE_SIZE = 15;
/** Pixels of ticks and legends. */
export const TEXT_SIZE = 12;

/** A title as lines of at most `width` pixels, broken at spaces. */
export function wrap(text: string, width: number): string[] {
  const font = parseFont(`bold ${TITLE_SIZE}px sans-serif`);
  const lines = [""];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) === "" || textWidth(longer, font) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** FNV-1a in hexadecimal: ids of one chart differ from another's in the same page, and are the same in every run. */
export function fingerprint(text: string): string {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  return h.toString(16).padStart(8, "0");
}

/** The document round the elements of a chart. */
export function svgDocument(width: number, height: number, title: string, elements: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img" font-family="${escapeXml(FAMILY)}">\n` +
    `<title>${escapeXml(title)}</title>\n<rect width="${width}" height="${height}" fill="#ffffff"/>\n` +
    `${elements}\n</svg>\n`;
}
