// Reads texts from files of JSON lines. Each line is an object, and one field of the object holds the text. Files are read in
// chunks, and only the texts stay in memory.
import { Buffer } from "node:buffer";
import { didYouMean, UserError } from "../base/errors.ts";
import { isMapping } from "../base/show.ts";
import { refuseEndless } from "../base/whole_file.ts";
import { oneLine } from "./files.ts";
import { refuseLfsPointer } from "./lfs_pointer.ts";
import type { TextBytes } from "./text_bytes.ts";
import { showBytes } from "../base/units.ts";

/** Number of bytes that are read at once, and minimum number of bytes in a buffer of texts. */
const CHUNK = 2 ** 20;
/** Maximum number of bytes in a line, which is V8's maximum string length. */
const LONGEST_LINE = 2 ** 29 - 24;
const NEWLINE = 0x0a;

/** Yields the lines of a file without their newlines, and their line numbers, counted from 1. */
async function* linesOf(path: string): AsyncGenerator<{ number: number; bytes: Uint8Array }> {
  await refuseEndless(path);
  using file = await Deno.open(path);
  let held: Uint8Array[] = [];
  let [number, length] = [1, 0];
  const line = (end: Uint8Array) => {
    const bytes = Buffer.concat([...held, end]);
    [held, length] = [[], 0];
    return { number: number++, bytes };
  };
  for (let first = true;; first = false) {
    const chunk = new Uint8Array(CHUNK);
    const count = await file.read(chunk);
    if (count === null) break;
    if (first) refuseLfsPointer(chunk.subarray(0, count), path);
    let from = 0;
    for (let end; (end = chunk.subarray(0, count).indexOf(NEWLINE, from)) >= 0; from = end + 1) {
      yield line(chunk.subarray(from, end));
    }
    if (from < count) held.push(chunk.subarray(from, count));
    length += count - from;
    if (length > LONGEST_LINE) {
      throw new UserError(
        `${path}:${number} is longer than ${showBytes(LONGEST_LINE)}; expected JSON lines.`,
      );
    }
  }
  if (length > 0) yield line(new Uint8Array(0));
}

const what = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
    ? "a list"
    : isMapping(value)
    ? "an object"
    : `a ${typeof value}`;

/**
 * Returns the text of a field; `a.b` means the field b of the object in the field a. `place` is the file and line that errors
 * name.
 */
function fieldOf(value: unknown, field: string, place: string): string {
  let [here, path] = [value, ""];
  for (const name of field.split(".")) {
    const at = path === "" ? place : `${place}: ${path}`;
    if (!isMapping(here) && !Array.isArray(here)) {
      throw new UserError(`${at} is ${what(here)}; expected an object with the field "${name}".`);
    }
    if (!Object.hasOwn(here, name)) {
      const list = Array.isArray(here) ? `; expected an object, found a list of ${here.length}` : "";
      throw new UserError(`${at}: no field "${name}"${list}.${didYouMean(name, Object.keys(here))}`);
    }
    here = (here as Record<string, unknown>)[name];
    path = path === "" ? name : `${path}.${name}`;
  }
  if (typeof here !== "string") throw new UserError(`${place}: ${path} is ${what(here)}; expected a text.`);
  if (here.isWellFormed()) return here;
  throw new UserError(`${place}: ${path} has a lone surrogate, which has no UTF-8; expected text.`);
}

/**
 * Returns the texts that a field (such as `text` or `message.content`) has in the lines of a file, as UTF-8. Each text ends in a
 * newline, and blank lines are skipped. With `separate`, each part of the result is one text; otherwise each part contains as
 * many texts as fit into a buffer. Throws UserError with the file and line if a line is not a JSON object, or if the field is
 * missing or not text.
 */
export async function jsonLinesText(path: string, field: string, separate: boolean): Promise<TextBytes> {
  const [decoder, encoder] = [new TextDecoder("utf-8", { fatal: true }), new TextEncoder()];
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let [chunk, used, kept] = [new Uint8Array(CHUNK), 0, 0];
  const keep = (): void => {
    if (used > kept) parts.push(chunk.subarray(kept, used));
    kept = used;
  };
  for await (const { number, bytes } of linesOf(path)) {
    const place = `${path}:${number}`;
    let value: unknown;
    try {
      const line = decoder.decode(bytes);
      if (line.trim() === "") continue;
      value = JSON.parse(line);
    } catch (error) {
      const why = error instanceof SyntaxError ? oneLine(error) : "it is not UTF-8";
      throw new UserError(`${place} is not JSON (${why}); expected one object per line.`);
    }
    const text = fieldOf(value, field, place);
    const encoded = encoder.encode(text.endsWith("\n") ? text : `${text}\n`);
    if (used + encoded.length > chunk.length) {
      keep();
      [chunk, used, kept] = [new Uint8Array(Math.max(CHUNK, encoded.length)), 0, 0];
    }
    chunk.set(encoded, used);
    used += encoded.length;
    if (separate) keep();
  }
  keep();
  if (parts.length > 0) return parts;
  throw new UserError(`${path} has no JSON line; expected objects with the field "${field}".`);
}
