// Computes the width of a text in terminal columns, so that a line can be truncated before it wraps. Where terminals
// disagree about a character's width, the larger width is used, because a line that is truncated too late would wrap.

/** Matches characters that take no column: combining marks and format characters. The characters in `DRAWN` are exceptions. */
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
/**
 * Characters that match `ZERO_WIDTH` but count as a column: the soft hyphen, which is drawn, and variation selector 16,
 * which may widen the character before it.
 */
const DRAWN = new Set([0xad, 0xfe0f]);
/**
 * Matches characters that take two columns: emoji, and East Asian wide and fullwidth characters as in Markus Kuhn's
 * wcwidth.
 */
const WIDE =
  /^[\p{Emoji_Presentation}\u{1100}-\u{115f}\u{2329}-\u{232a}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{a960}-\u{a97c}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe10}-\u{fe19}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{16fe0}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function widthOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0xad) return 1;
  if (ZERO_WIDTH.test(character) && !DRAWN.has(code)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/**
 * Returns the width in terminal columns of a text without control characters. A wide character or an emoji counts as 2
 * columns, a combining mark as 0, and any other character as 1.
 */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += widthOf(character);
  return columns;
}

/**
 * Truncates a text to at most `columns` terminal columns, and ends it with "..." if it was too long. Combining marks are
 * kept with the character that they belong to.
 */
export function cutToColumns(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  const mark = "...".slice(0, Math.max(0, columns));
  let kept = "";
  let left = columns - mark.length;
  for (const character of text) {
    left -= widthOf(character);
    if (left < 0) break;
    kept += character;
  }
  return kept + mark;
}
