// How many columns of a terminal a text takes, so that a line can be cut before it wraps. Where terminals disagree the
// larger width counts: a line cut too early stays one line, a line cut too late does not.

/** Combining marks and formats draw nothing of their own; but a soft hyphen is drawn, and VS16 may widen what it follows. */
const ZERO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const DRAWN = new Set([0xad, 0xfe0f]);
const EMOJI = /^\p{Emoji_Presentation}$/u;

/** East Asian wide and fullwidth characters, after Markus Kuhn's wcwidth; pairs of first and last code point. */
const WIDE: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1b000, 0x1b2ff],
  [0x1f300, 0x1faff],
  [0x20000, 0x3fffd],
];

function widthOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0xad) return 1;
  if (ZERO_WIDTH.test(character) && !DRAWN.has(code)) return 0;
  return EMOJI.test(character) || WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
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
