// Draws sheets of small panels as SVG documents. There is one panel per layer with one line per head, and all panels have
// the same axes, so that a page shows how the heads of a model differ.

import { maximum } from "../base/extremes.ts";
import { reportProgress } from "../base/progress.ts";
import { AXIS_COLOUR, GRID_COLOUR, lineStyle, svgDocument, TEXT_SIZE, TITLE_SIZE, wrap } from "./document.ts";
import type { LineStyle } from "./document.ts";
import type { ChartAxis } from "./frame.ts";
import type { ChartSeries } from "./line_chart.ts";
import {
  LABEL_SIZE,
  labelWidth,
  legendRows,
  lineHeight,
  num,
  text,
  texts,
  titleTexts,
} from "./sheet_text.ts";
import { thin } from "./downsample.ts";
import {
  isFlat,
  largestOf,
  linearTicks,
  logTicks,
  roundEnds,
  roundFlat,
  shareOf,
  tickLabel,
  within,
} from "./ticks.ts";

/** One panel of a sheet. */
export interface SheetPanel {
  /** The title above the panel, such as `layer 0`. */
  title: string;
  /** The lines of the panel. Lines with the same name have the same style in every panel. `axis` is ignored. */
  series: readonly ChartSeries[];
}

/** The data and options of {@link headSheet}. */
export interface HeadSheet {
  /** The title above the panels; long titles wrap. */
  title: string;
  /** The horizontal axis of every panel. */
  x: ChartAxis;
  /** The vertical axis of every panel. */
  y: ChartAxis;
  /** The panels, row by row. */
  panels: readonly SheetPanel[];
  /** Width in pixels. Default: 800. */
  width?: number;
}

const [MARGIN, GAP, PANEL_GAP] = [12, 6, 20];
/**
 * Maximum number of points of all lines together, so that the sheet of a deep model is not larger than that of a shallow
 * one.
 */
const ALL_POINTS = 7000;
/** Lines with at most this many points also have a dot at each point. */
const FEW = 12;

/**
 * The scale of an axis: `ticks` are its ticks, `place` returns the position of a value from 0 to 1, and `holds` returns
 * whether the axis can show a value.
 */
interface Scale {
  readonly ticks: readonly number[];
  readonly place: (value: number) => number;
  readonly holds: (value: number) => boolean;
}

/**
 * Returns the ends of a linear axis, which are within the limits: round numbers beyond the data or, if `fitted`, the ends
 * of the data.
 */
function linearEnds(
  low: number,
  high: number,
  { limits: [least, most] = [-Infinity, Infinity] }: ChartAxis,
  fitted: boolean,
): [number, number] {
  // Values beyond the limits are shown nevertheless.
  const limits = [Math.min(low, least), Math.max(high, most)] as const;
  if (fitted && low > 0 && low <= 0.05 * high) low = 0;
  if (isFlat(low, high)) [low, high] = within(roundFlat(low, high), limits);
  if (fitted) return [low, high];
  // A line at the edge of a panel would look like its border.
  return within(roundEnds(low, high), limits);
}

/** Returns the ends of a logarithmic axis, which are the ends of the data with a margin unless `fitted`. */
function logEnds(low: number, high: number, fitted: boolean): [number, number] {
  const room = low === high ? 2 : fitted ? 1 : 1.15;
  return [Math.max(Number.MIN_VALUE, low / room), Math.min(Number.MAX_VALUE, high * room)];
}

function scaleOf(axis: ChartAxis, values: Iterable<number>, fitted: boolean): Scale {
  const log = axis.log ?? false;
  const holds = (value: number) => Number.isFinite(value) && !(log && value <= 0);
  let [low, high, integers] = [Infinity, -Infinity, fitted];
  for (const value of values) {
    if (!holds(value)) continue;
    [low, high] = [Math.min(low, value), Math.max(high, value)];
    integers &&= Number.isInteger(value);
  }
  if (low > high) [low, high] = log ? [1, 10] : [0, 1];
  [low, high] = log ? logEnds(low, high, fitted) : linearEnds(low, high, axis, fitted);
  if (log) {
    const [from, to] = [Math.log(low), Math.log(high)];
    return { ticks: logTicks(low, high), place: (value) => shareOf(Math.log(value), from, to), holds };
  }
  const ticks = linearTicks(low, high, integers).map(({ value }) => value);
  return { ticks, place: (value) => shareOf(value, low, high), holds };
}

/** Returns the number of columns of a sheet with `count` panels. */
function columnsOf(count: number): number {
  if (count <= 3) return Math.max(1, count);
  return count === 4 ? 2 : count <= 9 ? 3 : 4;
}

/** The layout of the panels. `side` holds the lines of the vertical axis's title. */
type Grid = ReturnType<typeof gridOf>;

/** Maximum length in pixels of the title of the vertical axis, which is beside all rows of panels. */
const LONGEST_SIDE = 240;

function gridOf({ panels, y: axis }: HeadSheet, y: Scale, width: number, legendBottom: number) {
  const columns = columnsOf(panels.length);
  const labels = y.ticks.map((tick) => labelWidth(tickLabel(tick, axis.log ? tick : largestOf(y.ticks))));
  const side = wrap(axis.label, LONGEST_SIDE, { size: TEXT_SIZE, bold: false });
  const sideRoom = TEXT_SIZE + (side.length - 1) * lineHeight(TEXT_SIZE);
  const left = MARGIN + sideRoom + 2 * GAP + maximum(labels, 0);
  const across = (width - MARGIN - left + PANEL_GAP) / columns;
  const panel = { width: across - PANEL_GAP, height: columns === 1 ? 240 : columns === 2 ? 170 : 125 };
  const titles = panels.map(({ title }) => wrap(title, panel.width, { size: LABEL_SIZE, bold: true }));
  const titleRoom = LABEL_SIZE +
    (maximum(titles.map(({ length }) => length), 1) - 1) * lineHeight(LABEL_SIZE);
  const step = { x: across, y: panel.height + titleRoom + 2 * GAP + 8 };
  return { columns, left, top: legendBottom + titleRoom + 2 * GAP, panel, step, titles, side, sideRoom };
}

/**
 * Returns a line as a path in pixels, which is broken at missing values, and the positions of dots, such as those of
 * isolated points.
 */
function pathsOf(
  series: ChartSeries,
  x: Scale,
  y: Scale,
  most: number,
  at: (u: number, v: number) => string,
) {
  const points = thin(
    series.points.filter(([px]) => x.holds(px)).map(([px, py]): [number, number] => [
      px,
      y.holds(py) ? py : NaN,
    ]),
    most,
  );
  const few = points.length <= FEW;
  let line = "";
  const dots: string[] = [];
  const there = (i: number) => i >= 0 && i < points.length && !Number.isNaN(points[i][1]);
  points.forEach(([px, py], i) => {
    if (!there(i)) return;
    const place = at(x.place(px), y.place(py));
    if (there(i - 1)) line += ` ${place}`;
    else if (there(i + 1)) line += `M${place}`;
    if (series.markers || few || (!there(i - 1) && !there(i + 1))) dots.push(place);
  });
  return { line, dots };
}

/**
 * Maps each name to a line style, in the order in which the names first occur. The styles are distinct unless a series sets
 * its colour.
 */
function stylesOf(panels: readonly SheetPanel[]): Map<string, LineStyle & { width: number }> {
  const styles = new Map<string, LineStyle & { width: number }>();
  let next = 0;
  for (const { name, colour, dashed, width = 1.25 } of panels.flatMap(({ series }) => series)) {
    if (styles.has(name)) continue;
    const style = colour === undefined ? lineStyle(next++) : { colour, dash: [] };
    styles.set(name, { colour: style.colour, dash: dashed ? [6, 4] : style.dash, width });
  }
  return styles;
}

const strokeOf = ({ colour, dash, width }: LineStyle & { width: number }): string =>
  `fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round"` +
  (dash.length ? ` stroke-dasharray="${dash.join(",")}"` : "");

/** Draws the axes of a panel, which are labelled only at the left and the bottom of the sheet. */
function drawAxes(index: number, count: number, sheet: HeadSheet, x: Scale, y: Scale, grid: Grid): string[] {
  const { columns, panel: { width, height } } = grid;
  const lines = [
    ...y.ticks.map((tick) => `M0,${num(height * (1 - y.place(tick)))}h${num(width)}`),
    ...x.ticks.map((tick) => `M${num(width * x.place(tick))},0v${num(height)}`),
  ];
  const label = (tick: number, axis: ChartAxis, ticks: readonly number[]) =>
    tickLabel(tick, axis.log ? tick : largestOf(ticks));
  const yLabels = index % columns
    ? []
    : y.ticks.map((tick) =>
      text(-GAP, height * (1 - y.place(tick)) + LABEL_SIZE * 0.36, label(tick, sheet.y, y.ticks), {
        anchor: "end",
      })
    );
  const shown = x.ticks.map((tick) => label(tick, sheet.x, x.ticks));
  const widest = maximum(shown.map(labelWidth), 0);
  const apart = x.ticks.length > 1 ? width * (x.place(x.ticks[1]) - x.place(x.ticks[0])) : Infinity;
  const every = Math.ceil((widest + GAP) / apart);
  const xLabels = index + columns < count ? [] : x.ticks.flatMap((tick, i) => {
    if (i % every) return [];
    // A label at the right edge must not overlap the next panel's first label.
    const place = Math.min(width * x.place(tick), width + GAP - labelWidth(shown[i]) / 2);
    return [text(place, height + GAP + LABEL_SIZE * 0.8, shown[i])];
  });
  return [
    `<path d="${lines.join("")}" stroke="${GRID_COLOUR}" fill="none"/>`,
    `<rect width="${num(width)}" height="${num(height)}" fill="none" stroke="${AXIS_COLOUR}"/>`,
    ...yLabels,
    ...xLabels,
  ];
}

/** Draws a panel with its title, axes and lines; the first line is on top. */
function drawPanel(
  index: number,
  sheet: HeadSheet,
  { x, y }: { x: Scale; y: Scale },
  grid: Grid,
  styles: ReturnType<typeof stylesOf>,
): string {
  const { columns, left, top, panel: { width, height }, step, titles: { [index]: titles } } = grid;
  const { series } = sheet.panels[index];
  const lines = sheet.panels.reduce((sum, panel) => sum + panel.series.length, 0);
  const most = Math.min(Math.floor(2 * width), Math.max(40, Math.floor(ALL_POINTS / Math.max(1, lines))));
  const at = (u: number, v: number) => `${num(u * width)},${num((1 - v) * height)}`;
  const drawn = series.toReversed().flatMap((one) => {
    const style = styles.get(one.name)!;
    const { line, dots } = pathsOf(one, x, y, most, at);
    const discs = dots.map((place) => {
      const [cx, cy] = place.split(",");
      return `<circle cx="${cx}" cy="${cy}" r="2" fill="${style.colour}"/>`;
    });
    return [...(line ? [`<path d="${line}" ${strokeOf(style)}/>`] : []), ...discs];
  });
  const move = `translate(${num(left + (index % columns) * step.x)} ` +
    `${num(top + Math.floor(index / columns) * step.y)})`;
  return [
    `<g transform="${move}">`,
    ...drawAxes(index, sheet.panels.length, sheet, x, y, grid),
    ...titles.map((line, n) =>
      text(0, -GAP - (titles.length - 1 - n) * lineHeight(LABEL_SIZE), line, { anchor: "start", bold: true })
    ),
    ...drawn,
    "</g>",
  ].join("\n");
}

/**
 * Returns a sheet of small line charts as an SVG document with real text. There is one panel per layer with one line per
 * head; all panels share their axes and the legend above them. Equal sheets give equal bytes. Lines are downsampled, and
 * their extremes are kept.
 *
 * @example
 * ```ts
 * import { headSheet } from "./mod.ts";
 * const svg = headSheet({
 *   title: "Entropy",
 *   x: { label: "step" },
 *   y: { label: "entropy (nats)" },
 *   panels: [{ title: "layer 0", series: [{ name: "head 0", points: [[1, 3.2], [2, 3.1]] }] }],
 * });
 * ```
 */
export function headSheet(sheet: HeadSheet): string {
  reportProgress({ what: `drawing ${sheet.title}` });
  const { title, panels, width = 800 } = sheet;
  const points = panels.flatMap(({ series }) => series).flatMap((series) => series.points);
  const scales = {
    x: scaleOf(sheet.x, points.map(([px]) => px), true),
    y: scaleOf(sheet.y, points.map(([, py]) => py), false),
  };
  const titles = wrap(title, width - 2 * MARGIN).filter(Boolean);
  const styles = stylesOf(panels);
  const legend = legendRows([...styles.keys()], width - 2 * MARGIN);
  const legendTop = MARGIN + titles.length * (TITLE_SIZE + 4) + GAP;
  const grid = gridOf(sheet, scales.y, width, legendTop + legend.height);
  const bottom = grid.top + (Math.max(1, Math.ceil(panels.length / grid.columns)) - 1) * grid.step.y +
    grid.panel.height;
  const below = wrap(sheet.x.label, width - grid.left - MARGIN, { size: TEXT_SIZE, bold: false });
  const belowRoom = TEXT_SIZE + (below.length - 1) * lineHeight(TEXT_SIZE);
  const height = Math.ceil(bottom + LABEL_SIZE + 3 * GAP + belowRoom + MARGIN);
  // An axis title longer than the height of the panels extends upwards beside the legend, not out of the sheet.
  const side = Math.max((grid.top + bottom) / 2, MARGIN + LONGEST_SIDE / 2);
  const elements = [
    ...titleTexts(titles, width, MARGIN, TITLE_SIZE),
    ...legend.entries.flatMap(({ name, lines, at, middle }) => [
      `<path d="M${num(MARGIN + at)},${num(legendTop + middle)}h22" ${strokeOf(styles.get(name)!)}/>`,
      ...texts(MARGIN + at + 26, legendTop + middle, lines, { anchor: "start" }),
    ]),
    ...panels.map((_, index) => drawPanel(index, sheet, scales, grid, styles)),
    ...texts((grid.left + width - MARGIN) / 2, height - MARGIN - belowRoom / 2 + 0.14 * TEXT_SIZE, below, {
      size: TEXT_SIZE,
    }),
    ...texts(MARGIN + grid.sideRoom / 2 - 0.06 * TEXT_SIZE, side, grid.side, {
      size: TEXT_SIZE,
      turned: true,
    }),
  ];
  return svgDocument(width, height, title, elements.join("\n"));
}
