// Chart.js, and its version: the one place that names the package.
export * from "npm:chart.js@4.6.1";
