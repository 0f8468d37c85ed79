// Draws any metric or statistic of one or more runs in one chart, over steps, samples, tokens or seconds.

import { ATTENTION_TABLE } from "../../kernels/attention_statistics/table.ts";
import { type StatisticText, TENSOR_TABLE } from "../../kernels/statistics/table.ts";
import { UserError } from "../base/errors.ts";
import { maximum } from "../base/extremes.ts";
import { timeUnit } from "../base/units.ts";
import { CHART_COLOURS, LINE_STYLES } from "./document.ts";
import { type ChartSeries, lineChart } from "./line_chart.ts";
import { EVAL_METRICS, runLines, STEP_METRICS } from "./metric_lines.ts";
import type { ChartedRun, MetricLine, ProgressUnit, StatChoice } from "./metric_lines.ts";

/** Options of {@link metricChart}. */
export interface MetricChartOptions {
  /** `loss`, `lr`, `grad_norm`, `ms`, `tokens_per_s`, `val_loss`, `accuracy`, `perplexity` or a task's own metric; or
   * a statistic of tensors. */
  readonly show: string | StatChoice;
  /** A metric for a second axis on the right, drawn dashed. */
  readonly second?: string;
  /** The unit of the horizontal axis. Default: steps. Many seconds are shown as minutes, hours or days. */
  readonly x?: ProgressUnit;
  /** Whether the left axis is logarithmic. Default: false. */
  readonly log?: boolean;
  /** A note after the title, which can say which runs are shown if some are left out. */
  readonly note?: string;
}

const X_LABELS: Readonly<Record<ProgressUnit, string>> = {
  steps: "step",
  samples: "samples",
  tokens: "tokens",
  seconds: "training time (s)",
};

const within = (names: string, high: number) =>
  Object.fromEntries(names.split(" ").map((name) => [name, [0, high] as const]));

const LIMITS: Readonly<Record<string, readonly [low: number, high: number]>> = {
  ...within("loss val_loss answer_loss lr grad_norm ms tokens_per_s perplexity", Infinity),
  ...within("accuracy answer_accuracy exact_match", 1),
};

/** The axis labels of a task's additional metrics, and of values that are not statistics of a single tensor. */
const OTHER_LABELS: Readonly<Record<string, string>> = {
  answer_loss: "loss of the answers (nats per token)",
  answer_accuracy: "accuracy of the answers (share of tokens)",
  exact_match: "exact match (share of answers)",
  update_ratio: "update / parameter (L2 norms)",
};

const lookUp = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

/** The table entries of all statistics; a name that attention and tensors share means the same statistic. */
const STATISTICS: Readonly<Record<string, StatisticText>> = { ...ATTENTION_TABLE, ...TENSOR_TABLE };

export function axisLabel(metric: string): string {
  return lookUp(STEP_METRICS, metric) ?? lookUp(EVAL_METRICS, metric) ??
    lookUp(OTHER_LABELS, metric) ?? lookUp(STATISTICS, metric)?.label ?? metric;
}

const limitsOf = (metric: string) => lookUp(LIMITS, metric) ?? lookUp(STATISTICS, metric)?.limits;

/**
 * Converts the times of some lines, which are their x or y coordinates, to the unit that suits the longest time. Returns
 * all lines and the name of the unit.
 */
function inUnit(
  lines: readonly MetricLine[],
  coordinate: 0 | 1,
  seconds: number,
  isTime: (line: MetricLine) => boolean,
): [lines: MetricLine[], unit: string] {
  const times = lines.filter(isTime).flatMap(({ points }) =>
    points.map((point) => point[coordinate] * seconds)
  );
  const unit = timeUnit(maximum(times.filter(Number.isFinite), 0));
  const per = seconds / unit.seconds;
  const scaled = ([x, y]: readonly [number, number]) =>
    coordinate ? [x, y * per] as const : [x * per, y] as const;
  return [lines.map((line) => isTime(line) ? { ...line, points: line.points.map(scaled) } : line), unit.name];
}

/** Returns the lines with times in suitable units, and the titles of the axes. */
function readable(lines: readonly MetricLine[], x: ProgressUnit, metric: string, second = "") {
  let [shown, xUnit, msUnit] = [lines, "s", "ms"];
  if (x === "seconds") [shown, xUnit] = inUnit(shown, 0, 1, () => true);
  if ([metric, second].includes("ms")) {
    [shown, msUnit] = inUnit(shown, 1, 1e-3, (line) => line.metric === "ms");
  }
  const title = (name: string) => axisLabel(name).replace("(ms)", `(${msUnit})`);
  return { shown, x: X_LABELS[x].replace("(s)", `(${xUnit})`), y: title(metric), y2: title(second) };
}

/** Returns an axis title without its unit. */
const withoutUnit = (label: string): string => label.replace(/ \([^)]*\)$/, "");

/**
 * Returns the title, which says what all lines have in common, and the name of each line, which says what differs between
 * the lines.
 */
function namesOf(lines: readonly MetricLine[]) {
  const columns = lines.map(({ run, metric, kind, tap, part }) => [
    run,
    withoutUnit(axisLabel(metric)),
    kind === "act" || kind === "metric" ? "" : kind,
    tap,
    part,
  ]);
  const varies = [0, 1, 2, 3, 4].map((c) => columns.some((row) => row[c] !== columns[0][c]));
  const [run, metric, kind, tap, part] = columns[0].map((text, c) => varies[c] ? "" : text);
  const shown = metric || [...new Set(columns.map((row) => row[1]))].join(" and ");
  const title = [`${shown}${tap && ` of ${tap}`}${kind && ` (${kind})`}`, part].filter(Boolean).join(", ");
  return {
    title: run ? `${run}: ${title}` : title,
    names: columns.map((row) => row.filter((text, c) => varies[c] && text).join(", ") || row[1]),
  };
}

function seriesOf(lines: readonly MetricLine[], names: readonly string[], second: string | undefined) {
  const first = lines.filter(({ metric }) => metric !== second);
  const width = lines.some(({ points }) => points.length > 1000) ? 1 : 1.5;
  return lines.map((line, i): ChartSeries => {
    const { points, sparse, metric } = line;
    if (metric !== second) return { name: names[i], points, markers: sparse, width };
    // If there are several runs and each has exactly one line on each axis, the two lines of a run have the same colour.
    const runIndex = first.findIndex(({ run }) => run === line.run);
    const paired = first.length === new Set(lines.map(({ run }) => run)).size && first.length > 1;
    const colour = paired ? CHART_COLOURS[runIndex % CHART_COLOURS.length] : undefined;
    return { name: names[i], points, markers: sparse, width, axis: "y2", dashed: true, colour };
  });
}

/**
 * Returns a chart of a metric or a statistic of one or more runs, with one line per run, tensor, head or split. The title
 * says what the lines have in common, and the legend says what differs between them. Each log is read once, in memory that
 * does not grow with its length, except for 16 bytes per step if the horizontal axis is not steps.
 *
 * Seconds are the sum of the step times so far, without evaluations and pauses.
 *
 * @param runs at least one run, with distinct names
 * @throws UserError if a log cannot be read or has no such metric, tap, statistic or head (with the nearest name), if there
 * are more than 24 lines, or if a logarithmic axis has no positive value
 *
 * @example
 * ```ts
 * import { metricChart } from "../../mod.ts";
 * const runs = [{ name: "latest", log: "runs/latest/log.ndjson" }];
 * const svg = await metricChart(runs, { show: "loss", second: "lr", x: "tokens", log: true });
 * ```
 * @category Charts
 */
export async function metricChart(
  runs: readonly ChartedRun[],
  { show, second, x = "steps", log = false, note }: MetricChartOptions,
): Promise<string> {
  const stat = typeof show === "string" ? undefined : show;
  const metric = stat?.stat ?? show as string;
  if (second === metric) throw new UserError(`${second}: is already on the first axis.`);
  const metrics = [...(stat ? [] : [metric]), ...(second === undefined ? [] : [second])];
  const lines: MetricLine[] = [];
  let count = 0;
  for (const run of runs) {
    const loaded = await runLines(run, metrics, stat, x, LINE_STYLES);
    for (const line of loaded.lines) lines.push(line);
    count += stat ? loaded.count : loaded.lines.filter((line) => line.metric === metric).length;
  }
  if (count > LINE_STYLES) {
    const [what, choice] = stat ? [stat.tap, "taps, heads or kinds"] : [metric, "runs"];
    throw new UserError(
      `${what}: ${count} lines; expected at most ${LINE_STYLES} in a chart; select fewer ${choice}.`,
    );
  }
  const shown = lines.filter((line) => line.metric === metric);
  if (log && !shown.some(({ points }) => points.some(([, y]) => y > 0))) {
    throw new UserError(`${metric}: no positive value for a logarithmic axis.`);
  }
  const ordered = [...shown, ...lines.filter((line) => line.metric !== metric)];
  const { title, names } = namesOf(ordered);
  const drawn = readable(ordered, x, metric, second);
  return lineChart({
    title: note === undefined ? title : `${title} (${note})`,
    x: { label: drawn.x },
    y: { label: drawn.y, log, limits: limitsOf(metric) },
    ...(second === undefined ? {} : { y2: { label: drawn.y2, limits: limitsOf(second) } }),
    series: seriesOf(drawn.shown, names, second),
  });
}
