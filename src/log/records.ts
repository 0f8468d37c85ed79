// The records of a run's log, and each as one line of NDJSON. The log is the one account of a run; charts, sweeps and
// other tools read only it.

import { FIELDS } from "./record_fields.ts";
import { taskFields, type TaskRecord } from "./task_records.ts";

/** The version of all records, `v`: those of a log and those that tasks print. */
export const RECORD_VERSION = 2;

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
  /** Positions of a step, `batch` x `accumulate` x `context`; those that have no target count too. */
  tokens_per_step: number;
  /** Bytes. */
  memory: { parameters: number; optimizer: number; activations: number; total: number };
  git: string | null;
  /** Entropy of the token frequencies of a text, in nats; null for a task. */
  unigram_nats?: number | null;
  /** Of a mixture: its sources, the share of the rows that each has and of the targets (estimated from its first rows). */
  sources?: readonly { readonly name: string; readonly weight: number; readonly share: number }[];
};

/**
 * One optimizer step; `step` counts from 1, `loss` is the mean over the valid targets of all its batches in nats per token,
 * `lr` the rate used for this update. `samples` counts rows and `tokens` the targets learned from since the run began
 * (padding and masked targets do not count); `epoch` is passes over the training split, by rows where they are of unequal
 * length.
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
 * Statistics of one tensor: after `head` every statistic by its name. With `train.accumulate` above 1 the records of
 * activations and of their gradients have `pass: "last"` after `head`: they are of the last of the step's passes, whose
 * gradients are its share in the step's; those of parameters and their gradients are of the step. Records of attention on
 * random tokens that repeat have `input: "repeated"` after `head`; all others are of the step's own batch.
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

/** One evaluation of a split; a task adds its own measures (`answer_accuracy`) after `tokens`, a mixture `source_N_loss`.
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
 * Softmax's Jacobian in one head, the mean over batches. After `visible_keys` every quantity by its name, then
 * `<name>_ci95`, the half width of its 95% interval, of each (null for one batch); null where nothing could be averaged.
 * @category Logs
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
  top_p: number | null;
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

/** Something the reader of the run should know; `code` is stable, `message` a sentence.
 * @category Logs */
export type WarningRecord = {
  type: "warning";
  step: number | null;
  code: string;
  message: string;
  tap: string | null;
};

/** Last record of a run that ended. One that diverged (`train.stop_nonfinite`) has `diverged: true` behind the others. */
export type DoneRecord = {
  type: "done";
  step: number;
  seconds: number;
  best: { step: number; val_loss: number } | null;
  files: string[];
  diverged?: true;
};

/** Any record of a log, told apart by `type`.
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

/** The status of a number that JSON cannot hold; of a list with such numbers, that of each or null. */
type Status = string | readonly (Status | null)[];

function statusOf(value: unknown): Status | undefined {
  if (Array.isArray(value)) {
    const statuses = value.map((entry) => statusOf(entry) ?? null);
    return statuses.some((status) => status !== null) ? statuses : undefined;
  }
  if (typeof value !== "number" || Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

/** Numbers of a log have 9 significant digits, those that tasks print all that they have. */
function formatValue(value: unknown, exact: boolean): string {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return "null";
    return JSON.stringify(exact || Number.isInteger(value) ? value : Number(value.toPrecision(9)));
  }
  if (Array.isArray(value)) return `[${value.map((entry) => formatValue(entry, exact)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${formatFields(Object.entries(value), exact).join(",")}}`;
  }
  return JSON.stringify(typeof value === "string" ? value.toWellFormed() : value) ?? "null";
}

function formatFields(entries: [string, unknown][], exact: boolean): string[] {
  const fields: string[] = [];
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    fields.push(`${JSON.stringify(key.toWellFormed())}:${formatValue(value, exact)}`);
    const name = `${key}_status`;
    const status = statusOf(value);
    // JSON has each key once: a field of that name stands.
    if (status === undefined || entries.some(([other]) => other === name)) continue;
    fields.push(`${JSON.stringify(name.toWellFormed())}:${JSON.stringify(status)}`);
  }
  return fields;
}

/** The fields of a record's line in order, each as `"key":value` (see `formatRecord`). */
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
 * One record as one line of JSON without its newline: `v` (2), `type`, the type's own fields in the order of the format,
 * then whatever else the record holds in the order given. Integers are exact, other numbers have 9 significant digits.
 *
 * Records that tasks print ({@link TASK_FIELDS}) have the same version; they hold nothing else, and their numbers all digits.
 *
 * A number that is not finite is `null`, and `"<field>_status":"nan"|"inf"|"-inf"` follows it. The status of a list that
 * holds such numbers is a list, null where the number is finite.
 *
 * @throws Error for a field that is not of the type of a task's record
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
