// The log of a run as a file: the writer that appends to it, also where a run goes on, and the reader that streams its
// records back in memory that does not grow with it.

import { basename, dirname, join } from "node:path";
import { fileError } from "../errors.ts";
import { lineSplitter, mayBe, readRecord } from "./log_lines.ts";
import { formatRecord, type LogRecord } from "./records.ts";

const CHUNK_BYTES = 65536;
const NEWLINE = Uint8Array.of(10);

/** Who read the standard output has gone: the run should end quietly. */
export class ClosedPipe extends Error {
  /** `ClosedPipe`. */
  override name = "ClosedPipe";
}

/** Takes records, one line each; dispose it when the run ends. */
export interface LogWriter {
  /** Appends records, a line each, in one call to the system where it takes them whole. */
  write(...records: LogRecord[]): void;
  /** Closes the file. */
  [Symbol.dispose](): void;
}

function writeWhole(file: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

const linesOf = (records: readonly LogRecord[]): Uint8Array =>
  new TextEncoder().encode(records.map((record) => `${formatRecord(record)}\n`).join(""));

/** Whether a record belongs to a later step. */
const isAfter = (record: LogRecord, step: number): boolean =>
  "step" in record && record.step !== null && record.step > step;

/** Copies the lines that an interrupted run shares with an uninterrupted one to a temporary file and puts it in place. */
function rewind(path: string, step: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    using from = Deno.openSync(path, { read: true });
    using to = Deno.openSync(temporary, { write: true, create: true, truncate: true });
    const split = lineSplitter();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let number = 0;
    for (let size: number | null = 0; size !== null;) {
      size = from.readSync(chunk);
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        const record = readRecord(bytes, path, ++number, size === null);
        if (!record || record.type === "done" || isAfter(record, step)) continue;
        writeWhole(to, bytes);
        writeWhole(to, NEWLINE);
      }
    }
    to.syncSync();
    Deno.renameSync(temporary, path);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch { /* It was never made. */ }
    throw fileError(path, error);
  }
}

function openToAppend(path: string, resumeAtStep?: number): { file: Deno.FsFile; regular: boolean } {
  try {
    const file = Deno.openSync(path, { append: true, create: true });
    const regular = file.statSync().isFile;
    if (resumeAtStep === undefined || !regular) return { file, regular };
    file.close();
    rewind(path, resumeAtStep);
    return { file: Deno.openSync(path, { append: true }), regular };
  } catch (error) {
    throw fileError(path, error);
  }
}

/**
 * Opens a log to append to, made where it is missing. With `resumeAtStep` the log is first taken back to what it was
 * when that step's records were complete: a torn last line, records of later steps and `done` go, so that the finished
 * log equals an uninterrupted run's; everything a run writes for a step must therefore come before its checkpoint, and
 * a resumed run writes no second `run` record.
 *
 * @throws UserError with the path and the system's reason (a full disk, no permission; a line that only fits in part is
 * taken back), and with the line number where a log to resume holds a line that is no record
 *
 * @example
 * ```ts
 * import { openLog } from "./log_file.ts";
 * using log = openLog("log.ndjson", { resumeAtStep: 200 });
 * log.write({ type: "warning", step: 201, code: "example", message: "Only an example.", tap: null });
 * ```
 */
export function openLog(path: string, options: { resumeAtStep?: number } = {}): LogWriter {
  const { file, regular } = openToAppend(path, options.resumeAtStep);
  return {
    write(...records) {
      const size = regular ? file.statSync().size : 0;
      try {
        writeWhole(file, linesOf(records));
      } catch (error) {
        if (regular) file.truncateSync(size);
        throw fileError(path, error);
      }
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/**
 * Writes bytes to the standard output, all of them.
 *
 * @throws ClosedPipe when the reader has gone; UserError where the output is a file on a full disk
 */
export function writeStdout(bytes: Uint8Array): void {
  try {
    writeWhole(Deno.stdout, bytes);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) {
      throw new ClosedPipe("The reader of the standard output has gone.");
    }
    throw fileError("standard output", error);
  }
}

/**
 * A log on the standard output, for `--ndjson -`.
 *
 * @throws ClosedPipe from `write` when the reader has gone; UserError where the output is a file on a full disk
 *
 * @example
 * ```ts
 * import { stdoutLog } from "./log_file.ts";
 * using log = stdoutLog();
 * log.write({ type: "done", step: 10, seconds: 1.5, best: null, files: [] });
 * ```
 */
export function stdoutLog(): LogWriter {
  return { write: (...records) => writeStdout(linesOf(records)), [Symbol.dispose]: () => {} };
}

/** What {@link readLog} may leave out. */
export interface ReadLogOptions {
  /** Only records of these types; lines of others are passed over without being parsed, and so unchecked. */
  readonly types?: readonly string[];
}

/**
 * The records of a log one after another, in memory that does not grow with the log. Numbers that were not finite come
 * back as NaN and infinities. A torn last line is passed over.
 *
 * @param path of the log, or `-` for the standard input
 * @throws UserError where the file cannot be read, or, with its number, at a line that is no record (the last may be torn)
 * or has a field that is not what its type says
 *
 * @example
 * ```ts
 * import { readLog } from "./log_file.ts";
 * for await (const record of readLog("runs/latest/log.ndjson", { types: ["step"] })) {
 *   if (record.type === "step") console.log(record.step, record.loss);
 * }
 * ```
 */
export async function* readLog(path: string, { types }: ReadLogOptions = {}): AsyncGenerator<LogRecord> {
  const wanted = types ? mayBe(types) : () => true;
  const place = path === "-" ? "standard input" : path;
  try {
    using opened = path === "-" ? undefined : await Deno.open(path, { read: true });
    const file = opened ?? Deno.stdin;
    const split = lineSplitter();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let number = 0;
    for (let size: number | null = 0; size !== null;) {
      size = await file.read(chunk);
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        number++;
        if (!wanted(bytes)) continue;
        const record = readRecord(bytes, place, number, size === null);
        if (record && (!types || types.includes(record.type))) yield record;
      }
    }
  } catch (error) {
    throw fileError(place, error);
  }
}
