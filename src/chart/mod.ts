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

export { type BarChart, barChart, type BarSeries } from "./bar_chart.ts";
export { graphDiagram, type GraphDiagramOptions } from "./graph_diagram.ts";
export { type HeadSheet, headSheet, type SheetPanel } from "./line_panels.ts";
export { headsCharts } from "./heads_chart.ts";
export { type HeatMap, heatMap } from "./heat_map.ts";
export { jacobianCharts } from "./jacobian_chart.ts";
export { CHART_COLOURS, type ChartAxis, type ChartSeries, type LineChart, lineChart } from "./line_chart.ts";
export { type LogCharts } from "./log_charts.ts";
export { type MapPanel, type MapSheet, mapSheet } from "./map_panels.ts";
export { lossChart, type LossChartOptions } from "./loss_chart.ts";
export { metricChart, type MetricChartOptions } from "./metric_chart.ts";
export { type ChartedRun, type ProgressUnit, progressUnit, type StatChoice } from "./metric_lines.ts";
export { normsCharts } from "./norms_chart.ts";
export { type ResultsChart, resultsChart } from "./results_chart.ts";
export { runCharts } from "./run_charts.ts";
export { thin, type Thinner, thinner } from "./downsample.ts";
export { type ReportOptions, runReport } from "./report.ts";
