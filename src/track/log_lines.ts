// The lines of a log as bytes: cut at newlines, told apart by their first bytes, parsed only where they are asked for. A
// long log is mostly lines that a reader does not want, and most of the time of reading one is the parsing.

import { UserError } from "../errors.ts";

const NEWLINE = 10;
const NON_FINITE: { [status: string]: number } = { nan: NaN, inf: Infinity, "-inf": -Infinity };

function concatenated(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * Feeds chunks in, takes whole lines out; called with null it gives the unfinished last line. The lines are views of the
 * chunk: they are to be used before it is written over.
 */
export function lineSplitter(): (chunk: Uint8Array | null) => Uint8Array[] {
  let pieces: Uint8Array[] = [];
  const ended = (last: Uint8Array): Uint8Array => {
    if (pieces.length === 0) return last;
    const line = concatenated([...pieces, last]);
    pieces = [];
    return line;
  };
  return (chunk) => {
    if (chunk === null) return pieces.length ? [ended(new Uint8Array(0))] : [];
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(ended(chunk.subarray(start, end)));
      start = end + 1;
    }
    if (start < chunk.length) pieces.push(chunk.slice(start));
    return lines;
  };
}

/** A line as the object it holds; undefined where it is no record and nothing follows it. */
export function parseLine(text: string, path: string, number: number, last: boolean): unknown {
  try {
    const value = JSON.parse(text);
    if (typeof value?.type === "string") return value;
  } catch { /* Told below, with its number. */ }
  if (last) return undefined;
  throw new UserError(`${path}: line ${number} is not a record, expected a JSON object with "v" and "type".`);
}

const PREFIX = new TextEncoder().encode('{"v":1,"type":"');

/**
 * A test of whether a line may be a record of one of some types: false only where it begins as heed writes records and
 * names another type. A line that is written otherwise may be one.
 */
export function mayBe(types: readonly string[]): (line: Uint8Array) => boolean {
  const endings = types.map((type) => new TextEncoder().encode(`${type}"`));
  const startsWith = (line: Uint8Array, bytes: Uint8Array, at: number) => {
    for (let i = 0; i < bytes.length; i++) if (line[at + i] !== bytes[i]) return false;
    return true;
  };
  return (line) =>
    !startsWith(line, PREFIX, 0) || endings.some((ending) => startsWith(line, ending, PREFIX.length));
}

/** The inverse of the status fields: nulls become the numbers they stood for, the statuses go. */
function restored(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(restored);
  if (typeof value !== "object" || value === null) return value;
  const object: Record<string, unknown> = {};
  let before: string | undefined;
  for (const [key, entry] of Object.entries(value)) {
    const named = before !== undefined && (key === "status" || key === `${before}_status`);
    const number = named && typeof entry === "string" ? NON_FINITE[entry] : undefined;
    const held = before === undefined ? undefined : object[before];
    if (number !== undefined && held === null) object[before!] = number;
    else if (number !== undefined && Array.isArray(held) && held.includes(null)) {
      object[before!] = held.map((element) => element ?? number);
    } else {
      object[key] = restored(entry);
      before = key;
    }
  }
  return object;
}

/** A parsed record with the numbers that JSON cannot hold, from the line it was parsed from. */
export function restore(record: unknown, text: string): unknown {
  return text.includes('status"') ? restored(record) : record;
}
