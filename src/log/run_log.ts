// Writes the log of a run: sealed record by record, synced before each checkpoint, and truncated to the records of a
// checkpoint when the run resumes.
import { refuseEndlessSync } from "../base/whole_file.ts";
import { basename, dirname, join } from "node:path";
import { fileError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { reportProgress } from "../base/progress.ts";
import { writeWhole } from "../base/write.ts";
import { appendTo, CHUNK_BYTES } from "./append.ts";
import type { LogWriter } from "./log_file.ts";
import { lineSplitter, readRecord } from "./log_lines.ts";
import { type LogSeal, sealedFields, type Sealer, sealer } from "./log_seal.ts";
import { type LogRecord, recordFields } from "./records.ts";

/** Writes the records of a run; dispose it when the run ends. */
export interface RunLog extends LogWriter {
  /** Flushes all records to disk and returns their seal. */
  sync(): LogSeal;
}

/** The point at which a run resumes. */
export interface LogStart {
  /** The step of the checkpoint from which the run resumes. */
  readonly step: number;
  /** The seal of the records that were in the log when the checkpoint was saved; absent in older checkpoints. */
  readonly log?: LogSeal;
}

/** @internal A line of a file without its newline; its bytes are valid until the next line is requested. */
export interface Line {
  readonly bytes: Uint8Array;
  /** Line number, from 1. */
  readonly number: number;
  /** Whether the line has no final newline. */
  readonly torn: boolean;
}

/** @internal Yields the lines of a file; throws UserError if the file cannot be read. */
export function* linesIn(path: string): Generator<Line> {
  const split = lineSplitter(path);
  const chunk = new Uint8Array(CHUNK_BYTES);
  let [number, done] = [0, 0];
  try {
    refuseEndlessSync(path);
    using file = Deno.openSync(path, { read: true });
    const total = file.statSync().size;
    for (let size: number | null = 0; size !== null;) {
      reportProgress({ what: `reading ${basename(path)}`, done, total, bytes: true });
      size = file.readSync(chunk);
      done += size ?? 0;
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        yield { bytes, number: ++number, torn: size === null };
      }
    }
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Decodes UTF-8 and keeps a byte order mark, which is not part of a record. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** Returns whether a record belongs to a step after `step`. */
const isAfter = (record: LogRecord, step: number): boolean =>
  "step" in record && record.step !== null && record.step > step;

/** @internal Returns the object of a line without checking its fields; undefined if the line is not a record. */
export function objectOf(bytes: Uint8Array): { type: string; step?: number; diverged?: unknown } | undefined {
  try {
    const value = parseJson(decoder.decode(bytes));
    return typeof value?.type === "string" && value.v !== undefined ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Yields the lines that the log of an interrupted run shares with the log of an uninterrupted run: the records that were in
 * the log when the checkpoint was saved, the record of the checkpoint itself, and the final sample. The resumed run writes
 * all later records again.
 */
function* keptLines(path: string, { step, log }: LogStart): Generator<string> {
  for (const { bytes, number, torn } of linesIn(path)) {
    if (!log) {
      const record = readRecord(bytes, path, number, torn);
      if (!record || record.type === "done" || isAfter(record, step)) continue;
    } else if (number > log.records) {
      const record = objectOf(bytes);
      if (!record) return;
      if (!["checkpoint", "sample"].includes(record.type) || record.step !== step) continue;
    }
    yield decoder.decode(bytes);
  }
}

/** Syncs a folder, if the system can, so that a rename in it survives a power cut. */
function syncFolder(path: string): void {
  try {
    using folder = Deno.openSync(path, { read: true });
    folder.syncSync();
  } catch { /* The rename is done even without the sync. */ }
}

/** Copies the kept lines to a temporary file, sealing them, and renames it to the log. */
function rewind(path: string, from: LogStart, seal: Sealer): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    {
      using to = Deno.openSync(temporary, { write: true, create: true, truncate: true });
      for (const text of keptLines(path, from)) {
        writeWhole(to, encoder.encode(`${text}\n`));
        seal.add(sealedFields(JSON.parse(text)));
      }
      to.syncSync();
    }
    Deno.renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch { /* It was never created. */ }
    throw fileError(path, error);
  }
}

/**
 * Opens the log of a run for appending, creating it if missing. With `from` the log is first truncated to the records up to
 * that step: a torn last line, records of later steps and `done` are removed, so that the finished log equals the log of an
 * uninterrupted run. All records of a step must therefore be written before its checkpoint, and a resumed run writes no
 * second `run` record.
 *
 * @throws UserError with the path and the system's reason (such as a full disk or no permission; a partially written line
 * is removed), or with the line number if a log to resume has a line that is not a record
 *
 * @example
 * ```ts
 * import { openRunLog } from "./run_log.ts";
 * using log = openRunLog("log.ndjson", { step: 200 });
 * log.write({ type: "warning", step: 201, code: "example", message: "Only an example.", tap: null });
 * console.log(log.sync().records);
 * ```
 */
export function openRunLog(path: string, from?: LogStart): RunLog {
  const seal = sealer();
  let file = appendTo(path);
  if (file.regular && from) {
    file[Symbol.dispose]();
    rewind(path, from, seal);
    file = appendTo(path);
  } else if (file.regular) {
    for (const { bytes } of linesIn(path)) seal.add(sealedFields(JSON.parse(decoder.decode(bytes))));
  }
  return {
    write(...records) {
      const all = records.map(recordFields);
      const lines = all.map((fields) => `{${fields.join(",")}}`);
      file.append(encoder.encode(lines.map((line) => `${line}\n`).join("")));
      // The keys of nested objects in `fields` are not sorted, so such a line is parsed and its keys are sorted.
      all.forEach((fields, i) =>
        seal.add(lines[i].includes("{", 1) ? sealedFields(JSON.parse(lines[i])) : fields)
      );
    },
    sync() {
      file.sync();
      return seal.seal();
    },
    [Symbol.dispose]: file[Symbol.dispose],
  };
}
