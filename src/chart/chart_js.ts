// Re-exports Chart.js. No other file names the package and its version.
export * from "npm:chart.js@4.6.1";
