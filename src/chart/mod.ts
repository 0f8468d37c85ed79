/**
 * Charts as SVG documents: lines, bars, maps and sheets, the charts of a run, and diagrams of graphs.
 *
 * @example
 * ```ts
 * import { lineChart } from "./mod.ts";
 * const series = [{ name: "train", points: [[1, 3], [2, 2]] as const }];
 * const svg = lineChart({ title: "Loss", x: { label: "step" }, y: { label: "nats per token" }, series });
 * ```
 *
 * @module
 */

export * from "./bar_chart.ts";
export * from "./graph_diagram.ts";
export * from "./line_panels.ts";
export { headsCharts } from "./heads_chart.ts";
export * from "./heat_map.ts";
export * from "./jacobian_chart.ts";
export * from "./line_chart.ts";
export * from "./log_charts.ts";
export * from "./map_panels.ts";
export * from "./loss_chart.ts";
export { metricChart, type MetricChartOptions } from "./metric_chart.ts";
export { type ChartedRun, type ProgressUnit, progressUnit, type StatChoice } from "./metric_lines.ts";
export * from "./norms_chart.ts";
export * from "./results_chart.ts";
export * from "./run_charts.ts";
export * from "./downsample.ts";
export * from "./report.ts";
