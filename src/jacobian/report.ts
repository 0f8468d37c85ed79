// Reports of an analysis of softmax's Jacobian: tables for a terminal, and charts as SVG.
import { isNormalisedName } from "../../kernels/attention/activations.ts";
import { maximum } from "../base/extremes.ts";
import { alignedRows } from "../base/table.ts";
import { jacobianCharts } from "../chart/jacobian_chart.ts";
import { CHART_COLOURS, type ChartSeries, lineChart } from "../chart/line_chart.ts";
import type { EvalRecord, JacobianRecord } from "../log/records.ts";

/** One training run of a comparison. */
export interface ComparedTraining {
  /** "exact", "diag" or "ste", the backward pass of softmax; or "sigmoid", the activation that replaces softmax. */
  readonly name: string;
  /** Training loss per step, in nats per token. */
  readonly losses: readonly number[];
  /** Evaluations on the evaluated split, in the order of their steps. */
  readonly evaluations: readonly Pick<EvalRecord, "step" | "loss" | "perplexity" | "accuracy" | "tokens">[];
}

const COLUMNS = [
  "entropy",
  "r_diag",
  "r_lateral",
  "cos_diag",
  "cos_ste",
  "r_diag_c",
  "r_lateral_c",
  "cos_diag_c",
  "cos_ste_c",
  "dq_cos_diag",
  "dq_cos_ste",
];

/** The columns of the table if no layer has a softmax. */
const DIAGONAL_COLUMNS = ["entropy", "rowmass", "trace", "frobenius", "lambda_max"];

/** Number of training losses that the table and the chart of a comparison average. */
const SMOOTHED_STEPS = 25;

/** Formats a value with three decimals, or with an exponent if it is small or large; a missing value as "-". */
function cell(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "number") return "-";
  if (!Number.isFinite(value) || value === 0) return String(value);
  return Math.abs(value) < 0.01 || Math.abs(value) >= 1000 ? value.toExponential(1) : value.toFixed(3);
}

const methodsOf = (records: readonly JacobianRecord[]): string[] => [
  ...new Set(records.map(({ method }) => method)),
];

/**
 * Formats the records of one step as a table with one line per head, sorted by layer and head, and a column `method` if
 * there are several methods. The heading gives the step and the error of full relative to training's backward pass.
 *
 * @example
 * ```ts
 * import { jacobianTable } from "./mod.ts";
 * const where = { type: "jacobian", step: 0, layer: 0, head: 0, activation: "softmax", method: "bp" } as const;
 * const counts = { rows: 8, rows_zero: 1, batches: 1, visible_keys: 4.5 };
 * console.log(jacobianTable([{ ...where, ...counts, r_diag: 0.75, full_error: 1e-7 }]));
 * ```
 */
export function jacobianTable(records: readonly JacobianRecord[]): string {
  const several = methodsOf(records).length > 1;
  const columns = records.some((record) => "r_diag" in record) ? COLUMNS : DIAGONAL_COLUMNS;
  const sorted = [...records].sort((a, b) => a.layer - b.layer || a.head - b.head);
  const error = maximum(records.map(({ full_error }) => Number(full_error)));
  const { step, batches } = sorted[0];
  const heading = `step ${step}, batches: ${batches}, full within ${
    error.toExponential(1)
  } of the backward pass`;
  const table = alignedRows([
    ["layer", "head", ...(several ? ["method"] : []), ...columns],
    ...sorted.map((record) => [
      String(record.layer),
      String(record.head),
      ...(several ? [record.method] : []),
      ...columns.map((name) => cell(record[name])),
    ]),
  ]);
  return [heading, ...table].join("\n");
}

/**
 * Returns one line that names the layers with an element-wise activation, or undefined if there are none.
 *
 * @example
 * ```ts
 * import { diagonalNote } from "./mod.ts";
 * diagonalNote([]); // undefined
 * ```
 */
export function diagonalNote(records: readonly JacobianRecord[]): string | undefined {
  const diagonal = records.filter(({ activation }) => !isNormalisedName(activation));
  if (diagonal.length === 0) return undefined;
  const layers = [...new Set(diagonal.map(({ layer }) => layer))].sort((a, b) => a - b);
  const names = [...new Set(diagonal.map(({ activation }) => activation))].join(", ");
  return `${layers.length > 1 ? "layers" : "layer"} ${layers.join(", ")}: ${names} is element-wise: ` +
    "its Jacobian is diagonal, full = diag exactly, and there is no lateral sum.";
}

/** The quantities that each chart shows by query position: the first as solid lines, and the second as dashed lines. */
const FAMILIES = [
  { file: "ratios", names: ["r_diag", "r_lateral"], label: "share of |full|²", limits: [0, Infinity] },
  { file: "cosines", names: ["cos_diag", "cos_ste"], label: "cosine with full", limits: [-1, 1] },
] as const;

const SIGNALS = [{ suffix: "", called: "raw" }, { suffix: "_c", called: "centred" }] as const;

/** Returns the mean of the values that are numbers, or NaN if there are none. */
function mean(values: readonly unknown[]): number {
  const numbers = values.filter((x) => typeof x === "number");
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
}

/** Returns the points of a quantity by bin of query positions, averaged over heads. */
function positionPoints(records: readonly JacobianRecord[], name: string): [number, number][] {
  const lists = records.map((record) => record[`${name}_by_position`]).filter((list) => Array.isArray(list));
  return (lists[0] ?? []).map((_, bin) => [bin + 1, mean(lists.map((list) => list[bin]))]);
}

/** Draws the charts by query position for the records of one method at one step. Each layer has its own colour. */
function positionCharts(
  run: string,
  records: readonly JacobianRecord[],
  end: string,
): Record<string, string> {
  const layers = [...new Set(records.map(({ layer }) => layer))].sort((a, b) => a - b);
  const bins = (records[0].r_diag_by_position as readonly unknown[]).length;
  const charts: Record<string, string> = {};
  for (const { file, names, label, limits } of FAMILIES) {
    for (const { suffix, called } of SIGNALS) {
      // softmax1 has no centred quantities.
      if (!records.some((record) => `${names[0]}${suffix}_by_position` in record)) continue;
      charts[`jacobian_${file}_by_position${suffix}`] = lineChart({
        title: `${run}: ${names.join(" and ")} by query position${end}, ${called}, at step ${
          records[0].step
        }`,
        x: { label: `query position, in ${bins} bins of equal width` },
        y: { label, limits },
        series: names.flatMap((name, second) =>
          layers.map((layer, n): ChartSeries => ({
            name: `${name}${suffix}, layer ${layer}`,
            points: positionPoints(records.filter((record) => record.layer === layer), name + suffix),
            dashed: second === 1,
            markers: true,
            colour: CHART_COLOURS[n % CHART_COLOURS.length],
          }))
        ),
      });
    }
  }
  return charts;
}

/**
 * Draws the charts of an analysis: those of `jacobianCharts` (by layer and head at the last step, and over the steps), and
 * for each method the charts of r_diag, r_lateral and the cosines by query position at the last step, raw and centred.
 * Element-wise activations have no charts by query position.
 *
 * @param run the run's name, for the titles
 * @returns SVG documents, keyed by file name
 *
 * @example
 * ```ts
 * import { analysisCharts } from "./mod.ts";
 * analysisCharts("small", []); // {}
 * ```
 */
export function analysisCharts(run: string, records: readonly JacobianRecord[]): Record<string, string> {
  const byHead = jacobianCharts();
  for (const record of records) byHead.add(record);
  const charts = { ...byHead.draw(run) };
  const last = maximum(records.map(({ step }) => step));
  const now = records.filter(({ step, r_diag_by_position }) => step === last && r_diag_by_position);
  const methods = methodsOf(now);
  for (const method of methods) {
    const [suffix, end] = methods.length > 1 ? [`_${method}`, ` (${method})`] : ["", ""];
    const byPosition = positionCharts(run, now.filter((record) => record.method === method), end);
    for (const [name, svg] of Object.entries(byPosition)) charts[`${name}${suffix}.svg`] = svg;
  }
  return charts;
}

/** Returns the mean of the last training losses. */
const lastLosses = (losses: readonly number[]): number => mean(losses.slice(-SMOOTHED_STEPS));

/**
 * Formats the final losses of a comparison as a table: the loss on the evaluated split, its difference from the loss of the
 * first training run (in nats), and the mean training loss of the last 25 steps.
 *
 * @example
 * ```ts
 * import { comparisonTable } from "./mod.ts";
 * const evaluations = [{ step: 2, loss: 2.1, perplexity: 8.2, accuracy: 0.4, tokens: 64 }];
 * comparisonTable([{ name: "exact", losses: [3, 2], evaluations }]);
 * ```
 */
export function comparisonTable(trainings: readonly ComparedTraining[]): string {
  const final = trainings.map(({ evaluations }) => evaluations.at(-1)!.loss);
  return alignedRows([
    ["training", "evaluated", `vs ${trainings[0].name}`, "last steps"],
    ...trainings.map(({ name, losses }, n) => [
      name,
      final[n].toFixed(4),
      n === 0 ? "" : (final[n] - final[0] >= 0 ? "+" : "") + (final[n] - final[0]).toFixed(4),
      lastLosses(losses).toFixed(4),
    ]),
  ]).join("\n");
}

/**
 * Draws a chart of the losses of a comparison. Losses on the evaluated split have markers; training losses are averaged
 * over 25 steps.
 *
 * @returns an SVG document
 *
 * @example
 * ```ts
 * import { comparisonChart } from "./mod.ts";
 * const evaluations = [{ step: 2, loss: 2.1, perplexity: 8.2, accuracy: 0.4, tokens: 64 }];
 * const svg = comparisonChart([{ name: "exact", losses: [3, 2], evaluations }]);
 * ```
 */
export function comparisonChart(trainings: readonly ComparedTraining[]): string {
  const coloured = trainings.map((training, n) => ({ ...training, colour: CHART_COLOURS[n] }));
  const evaluated = coloured.map(({ name, evaluations, colour }): ChartSeries => {
    return {
      name,
      points: evaluations.map(({ step, loss }) => [step, loss]),
      markers: true,
      width: 1.75,
      colour,
    };
  });
  const trained = coloured.map(({ name, losses, colour }): ChartSeries => {
    const windows = Array.from(
      { length: Math.floor(losses.length / SMOOTHED_STEPS) },
      (_, i) => i * SMOOTHED_STEPS,
    );
    return {
      name: `${name}, training`,
      points: windows.map((from) => [
        from + SMOOTHED_STEPS / 2,
        mean(losses.slice(from, from + SMOOTHED_STEPS)),
      ]),
      dashed: true,
      width: 0.9,
      colour,
    };
  });
  return lineChart({
    title: `Loss of ${trainings.map(({ name }) => name).join(", ")}`,
    x: { label: "step" },
    y: { label: "loss (nats per token)", limits: [0, Infinity] },
    series: [...evaluated, ...trained.filter(({ points }) => points.length > 0)],
  });
}
