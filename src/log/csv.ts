// CSV as RFC 4180 has it, for all that writes it.

/** How a number may be written: no spreadsheet takes it for a formula. */
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/**
 * A field of CSV: in quotes where it needs them. A text that a spreadsheet would run as a formula, one that begins with
 * `=`, `+`, `-`, `@`, a tab, a CR or an LF, has an apostrophe before it (OWASP, "CSV Injection"); numbers stay numbers.
 */
export function csvField(text: string): string {
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
