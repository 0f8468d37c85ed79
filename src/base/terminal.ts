// Text that others wrote (files, names, logs) as a terminal may have it: what would move the cursor, colour, hide or
// reverse letters is shown, not sent.

/** C0, DEL and C1, and the marks that turn the direction of writing. */
const CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** Characters of a message; what is longer is cut in the middle. */
const LONGEST_MESSAGE = 500;
/** Characters that stay at either end of what is cut: the rest is for the note. */
const KEPT = 225;

function escaped(control: string): string {
  const json = JSON.stringify(control).slice(1, -1);
  return json === control ? `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}` : json;
}

/**
 * A text in which every control character and every mark of the direction of writing is an escape as in JSON.
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

/** Characters of a cell of a table, as wide as a path may be; a column is as wide as its longest. */
const LONGEST_CELL = 300;

/** A text as a cell of a table may have it: without controls, cut in the middle where longer than 300 characters. */
export function cellText(text: string): string {
  const cell = escapeControls(text);
  if (cell.length <= LONGEST_CELL) return cell;
  const kept = LONGEST_CELL / 2 - 2;
  return `${cell.slice(0, kept)}...${cell.slice(-kept)}`.toWellFormed();
}

/** {@link escapeControls} of a text of several lines: newlines and tabs stay. */
export function escapeText(text: string): string {
  return text.replaceAll(
    CONTROLS,
    (control) => control === "\n" || control === "\t" ? control : escaped(control),
  );
}

/**
 * A message on one line, without controls, of at most 500 characters: a longer one is cut in the middle and says so.
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
