// The lines of a log as bytes: cut at newlines, told apart by their first bytes, parsed and checked only where they are
// asked for. A long log is mostly lines that a reader does not want, and most of the time of reading one is the parsing.

import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { isTooDeep, MOST_NESTED } from "../base/json.ts";
import { fieldFault, isFilled, renamed, withoutFilling } from "./record_fields.ts";
import { type LogRecord, RECORD_VERSION } from "./records.ts";
import { restored } from "./restore.ts";
import { showBytes } from "../base/units.ts";

const NEWLINE = 10;
/** Versions that are read; the last is written. */
const VERSIONS: readonly unknown[] = [1, RECORD_VERSION];
/** Bytes of a line that can be a record: a longer one is no text that V8 holds, and a file of no lines would fill memory. */
const LONGEST_LINE = 2 ** 28;

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
 *
 * @param place of the log, for messages
 * @throws {UserError} from what is returned, at a line that goes on beyond what can be a record
 */
export function lineSplitter(place = "log"): (chunk: Uint8Array | null) => Uint8Array[] {
  let pieces: Uint8Array[] = [];
  let waiting = 0;
  let number = 1;
  const ended = (last: Uint8Array): Uint8Array => {
    if (pieces.length === 0) return last;
    const line = concatenated([...pieces, last]);
    [pieces, waiting] = [[], 0];
    return line;
  };
  return (chunk) => {
    if (chunk === null) return pieces.length ? [ended(new Uint8Array(0))] : [];
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(ended(chunk.subarray(start, end)));
      start = end + 1;
      number++;
    }
    if (start < chunk.length) pieces.push(chunk.slice(start));
    waiting += chunk.length - start;
    if (waiting <= LONGEST_LINE) return lines;
    throw new UserError(
      `${place}: line ${number}: expected a record, found more than ${showBytes(LONGEST_LINE)}.`,
    );
  };
}

const PREFIXES = VERSIONS.map((v) => new TextEncoder().encode(`{"v":${v},"type":"`));
const [QUOTE, BACKSLASH, BRACE] = new TextEncoder().encode('"\\{');

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
  const isEscaped = (line: Uint8Array, at: number) => {
    while (at < line.length && line[at] !== QUOTE && line[at] !== BACKSLASH) at++;
    return line[at] === BACKSLASH;
  };
  return (line) => {
    const prefix = PREFIXES.find((prefix) => startsWith(line, prefix, 0));
    if (!prefix) return true;
    return endings.some((ending) => startsWith(line, ending, prefix.length)) ||
      isEscaped(line, prefix.length);
  };
}

/** A byte order mark is no part of a record: a line that begins with one is told. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Whether a text begins as a JSON array does; jq -s and many tools write records so. */
const isArray = (text: string): boolean => /^\s*\[/.test(text);

/** What a line that holds no record is. */
function notARecord(text: string, number: number): string {
  if (number > 1 || !isArray(text)) return 'is not a record, expected a JSON object with "v" and "type".';
  return "begins a JSON array, expected a record on each line, as jq -c '.[]' writes it.";
}

/** Whether bytes that no newline ends may be the beginning of a record: of a whole JSON value there is no more to come. */
function mayBeTorn(bytes: Uint8Array, number: number): boolean {
  if (number > 1 || bytes.length === 0) return true;
  if (bytes[0] !== BRACE) return false;
  try {
    JSON.parse(utf8.decode(bytes));
    return false;
  } catch {
    return true;
  }
}

/** A line as text and as the object with a type that it holds; what is wrong with it otherwise. */
function parse(bytes: Uint8Array, number: number): { text: string; value: Record<string, unknown> } | string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return "is not UTF-8.";
  }
  try {
    const value = JSON.parse(text);
    if (typeof value?.type === "string" && value.v !== undefined) return { text, value };
  } catch { /* Told with the rest of what is no record. */ }
  return notARecord(text, number);
}

/** What of an object keeps it from being a record, or undefined; numbers that are not finite are put back into it. */
function checked({ text, value }: { text: string; value: Record<string, unknown> }): LogRecord | string {
  if (!VERSIONS.includes(value.v)) {
    return `v: expected ${VERSIONS.join(" or ")}, found ${describeValue(value.v)}`;
  }
  if (isTooDeep(text, value)) {
    return `expected at most ${MOST_NESTED} lists and objects within one another`;
  }
  let record = renamed(value);
  const filled = text.includes("null") && isFilled(record);
  if (text.includes('status"') || text.includes("\\u")) record = restored(record, filled);
  if (filled) record = withoutFilling(record);
  return fieldFault(record) ?? record as unknown as LogRecord;
}

/**
 * The record that a line holds, with the numbers that JSON cannot hold; undefined where it is none and `torn`.
 *
 * @param place what the log is called in a message
 * @param number of the line, from 1
 * @param torn whether the line may be the beginning of a record: no newline ends it
 * @throws {UserError} with the number of the line, where it is no record, or a field is not what the format says
 */
export function readRecord(
  bytes: Uint8Array,
  place: string,
  number: number,
  torn: boolean,
): LogRecord | undefined {
  const parsed = parse(bytes, number);
  if (typeof parsed === "string") {
    if (torn && mayBeTorn(bytes, number)) return undefined;
    throw new UserError(`${place}: line ${number} ${parsed}`);
  }
  const record = checked(parsed);
  if (typeof record !== "string") return record;
  throw new UserError(`${place}: line ${number}: ${record}.`);
}
