// The records of a run's log: their fields and order, one line of NDJSON each, the writer that appends them and the
// reader that streams them back. The log is the one account of a run; charts, sweeps and other tools read only it.

import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.ts";
import { lineSplitter, mayBe, parseLine, restore } from "./log_lines.ts";

/** First record of a log: what runs, where, with which seed and configuration. */
export type RunRecord = {
  type: "run";
  name: string;
  /** Start, ISO 8601. */
  time: string;
  heed: string;
  deno: string;
  device: { kind: string; adapter: string | null; software: boolean };
  seed: number;
  /** The resolved configuration. */
  config: unknown;
  /** Number of trained values. */
  parameters: number;
  tokens_per_step: number;
  /** Bytes. */
  memory: { parameters: number; optimizer: number; activations: number; total: number };
  git: string | null;
  /** Entropy of the token frequencies of a text, in nats; null for a task. */
  unigram_nats?: number | null;
};

/** One optimizer step; `step` counts from 1, `loss` is in nats a token, `lr` the rate used for this update. */
export type StepRecord = {
  type: "step";
  step: number;
  samples: number;
  tokens: number;
  counter: number;
  epoch: number;
  loss: number;
  lr: number;
  grad_norm: number;
  clipped: boolean;
  ms: number;
  tokens_per_s: number;
};

/** Statistics of one tensor: after `head` every statistic by its name. */
export type StatRecord = {
  type: "stat";
  step: number;
  kind: string;
  tap: string;
  layer: number | null;
  head: number | null;
  [statistic: string]: number | string | null;
};

/** One evaluation of a split; a task adds its own measures (`answer_accuracy`) after `tokens`. */
export type EvalRecord = {
  type: "eval";
  step: number;
  split: string;
  loss: number;
  perplexity: number;
  accuracy: number;
  tokens: number;
  [measure: string]: number | string | null;
};

/**
 * Softmax's Jacobian in one head, the mean over batches. After `visible_keys` every quantity by its name, then
 * `<name>_ci95`, the half width of its 95% interval, of each (null for one batch); null where nothing could be averaged.
 */
export type JacobianRecord = {
  type: "jacobian";
  step: number;
  layer: number;
  head: number;
  activation: string;
  /** How the errors went back: "bp", or "fa", "dfa" for the signal that feedback alignment delivers. */
  method: string;
  /** Rows that see a key. */
  rows: number;
  /** Of these, rows with |full| = 0, which ratios and cosines leave out. */
  rows_zero: number;
  batches: number;
  /** Mean over rows. */
  visible_keys: number;
  [quantity: string]: string | number | null | readonly (number | null)[];
};

/** Text that the model generated. */
export type SampleRecord = {
  type: "sample";
  step: number;
  prompt: string;
  text: string;
  temperature: number;
  top_k: number | null;
  nucleus: number | null;
  seed: number;
};

/** A checkpoint that stands complete on disk. */
export type CheckpointRecord = {
  type: "checkpoint";
  step: number;
  path: string;
  sha256: string;
  val_loss: number | null;
};

/** Something the reader of the run should know; `code` is stable, `message` a sentence. */
export type WarningRecord = {
  type: "warning";
  step: number | null;
  code: string;
  message: string;
  tap: string | null;
};

/** Last record of a run that ended. */
export type DoneRecord = {
  type: "done";
  step: number;
  seconds: number;
  best: { step: number; val_loss: number } | null;
  files: string[];
};

/** Any record of a log, told apart by `type`. */
export type LogRecord =
  | RunRecord
  | StepRecord
  | StatRecord
  | EvalRecord
  | JacobianRecord
  | SampleRecord
  | CheckpointRecord
  | WarningRecord
  | DoneRecord;

const FIELDS: { [type: string]: string } = {
  run: "name time heed deno device seed config parameters tokens_per_step memory git",
  step: "step samples tokens counter epoch loss lr grad_norm clipped ms tokens_per_s",
  stat: "step kind tap layer head",
  jacobian: "step layer head activation method rows rows_zero batches visible_keys",
  eval: "step split loss perplexity accuracy tokens",
  sample: "step prompt text temperature top_k nucleus seed",
  checkpoint: "step path sha256 val_loss",
  warning: "step code message tap",
  done: "step seconds best files",
};

const CHUNK_BYTES = 65536;

/** A byte order mark is no part of a record: a line that begins with one is told. */
const lineDecoder = () => new TextDecoder("utf-8", { ignoreBOM: true });

/** The status of a number that JSON cannot hold, or of the first such number in a list. */
function statusOf(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.map(statusOf).find((status) => status !== undefined);
  if (typeof value !== "number" || Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

function formatValue(value: unknown): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return "null";
    return JSON.stringify(Number.isInteger(value) ? value : Number(value.toPrecision(9)));
  }
  if (Array.isArray(value)) return `[${value.map(formatValue).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${formatFields(Object.entries(value)).join(",")}}`;
  }
  return JSON.stringify(typeof value === "string" ? value.toWellFormed() : value) ?? "null";
}

function formatFields(entries: [string, unknown][]): string[] {
  const fields: string[] = [];
  let taken = entries.some(([key]) => key === "status");
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    fields.push(`${JSON.stringify(key.toWellFormed())}:${formatValue(value)}`);
    const status = statusOf(value);
    if (status === undefined) continue;
    fields.push(`${JSON.stringify(taken ? `${key}_status` : "status")}:"${status}"`);
    taken = true;
  }
  return fields;
}

/**
 * One record as one line of JSON without its newline: `v` (1), `type`, the type's own fields in the order of the format,
 * then whatever else the record holds in the order given. Integers are exact, other numbers have 9 significant digits.
 *
 * A number that is not finite is `null`, and `"status":"nan"|"inf"|"-inf"` follows it. JSON has each key once, so the
 * second and later such fields of one object are followed by `"<field>_status"` instead. A list that holds such numbers
 * takes the status of the first.
 *
 * @example
 * ```ts
 * import { formatRecord } from "./records.ts";
 * formatRecord({ type: "checkpoint", step: 10, path: "checkpoints/10", sha256: "ab", val_loss: 1 / 3 });
 * // {"v":1,"type":"checkpoint","step":10,"path":"checkpoints/10","sha256":"ab","val_loss":0.333333333}
 * ```
 */
export function formatRecord(record: LogRecord): string {
  const { type, ...rest } = record as { type: string; [key: string]: unknown };
  const known = FIELDS[type]?.split(" ") ?? [];
  const others = Object.keys(rest).filter((key) => key !== "v" && !known.includes(key));
  const entries = [...known, ...others].map((key): [string, unknown] => [key, rest[key]]);
  return `{${[`"v":1,"type":${JSON.stringify(type)}`, ...formatFields(entries)].join(",")}}`;
}

/** The reason of a failed file operation in the system's words, without the number and the repeated path. */
function systemReason(error: Error): string {
  return error.message.replace(/\s*\(os error \d+\)[\s\S]*$/, "").replace(/[\s.]+$/, "");
}

/**
 * What to throw for an error of the file system: a {@link UserError} `<path>: <the system's reason>.` for what the system
 * refused (no space, no permission, not a folder), and any other error as it is, for it is a bug.
 *
 * @example
 * ```ts
 * import { fileError } from "./records.ts";
 * fileError("log.ndjson", new Deno.errors.NotFound("No such file or directory (os error 2)"));
 * // UserError: log.ndjson: No such file or directory.
 * ```
 */
export function fileError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof UserError) return error;
  const refused = /\(os error \d+\)/.test(error.message) || error instanceof Deno.errors.NotCapable ||
    /^E[A-Z0-9]+$/.test(String((error as { code?: unknown }).code));
  return refused ? new UserError(`${path}: ${systemReason(error)}.`) : error;
}

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

function writeLine(file: { writeSync(bytes: Uint8Array): number }, line: string): void {
  const bytes = new TextEncoder().encode(line + "\n");
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

/** Copies the lines that an interrupted run shares with an uninterrupted one to a temporary file and puts it in place. */
function rewind(path: string, step: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.tmp`);
  try {
    using from = Deno.openSync(path, { read: true });
    using to = Deno.openSync(temporary, { write: true, create: true, truncate: true });
    const split = lineSplitter();
    const decoder = lineDecoder();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let number = 0;
    for (let size: number | null = 0; size !== null;) {
      size = from.readSync(chunk);
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        const line = decoder.decode(bytes);
        const record = parseLine(line, path, ++number, size === null) as DoneRecord | undefined;
        if (record && record.type !== "done" && !(record.step > step)) writeLine(to, line);
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
 * import { openLog } from "./records.ts";
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
        writeLine(file, records.map(formatRecord).join("\n"));
      } catch (error) {
        if (regular) file.truncateSync(size);
        throw fileError(path, error);
      }
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/**
 * A log on the standard output, for `--ndjson -`.
 *
 * @throws ClosedPipe from `write` when the reader has gone; UserError where the output is a file on a full disk
 *
 * @example
 * ```ts
 * import { stdoutLog } from "./records.ts";
 * using log = stdoutLog();
 * log.write({ type: "done", step: 10, seconds: 1.5, best: null, files: [] });
 * ```
 */
export function stdoutLog(): LogWriter {
  return {
    write(...records) {
      try {
        writeLine(Deno.stdout, records.map(formatRecord).join("\n"));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) {
          throw new ClosedPipe("The reader of the standard output has gone.");
        }
        throw fileError("standard output", error);
      }
    },
    [Symbol.dispose]: () => {},
  };
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
 * @throws UserError where the file cannot be read, or a line before the last is no record, with its number
 *
 * @example
 * ```ts
 * import { readLog } from "./records.ts";
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
    const decoder = lineDecoder();
    const chunk = new Uint8Array(CHUNK_BYTES);
    let number = 0;
    for (let size: number | null = 0; size !== null;) {
      size = await file.read(chunk);
      for (const bytes of split(size === null ? null : chunk.subarray(0, size))) {
        number++;
        if (!wanted(bytes)) continue;
        const line = decoder.decode(bytes);
        const record = parseLine(line, place, number, size === null) as LogRecord | undefined;
        if (record && (!types || types.includes(record.type))) yield restore(record, line) as LogRecord;
      }
    }
  } catch (error) {
    throw fileError(place, error);
  }
}
