// Grouped bars with 95% intervals as SVG documents, for numbers that are compared once: by layer and head, by method.

import {
  BarController,
  BarElement,
  BasicPlatform,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  type LegendItem,
  LinearScale,
  type Plugin,
  Title,
} from "chart.js";
import { reportProgress } from "../progress.ts";
import { AXIS_COLOUR, CHART_COLOURS, GRID_COLOUR, TEXT_COLOUR } from "./document.ts";
import { axisOptions, drawChart, frameOptions } from "./frame.ts";
import { countUp, labelWithGap } from "./sheet_text.ts";

/** The bars of one colour: one in each group. */
export interface BarSeries {
  /** Its name in the legend. */
  name: string;
  /** Its value in each group; one that is not finite has no bar. */
  values: readonly number[];
  /** Half widths of the 95% intervals, in the unit of the values; one that is not finite or 0 is not drawn. */
  intervals?: readonly number[];
  /** A colour in place of the next of {@link CHART_COLOURS}. */
  colour?: string;
}

/** What {@link barChart} draws. */
export interface BarChart {
  /** Above the plot; long ones are broken into lines. */
  title: string;
  /** The horizontal axis: what the groups are. */
  x: { label: string };
  /** The vertical axis: what the bars are, with the unit; it contains 0. */
  y: { label: string };
  /** Names of the groups, from left to right. */
  groups: readonly string[];
  /** What stands side by side in each group. */
  series: readonly BarSeries[];
  /** Pixels, 720 unless told. */
  width?: number;
  /** Pixels, 420 unless told. */
  height?: number;
}

/** The part of a canvas that whiskers are drawn with. */
interface Strokes {
  strokeStyle: unknown;
  lineWidth: number;
  setLineDash(lengths: number[]): void;
  beginPath(): void;
  moveTo(x: number, y: number): void;
  lineTo(x: number, y: number): void;
  stroke(): void;
}

const WHISKER_WIDTH = 7;

const hasInterval = ({ values, intervals }: BarSeries, i: number): boolean =>
  Number.isFinite(values[i]) && Number.isFinite(intervals?.[i]) && intervals![i] > 0;

/** Draws the intervals over the bars. */
function whiskers(series: readonly BarSeries[]): Plugin<"bar"> {
  return {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const context = chart.ctx as unknown as Strokes;
      const { y } = chart.scales;
      context.setLineDash([]);
      series.forEach((one, n) => {
        chart.getDatasetMeta(n).data.forEach(({ x }, i) => {
          if (!hasInterval(one, i)) return;
          const half = one.intervals![i];
          const [low, high] = [one.values[i] - half, one.values[i] + half].map((v) => y.getPixelForValue(v));
          const side = Math.min(WHISKER_WIDTH, barWidth(chart.getDatasetMeta(n).data[i])) / 2;
          context.beginPath();
          context.moveTo(x, low);
          context.lineTo(x, high);
          for (const end of [low, high]) {
            context.moveTo(x - side, end);
            context.lineTo(x + side, end);
          }
          // On white first, or it would not be seen in a dark bar.
          for (const [colour, width] of [["#ffffff", 3], [TEXT_COLOUR, 1.25]] as const) {
            [context.strokeStyle, context.lineWidth] = [colour, width];
            context.stroke();
          }
        });
      });
    },
  };
}

/** Pixels that a turned label of a group takes, and those beside the bars. */
const [LABEL_ROOM, SIDES] = [15, 120];

const barWidth = (bar: unknown): number => (bar as { width?: number }).width ?? WHISKER_WIDTH;

/** The least and the greatest that the vertical axis must hold. */
function verticalRange(series: readonly BarSeries[]): { suggestedMin: number; suggestedMax: number } {
  const range = { suggestedMin: 0, suggestedMax: 0 };
  for (const one of series) {
    one.values.forEach((value, i) => {
      if (!Number.isFinite(value)) return;
      const half = hasInterval(one, i) ? one.intervals![i] : 0;
      range.suggestedMin = Math.min(range.suggestedMin, value - half);
      range.suggestedMax = Math.max(range.suggestedMax, value + half);
    });
  }
  return range;
}

function legendItems(sets: readonly { label: string; backgroundColor: string }[]): LegendItem[] {
  return sets.map(({ label, backgroundColor }, datasetIndex) => ({
    text: label,
    datasetIndex,
    fontColor: TEXT_COLOUR,
    fillStyle: backgroundColor,
    strokeStyle: TEXT_COLOUR,
    lineWidth: 0.5,
    pointStyle: "rect",
  }));
}

/**
 * A chart of grouped bars as an SVG document with real text; 95% intervals are whiskers over the bars. Equal charts give
 * equal bytes.
 *
 * @throws Error where a series has not one value for each group
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
 */
export function barChart(chart: BarChart): string {
  reportProgress({ what: `drawing ${chart.title}` });
  const { title, groups, series, width = 720, height = 420 } = chart;
  for (const { name, values } of series) {
    if (values.length !== groups.length) {
      throw new Error(`Series "${name}" has ${values.length} values for ${groups.length} groups.`);
    }
  }
  Chart.register(BarController, BarElement, CategoryScale, LinearScale, Legend, Title);
  const sets = series.map(({ name, values, colour }, n) => ({
    label: name,
    data: values.map((value) => Number.isFinite(value) ? value : null),
    backgroundColor: colour ?? CHART_COLOURS[n % CHART_COLOURS.length],
    borderColor: TEXT_COLOUR,
    borderWidth: 0.5,
    maxBarThickness: 40,
    categoryPercentage: 0.82,
    barPercentage: 0.92,
  }));
  const every = countUp(groups) ? 1 : Math.max(1, Math.ceil(groups.length * LABEL_ROOM / (width - SIDES)));
  const labels = groups.map((group, i) => i % every === 0 ? group : "");
  const label = labelWithGap(chart.x.label, groups, every);
  const [x, y] = [axisOptions({ ...chart.x, label }, "x", "bottom"), axisOptions(chart.y, "y", "left")];
  const configuration: ChartConfiguration<"bar"> = {
    type: "bar",
    data: { labels, datasets: sets as ChartConfiguration<"bar">["data"]["datasets"] },
    platform: BasicPlatform,
    plugins: [whiskers(series)],
    options: frameOptions({
      title,
      width,
      scales: {
        x: {
          ...x,
          type: "category",
          grid: { ...x.grid, display: false },
          ticks: { color: TEXT_COLOUR, maxRotation: 90, autoSkip: countUp(groups), autoSkipPadding: 4 },
        },
        y: {
          ...y,
          ...verticalRange(series),
          grid: {
            ...y.grid,
            color: ({ tick }: { tick?: { value: number } }) => tick?.value === 0 ? AXIS_COLOUR : GRID_COLOUR,
          },
        },
      },
      legend: () => legendItems(sets),
      markWidth: 12,
    }),
  };
  return drawChart(configuration, { title, width, height, shown: [groups, series] });
}
