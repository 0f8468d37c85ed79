// The loss chart of a training run: losses of the training batches and of the evaluated splits, the learning rate, and the
// unigram entropy, the loss of a model that knows only token frequencies.

import type { LogRecord } from "../log/records.ts";
import { type ChartSeries, lineChart } from "./line_chart.ts";

/** Options of {@link lossChart}. */
export interface LossChartOptions {
  /** The title. Default: `Loss of <name>`. */
  title?: string;
  /** The entropy of the text's unigram distribution, in nats per token. It is drawn as a dashed horizontal line. */
  unigramNats?: number;
}

/**
 * Draws the loss of a run over its steps, from the records of its log (types other than `run`, `step` and `eval` are
 * ignored). The training loss is a thin line, each evaluated split has points and a line, and the learning rate is on the
 * right axis.
 *
 * @example
 * ```ts
 * import { lossChart } from "./loss_chart.ts";
 * const svg = lossChart([{ type: "eval", step: 1, split: "val", loss: 4, perplexity: 54.6, accuracy: 0, tokens: 64 }]);
 * ```
 */
export function lossChart(records: Iterable<LogRecord>, options: LossChartOptions = {}): string {
  const train: [number, number][] = [];
  const rate: [number, number][] = [];
  const splits = new Map<string, [number, number][]>();
  let title = "Loss";
  let [first, last] = [Infinity, 0];
  for (const record of records) {
    if (record.type === "run") title = `Loss of ${record.name}`;
    if (record.type !== "step" && record.type !== "eval") continue;
    [first, last] = [Math.min(first, record.step), Math.max(last, record.step)];
    if (record.type === "step") {
      train.push([record.step, record.loss]);
      rate.push([record.step, record.lr]);
    } else splits.getOrInsertComputed(record.split, () => []).push([record.step, record.loss]);
  }
  const series: ChartSeries[] = [];
  for (const [split, points] of splits) {
    series.push({ name: `${split} loss`, points, markers: true, width: 1.75 });
  }
  if (train.length) series.push({ name: "training loss", points: train, width: 0.9 });
  const unigram = options.unigramNats;
  if (unigram !== undefined && last > 0) {
    const points: [number, number][] = [[first, unigram], [last, unigram]];
    series.push({ name: "unigram entropy", points, dashed: true, markers: first === last, width: 1.25 });
  }
  if (rate.length) {
    series.push({ name: "learning rate", points: rate, axis: "y2", width: 1.25, colour: "#999999" });
  }
  return lineChart({
    title: options.title ?? title,
    x: { label: "step" },
    y: { label: "loss (nats per token)", limits: [0, Infinity] },
    ...(rate.length ? { y2: { label: "learning rate", limits: [0, Infinity] } } : {}),
    series,
  });
}
