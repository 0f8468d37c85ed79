// Collects the lines of a metric chart from a streamed log: finds the records of a metric or statistic and converts steps
// to samples, tokens or seconds. A log is read once, in memory that does not grow with the length of the log.

import { closestString, didYouMean, UserError } from "../base/errors.ts";
import { readLog } from "../log/log_file.ts";
import type { LogRecord, StepRecord } from "../log/records.ts";
import { type StatRow, statRows } from "../log/stat_rows.ts";
import { type Thinner, thinner } from "./downsample.ts";

/** A log and the name of its run.
 * @category Charts */
export interface ChartedRun {
  /** The name in the legend and in messages. */
  readonly name: string;
  /** Path of the log, or `-` for standard input. */
  readonly log: string;
}

/** A statistic of tracked tensors. */
export interface StatChoice {
  /** A glob of tap names. */
  readonly tap: string;
  /** Name of the statistic, such as `entropy`. */
  readonly stat: string;
  /** The heads to select. Default: only records that have no head and describe the complete tensor. */
  readonly heads?: readonly number[];
  /** The kind of records: `act`, `grad`, `param`, ... Default: every kind. */
  readonly kind?: string;
}

/** The unit of the horizontal axis. */
export type ProgressUnit = "steps" | "samples" | "tokens" | "seconds";

/** A line to draw. The fields before `points` distinguish it from other lines. */
export interface MetricLine {
  readonly metric: string;
  readonly run: string;
  /** The kind and the tap of a statistic; `part` is its head, or the split of an evaluation. Each is empty if there is none. */
  readonly kind: string;
  readonly tap: string;
  readonly part: string;
  readonly points: readonly (readonly [number, number])[];
  /** Whether the points are sparse and are therefore drawn with discs. */
  readonly sparse: boolean;
}

/** Axis titles of the metrics of steps. */
export const STEP_METRICS: Readonly<Record<string, string>> = {
  loss: "loss (nats per token)",
  lr: "learning rate",
  grad_norm: "gradient norm",
  ms: "time per step (ms)",
  tokens_per_s: "speed (tokens per second)",
};

/** Axis titles of the metrics of evaluations. */
export const EVAL_METRICS: Readonly<Record<string, string>> = {
  val_loss: "validation loss (nats per token)",
  accuracy: "accuracy (share of tokens)",
  perplexity: "perplexity",
};

const METRICS = [...Object.keys(STEP_METRICS), ...Object.keys(EVAL_METRICS)];
/** The number of segments into which a line is downsampled, which is more than a chart can show. */
const STRETCHES = 1024;

type Point = [step: number, y: number];
const newLine = (): Thinner<Point> => thinner<Point>(STRETCHES, ([, y]) => y);

/** Converts steps to the unit of the horizontal axis. Seconds are the sum of step times, without evaluations and pauses. */
function clockOf(progress: Exclude<ProgressUnit, "steps">) {
  const [steps, values]: [number[], number[]] = [[], []];
  let seconds = 0;
  return {
    add(record: StepRecord): void {
      seconds += Number.isFinite(record.ms) ? record.ms / 1000 : 0;
      steps.push(record.step);
      values.push(progress === "seconds" ? seconds : record[progress]);
    },
    at(step: number): number {
      let [low, high] = [0, steps.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (steps[middle] <= step) low = middle + 1;
        else high = middle;
      }
      return low === 0 ? 0 : values[low - 1];
    },
  };
}

const COMMON = ["v", "type", "step", "split", "tokens"];

/** Collects the lines of one metric from records: one line per split. */
function metricCollector(metric: string) {
  const lines = new Map<string, Thinner<Point>>();
  const others = new Set<string>();
  const keep = (split: string, step: number, value: unknown) => {
    if (typeof value !== "number") return;
    lines.getOrInsertComputed(split, newLine).add([step, value]);
  };
  const stepwise = Object.hasOwn(STEP_METRICS, metric);
  return {
    metric,
    types: [stepwise ? "step" : "eval"],
    add(record: LogRecord): void {
      if (stepwise && record.type === "step") keep("", record.step, record[metric as keyof StepRecord]);
      if (stepwise || record.type !== "eval") return;
      if (metric === "val_loss") {
        if (record.split === "val") keep("", record.step, record.loss);
      } else if (!COMMON.includes(metric)) keep(record.split, record.step, record[metric]);
      for (const name of Object.keys(record)) if (!COMMON.includes(name) && name !== "loss") others.add(name);
    },
    lines: () => lines,
    /** Throws UserError if there is no line; the message suggests the nearest metric. */
    check(run: string): void {
      if (lines.size > 0) return;
      const known = [...new Set([...METRICS, ...others])];
      const why = METRICS.includes(metric)
        ? `${metric}: ${run} has none${stepwise ? "" : ", because it has no evaluation"}.`
        : `${metric}: no such metric.${didYouMean(metric, known)}`;
      throw new UserError(why);
    },
  };
}

/** Collects the lines of a statistic, one per kind, tap and head; lines beyond `most` are counted, but not kept. */
function statCollector({ heads }: StatChoice, most: number) {
  const lines = new Map<string, { row: StatRow; line: Thinner<Point> }>();
  const all = new Set<string>();
  let headed = false;
  return {
    add(row: StatRow) {
      if (!heads && row.head !== null) {
        headed = true;
        return;
      }
      const key = `${row.kind} ${row.tap} ${row.head}`;
      all.add(key);
      if (!lines.has(key) && lines.size < most) lines.set(key, { row, line: newLine() });
      lines.get(key)?.line.add([row.step, row.statistics[0][1] ?? NaN]);
    },
    count: () => all.size,
    lines: () => [...lines.values()],
    check(run: string) {
      if (all.size === 0 && headed) {
        throw new UserError(`--tap: ${run} records it per head; select heads with --head.`);
      }
    },
  };
}

/** Yields the records unchanged and calls `see` with each. */
async function* watched(records: AsyncIterable<LogRecord>, see: (record: LogRecord) => void) {
  for await (const record of records) {
    see(record);
    yield record;
  }
}

/**
 * Returns the lines of a run, read in one pass over its log: first the lines of the metrics in order, then at most `most`
 * lines of the statistic. If there is a statistic, `count` is the number of its lines without this limit, otherwise the
 * number of lines. Throws UserError if the log has no such metric, tap, statistic or head; the message suggests the nearest
 * name.
 */
export async function runLines(
  { name: run, log }: ChartedRun,
  metrics: readonly string[],
  stat: StatChoice | undefined,
  progress: ProgressUnit,
  most: number,
): Promise<{ lines: readonly MetricLine[]; count: number }> {
  const clock = progress === "steps" ? undefined : clockOf(progress);
  const collectors = metrics.map(metricCollector);
  const types = new Set(collectors.flatMap((collector) => collector.types));
  if (stat) types.add("stat");
  if (progress !== "steps") types.add("step");
  const records = watched(readLog(log, { types: [...types] }), (record) => {
    if (record.type === "step") clock?.add(record);
    for (const collector of collectors) collector.add(record);
  });
  const stats = stat && statCollector(stat, most);
  if (stat) {
    const selection = { tap: stat.tap, kind: stat.kind, stats: [stat.stat], heads: stat.heads };
    for await (const row of statRows(records, selection, run)) stats!.add(row);
  } else for await (const _ of records);
  for (const collector of collectors) collector.check(run);
  stats?.check(run);
  const placed = (line: Thinner<Point>) =>
    line.items().map(([step, y]) => [clock?.at(step) ?? step, y] as const);
  const lines = [
    ...collectors.flatMap(({ metric, types: [type], lines }) =>
      [...lines()].map(([part, line]): MetricLine => {
        return { metric, run, kind: "", tap: "", part, points: placed(line), sparse: type === "eval" };
      })
    ),
    ...(stats?.lines() ?? []).map(({ row: { kind, tap, head }, line }): MetricLine => {
      const part = head === null ? "" : `head ${head}`;
      return { metric: stat!.stat, run, kind, tap, part, points: placed(line), sparse: false };
    }),
  ];
  return { lines, count: stats?.count() ?? lines.length };
}

/** Parses the unit of a horizontal axis; throws UserError, which suggests the nearest unit, if the unit is unknown.
 * @category Charts */
export function progressUnit(word: string): ProgressUnit {
  const known: ProgressUnit[] = ["steps", "samples", "tokens", "seconds"];
  if (known.includes(word as ProgressUnit)) return word as ProgressUnit;
  const near = closestString(word, known);
  throw new UserError(
    `--x ${word}: expected ${known.join(", ")}.${near === undefined ? "" : ` Did you mean "${near}"?`}`,
  );
}
