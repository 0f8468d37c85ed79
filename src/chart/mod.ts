// The door of the charts: line charts as SVG documents, the chart of a run's loss, diagrams of graphs.

export { graphDiagram, type GraphDiagramOptions } from "./graph_diagram.ts";
export { CHART_COLOURS, type ChartAxis, type ChartSeries, type LineChart, lineChart } from "./line_chart.ts";
export { lossChart, type LossChartOptions } from "./loss_chart.ts";
export { thin, type Thinner, thinner } from "./thin.ts";
