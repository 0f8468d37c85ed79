// Handles the lines of a log as bytes: they are split at newlines, classified by their first bytes, and parsed and checked
// only on demand. Most readers need only a few of the lines of a long log, and most of the reading time would be spent on
// parsing.

import { describeValue } from "../base/show.ts";
import { UserError } from "../base/errors.ts";
import { isTooDeep, MOST_NESTED } from "../base/json.ts";
import { fieldFault, isFilled, renamed, withoutFilling } from "./record_fields.ts";
import { type LogRecord, RECORD_VERSION } from "./records.ts";
import { restored } from "./restore.ts";
import { showBytes } from "../base/units.ts";

const NEWLINE = 10;
/** Versions of records that can be read; heed writes the last of them. */
const VERSIONS: readonly unknown[] = [1, RECORD_VERSION];
/**
 * Maximum number of bytes per line. V8 cannot hold longer strings, and without a limit a file without newlines would fill
 * the memory.
 */
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
 * Returns a function that splits chunks into complete lines; called with null, it returns the unfinished last line. The
 * lines are views of the chunk: use them before the chunk is overwritten.
 *
 * @param place the log's name in messages
 * @throws {UserError} from the returned function, at a line longer than the maximum
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
 * Returns a function that tests whether a line may be a record of one of the types. It returns false only if the line begins
 * as heed writes records and has another type, because lines in other formats may be records too.
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

/** Decodes UTF-8 and keeps a byte order mark, so that a line that begins with a byte order mark is an error. */
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Returns whether a text is the beginning of a JSON array, which is how jq -s and many other tools write records. */
const isArray = (text: string): boolean => /^\s*\[/.test(text);

/** Returns the error message for a line that is not a record. */
function notARecord(text: string, number: number): string {
  if (number > 1 || !isArray(text)) return 'is not a record, expected a JSON object with "v" and "type".';
  return "begins a JSON array, expected a record on each line, as jq -c '.[]' writes it.";
}

/**
 * Returns whether bytes without a final newline may be the beginning of a record. In the first line, they must begin with a
 * brace and must not be a complete JSON value.
 */
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

/**
 * Parses a line and returns its text and its object, which has a type; returns an error message if the line is not a
 * record.
 */
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
  } catch { /* Reported below. */ }
  return notARecord(text, number);
}

/**
 * Returns the record of a parsed line with its non-finite numbers restored, or an error message if the record is not valid.
 */
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
 * Parses the record of a line and restores the numbers that JSON cannot represent; returns undefined if the line is torn.
 *
 * @param place the log's name in messages
 * @param number line number, from 1
 * @param torn whether the line has no final newline and so may be incomplete
 * @throws {UserError} with the line number, if the line is not a record or a field has the wrong type
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
