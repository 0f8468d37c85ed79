// Charts of the analysis of softmax's Jacobian: shares and cosines by layer and head, at the last step and over steps.

import type { LogRecord } from "../log/records.ts";
import { barChart } from "./bar_chart.ts";
import { CHART_COLOURS } from "./document.ts";
import type { ChartAxis } from "./frame.ts";
import { type HeadLines, headLines } from "./heads_chart.ts";
import type { LogCharts } from "./log_charts.ts";

/** A quantity that is charted: its name in titles, the label of its axis, and the range of its possible values. */
type Quantity = Required<Pick<ChartAxis, "label" | "limits">> & { readonly title: string };

/** A part may have a larger norm than the full gradient, because the parts are not orthogonal. */
const [ENERGY, COSINE] = [[0, Infinity], [-1, 1]] as const;

const QUANTITIES: Readonly<Record<string, Quantity>> = {
  r_diag: { title: "share of the diagonal part", label: "r_diag = |diag|² / |full|²", limits: ENERGY },
  r_lateral: {
    title: "share of the lateral part",
    label: "r_lateral = |lateral|² / |full|²",
    limits: ENERGY,
  },
  r_diag_c: {
    title: "share of the diagonal part, centred",
    label: "r_diag_c = |diag|² / |full|², g - a·g",
    limits: ENERGY,
  },
  r_lateral_c: {
    title: "share of the lateral part, centred",
    label: "r_lateral_c = |lateral|² / |full|², g - a·g",
    limits: ENERGY,
  },
  cos_diag: { title: "cosine of diagonal part and full gradient", label: "cos_diag", limits: COSINE },
  cos_diag_c: {
    title: "cosine of diagonal part and full gradient, centred",
    label: "cos_diag_c, g - a·g",
    limits: COSINE,
  },
  cos_ste_c: {
    title: "cosine of straight-through and full gradient, centred",
    label: "cos_ste_c, g - a·g",
    limits: COSINE,
  },
  cos_ste: { title: "cosine of straight-through and full gradient", label: "cos_ste", limits: COSINE },
};
/** Maximum number of bars in a chart. */
const MOST_BARS = 96;

/** A quantity in the records of one method (bp, fa, ...), and the half widths of its intervals. */
interface Measured {
  readonly values: HeadLines;
  readonly intervals: HeadLines;
  /** Number of batches from which the intervals of the last record are estimated. */
  batches: number;
}

/** Draws the last step as bars with intervals, or as a heat map if there are too many heads for bars. */
function lastChart({ values, intervals, batches }: Measured, title: string, { label, limits }: Quantity) {
  const [layers, heads] = [values.layers(), values.heads()];
  if (heads.length > CHART_COLOURS.length || layers.length * heads.length > MOST_BARS) {
    return values.map(title, label, limits[0] < 0);
  }
  return barChart({
    title,
    x: { label: "layer" },
    y: { label, limits },
    interval: `95% interval${batches > 1 ? ` over ${batches} batches` : ""}`,
    groups: layers.map(String),
    series: heads.map((head) => ({
      name: `head ${head}`,
      values: layers.map((layer) => values.lastOf(layer, head)),
      intervals: layers.map((layer) => intervals.lastOf(layer, head)),
    })),
  });
}

/** The fields of a `jacobian` record that charts read. */
type JacobianRecord = { readonly type: string; readonly [name: string]: unknown };

/**
 * Returns charts drawn from `jacobian` records. For each share and cosine, raw and centred, a chart shows the last step by
 * layer and head with 95% intervals (`jacobian_r_diag.svg`); if there is more than one step, a sheet shows all steps
 * (`jacobian_r_diag_steps.svg`). If there are several methods, each has its own charts (`jacobian_r_diag_fa.svg`).
 *
 * @example
 * ```ts
 * import { type LogRecord } from "../../mod.ts";
 * import { jacobianCharts } from "./mod.ts";
 * const charts = jacobianCharts();
 * const record = { type: "jacobian", step: 1, layer: 0, head: 0, method: "bp", r_diag: 0.7, r_diag_ci95: 0.1 };
 * charts.add(record as unknown as LogRecord);
 * Object.keys(charts.draw("small")); // ["jacobian_r_diag.svg"]
 * ```
 */
export function jacobianCharts(): LogCharts {
  const methods = new Map<string, Map<string, Measured>>();
  return {
    types: ["jacobian"],
    add(record: LogRecord) {
      const fields = record as JacobianRecord;
      const { layer, head, step } = fields;
      if (fields.type !== "jacobian" || typeof layer !== "number" || typeof head !== "number") return;
      const method = String(fields.method ?? "bp");
      for (const name of Object.keys(QUANTITIES)) {
        const [given, interval] = [fields[name], fields[`${name}_ci95`]];
        const value = given === null ? NaN : given;
        if (typeof value !== "number") continue;
        const measured = methods.getOrInsertComputed(method, () => new Map<string, Measured>())
          .getOrInsertComputed(name, () => ({ values: headLines(), intervals: headLines(), batches: 0 }));
        const { values, intervals } = measured;
        measured.batches = Number(fields.batches) || 0;
        values.add(layer, head, Number(step), value);
        intervals.add(layer, head, Number(step), typeof interval === "number" ? interval : NaN);
      }
    },
    draw(run) {
      const charts: Record<string, string> = {};
      for (const [method, quantities] of methods) {
        const [suffix, by] = methods.size > 1 ? [`_${method}`, ` (${method})`] : ["", ""];
        for (const [name, measured] of quantities) {
          const quantity = QUANTITIES[name];
          const { values } = measured;
          const title = `${run}: ${quantity.title}${by}`;
          charts[`jacobian_${name}${suffix}.svg`] = lastChart(
            measured,
            `${title} at step ${values.last}`,
            quantity,
          );
          if (values.moves) charts[`jacobian_${name}${suffix}_steps.svg`] = values.sheet(title, quantity);
        }
      }
      return charts;
    },
  };
}
