// Writes the fields of CSV files (RFC 4180).

/** Matches numbers, which spreadsheets do not run as formulas even with a sign. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * Returns a text as a CSV field, quoted if necessary. A text that a spreadsheet would run as a formula, because it begins
 * with `=`, `+`, `-`, `@`, a tab, a CR or an LF, gets a leading apostrophe (OWASP, "CSV Injection"); numbers stay numbers.
 */
export function csvField(text: string): string {
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
