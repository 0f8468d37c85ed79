// CSV as RFC 4180 has it, for all that writes it.

/** A field of CSV: in quotes where it needs them. */
export function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
