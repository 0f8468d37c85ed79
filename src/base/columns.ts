// Width of a text in terminal columns, to truncate a line before it wraps. Where terminals disagree, the larger width is
// used: a line truncated too early stays one line, a line truncated too late wraps.

/** Characters without width: combining marks and format characters, except those in `DRAWN`. */
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
/** A soft hyphen is drawn, and variation selector 16 may widen the character before it. */
const DRAWN = new Set([0xad, 0xfe0f]);
/** Emoji, and East Asian wide and fullwidth characters as in Markus Kuhn's wcwidth. */
const WIDE =
  /^[\p{Emoji_Presentation}\u{1100}-\u{115f}\u{2329}-\u{232a}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{a960}-\u{a97c}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe10}-\u{fe19}\u{fe30}-\u{fe6f}\u{ff00}-\u{ff60}\u{ffe0}-\u{ffe6}\u{16fe0}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function widthOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0xad) return 1;
  if (ZERO_WIDTH.test(character) && !DRAWN.has(code)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/**
 * Width in terminal columns of a text without control characters: 2 per wide character or emoji, 0 per combining mark, 1 per
 * other character.
 */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += widthOf(character);
  return columns;
}

/** Truncates a text to `columns` with "..."; combining marks stay with their character. */
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
