// The door of the tracking room: selectors, statistics of a step, captures.
export { captureCharts } from "./capture_charts.ts";
export * from "./selectors.ts";
export type { StatColumn, StatisticsPlan, StatisticsTable } from "./step_statistics.ts";
