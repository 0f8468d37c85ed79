// Line charts as SVG documents: Chart.js lays out and draws, svg_context.ts records. Colours, dashes and type are chosen
// for a page of a paper, in print without colour too.

import {
  BasicPlatform,
  Chart,
  type ChartConfiguration,
  type ChartItem,
  Legend,
  type LegendItem,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  type ScaleOptionsByType,
  Title,
} from "chart.js";
import { escapeXml, svgCanvas } from "./svg_context.ts";
import { parseFont, textWidth } from "./text_width.ts";
import { thin } from "./thin.ts";

/** One axis: its title, and whether it is logarithmic (values that are not positive are then left out). */
export interface ChartAxis {
  /** The title along the axis, with the unit. */
  label: string;
  /** Logarithmic in base 10. */
  log?: boolean;
}

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
  /** Pixels, 420 unless told. */
  height?: number;
}

/**
 * Eight colours for lines on white. Their lightness (CIE L*) is at least 7.5 apart pair by pair, so they differ as greys
 * and for colour-blind readers; those that stand next to each other in the list differ most.
 */
export const CHART_COLOURS: readonly string[] = [
  "#0057a8",
  "#dd6508",
  "#1a7f37",
  "#000000",
  "#eeb000",
  "#761a48",
  "#3fa7dd",
  "#3b0f6e",
];

const FAMILY = 'Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
const TEXT_COLOUR = "#222222";
const GRID_COLOUR = "#e4e4e4";
const AXIS_COLOUR = "#777777";
const MAX_POINTS = 1500;
const TITLE_SIZE = 15;
const TEXT_SIZE = 12;

/** 1000 as 1000, 20000 as 20,000, 3e6 as 3M; an axis that ends below 0.01 in powers of ten throughout. */
function tickLabel(value: number, largest: number): string {
  if (value === 0) return "0";
  const short = Number(value.toPrecision(6));
  if (largest < 0.01 || Math.abs(value) < 1e-4 || Math.abs(value) >= 1e9) {
    return short.toExponential().replace("e+", "e");
  }
  if (largest >= 1e6 && Math.abs(value) >= 1e5) return `${Number((value / 1e6).toPrecision(6))}M`;
  return largest >= 1e4 ? short.toLocaleString("en-US") : String(short);
}

/** The multiples of 1, 2 or 5 times a power of ten within [low, high], about six; of whole numbers only if `whole`. */
function linearTicks(low: number, high: number, whole: boolean): { value: number }[] {
  const raw = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(raw));
  let step = power * ([1, 2, 5].find((digit) => digit * power >= raw * 0.999) ?? 10);
  if (whole) step = Math.max(1, step);
  const ticks: { value: number }[] = [];
  for (let k = Math.ceil(low / step - 1e-6); k <= high / step + 1e-6; k++) {
    ticks.push({ value: Number((k * step).toPrecision(12)) });
  }
  return ticks;
}

/** Of a logarithmic axis's ticks the powers of ten, and 2 and 5 of each, or all digits, where it has few of them. */
function logTicks(ticks: { value: number }[]): { value: number }[] {
  const decades = Math.log10(ticks.at(-1)!.value / ticks[0].value);
  const digits = decades > 3 ? [1] : decades > 0.7 ? [1, 2, 5] : [1, 2, 3, 4, 5, 6, 7, 8, 9];
  const kept = ticks.filter(({ value }) => {
    const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
    return digits.some((round) => Math.abs(digit - round) < 1e-6);
  });
  return kept.length > 1 ? kept : ticks;
}

interface BuiltScale {
  min: number;
  max: number;
  ticks: { value: number }[];
}

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

function axisOptions(axis: ChartAxis, direction: "x" | "y", position: "bottom" | "left" | "right") {
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
        const largest = Math.max(...ticks.map((tick) => Math.abs(tick.value)));
        return tickLabel(Number(value), axis.log ? Number(value) : largest);
      },
    },
  };
}

/** The points as they are drawn: few enough, and null where the line breaks. */
function drawnPoints(series: ChartSeries, x: ChartAxis, y: ChartAxis, width: number) {
  let lastX: number | undefined;
  const drawable = (value: number, axis: ChartAxis) => Number.isFinite(value) && !(axis.log && value <= 0);
  const kept = series.points.map(([px, py]): [number, number] => {
    if (!drawable(px, x)) return [lastX ?? NaN, NaN];
    lastX = px;
    return [px, drawable(py, y) ? py : NaN];
  });
  return thin(kept.filter(([px]) => !Number.isNaN(px)), Math.min(2 * width, MAX_POINTS));
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
  return chart.series.map((series) => {
    const axis = series.axis ?? "y";
    const index = series.colour === undefined ? next++ : 0;
    const colour = series.colour ?? CHART_COLOURS[index % CHART_COLOURS.length];
    const points = drawnPoints(series, chart.x, chart[axis] ?? chart.y, width);
    const dash = series.dashed ? [6, 4] : index >= CHART_COLOURS.length ? [2, 2] : [];
    return {
      label: series.name,
      data: points.map(([px, py]) => ({ x: px, y: Number.isNaN(py) ? null : py })),
      yAxisID: axis,
      borderColor: colour,
      backgroundColor: colour,
      borderWidth: series.width ?? 1.5,
      borderDash: dash,
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

/** Lines of at most `width` pixels, broken at spaces. */
function wrap(text: string, width: number): string[] {
  const font = parseFont(`bold ${TITLE_SIZE}px sans-serif`);
  const lines = [""];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) === "" || textWidth(longer, font) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** FNV-1a in hexadecimal: ids of one chart differ from another's in the same page, and are the same in every run. */
function fingerprint(text: string): string {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193) >>> 0;
  return h.toString(16).padStart(8, "0");
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

function configuration(
  chart: LineChart,
  width: number,
  sets: ReturnType<typeof datasets>,
): ChartConfiguration<"line"> {
  const scales: Record<string, unknown> = {
    x: { ...axisOptions(chart.x, "x", "bottom"), ...(chart.x.log ? {} : fittedTo(horizontalRange(sets))) },
    y: axisOptions(chart.y, "y", "left"),
  };
  if (chart.y2) scales.y2 = axisOptions(chart.y2, "y", "right");
  return {
    type: "line",
    data: { datasets: sets as ChartConfiguration<"line">["data"]["datasets"] },
    platform: BasicPlatform,
    options: {
      animation: false,
      responsive: false,
      devicePixelRatio: 1,
      locale: "en-US",
      events: [],
      font: { family: FAMILY, size: TEXT_SIZE },
      layout: { padding: { left: 8, right: 14, top: 4, bottom: 6 } },
      scales: scales as Record<string, ScaleOptionsByType<"linear">>,
      plugins: {
        title: {
          display: chart.title !== "",
          text: wrap(chart.title, width - 40),
          color: TEXT_COLOUR,
          font: { size: TITLE_SIZE, weight: "bold" },
          padding: { top: 6, bottom: 2 },
        },
        legend: {
          position: "top",
          labels: {
            usePointStyle: true,
            pointStyleWidth: 28,
            padding: 12,
            generateLabels: () => legendItems(sets),
          },
        },
      },
    },
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
  const { width = 720, height = 420 } = chart;
  const lost = chart.series.find((series) => series.axis === "y2");
  if (lost && !chart.y2) {
    throw new Error(`Series "${lost.name}" is on the axis "y2", which the chart does not have.`);
  }
  Chart.register(LineController, LineElement, PointElement, LinearScale, LogarithmicScale, Legend, Title);
  const sets = datasets(chart, width);
  const canvas = svgCanvas(width, height, `clip-${fingerprint(JSON.stringify([chart.title, sets]))}-`);
  const drawn = new Chart(canvas as unknown as ChartItem, configuration(chart, width, sets));
  drawn.destroy();
  const title = escapeXml(chart.title);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img" font-family="${escapeXml(FAMILY)}">\n` +
    `<title>${title}</title>\n<rect width="${width}" height="${height}" fill="#ffffff"/>\n` +
    `${canvas.elements()}\n</svg>\n`;
}
