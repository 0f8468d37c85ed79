// Draws charts of grouped bars with 95% intervals as SVG documents. They compare single values, such as one value per layer
// and head, or one per method.

import { maximum, minimum } from "../base/extremes.ts";
import {
  BarController,
  BarElement,
  BasicPlatform,
  CategoryScale,
  Chart,
  LinearScale,
  Title,
} from "./chart_js.ts";
import type { ChartConfiguration, Plugin } from "./chart_js.ts";
import { reportProgress } from "../base/progress.ts";
import { AXIS_COLOUR, barColour, GRID_COLOUR, TEXT_COLOUR, TEXT_SIZE, wrap } from "./document.ts";
import { axisOptions, drawChart, frameOptions, measureOf, moreHeight } from "./frame.ts";
import type { BuiltScale, ChartAxis, Measure } from "./frame.ts";
import { drawCross, legendBox, type LegendEntry } from "./legend_box.ts";
import type { SvgContext } from "./svg_context.ts";
import { countUp, labelWithGap, lineHeight } from "./sheet_text.ts";
import { parseFont, textWidth } from "./text_width.ts";
import { linearTicks, roundEnds, within } from "./ticks.ts";

/** A series of bars in one colour, with one bar per group. */
export interface BarSeries {
  /** The name of the series in the legend. */
  name: string;
  /** The value of the series in each group; a value that is not finite is drawn as a cross. */
  values: readonly number[];
  /** Half widths of the intervals, in the unit of the values; those that are 0 or not finite are not drawn. */
  intervals?: readonly number[];
  /**
   * The colour of the bars. Default: the next of {@link CHART_COLOURS}, which are mixed half with white for the ninth to
   * the sixteenth series.
   */
  colour?: string;
}

/** The data and options of {@link barChart}. */
export interface BarChart {
  /** The title above the plot; long titles wrap. */
  title: string;
  /** The horizontal axis, with a label for the groups. */
  x: { label: string };
  /** The vertical axis, with a label for the bars and their unit. Its range includes 0; intervals are cut at its limits. */
  y: Pick<ChartAxis, "label" | "limits">;
  /** Name of the intervals in the legend. Default: `95% interval`. */
  interval?: string;
  /** Names of the groups, from left to right. */
  groups: readonly string[];
  /** The bars; those of one group are side by side. */
  series: readonly BarSeries[];
  /** Width in pixels. Default: 720. */
  width?: number;
  /** Height in pixels. Default: 420, and more if the legend or the names of the groups need it. */
  height?: number;
}

const WHISKER_WIDTH = 7;

const hasInterval = ({ values, intervals }: BarSeries, i: number): boolean =>
  Number.isFinite(values[i]) && Number.isFinite(intervals?.[i]) && intervals![i] > 0;

function intervalOf({ y }: BarChart, { values, intervals }: BarSeries, i: number) {
  return within([values[i] - intervals![i], values[i] + intervals![i]], y.limits);
}

/** Returns a plugin that draws the intervals over the bars, and a cross for each missing value. */
function whiskers(chart: BarChart, measure: Measure): Plugin<"bar"> {
  return {
    id: "whiskers",
    afterDatasetsDraw(drawn) {
      const context = drawn.ctx as unknown as SvgContext;
      const { y } = drawn.scales;
      context.setLineDash([]);
      chart.series.forEach((one, n) => {
        drawn.getDatasetMeta(n).data.forEach(({ x }, i) => {
          if (!Number.isFinite(one.values[i])) drawCross(context, x, y.getPixelForValue(0) - 6, TEXT_COLOUR);
          if (!hasInterval(one, i)) return;
          const [low, high] = intervalOf(chart, one, i).map((end) => y.getPixelForValue(measure.drawn(end)));
          const side = Math.min(WHISKER_WIDTH, barWidth(drawn.getDatasetMeta(n).data[i])) / 2;
          context.beginPath();
          context.moveTo(x, low);
          context.lineTo(x, high);
          for (const end of [low, high]) {
            context.moveTo(x - side, end);
            context.lineTo(x + side, end);
          }
          // The interval is drawn on a white outline, so that it is visible in a dark bar.
          for (const [colour, width] of [["#ffffff", 3], [TEXT_COLOUR, 1.25]] as const) {
            [context.strokeStyle, context.lineWidth] = [colour, width];
            context.stroke();
          }
        });
      });
    },
  };
}

const barWidth = (bar: unknown): number => (bar as { width?: number }).width ?? WHISKER_WIDTH;

/** Returns all numbers that the vertical axis has to include: 0, the values and the ends of their intervals. */
function heights(chart: BarChart): number[] {
  return [
    0,
    ...chart.series.flatMap((one) =>
      one.values.flatMap((value, i) => {
        if (!Number.isFinite(value)) return [];
        return hasInterval(one, i) ? [value, ...intervalOf(chart, one, i)] : [value];
      })
    ),
  ];
}

function legendOf({ series, interval = "95% interval" }: BarChart, colours: readonly string[]) {
  const entries = series.map(({ name }, n): LegendEntry => ({ name, mark: "bar", colour: colours[n] }));
  const drawn = series.some((one) => one.values.some((_, i) => hasInterval(one, i)));
  const missing = series.some(({ values }) => values.some((value) => !Number.isFinite(value)));
  if (drawn) entries.push({ name: interval, mark: "interval", colour: TEXT_COLOUR });
  if (missing) entries.push({ name: "no value", mark: "cross", colour: TEXT_COLOUR });
  return entries;
}

/**
 * Three sizes in pixels: the width of the axis and the margins, the minimum width of a group for horizontal names, and the
 * maximum line length of rotated names.
 */
const [ASIDE, LEAST_LEVEL, LONGEST_TURNED] = [90, 80, 220];

/** Breaks the name below each group into lines. The names are horizontal if the groups are wide enough, otherwise rotated. */
function groupLabels(groups: readonly string[], width: number) {
  const each = (width - ASIDE) / Math.max(1, groups.length);
  const font = parseFont(`${TEXT_SIZE}px sans-serif`);
  const inLine = { size: TEXT_SIZE, bold: false };
  const widest = (lines: readonly string[]) => maximum(lines.map((line) => textWidth(line, font)), 0);
  const level = each >= LEAST_LEVEL || groups.every((name) => textWidth(name, font) <= each - 4);
  const every = level || countUp(groups) ? 1 : Math.ceil((lineHeight(TEXT_SIZE) + 1) / each);
  const most = Math.max(1, Math.floor(each / lineHeight(TEXT_SIZE)));
  const lines = groups.map((name, n) => {
    if (n % every) return [""];
    if (level) return wrap(name, each - 6, inLine);
    const shortest = Math.max(60, 1.1 * textWidth(name, font) / most);
    return wrap(name, Math.min(LONGEST_TURNED, shortest), inLine);
  });
  const room = level
    ? maximum(lines.map(({ length }) => length), 0) * lineHeight(TEXT_SIZE)
    : widest(lines.flat());
  // Chart.js starts the lines of a rotated name at the middle of its group.
  const offset = level ? 0 : -(maximum(lines.map(({ length }) => length), 1) - 1) * lineHeight(TEXT_SIZE) / 2;
  return { lines, every, rotation: level ? 0 : 90, room, offset };
}

function roundedTo(range: readonly [number, number], limits?: readonly [number, number]) {
  const [low, high] = range[0] === range[1] ? [0, 1] : range;
  const inner = limits && [Math.min(limits[0], low), Math.max(limits[1], high)] as const;
  const [min, max] = within(roundEnds(low, high, 10), inner);
  return {
    min,
    max,
    afterBuildTicks: (scale: BuiltScale) => void (scale.ticks = linearTicks(min, max, false, 10)),
  };
}

function scalesOf(chart: BarChart, measure: Measure, groups: ReturnType<typeof groupLabels>, width: number) {
  const ends = heights(chart).map(measure.drawn);
  const range: [number, number] = [minimum(ends), maximum(ends)];
  const at = { measure, ends: range };
  const label = labelWithGap(chart.x.label, chart.groups, groups.every);
  const x = axisOptions({ ...chart.x, label }, {
    ...at,
    direction: "x",
    position: "bottom",
    room: width - 160,
  });
  const y = axisOptions(chart.y, { ...at, direction: "y", position: "left", room: 300 });
  return {
    x: {
      ...x,
      type: "category",
      grid: { ...x.grid, display: false },
      ticks: {
        color: TEXT_COLOUR,
        minRotation: groups.rotation,
        maxRotation: groups.rotation,
        labelOffset: groups.offset,
        autoSkip: countUp(chart.groups),
        autoSkipPadding: 4,
      },
    },
    y: {
      ...y,
      // The ends are round numbers, so that 0 is a tick.
      ...roundedTo(range, chart.y.limits?.map(measure.drawn) as [number, number] | undefined),
      grid: {
        ...y.grid,
        color: ({ tick }: { tick?: { value: number } }) => tick?.value === 0 ? AXIS_COLOUR : GRID_COLOUR,
      },
    },
  };
}

/**
 * Returns a chart of grouped bars as an SVG document with real text. Intervals are whiskers over the bars, cut at the
 * limits of the axis and named in the legend. Equal charts give equal bytes.
 *
 * @throws Error if a series does not have one value per group
 *
 * @example
 * ```ts
 * import { barChart } from "../../mod.ts";
 * const svg = barChart({
 *   title: "Share of the diagonal",
 *   x: { label: "layer" },
 *   y: { label: "r_diag" },
 *   groups: ["0", "1"],
 *   series: [{ name: "head 0", values: [0.8, 0.6], intervals: [0.02, 0.05] }],
 * });
 * ```
 * @category Charts
 */
export function barChart(chart: BarChart): string {
  reportProgress({ what: `drawing ${chart.title}` });
  const { title, groups, series, width = 720 } = chart;
  for (const { name, values } of series) {
    if (values.length !== groups.length) {
      throw new Error(`Series "${name}" has ${values.length} values for ${groups.length} groups.`);
    }
  }
  Chart.register(BarController, BarElement, CategoryScale, LinearScale, Title);
  const measure = measureOf(chart.y, heights(chart));
  const colours = series.map(({ colour }, n) => colour ?? barColour(n));
  const sets = series.map(({ name, values }, n) => ({
    label: name,
    data: values.map((value) => Number.isFinite(value) ? measure.drawn(value) : null),
    backgroundColor: colours[n],
    borderColor: TEXT_COLOUR,
    borderWidth: 0.5,
    maxBarThickness: 40,
    categoryPercentage: 0.82,
    barPercentage: 0.92,
  }));
  const [legend, labels] = [legendOf(chart, colours), groupLabels(groups, width)];
  const height = chart.height ?? 420 + moreHeight(title, legend, width) + Math.max(0, labels.room - 60);
  const configuration: ChartConfiguration<"bar"> = {
    type: "bar",
    // Chart.js supports multi-line labels, but its types do not.
    data: {
      labels: labels.lines as unknown as string[],
      datasets: sets as ChartConfiguration<"bar">["data"]["datasets"],
    },
    platform: BasicPlatform,
    plugins: [legendBox(legend) as Plugin<"bar">, whiskers(chart, measure)],
    options: frameOptions(title, width, scalesOf(chart, measure, labels, width)),
  };
  return drawChart(configuration, { title, width, height: Math.ceil(height), shown: [groups, series] });
}
