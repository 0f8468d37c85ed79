// A log as a file: the writer that appends to it, and the reader that streams its records back in memory that does not grow
// with it. The log of a run as it is written is in run_log.ts.

import { basename } from "node:path";
import { refuseEndless } from "../base/whole_file.ts";
import { fileError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import { readerHasGone, writeStdoutWhole } from "../base/write.ts";
import { appendTo, CHUNK_BYTES } from "./append.ts";
import { lineSplitter, mayBe, readRecord } from "./log_lines.ts";
import { type AnyRecord, formatRecord, type LogRecord } from "./records.ts";

/** Who read the standard output has gone: the run should end quietly.
 * @category Logs */
export class ClosedPipe extends Error {
  /** `ClosedPipe`. */
  override name = "ClosedPipe";
}

/** Takes records, one line each; dispose it when the run ends.
 * @category Logs */
export interface LogWriter<Record = LogRecord> {
  /** Appends records, a line each, in one call to the system where it takes them whole. */
  write(...records: Record[]): void;
  /** Closes the file. */
  [Symbol.dispose](): void;
}

const linesOf = (records: readonly AnyRecord[]): Uint8Array =>
  new TextEncoder().encode(records.map((record) => `${formatRecord(record)}\n`).join(""));

/**
 * Opens a log to append to, made where it is missing. The log of a run: see `openRunLog`.
 *
 * @throws UserError with the path and the system's reason (a full disk, no permission; a line that only fits in part is
 * taken back)
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
 * Writes bytes to the standard output, all of them.
 *
 * @throws ClosedPipe when the reader has gone; UserError where the output is a file on a full disk
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
 * @category Logs
 */
export function stdoutLog(): LogWriter<AnyRecord> {
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
 * @category Logs
 */
export async function* readLog(path: string, { types }: ReadLogOptions = {}): AsyncGenerator<LogRecord> {
  const wanted = types ? mayBe(types) : () => true;
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
        if (!wanted(bytes)) continue;
        const record = readRecord(bytes, place, number, size === null);
        if (record && (!types || types.includes(record.type))) yield record;
      }
    }
  } catch (error) {
    throw fileError(place, error);
  }
}
