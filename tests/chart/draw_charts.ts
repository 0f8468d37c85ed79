// Every kind of chart from synthetic data, for visual inspection: deno task draw_charts FOLDER
// 1, 4 and 12 heads, 8 series, names of 90 characters, values that are not finite, one point, numbers of every size.
import { join } from "node:path";
import * as heed from "../../mod.ts";
import { add, graphDiagram, input, layerNorm, linear, state } from "../../mod.ts";
import {
  barChart,
  type ChartSeries,
  headSheet,
  type HeatMap,
  heatMap,
  jacobianCharts,
  lineChart,
  lossChart,
  mapSheet,
  metricChart,
  resultsChart,
  runCharts,
} from "../../src/chart/mod.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { runResult } from "../../src/log/results.ts";
import { madeLog, writeLog } from "./run_log.ts";

/** A name of 90 characters, as in a sweep: words if `spaced`, otherwise one word. */
export const longName = (n: number, spaced = false): string =>
  (`a-run-of-many-words_optimizer.lr=0.00${n},model.block.attention.activation=sigmoid_` + "x".repeat(90))
    .slice(0, 90).replace(/[-_]/g, spaced ? " " : "$&");

const names = (count: number, long: boolean): string[] =>
  Array.from({ length: count }, (_, n) => long ? longName(n, n % 2 > 0) : `head ${n}`);

/** A decreasing line that depends on its number. */
const falling = (n: number, points = 200, scale = 1): [number, number][] =>
  Array.from(
    { length: points },
    (_, i) => [10 * (i + 1), scale * (1 + n / 4 + 3 * Math.exp(-i / (30 + 5 * n)))],
  );

const series = (count: number, long = false): ChartSeries[] =>
  names(count, long).map((name, n) => ({ name, points: falling(n) }));

type Charts = Record<string, () => string>;

function lines(): Charts {
  const chart = (series: readonly ChartSeries[], more: Partial<Parameters<typeof lineChart>[0]> = {}) => () =>
    lineChart({
      title: "Losses",
      x: { label: "step" },
      y: { label: "loss (nats per token)" },
      series,
      ...more,
    });
  const one = (points: [number, number][]): ChartSeries[] => [{ name: "loss", points }];
  const axes = {
    x: { label: longName(1, true) },
    y: { label: longName(2, true) },
    y2: { label: longName(3) },
  };
  const rate: ChartSeries = { name: longName(9), points: falling(1, 200, 1e-4), axis: "y2", dashed: true };
  const ends: [number, number][] = [[1, 1e-320], [2, 1e-5], [3, 1], [4, 1e308]];
  const log = { label: "norm", log: true };
  return {
    ...Object.fromEntries([1, 4, 8, 12].map((count) => [`line_${count}`, chart(series(count))])),
    line_8_long: chart([...series(8, true), rate], {
      title: `${longName(0)}: ${longName(1, true)}`,
      ...axes,
    }),
    line_nan: chart(one([[1, 3], [2, NaN], [3, 2], [4, Infinity], [5, 1.5], [6, 1.2], [NaN, 1]])),
    line_point: chart(one([[100, 2.5]])),
    line_empty: chart([]),
    line_equal: chart(one([[1, 1], [2, 1], [3, 1]]), { y: { label: "accuracy", limits: [0, 1] } }),
    line_equal_zero: chart(one([[1, 0], [2, 0]]), { y: { label: "loss", limits: [0, Infinity] } }),
    line_extreme_linear: chart(one(ends)),
    line_extreme_tiny: chart(one([[1, 1e-320], [2, 5e-320], [3, 3e-320]])),
    line_extreme_signs: chart(one([[1, -1e308], [2, 1e308], [3, 0]])),
    line_extreme_log: chart(one(ends), { y: log }),
    line_log: chart(series(4), { y: log }),
    line_log_decades: chart(one(Array.from({ length: 50 }, (_, i) => [i, 10 ** (i / 5 - 7)])), { y: log }),
    line_log_x: chart(one(Array.from({ length: 50 }, (_, i) => [2 ** (i / 3), i])), {
      x: { label: "N", log: true },
    }),
    line_log_point: chart(one([[100, 2.5]]), { y: log }),
  };
}

function bars(): Charts {
  const groups = (count: number, long = false) =>
    long ? names(count, true) : [...Array(count).keys()].map(String);
  const chart = (heads: number, layers: number, long = false, more: object = {}) => () =>
    barChart({
      title: long ? longName(0) : "cosine of diagonal part and full gradient",
      x: { label: "layer" },
      y: { label: long ? longName(1, true) : "cos_diag", limits: [-1, 1] },
      interval: "95% interval over 4 batches",
      groups: groups(layers, long),
      series: names(heads, long).map((name, n) => ({
        name,
        values: groups(layers).map((_, i) => 0.98 - n / 12 - i / 9),
        intervals: groups(layers).map((_, i) => 0.02 + i / 20),
      })),
      ...more,
    });
  return {
    bar_1: chart(1, 4),
    bar_4: chart(4, 4),
    bar_12: chart(12, 6),
    bar_8_long: chart(8, 4, true),
    bar_4_long_12_groups: chart(4, 12, true),
    bar_point: chart(1, 1),
    bar_nan: chart(2, 2, false, { series: [{ name: "a", values: [NaN, 0.5], intervals: [1, NaN] }] }),
    bar_empty: chart(0, 0),
    bar_loss: chart(1, 3, false, {
      y: { label: "loss (nats per token)", limits: [0, Infinity] },
      interval: "95% interval over 3 seeds",
      series: [{ name: "loss", values: [0.1, 2.1, 2.9], intervals: [0.4, 0.05, 0.92] }],
    }),
    bar_extreme: chart(1, 3, false, {
      y: { label: "x" },
      series: [{ name: "x", values: [1e308, -1e308, 1e-320] }],
    }),
    bar_tiny: chart(1, 2, false, { y: { label: "x" }, series: [{ name: "x", values: [1e-320, 4e-320] }] }),
  };
}

function sheets(): Charts {
  const sheet =
    (layers: number, heads: number, long = false, point?: [number, number][], log = false) => () =>
      headSheet({
        title: long ? `${longName(0)}: ${longName(1, true)}` : "entropy of attention",
        x: { label: long ? longName(1, true) : "step" },
        y: { label: long ? longName(2, true) : "entropy (nats)", log },
        panels: names(layers, long).map((name, layer) => ({
          title: long ? name : `layer ${layer}`,
          series: names(heads, long).map((head, n) => ({ name: head, points: point ?? falling(n + layer) })),
        })),
      });
  return {
    sheet_1: sheet(1, 1),
    sheet_4: sheet(4, 4),
    sheet_12: sheet(12, 12),
    sheet_8_long: sheet(4, 8, true),
    sheet_1_long: sheet(1, 2, true),
    sheet_nan: sheet(2, 2, false, [[1, 1], [2, NaN], [3, 2], [4, Infinity], [5, 1]]),
    sheet_point: sheet(2, 2, false, [[10, 1]]),
    sheet_zero: sheet(1, 1, false, [[1, 0], [2, 0]]),
    sheet_extreme: sheet(2, 1, false, [[1, 1e-320], [2, 1e308], [3, -1e308]]),
    sheet_extreme_log: sheet(2, 1, false, [[1, 1e-320], [2, 1e308], [3, 1]], true),
    sheet_empty: sheet(0, 0),
  };
}

const WORDS = ["The", " number", " 3", " follows", "\n", " 漢字", " antidisestablishmentarianism", "."];

/** Causal attention over `tokens` tokens: weights decay with distance, later keys are blank. */
function causal(count: number, more: Partial<HeatMap> = {}): HeatMap {
  const tokens = Array.from({ length: count }, (_, n) => WORDS[n % WORDS.length]);
  const weights = tokens.map((_, i) => tokens.map((_, j) => j > i ? NaN : 1 / (1 + i - j)));
  const masses = weights.map((row) => row.reduce((sum, x) => sum + (x || 0), 0));
  return {
    title: "Attention of layer 0, head 1",
    rows: tokens,
    columns: tokens,
    values: weights.map((row, i) => row.map((x) => x / masses[i])),
    blank: (i, j) => j > i,
    y: { label: "query" },
    x: { label: "key" },
    value: { label: "weight" },
    range: [0, 1],
    ...more,
  };
}

function maps(): Charts {
  const map =
    (layers: number, heads: number, value: (i: number, j: number) => number, more: Partial<HeatMap> = {}) =>
    () =>
      heatMap({
        title: "Ablated heads (mean); loss with all heads 2.4259",
        rows: [...Array(layers).keys()].map(String),
        columns: [...Array(heads).keys()].map(String),
        values: Array.from(
          { length: layers },
          (_, i) => Array.from({ length: heads }, (_, j) => value(i, j)),
        ),
        y: { label: "layer" },
        x: { label: "head" },
        value: { label: "change (nats per token)" },
        ...more,
      });
  const signed = (i: number, j: number) => Math.sin(3 * i + 5 * j) * 10 ** ((i + j) % 4 - 3);
  const long: Partial<HeatMap> = {
    title: `${longName(0)}: ${longName(1, true)}`,
    rows: names(2, true),
    columns: names(4, true),
    y: { label: longName(1, true) },
    x: { label: longName(2, true) },
    value: { label: longName(3, true) },
  };
  return {
    map_1: map(1, 1, () => 0.25),
    map_4: map(4, 4, (i, j) => 1 + i + j / 4),
    map_12: map(12, 12, signed),
    map_12_one_layer: map(1, 12, signed, { signed: true }),
    map_range: map(
      3,
      4,
      (i, j) => [0.001, 1200, 0.004, 0, 37.5, 0.0123, 5e-7, 999, 1, 0.5, 31, 2][4 * i + j],
    ),
    map_whole: map(2, 3, (i, j) => 1000 * i + j),
    map_negative: map(2, 3, (i, j) => -1 - i - j),
    map_nan: map(3, 4, (i, j) => i === j ? NaN : i > j ? Infinity : i + j),
    map_none: map(2, 2, () => NaN),
    map_long: map(2, 4, signed, long),
    map_long_one: map(1, 1, signed, { ...long, rows: names(1, true), columns: names(1, true) }),
    map_extreme: map(2, 3, (i, j) => [1e308, -1e308, 1e-320, 0, 1, -1e-5][3 * i + j]),
    map_tiny: map(1, 3, (_, j) => j * 1e-320),
    map_empty: map(0, 0, () => 0),
    map_causal_8: () => heatMap(causal(8)),
    map_causal_64: () => heatMap(causal(64)),
    map_causal_1: () => heatMap(causal(1)),
    map_causal_nan: () => {
      const pattern = causal(5);
      return heatMap({
        ...pattern,
        values: pattern.values.map((row, i) => i === 2 ? Array.from(row, () => NaN) : row),
      });
    },
  };
}

function mapSheets(): Charts {
  const sheet = (heads: number, tokens: number, long = false, signed = false) => () => {
    const { rows, columns, values, blank } = causal(tokens);
    return mapSheet({
      title: long
        ? `${longName(0)}: ${longName(1, true)}`
        : "Attention by layer and head: one row per query, one column per key",
      rows: long ? names(tokens, true) : rows,
      columns: long ? names(tokens, true) : columns,
      value: { label: long ? longName(2, true) : "weight" },
      range: signed ? [-1, 1] : [0, 1],
      panels: names(heads, long).map((name, n) => ({
        title: long ? name : `layer ${Math.floor(n / 4)}, ${name}`,
        values: values.map((row, i) =>
          Array.from(row, (x, j) => signed ? Math.sin(i + 2 * j + n) : n === 3 && i === 2 ? NaN : x)
        ),
        blank,
      })),
      across: 4,
    });
  };
  return {
    map_sheet_1: sheet(1, 8),
    map_sheet_4: sheet(4, 8),
    map_sheet_12: sheet(12, 12),
    map_sheet_long: sheet(4, 4, true),
    map_sheet_token: sheet(4, 1),
    map_sheet_token_long: sheet(2, 1, true),
    map_sheet_signed: sheet(4, 6, false, true),
    map_sheet_64: sheet(2, 64),
  };
}

function jacobian(heads: number, layers: number): Record<string, string> {
  const charts = jacobianCharts();
  for (const step of [10, 50]) {
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) {
        const cosine = Math.cos(head + layer + step / 100);
        const record = {
          type: "jacobian",
          step,
          layer,
          head,
          method: "bp",
          batches: 4,
          r_diag: 0.02 + head / 10,
          r_diag_ci95: 0.1,
          cos_diag: cosine,
          cos_diag_ci95: 0.2,
        };
        charts.add(record as unknown as LogRecord);
      }
    }
  }
  return { ...charts.draw(`jacobian of ${heads} heads`) };
}

/** The charts of logs, by name. */
async function fromLogs(folder: string): Promise<Record<string, string>> {
  const charts: Record<string, string> = {};
  const put = (prefix: string, drawn: Readonly<Record<string, string>>) => {
    for (const [name, svg] of Object.entries(drawn)) charts[`${prefix}_${name.replace(/\.svg$/, "")}`] = svg;
  };
  const logs = await Promise.all([0, 1, 2].map(async (n) => {
    await Deno.mkdir(join(folder, `log${n}`), { recursive: true });
    const log = join(folder, `log${n}`, "log.ndjson");
    await writeLog(
      log,
      madeLog({ steps: 600, layers: 4, heads: [1, 4, 12][n], every: 20, evaluate: 50, name: longName(n) }),
    );
    return { name: longName(n), log };
  }));
  for (const [n, { log }] of logs.entries()) put(`run${[1, 4, 12][n]}`, await runCharts(log));
  for (const [heads, layers] of [[1, 1], [4, 4], [12, 4]]) put(`jacobian${heads}`, jacobian(heads, layers));
  charts.metric_seconds = await metricChart(logs, { show: "loss", second: "ms", x: "seconds" });
  charts.metric_ms = await metricChart(logs, { show: "ms" });
  charts.metric_accuracy = await metricChart(logs, { show: "answer_accuracy", x: "tokens" });
  charts.results =
    (await resultsChart((await Promise.all(logs.map(({ log }) => runResult(log)))).filter((r) => !!r))).svg;
  charts.loss_one = lossChart([...madeLog({ steps: 1, evaluate: 1, name: "one" })], { unigramNats: 3.3 });
  charts.comparison = heed.jacobian.comparisonChart(["exact", "diag"].map((name, n) => ({
    name,
    losses: falling(n).map(([_, y]) => y),
    evaluations: falling(n, 4).map(([step, loss]) => ({ step, loss, perplexity: 1, accuracy: 0, tokens: 1 })),
  })));
  return charts;
}

function graph(title: string): string {
  const x = input("x", [2, 8, 16]);
  const y = linear(layerNorm(x, state("norm.weight", [16])), state(`${longName(0)}.weight`, [16, 16]));
  return graphDiagram({ [longName(1)]: add(x, y) }, { title });
}

/** Every kind of chart from every fixture, by name. */
export const FIXTURES: Charts = {
  ...lines(),
  ...bars(),
  ...sheets(),
  ...maps(),
  ...mapSheets(),
  graph_long: () => graph(longName(0, true)),
};

if (import.meta.main) {
  const folder = Deno.args[0] ?? "charts";
  await Deno.mkdir(folder, { recursive: true });
  const all = await fromLogs(join(folder, "logs"));
  for (const [name, draw] of Object.entries(FIXTURES)) all[name] = draw();
  for (const [name, svg] of Object.entries(all)) await Deno.writeTextFile(join(folder, `${name}.svg`), svg);
  console.log(`${folder}: ${Object.keys(all).length} charts`);
}
