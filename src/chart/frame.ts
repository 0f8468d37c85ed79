// The common Chart.js options of heed's charts: no animation, no events, one font, a title and a legend above the plot, and
// axes with a few ticks at round values, for data anywhere in the range of float64.

import { maximum, minimum } from "../base/extremes.ts";
import { Chart, type ChartConfiguration, type ChartItem, type ScaleOptionsByType } from "./chart_js.ts";
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
import { type LegendEntry, legendHeight } from "./legend_box.ts";
import { lineHeight } from "./sheet_text.ts";
import { svgCanvas } from "./svg_context.ts";
import { isFlat, largestOf, linearTicks, logTicks, roundFlat, tickLabel, unitOf, within } from "./ticks.ts";

/** An axis of a chart. */
export interface ChartAxis {
  /** The title along the axis, with the unit. */
  label: string;
  /** Whether the axis is logarithmic, in base 10; values that are not positive are then left out. Default: false. */
  log?: boolean;
  /**
   * The range of possible values, such as 0 to 1 for a probability: the axis and the error bars (confidence intervals) are
   * cut off at its ends. Default: none.
   */
  limits?: readonly [low: number, high: number];
}

/** A Chart.js scale after its ticks are built. */
export interface BuiltScale {
  min: number;
  max: number;
  ticks: { value: number; label?: string | string[] }[];
}

/**
 * Maps values to numbers that Chart.js can draw (it fails at 1e-320 and 1e308): takes their logarithms, or divides them by
 * a power of ten.
 */
export interface Measure {
  /** Returns the number to draw for a value; NaN if the axis cannot show the value. */
  readonly drawn: (value: number) => number;
  /** The inverse function of `drawn`. */
  readonly value: (drawn: number) => number;
}

export function measureOf({ log }: ChartAxis, values: Iterable<number>): Measure {
  if (log) {
    return { drawn: (value) => value > 0 ? Math.log10(value) : NaN, value: (drawn) => 10 ** drawn };
  }
  const unit = unitOf(largestOf([...values].filter(Number.isFinite)));
  return { drawn: (value) => value / unit, value: (drawn) => drawn * unit };
}

/** Returns the ends of a logarithmic axis as exponents of 10, with a margin unless the axis is `fitted` to the data. */
function logEnds(values: readonly number[], fitted: boolean): [low: number, high: number] {
  const [low, high] = [minimum(values), maximum(values)];
  if (low > high) return [0, 1];
  const room = low === high ? Math.log10(2) : fitted ? 0 : Math.log10(1.15);
  return [low - room, high + room];
}

function extent(axis: ChartAxis, measure: Measure, [low, high]: readonly [number, number], fitted: boolean) {
  if (axis.log) {
    const [min, max] = logEnds(low > high ? [] : [low, high], fitted);
    const ticks = logTicks(Math.max(Number.MIN_VALUE, 10 ** min), Math.min(Number.MAX_VALUE, 10 ** max));
    return {
      min,
      max,
      afterBuildTicks: (scale: BuiltScale) =>
        void (scale.ticks = ticks.map((value) => ({
          value: Math.log10(value),
          label: tickLabel(value, value),
        }))),
    };
  }
  // Values beyond the limits are shown nevertheless.
  const limits: [number, number] | undefined = axis.limits &&
    [Math.min(low, measure.drawn(axis.limits[0])), Math.max(high, measure.drawn(axis.limits[1]))];
  // Chart.js would magnify the rounding errors of a flat line.
  const [min, max] = low < high && isFlat(low, high) && !fitted ? within(roundFlat(low, high), limits) : [];
  const clamp = (scale: BuiltScale) => void ([scale.min, scale.max] = within([scale.min, scale.max], limits));
  return { ...(min === undefined ? {} : { min, max }), ...(limits ? { afterDataLimits: clamp } : {}) };
}

/** Position and data range of an axis. */
export interface AxisPlace {
  readonly direction: "x" | "y";
  readonly position: "bottom" | "left" | "right";
  /** Minimum and maximum of the drawn numbers; low > high if there are none. */
  readonly ends: readonly [low: number, high: number];
  readonly measure: Measure;
  /** Maximum length of the title along the axis, in pixels. */
  readonly room: number;
}

export function axisOptions(axis: ChartAxis, { direction, position, ends, measure, room }: AxisPlace) {
  const title = wrap(axis.label, room, { size: 13, bold: false });
  return {
    type: "linear",
    axis: direction,
    position,
    title: { display: axis.label !== "", text: title, color: TEXT_COLOUR, font: { size: 13 } },
    border: { color: AXIS_COLOUR },
    ...extent(axis, measure, ends, direction === "x"),
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
      callback(drawn: number | string, index: number, ticks: BuiltScale["ticks"]) {
        if (axis.log) return ticks[index].label;
        const values = ticks.map((tick) => measure.value(tick.value));
        const value = measure.value(Number(drawn));
        return Number.isFinite(value) ? tickLabel(value, largestOf(values.filter(Number.isFinite))) : "";
      },
    },
  };
}

/**
 * Returns the options of a linear axis that runs from the lowest value (or from 0 if that is close) to the highest; if all
 * values are the same integer n, the axis runs from n - 1 to n + 1.
 */
export function fittedTo([low, high]: readonly [number, number], integers: boolean) {
  if (low > high || (low === high && !integers)) return {};
  const afterBuildTicks = (scale: BuiltScale) =>
    void (scale.ticks = linearTicks(scale.min, scale.max, integers));
  if (low === high) return { min: low - 1, max: low + 1, afterBuildTicks };
  return { bounds: "data", ...(low > 0 && low <= 0.05 * high ? { min: 0 } : {}), afterBuildTicks };
}

const PADDING = { left: 8, right: 14, top: 4, bottom: 6 };
const titleLines = (title: string, width: number): string[] => wrap(title, width - 40);

/** Returns the extra height in pixels for a title of more than two lines and a legend of more than two rows. */
export function moreHeight(title: string, legend: readonly LegendEntry[], width: number): number {
  const rows = legendHeight(legend, width - PADDING.left - PADDING.right);
  const lines = titleLines(title, width).length;
  return Math.max(0, rows - 58) + Math.max(0, lines - 2) * lineHeight(TITLE_SIZE);
}

/** Returns the Chart.js options of a chart with this title, width and scales. */
export function frameOptions(title: string, width: number, scales: Readonly<Record<string, unknown>>) {
  return {
    animation: false as const,
    responsive: false,
    devicePixelRatio: 1,
    locale: "en-US",
    events: [],
    font: { family: FAMILY, size: TEXT_SIZE },
    layout: { padding: PADDING },
    scales: scales as Record<string, ScaleOptionsByType<"linear">>,
    plugins: {
      title: {
        display: title !== "",
        text: titleLines(title, width),
        color: TEXT_COLOUR,
        font: { size: TITLE_SIZE, weight: "bold" as const },
        padding: { top: 6, bottom: 2 },
      },
    },
  };
}

/** Draws a chart with Chart.js into an SVG document; the ids in the document are derived from `title` and `shown`. */
export function drawChart<Kind extends "line" | "bar">(
  configuration: ChartConfiguration<Kind>,
  { title, width, height, shown }: { title: string; width: number; height: number; shown: unknown },
): string {
  const canvas = svgCanvas(width, height, `clip-${fingerprint(JSON.stringify([title, shown]))}-`);
  new Chart(canvas as unknown as ChartItem, configuration).destroy();
  return svgDocument(width, height, title, canvas.elements());
}
