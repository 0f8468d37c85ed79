// Makes untrusted text (from files, names and logs) safe for a terminal by escaping the characters that would move the
// cursor, or would colour, hide or reverse letters.

/** Control characters (C0, DEL, C1) and bidirectional controls. */
const CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** Maximum number of characters in a message; longer messages are cut in the middle. */
const LONGEST_MESSAGE = 500;
/** The number of characters that are kept at each end of a message that is cut in the middle. */
const KEPT = 225;

function escaped(control: string): string {
  const json = JSON.stringify(control).slice(1, -1);
  return json === control ? `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}` : json;
}

/**
 * Escapes every control character and bidirectional control of a text as JSON does.
 *
 * @example
 * ```ts
 * import { escapeControls } from "../../mod.ts";
 * escapeControls("a\x1b[31m\u202eb"); // a\u001b[31m\u202eb
 * ```
 * @category Scripts
 */
export function escapeControls(text: string): string {
  return text.replaceAll(CONTROLS, escaped);
}

/** Maximum number of characters in a table cell, which is enough for a path. */
const LONGEST_CELL = 300;

/**
 * Returns a text as a table cell: control characters are escaped, and a text longer than 300 characters is cut in the
 * middle.
 */
export function cellText(text: string): string {
  const cell = escapeControls(text);
  if (cell.length <= LONGEST_CELL) return cell;
  const kept = LONGEST_CELL / 2 - 2;
  return `${cell.slice(0, kept)}...${cell.slice(-kept)}`.toWellFormed();
}

/** Does the same as {@link escapeControls} for text of several lines, in which newlines and tabs are kept. */
export function escapeText(text: string): string {
  return text.replaceAll(
    CONTROLS,
    (control) => control === "\n" || control === "\t" ? control : escaped(control),
  );
}

/**
 * Returns a message as one line of at most 500 characters, with control characters escaped. A longer message is cut in the
 * middle, where a note says how many characters were left out.
 *
 * @example
 * ```ts
 * import { messageLine } from "../../mod.ts";
 * messageLine("two\nlines"); // two lines
 * ```
 * @category Scripts
 */
export function messageLine(text: string): string {
  const line = escapeControls(text.replaceAll(/\s*\n\s*/g, " "));
  if (line.length <= LONGEST_MESSAGE) return line;
  const left = (line.length - 2 * KEPT).toLocaleString("en");
  return `${line.slice(0, KEPT)} ... (${left} characters left out) ... ${line.slice(-KEPT)}`.toWellFormed();
}
