// Summarizes a log in one pass: the number of records of each type, the losses, and the statistics available for each
// tensor. Memory grows only with the number of distinct names.

import { alignedRows } from "../base/table.ts";
import { cellText } from "../base/terminal.ts";
import type { LogRecord, StatRecord } from "./records.ts";
import { showLoss } from "./stat_formats.ts";
import { statisticsOf } from "./stat_rows.ts";

/** A loss and the step to which it belongs. */
export interface LossAt {
  /** The step, from 1; 0 for an evaluation before the first step. */
  readonly step: number;
  /** The loss in nats per token, which may be NaN. */
  readonly loss: number;
}

/** A summary of one loss over a run. */
export interface LossSummary {
  /** `training`, or the split that was evaluated. */
  readonly name: string;
  /** Number of records. */
  readonly records: number;
  /** The loss in the first record. */
  readonly first: LossAt;
  /** The loss in the last record. */
  readonly last: LossAt;
  /** The lowest finite loss; null if none was finite. */
  readonly least: LossAt | null;
}

/** The statistics of one tensor over all its heads. */
export interface TapSummary {
  /** What was tracked of the tensor, such as `act` or `grad`. */
  readonly kind: string;
  /** Name of the tap or of the parameter. */
  readonly tap: string;
  /** Number of records. */
  readonly records: number;
  /** Number of heads with records. */
  readonly heads: number;
  /** First step with a record. */
  readonly first: number;
  /** Last step with a record. */
  readonly last: number;
  /** Names of the tensor's statistics, in the order of the records. */
  readonly statistics: readonly string[];
}

/** A summary of a log. */
export interface LogSummary {
  /** Number of records of each type, in order of appearance. */
  readonly types: Readonly<Record<string, number>>;
  /** Losses of the training steps, then of each split. */
  readonly losses: readonly LossSummary[];
  /** Tensors in order of appearance. */
  readonly taps: readonly TapSummary[];
}

/** Accumulates the records of a log. */
export interface LogSummariser {
  /** Adds the next record. */
  add(record: LogRecord): void;
  /** Returns the summary of the records so far. */
  summary(): LogSummary;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type TapCount = Mutable<Omit<TapSummary, "heads" | "statistics">> & {
  heads: Set<number>;
  names: Set<string>;
};

function addLoss(losses: Map<string, Mutable<LossSummary>>, name: string, at: LossAt): void {
  const known = losses.get(name);
  const least = Number.isFinite(at.loss) ? at : null;
  if (!known) {
    losses.set(name, { name, records: 1, first: at, last: at, least });
    return;
  }
  known.records++;
  known.last = at;
  if (least && !(known.least && known.least.loss <= least.loss)) known.least = least;
}

function addStat(taps: Map<string, TapCount>, record: StatRecord): void {
  const { kind, tap, step, head } = record;
  const key = `${kind}\n${tap}`;
  let known = taps.get(key);
  if (!known) {
    known = { kind, tap, records: 0, heads: new Set(), first: step, last: step, names: new Set() };
    taps.set(key, known);
  }
  known.records++;
  known.first = Math.min(known.first, step);
  known.last = Math.max(known.last, step);
  if (head !== null) known.heads.add(head);
  for (const [name] of statisticsOf(record)) known.names.add(name);
}

/**
 * Summarizes a log record by record: numbers of records, losses (first, last and lowest), and for each kind and tap the
 * number of records, the first and last step and the names of its statistics.
 *
 * @example
 * ```ts
 * import { logSummariser, readLog } from "../../mod.ts";
 * const summariser = logSummariser();
 * for await (const record of readLog("runs/latest/log.ndjson")) summariser.add(record);
 * const { losses, taps } = summariser.summary();
 * console.log(losses[0].least, taps.length);
 * ```
 * @category Logs
 */
export function logSummariser(): LogSummariser {
  const types = new Map<string, number>();
  const training = new Map<string, Mutable<LossSummary>>();
  const splits = new Map<string, Mutable<LossSummary>>();
  const taps = new Map<string, TapCount>();
  return {
    add(record) {
      types.set(record.type, (types.get(record.type) ?? 0) + 1);
      if (record.type === "step") addLoss(training, "training", { step: record.step, loss: record.loss });
      if (record.type === "eval") addLoss(splits, record.split, { step: record.step, loss: record.loss });
      if (record.type === "stat") addStat(taps, record);
    },
    summary: () => ({
      types: Object.fromEntries(types),
      losses: [...training.values(), ...splits.values()].map((loss) => ({ ...loss })),
      taps: [...taps.values()].map(({ heads, names, ...counted }) => {
        return { ...counted, heads: heads.size, statistics: [...names] };
      }),
    }),
  };
}

/** Wraps words into lines of at most `width` characters. */
function wrap(words: readonly string[], width: number): string[] {
  const lines = [""];
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) === "" || longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Aligns cells under headings; the first `left` columns are left-aligned. */
function columns(table: readonly (readonly string[])[], left: number): string[] {
  return alignedRows(table.map((row) => row.map(cellText)), { left: (i) => i < left });
}

const at = (loss: LossAt | null): string => loss ? `${showLoss(loss.loss)} at ${loss.step}` : "-";

function lossLines(losses: readonly LossSummary[]): string[] {
  const rows = losses.map(({ name, first, last, least }) => [name, at(first), at(last), at(least)]);
  return columns([["loss (nats)", "first", "last", "lowest"], ...rows], 1);
}

/** Returns lines for the taps that share the same statistics, below the names of these statistics. */
function tapLines(statistics: string, taps: readonly TapSummary[]): string[] {
  const rows = taps.map(({ kind, tap, records, heads, first, last }) => [
    kind,
    tap,
    `${records}`,
    heads ? `${heads}` : "-",
    first === last ? `${first}` : `${first}..${last}`,
  ]);
  return [
    ...wrap(["statistics:", ...statistics.split("\n").map(cellText)], 100),
    ...columns([["kind", "tap", "records", "heads", "steps"], ...rows], 2).map((line) => `  ${line}`),
  ];
}

/**
 * Formats a summary as lines for a terminal: the numbers of records, the losses, and the taps grouped by their statistics.
 *
 * @example
 * ```ts
 * import { summaryLines } from "../../mod.ts";
 * const at = { step: 1, loss: 4.2 };
 * const loss = { name: "training", records: 1, first: at, last: at, least: at };
 * console.log(summaryLines({ types: { step: 1 }, losses: [loss], taps: [] }).join("\n"));
 * ```
 * @category Logs
 */
export function summaryLines({ types, losses, taps }: LogSummary): string[] {
  const groups = Map.groupBy(taps, ({ statistics }) => statistics.join("\n"));
  const counts = Object.entries(types).map(([type, count]) =>
    `${count.toLocaleString("en")} ${cellText(type)}`
  );
  return [
    `records: ${counts.join(", ") || "none"}`,
    ...(losses.length ? ["", ...lossLines(losses)] : []),
    ...[...groups].flatMap(([statistics, members]) => ["", ...tapLines(statistics, members)]),
  ];
}
