// How many columns of a terminal a text takes, so that a line can be cut before it wraps. Where terminals disagree the
// larger width counts: a line cut too early stays one line, a line cut too late does not.

/** Combining marks and formats draw nothing of their own; but a soft hyphen is drawn, and VS16 may widen what it follows. */
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const DRAWN = new Set([0xad, 0xfe0f]);
/** Emoji, and East Asian wide and fullwidth characters after Markus Kuhn's wcwidth. */
const WIDE =
  /^[\p{Emoji_Presentation}\u{1100}-\u{115f}\u{2329}-\u{232a}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{a960}-\u{a97c}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe10}-\u{fe19}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{16fe0}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function widthOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0xad) return 1;
  if (ZERO_WIDTH.test(character) && !DRAWN.has(code)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/**
 * Columns that a text without control characters takes on a terminal: 2 for wide characters and emoji, 0 for combining marks,
 * 1 for others.
 */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += widthOf(character);
  return columns;
}

/** The text where it fits into so many columns, else its beginning and "..." that do; marks stay with what they mark. */
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
