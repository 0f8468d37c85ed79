// A log file: a writer that appends records, and a reader that streams them in constant memory. The log of a run is written
// by run_log.ts.

import { basename } from "node:path";
import { refuseEndless } from "../base/whole_file.ts";
import { fileError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import { readerHasGone, writeStdoutWhole } from "../base/write.ts";
import { appendTo, CHUNK_BYTES } from "./append.ts";
import { lineSplitter, mayBe, readRecord } from "./log_lines.ts";
import { type AnyRecord, formatRecord, type LogRecord } from "./records.ts";

/** The error that is thrown if the reader of the standard output has closed it. The run should then end quietly.
 * @category Logs */
export class ClosedPipe extends Error {
  /** Name of the error. */
  override name = "ClosedPipe";
}

/** Writes records, one per line. Dispose of the writer when the run ends.
 * @category Logs */
export interface LogWriter<Record = LogRecord> {
  /** Appends records, one per line, in one system call if possible. */
  write(...records: Record[]): void;
  /** Closes the file. */
  [Symbol.dispose](): void;
}

const linesOf = (records: readonly AnyRecord[]): Uint8Array =>
  new TextEncoder().encode(records.map((record) => `${formatRecord(record)}\n`).join(""));

/**
 * Opens a log for appending, creating it if missing. For the log of a run see `openRunLog`.
 *
 * @throws UserError with the path and the system's reason (such as a full disk or no permission); a partially written line
 * is removed
 *
 * @example
 * ```ts
 * import { openLog } from "./log_file.ts";
 * using log = openLog("records.ndjson");
 * log.write({ type: "warning", step: 201, code: "example", message: "Only an example.", tap: null });
 * ```
 * @category Logs
 */
export function openLog(path: string): LogWriter<AnyRecord> {
  const file = appendTo(path);
  return { write: (...records) => file.append(linesOf(records)), [Symbol.dispose]: file[Symbol.dispose] };
}

/**
 * Writes all bytes to the standard output.
 *
 * @throws ClosedPipe if the reader has closed the pipe; UserError if the output is a file on a full disk
 */
export function writeStdout(bytes: Uint8Array): void {
  try {
    writeStdoutWhole(bytes);
  } catch (error) {
    if (readerHasGone(error, "stdout")) {
      throw new ClosedPipe("The reader of the standard output has gone.");
    }
    throw fileError("standard output", error);
  }
}

/**
 * Returns a log that writes to the standard output, for `--ndjson -`.
 *
 * @throws ClosedPipe from `write` if the reader has closed the pipe; UserError if the output is a file on a full disk
 *
 * @example
 * ```ts
 * import { stdoutLog } from "./log_file.ts";
 * using log = stdoutLog();
 * log.write({ type: "done", step: 10, seconds: 1.5, best: null, files: [] });
 * ```
 * @category Logs
 */
export function stdoutLog(): LogWriter<AnyRecord> {
  return { write: (...records) => writeStdout(linesOf(records)), [Symbol.dispose]: () => {} };
}

/** Options of {@link readLog}. */
export interface ReadLogOptions {
  /** Reads only records of these types; other lines are skipped without parsing or checking. Default: all. */
  readonly types?: readonly string[];
}

/**
 * Reads the records of a log one by one in constant memory. Numbers that are not finite are restored as NaN and infinities.
 * A torn (incomplete) last line is skipped.
 *
 * @param path the log's path, or `-` for the standard input
 * @throws UserError if the file cannot be read, if a line is not a record (except a torn last line), or if a field has the
 * wrong type; for the last two, the message has the line number
 *
 * @example
 * ```ts
 * import { readLog } from "./log_file.ts";
 * for await (const record of readLog("runs/latest/log.ndjson", { types: ["step"] })) {
 *   if (record.type === "step") console.log(record.step, record.loss);
 * }
 * ```
 * @category Logs
 */
export async function* readLog(path: string, { types }: ReadLogOptions = {}): AsyncGenerator<LogRecord> {
  const selects = types ? mayBe(types) : () => true;
  const place = path === "-" ? "standard input" : path;
  try {
    if (path !== "-") await refuseEndless(path);
    using opened = path === "-" ? undefined : await Deno.open(path, { read: true });
    const file = opened ?? Deno.stdin;
    const split = lineSplitter(place);
    const chunk = new Uint8Array(CHUNK_BYTES);
    const total = opened?.statSync().size || undefined;
    let [number, done] = [0, 0];
    for (let size: number | null = 0; size !== null;) {
      reportProgress({
        what: path === "-" ? "reading records" : `reading ${basename(path)}`,
        done,
        total,
        bytes: true,
      });
      size = await file.read(chunk);
      done += size ?? 0;
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        number++;
        if (!selects(bytes)) continue;
        const record = readRecord(bytes, place, number, size === null);
        if (record && (!types || types.includes(record.type))) yield record;
      }
    }
  } catch (error) {
    throw fileError(place, error);
  }
}
