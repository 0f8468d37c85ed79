// Computes the width of text from a table instead of fonts, so that charts have the same layout on every machine. Each
// width in the table is the larger of the widths in Helvetica (which Arial shares) and in DejaVu Sans, so that labels do
// not overlap in any of these fonts.
import { escapeText } from "../base/terminal.ts";

// The widths of the code points 32 to 126, in hundredths of the font size.
const WIDTHS = (
  "32 40 46 84 64 95 78 28 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 84 84 56 " +
  "102 68 69 72 77 67 61 78 75 30 50 67 56 86 75 79 67 79 72 67 61 73 68 99 69 67 69 39 34 39 84 56 " +
  "50 61 64 55 64 62 35 64 63 28 28 58 28 97 63 61 64 64 41 52 39 63 59 82 59 59 53 64 34 64 84"
).split(" ").map(Number);
const OTHER_WIDTH = 70;
const WIDE_WIDTH = 100;
const FIRST_WIDE = 0x1100;
const BOLD = 1.12;

/** The parts of a CSS font such as `"bold 12px Helvetica, sans-serif"` that {@link textWidth} and the SVG need. */
export type Font = ReturnType<typeof parseFont>;

/** Parses a CSS font shorthand with a size in pixels, ignoring its line height; throws Error for any other text. */
export function parseFont(font: string) {
  const match = /^((?:[a-z]+\s+|\d+\s+)*?)([\d.]+)px(?:\/\S+)?\s+(.+)$/i.exec(font.trim());
  if (!match) throw new Error(`The chart's canvas does not support the font "${font}".`);
  const words = match[1].split(/\s+/);
  const weight = words.find((word) => /^(bold|bolder|lighter|\d+)$/.test(word)) ?? "normal";
  const style = words.includes("italic") ? "italic" : "normal";
  return { style, weight, size: Number(match[2]), family: match[3] };
}

/**
 * Returns an upper estimate of the width of a line of text in pixels: the sum of the widths of its characters in the table,
 * times the font size, and times 1.12 if the font is bold.
 */
export function textWidth(text: string, font: Font): number {
  let hundredths = 0;
  // The text is measured as it is drawn, with control characters escaped.
  for (const character of escapeText(text)) {
    const code = character.codePointAt(0)!;
    hundredths += WIDTHS[code - 32] ?? (code < FIRST_WIDE ? OTHER_WIDTH : WIDE_WIDTH);
  }
  const bold = font.weight === "bold" || font.weight === "bolder" || Number(font.weight) >= 600;
  return hundredths * font.size * (bold ? BOLD : 1) / 100;
}
