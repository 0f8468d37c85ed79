// Draws line charts as SVG documents. Chart.js lays them out and draws them, and svg_context.ts records the drawing.
// Colours, dashes and fonts are suitable for a page of a paper, even in greyscale.

import {
  BasicPlatform,
  Chart,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Title,
} from "./chart_js.ts";
import type { ChartConfiguration, Plugin } from "./chart_js.ts";
import { reportProgress } from "../base/progress.ts";
import { lineStyle } from "./document.ts";
import { axisOptions, drawChart, fittedTo, frameOptions, measureOf, moreHeight } from "./frame.ts";
import type { ChartAxis, Measure } from "./frame.ts";
import { legendBox, type LegendEntry } from "./legend_box.ts";
import { thin } from "./downsample.ts";

export { CHART_COLOURS } from "./document.ts";
export type { ChartAxis } from "./frame.ts";

/** One line of a chart. */
export interface ChartSeries {
  /** The name of the line in the legend. */
  name: string;
  /** The points (x, y) of the line in order; a point that is not finite breaks the line. */
  points: readonly (readonly [number, number])[];
  /** The vertical axis of the line. Default: `y`. */
  axis?: "y" | "y2";
  /** Whether the line is dashed. Default: false. */
  dashed?: boolean;
  /** Whether to also draw a disc at each point. Default: false. */
  markers?: boolean;
  /** Width of the line in pixels. Default: 1.5. */
  width?: number;
  /** The colour of the line. Default: the next of {@link CHART_COLOURS}. */
  colour?: string;
}

/** The data and options of {@link lineChart}. */
export interface LineChart {
  /** The title above the plot; long titles wrap. */
  title: string;
  /** The horizontal axis. */
  x: ChartAxis;
  /** The vertical axis on the left. */
  y: ChartAxis;
  /** The vertical axis on the right, for the series whose `axis` is `y2`. */
  y2?: ChartAxis;
  /** The lines, the first drawn on top. */
  series: readonly ChartSeries[];
  /** Width in pixels. Default: 720. */
  width?: number;
  /** Height in pixels. Default: 420, and more if the legend takes more than two rows or the title more than two lines. */
  height?: number;
}

const MAX_POINTS = 1500;
/** Maximum number of points of all lines together, so that a chart of 24 lines is no larger than one of four. */
const ALL_POINTS = 6000;

/** For each axis, the mapping of its values to numbers that Chart.js can draw. */
type Measures = Readonly<Record<"x" | "y" | "y2", Measure>>;

const axisOf = ({ axis = "y" }: ChartSeries): "y" | "y2" => axis;

function measuresOf({ x, y, y2 = y, series }: LineChart): Measures {
  const of = (axis: ChartAxis, lines: readonly ChartSeries[], n: 0 | 1) =>
    measureOf(axis, lines.flatMap(({ points }) => points.map((point) => point[n])));
  const on = (name: "y" | "y2") => series.filter((one) => axisOf(one) === name);
  return { x: of(x, series, 0), y: of(y, on("y"), 1), y2: of(y2, on("y2"), 1) };
}

/** Returns the points to draw. They are downsampled, and have NaN where the line breaks. */
function drawnPoints(series: ChartSeries, measures: Measures, most: number) {
  let lastX: number | undefined;
  const kept = series.points.map(([px, py]): [number, number] => {
    const [x, y] = [measures.x.drawn(px), measures[axisOf(series)].drawn(py)];
    if (!Number.isFinite(x)) return [lastX ?? NaN, NaN];
    lastX = x;
    return [x, Number.isFinite(y) ? y : NaN];
  });
  return thin(kept.filter(([px]) => !Number.isNaN(px)), most);
}

/**
 * Returns the radius in pixels of the disc at each point. An isolated point, which no line connects to another, gets a
 * small disc so that it is visible.
 */
function radii(points: readonly (readonly [number, number])[], series: ChartSeries): number[] {
  const there = (i: number) => i >= 0 && i < points.length && !Number.isNaN(points[i][1]);
  return points.map((_, i) => {
    if (series.markers) return 3;
    return there(i) && !there(i - 1) && !there(i + 1) ? 2 : 0;
  });
}

function datasets(chart: LineChart, measures: Measures, width: number) {
  let next = 0;
  const most = Math.min(2 * width, MAX_POINTS, Math.max(200, Math.floor(ALL_POINTS / chart.series.length)));
  return chart.series.map((series) => {
    const axis = axisOf(series);
    const index = series.colour === undefined ? next++ : 0;
    const style = lineStyle(index);
    const colour = series.colour ?? style.colour;
    const points = drawnPoints(series, measures, most);
    const dash = series.dashed ? [6, 4] : [...style.dash];
    return {
      label: series.name,
      data: points.map(([px, py]) => ({ x: px, y: Number.isNaN(py) ? null : py })),
      yAxisID: axis,
      borderColor: colour,
      backgroundColor: colour,
      borderWidth: series.width ?? 1.5,
      borderDash: dash,
      // A dashed line on the second axis is drawn on top, because a noisy line on the first axis would hide it.
      ...(axis === "y2" && series.dashed ? { order: -1 } : {}),
      borderJoinStyle: "round",
      pointRadius: radii(points, series),
      pointBorderWidth: 0,
      // Chart.js would downsample the line again, into steps; its internal flag prevents that.
      _decimated: true,
    };
  });
}

type DataSets = ReturnType<typeof datasets>;

function endsOf(sets: DataSets, axis: "x" | "y" | "y2"): [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const { data } of sets.filter(({ yAxisID }) => axis === "x" || yAxisID === axis)) {
    for (const point of data) {
      const value = axis === "x" ? point.x : point.y;
      if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
  }
  return [low, high];
}

const legendOf = (sets: DataSets): LegendEntry[] =>
  sets.map(({ label, borderColor, borderWidth, borderDash }) => ({
    name: label,
    mark: "line",
    colour: borderColor,
    width: Math.max(1.25, borderWidth),
    dash: borderDash,
  }));

function scalesOf(chart: LineChart, measures: Measures, sets: DataSets, width: number) {
  const scale = (name: "x" | "y" | "y2", axis: ChartAxis, position: "bottom" | "left" | "right") =>
    axisOptions(axis, {
      direction: name === "x" ? "x" : "y",
      position,
      ends: endsOf(sets, name),
      measure: measures[name],
      room: name === "x" ? width - 160 : 300,
    });
  const integers = sets.every(({ data }) => data.every(({ x }) => Number.isInteger(measures.x.value(x))));
  return {
    x: { ...scale("x", chart.x, "bottom"), ...(chart.x.log ? {} : fittedTo(endsOf(sets, "x"), integers)) },
    y: scale("y", chart.y, "left"),
    ...(chart.y2 ? { y2: scale("y2", chart.y2, "right") } : {}),
  };
}

/**
 * Returns a line chart as an SVG document with real text. It has a title, axis titles, a legend above the plot and a light
 * grid. Equal charts give equal bytes. Each line is downsampled to at most two points per pixel, and its extremes are kept
 * ({@link thin}).
 *
 * @throws Error if a series is on the axis `y2` and the chart has none
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
 * @category Charts
 */
export function lineChart(chart: LineChart): string {
  reportProgress({ what: `drawing ${chart.title}` });
  const { title, width = 720 } = chart;
  const unplaced = chart.series.find((series) => series.axis === "y2");
  if (unplaced && !chart.y2) {
    throw new Error(`Series "${unplaced.name}" is on the axis "y2", which the chart does not have.`);
  }
  Chart.register(LineController, LineElement, PointElement, LinearScale, Title);
  const measures = measuresOf(chart);
  const sets = datasets(chart, measures, width);
  const legend = legendOf(sets);
  const height = chart.height ?? 420 + moreHeight(title, legend, width);
  const configuration: ChartConfiguration<"line"> = {
    type: "line",
    data: { datasets: sets as ChartConfiguration<"line">["data"]["datasets"] },
    platform: BasicPlatform,
    plugins: [legendBox(legend) as Plugin<"line">],
    options: frameOptions(title, width, scalesOf(chart, measures, sets, width)),
  };
  return drawChart(configuration, { title, width, height, shown: sets });
}
