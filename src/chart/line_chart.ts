// Line charts as SVG documents: Chart.js lays out and draws, svg_context.ts records. Colours, dashes and type are chosen
// for a page of a paper, in print without colour too.

import {
  BasicPlatform,
  Chart,
  type ChartConfiguration,
  Legend,
  type LegendItem,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  Title,
} from "chart.js";
import { reportProgress } from "../progress.ts";
import { lineStyle, TEXT_COLOUR, TEXT_SIZE } from "./document.ts";
import { axisOptions, type BuiltScale, type ChartAxis, drawChart, frameOptions } from "./frame.ts";
import { parseFont, textWidth } from "./text_width.ts";
import { thin } from "./thin.ts";
import { isFlat, linearTicks, roundFlat } from "./ticks.ts";

export { CHART_COLOURS } from "./document.ts";
export type { ChartAxis } from "./frame.ts";

/** One line of a chart. */
export interface ChartSeries {
  /** Its name in the legend. */
  name: string;
  /** Its points (x, y) in order; one that is not finite breaks the line. */
  points: readonly (readonly [number, number])[];
  /** The axis its y belongs to, `y` unless told. */
  axis?: "y" | "y2";
  /** Draws dashes. */
  dashed?: boolean;
  /** Draws a disc at each point too. */
  markers?: boolean;
  /** Width of the line in pixels, 1.5 unless told. */
  width?: number;
  /** A colour in place of the next of {@link CHART_COLOURS}. */
  colour?: string;
}

/** What {@link lineChart} draws. */
export interface LineChart {
  /** Above the plot; long ones are broken into lines. */
  title: string;
  /** The horizontal axis. */
  x: ChartAxis;
  /** The vertical axis on the left. */
  y: ChartAxis;
  /** The vertical axis on the right, for the series whose `axis` is `y2`. */
  y2?: ChartAxis;
  /** The lines, the first drawn on top. */
  series: readonly ChartSeries[];
  /** Pixels, 720 unless told. */
  width?: number;
  /** Pixels; unless told 420, and more where the legend takes more than two rows. */
  height?: number;
}

const MARK_WIDTH = 28;
const MAX_POINTS = 1500;
/** Of all lines of a chart together, so that twenty-four of them are no larger a file than four. */
const ALL_POINTS = 6000;

interface HorizontalRange {
  low: number;
  high: number;
  whole: boolean;
}

/** A linear axis that ends with its data, and begins with 0 where that is near. */
function fittedTo({ low, high, whole }: HorizontalRange) {
  if (low >= high) return {};
  return {
    bounds: "data",
    ...(low > 0 && low <= 0.05 * high ? { min: 0 } : {}),
    afterBuildTicks: (scale: BuiltScale) => void (scale.ticks = linearTicks(scale.min, scale.max, whole)),
  };
}

/** The points as they are drawn: few enough, and null where the line breaks. */
function drawnPoints(series: ChartSeries, x: ChartAxis, y: ChartAxis, most: number) {
  let lastX: number | undefined;
  const drawable = (value: number, axis: ChartAxis) => Number.isFinite(value) && !(axis.log && value <= 0);
  const kept = series.points.map(([px, py]): [number, number] => {
    if (!drawable(px, x)) return [lastX ?? NaN, NaN];
    lastX = px;
    return [px, drawable(py, y) ? py : NaN];
  });
  return thin(kept.filter(([px]) => !Number.isNaN(px)), most);
}

/** A point that no line reaches is drawn as a dot, or it would not be seen. */
function radii(points: readonly (readonly [number, number])[], series: ChartSeries): number[] {
  const there = (i: number) => i >= 0 && i < points.length && !Number.isNaN(points[i][1]);
  return points.map((_, i) => {
    if (series.markers) return 3;
    return there(i) && !there(i - 1) && !there(i + 1) ? 2 : 0;
  });
}

function datasets(chart: LineChart, width: number) {
  let next = 0;
  const most = Math.min(2 * width, MAX_POINTS, Math.max(200, Math.floor(ALL_POINTS / chart.series.length)));
  return chart.series.map((series) => {
    const axis = series.axis ?? "y";
    const index = series.colour === undefined ? next++ : 0;
    const style = lineStyle(index);
    const colour = series.colour ?? style.colour;
    const points = drawnPoints(series, chart.x, chart[axis] ?? chart.y, most);
    const dash = series.dashed ? [6, 4] : [...style.dash];
    return {
      label: series.name,
      data: points.map(([px, py]) => ({ x: px, y: Number.isNaN(py) ? null : py })),
      yAxisID: axis,
      borderColor: colour,
      backgroundColor: colour,
      borderWidth: series.width ?? 1.5,
      borderDash: dash,
      // A dashed line on the second axis would be lost under a noisy one on the first.
      ...(axis === "y2" && series.dashed ? { order: -1 } : {}),
      borderJoinStyle: "round",
      pointRadius: radii(points, series),
      pointBorderWidth: 0,
      // Chart.js would thin the line once more, into steps; this mark of its own tells it that it has been done.
      _decimated: true,
    };
  });
}

/** The least and the greatest x, and whether all of them are whole numbers. */
function horizontalRange(sets: ReturnType<typeof datasets>): HorizontalRange {
  const range = { low: Infinity, high: -Infinity, whole: true };
  for (const { x } of sets.flatMap((set) => set.data)) {
    range.low = Math.min(range.low, x);
    range.high = Math.max(range.high, x);
    range.whole &&= Number.isInteger(x);
  }
  return range;
}

/** Chart.js would show each series as its first point is drawn, which has neither the line's width nor its dashes. */
function legendItems(sets: ReturnType<typeof datasets>): LegendItem[] {
  return sets.map((set, datasetIndex) => ({
    text: set.label,
    datasetIndex,
    fontColor: TEXT_COLOUR,
    strokeStyle: set.borderColor,
    fillStyle: set.borderColor,
    lineWidth: Math.max(1.25, set.borderWidth),
    lineDash: set.borderDash,
    pointStyle: "line",
  }));
}

/** The ends of a linear axis whose lines are flat but for rounding, which Chart.js would blow up. */
function roomForFlat(sets: ReturnType<typeof datasets>, id: string, { log }: ChartAxis) {
  let [low, high] = [Infinity, -Infinity];
  for (const { y } of sets.filter(({ yAxisID }) => yAxisID === id).flatMap(({ data }) => data)) {
    if (y !== null) [low, high] = [Math.min(low, y), Math.max(high, y)];
  }
  if (log || low === high || !isFlat(low, high)) return {};
  const [min, max] = roundFlat(low, high);
  return { min, max };
}

/** About how many rows the legend takes, as Chart.js fills them. */
function legendRowsOf({ series }: LineChart, width: number): number {
  let [rows, taken] = [1, 0];
  for (const { name } of series) {
    const entry = MARK_WIDTH + textWidth(name, parseFont(`${TEXT_SIZE}px sans-serif`)) + 18;
    if (taken > 0 && taken + entry > width - 34) [rows, taken] = [rows + 1, 0];
    taken += entry;
  }
  return rows;
}

function configuration(
  chart: LineChart,
  width: number,
  sets: ReturnType<typeof datasets>,
): ChartConfiguration<"line"> {
  const scales: Record<string, unknown> = {
    x: { ...axisOptions(chart.x, "x", "bottom"), ...(chart.x.log ? {} : fittedTo(horizontalRange(sets))) },
    y: { ...axisOptions(chart.y, "y", "left"), ...roomForFlat(sets, "y", chart.y) },
  };
  if (chart.y2) {
    scales.y2 = { ...axisOptions(chart.y2, "y", "right"), ...roomForFlat(sets, "y2", chart.y2) };
  }
  return {
    type: "line",
    data: { datasets: sets as ChartConfiguration<"line">["data"]["datasets"] },
    platform: BasicPlatform,
    options: frameOptions({
      title: chart.title,
      width,
      scales,
      legend: () => legendItems(sets),
      markWidth: MARK_WIDTH,
    }),
  };
}

/**
 * A line chart as an SVG document with real text: title, axis titles, a legend above the plot, light grid. Equal charts
 * give equal bytes. Each line is thinned to two points a pixel with its extremes kept ({@link thin}).
 *
 * @throws Error where a series asks for the axis `y2` and the chart has none
 *
 * @example
 * ```ts
 * import { lineChart } from "./line_chart.ts";
 * const svg = lineChart({
 *   title: "Loss",
 *   x: { label: "step" },
 *   y: { label: "loss (nats)" },
 *   series: [{ name: "train", points: [[1, 4.2], [2, 3.9], [3, 3.7]] }],
 * });
 * ```
 */
export function lineChart(chart: LineChart): string {
  reportProgress({ what: `drawing ${chart.title}` });
  const { width = 720 } = chart;
  const height = chart.height ?? 420 + 24 * Math.max(0, legendRowsOf(chart, width) - 2);
  const lost = chart.series.find((series) => series.axis === "y2");
  if (lost && !chart.y2) {
    throw new Error(`Series "${lost.name}" is on the axis "y2", which the chart does not have.`);
  }
  Chart.register(LineController, LineElement, PointElement, LinearScale, LogarithmicScale, Legend, Title);
  const sets = datasets(chart, width);
  return drawChart(configuration(chart, width, sets), { title: chart.title, width, height, shown: sets });
}
