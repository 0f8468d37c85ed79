// The records of a run's log and their format as lines of NDJSON. Charts, sweeps and other tools read only the log.

import { FIELDS } from "./record_fields.ts";
import { taskFields, type TaskRecord } from "./task_records.ts";

/** The version `v` of all records, both in logs and printed by tasks. */
export const RECORD_VERSION = 2;

/** The first record of a log: the run's name, device, seed and configuration. */
export type RunRecord = {
  type: "run";
  name: string;
  /** The time at which the run started, in ISO 8601 format. */
  time: string;
  heed: string;
  deno: string;
  device: {
    kind: string;
    adapter: string | null;
    software: boolean;
    /** Number of threads of the CPU device; absent for other devices. */
    threads?: number;
    /** Description of the BLAS library that computed the matrix products of the CPU device, in its own words. */
    blas?: string;
    /** If the device was chosen by measurements: the estimated duration of the run on each device, in seconds. */
    estimates?: { webgpu: number; cpu: number };
  };
  seed: number;
  /** The resolved configuration. */
  config: unknown;
  /** Number of trainable parameters. */
  parameters: number;
  /**
   * The number of positions per step, which is `batch` x `accumulate` x `context`. Positions without a target are included.
   */
  tokens_per_step: number;
  /** Planned memory, in bytes. */
  memory: { parameters: number; optimizer: number; activations: number; total: number };
  git: string | null;
  /** Entropy of the token frequencies of a text, in nats; null for a task. */
  unigram_nats?: number | null;
  /**
   * Only for mixtures: the sources, with their shares of the rows (`weight`) and of the targets (`share`, estimated from
   * the first rows).
   */
  sources?: readonly { readonly name: string; readonly weight: number; readonly share: number }[];
};

/**
 * One optimizer step. `step` counts from 1; `loss` is the mean over the valid targets of all its batches, in nats per token;
 * `lr` is the learning rate of this update. `samples` counts the rows and `tokens` the valid targets since the run began
 * (padding and masked targets do not count); `epoch` is the number of passes over the training split, measured in tokens or,
 * if rows have unequal lengths, in rows.
 */
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

/**
 * Statistics of one tensor. Each field after `head` is named after its statistic. If `train.accumulate` is above 1, the
 * records of activations and of their gradients have `pass: "last"` after `head`, because they describe only the last
 * forward and backward pass of the step. The gradients of this pass are only a part of the gradients of the step. Records
 * of parameters and their gradients describe the whole step. Records of attention on repeated random tokens have
 * `input: "repeated"` after `head`; other records describe the batch.
 */
export type StatRecord = {
  type: "stat";
  step: number;
  kind: string;
  tap: string;
  layer: number | null;
  head: number | null;
  [statistic: string]: number | string | null;
};

/** One evaluation of a split. After `tokens`, tasks add measures such as `answer_accuracy`, and mixtures `source_N_loss`.
 * @category Logs */
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
 * Softmax's Jacobian in one head, averaged over batches. The fields after `visible_keys` are the quantities, each under its
 * name. Then there is a field `<name>_ci95` for each quantity, which is half the width of its 95% confidence interval (null
 * for a single batch). A value is null if there was nothing to average.
 * @category Logs
 */
export type JacobianRecord = {
  type: "jacobian";
  step: number;
  layer: number;
  head: number;
  activation: string;
  /** How errors were propagated: "bp" for backpropagation, "fa" or "dfa" for the signal of feedback alignment. */
  method: string;
  /** Number of rows with at least one visible key. */
  rows: number;
  /** The number of these rows whose full gradient is 0; ratios and cosines exclude them. */
  rows_zero: number;
  batches: number;
  /** Number of visible keys, averaged over rows. */
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
  top_p: number | null;
  seed: number;
};

/** A complete checkpoint on disk. */
export type CheckpointRecord = {
  type: "checkpoint";
  step: number;
  path: string;
  sha256: string;
  val_loss: number | null;
};

/** A warning about the run; `code` is stable, `message` is a sentence.
 * @category Logs */
export type WarningRecord = {
  type: "warning";
  step: number | null;
  code: string;
  message: string;
  tap: string | null;
};

/** The last record of a run that ended. If it diverged (`train.stop_nonfinite`), `diverged: true` follows the other fields. */
export type DoneRecord = {
  type: "done";
  step: number;
  seconds: number;
  best: { step: number; val_loss: number } | null;
  files: string[];
  diverged?: true;
};

/** Any record of a log, discriminated by `type`.
 * @category Logs */
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

/** A record of a log, or one that a task prints.
 * @category Logs */
export type AnyRecord = LogRecord | TaskRecord;

/**
 * The status of a number that JSON cannot represent. For a list with such numbers, it is a list in which each entry is a
 * status, or null for a finite number.
 */
type Status = string | readonly (Status | null)[];

function statusOf(value: unknown): Status | undefined {
  if (Array.isArray(value)) {
    const statuses = value.map((entry) => statusOf(entry) ?? null);
    return statuses.some((status) => status !== null) ? statuses : undefined;
  }
  if (typeof value !== "number" || Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/**
 * Formats a number with 9 significant digits, as JSON writes it. Cutting zeros off the text is faster than parsing it
 * again.
 */
function nineDigits(x: number): string {
  const text = x.toPrecision(9);
  if (!text.includes(".") || text.includes("e")) return String(Number(text));
  let end = text.length;
  while (text[end - 1] === "0") end--;
  return text.slice(0, text[end - 1] === "." ? end - 1 : end);
}

/**
 * Formats a value as JSON. Numbers have all their digits if `exact`, as in records that tasks print, otherwise 9
 * significant digits, as in logs.
 */
function formatValue(value: unknown, exact: boolean): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return "null";
    return exact || Number.isInteger(value) ? JSON.stringify(value) : nineDigits(value);
  }
  if (Array.isArray(value)) return `[${value.map((entry) => formatValue(entry, exact)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${formatFields(Object.entries(value), exact).join(",")}}`;
  }
  return JSON.stringify(typeof value === "string" ? value.toWellFormed() : value) ?? "null";
}

const keyTexts = new Map<string, string>();

/**
 * Returns the text `"key":`. It is cached for the first 1000 names, because a step has thousands of fields with the same
 * few names.
 */
function keyText(key: string): string {
  let text = keyTexts.get(key);
  if (text !== undefined) return text;
  text = `${JSON.stringify(key.toWellFormed())}:`;
  if (keyTexts.size < 1000) keyTexts.set(key, text);
  return text;
}

function formatFields(entries: [string, unknown][], exact: boolean): string[] {
  const fields: string[] = [];
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    fields.push(keyText(key) + formatValue(value, exact));
    if (typeof value === "number" ? Number.isFinite(value) : !Array.isArray(value)) continue;
    const name = `${key}_status`;
    const status = statusOf(value);
    // JSON keys are unique: an existing field of that name is kept.
    if (status === undefined || entries.some(([other]) => other === name)) continue;
    fields.push(keyText(name) + JSON.stringify(status));
  }
  return fields;
}

/** Returns the fields of a record's line in order, each in the form `"key":value` (see `formatRecord`). */
export function recordFields(record: AnyRecord): string[] {
  const { type, ...rest } = record as { type: string; [key: string]: unknown };
  const task = taskFields(record);
  const known = task ?? (Object.hasOwn(FIELDS, type) ? Object.keys(FIELDS[type]) : []);
  const others = Object.keys(rest).filter((key) => key !== "v" && !known.includes(key));
  const entries = [...known, ...others].map((key): [string, unknown] => [key, rest[key]]);
  return [
    `"v":${RECORD_VERSION}`,
    `"type":${JSON.stringify(type)}`,
    ...formatFields(entries, task !== undefined),
  ];
}

/**
 * Formats a record as one line of JSON without a newline. The line has `v` (2), `type`, the fields of that type in the
 * order of the format, and then the record's other fields in their own order. Integers are exact, other numbers have 9
 * significant digits.
 *
 * Records printed by tasks ({@link TASK_FIELDS}) have the same version, no other fields, and numbers with all digits.
 *
 * A number that is not finite is `null`, and `"<field>_status":"nan"|"inf"|"-inf"` follows it. The status of a list that
 * holds such numbers is a list, with null for finite numbers.
 *
 * @throws Error if a record of a task has a field that {@link TASK_FIELDS} does not have for its type
 *
 * @example
 * ```ts
 * import { formatRecord } from "./records.ts";
 * formatRecord({ type: "checkpoint", step: 10, path: "checkpoints/10", sha256: "ab", val_loss: 1 / 3 });
 * // {"v":2,"type":"checkpoint","step":10,"path":"checkpoints/10","sha256":"ab","val_loss":0.333333333}
 * ```
 */
export function formatRecord(record: AnyRecord): string {
  return `{${recordFields(record).join(",")}}`;
}
