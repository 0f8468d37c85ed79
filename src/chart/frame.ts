// Chart.js as every chart of heed's has it: no animation, no events, one font, a title and a legend above the plot, axes
// with few and round ticks.

import { maximum } from "../extremes.ts";
import {
  Chart,
  type ChartConfiguration,
  type ChartItem,
  type LegendItem,
  type ScaleOptionsByType,
} from "chart.js";
import {
  AXIS_COLOUR,
  FAMILY,
  fingerprint,
  GRID_COLOUR,
  svgDocument,
  TEXT_COLOUR,
  TEXT_SIZE,
  TITLE_SIZE,
  wrap,
} from "./document.ts";
import { svgCanvas } from "./svg_context.ts";
import { logTicks, tickLabel } from "./ticks.ts";

/** One axis: its title, and whether it is logarithmic (values that are not positive are then left out). */
export interface ChartAxis {
  /** The title along the axis, with the unit. */
  label: string;
  /** Logarithmic in base 10. */
  log?: boolean;
}

/** A scale as Chart.js hands it over once its ticks are made. */
export interface BuiltScale {
  min: number;
  max: number;
  ticks: { value: number }[];
}

/** The options of one axis. */
export function axisOptions(axis: ChartAxis, direction: "x" | "y", position: "bottom" | "left" | "right") {
  return {
    type: axis.log ? "logarithmic" : "linear",
    axis: direction,
    position,
    ...(axis.log && direction === "x" ? { bounds: "data" } : {}),
    title: { display: axis.label !== "", text: axis.label, color: TEXT_COLOUR, font: { size: 13 } },
    border: { color: AXIS_COLOUR },
    ...(axis.log
      ? { afterBuildTicks: (scale: BuiltScale) => void (scale.ticks = logTicks(scale.ticks)) }
      : {}),
    grid: {
      color: GRID_COLOUR,
      tickColor: AXIS_COLOUR,
      tickLength: 5,
      drawOnChartArea: position !== "right",
    },
    ticks: {
      color: TEXT_COLOUR,
      maxRotation: 0,
      autoSkipPadding: 12,
      autoSkip: !axis.log || direction === "x",
      ...(position === "right" ? { maxTicksLimit: 7 } : {}),
      callback(value: number | string, _index: number, ticks: { value: number }[]) {
        const largest = maximum(ticks.map((tick) => Math.abs(tick.value)));
        return tickLabel(Number(value), axis.log ? Number(value) : largest);
      },
    },
  };
}

/** What {@link frameOptions} puts round the plot. */
export interface Frame {
  readonly title: string;
  /** Of the chart, in pixels. */
  readonly width: number;
  readonly scales: Readonly<Record<string, unknown>>;
  readonly legend: () => LegendItem[];
  /** Pixels of a mark in the legend. */
  readonly markWidth: number;
}

/** The options of a chart: quiet, with its title, its legend above the plot and its scales. */
export function frameOptions({ title, width, scales, legend, markWidth }: Frame) {
  return {
    animation: false as const,
    responsive: false,
    devicePixelRatio: 1,
    locale: "en-US",
    events: [],
    font: { family: FAMILY, size: TEXT_SIZE },
    layout: { padding: { left: 8, right: 14, top: 4, bottom: 6 } },
    scales: scales as Record<string, ScaleOptionsByType<"linear">>,
    plugins: {
      title: {
        display: title !== "",
        text: wrap(title, width - 40),
        color: TEXT_COLOUR,
        font: { size: TITLE_SIZE, weight: "bold" as const },
        padding: { top: 6, bottom: 2 },
      },
      legend: {
        position: "top" as const,
        labels: { usePointStyle: true, pointStyleWidth: markWidth, padding: 12, generateLabels: legend },
      },
    },
  };
}

/** Draws a chart with Chart.js into an SVG document; what it shows tells its ids from another's. */
export function drawChart<Kind extends "line" | "bar">(
  configuration: ChartConfiguration<Kind>,
  { title, width, height, shown }: { title: string; width: number; height: number; shown: unknown },
): string {
  const canvas = svgCanvas(width, height, `clip-${fingerprint(JSON.stringify([title, shown]))}-`);
  new Chart(canvas as unknown as ChartItem, configuration).destroy();
  return svgDocument(width, height, title, canvas.elements());
}
