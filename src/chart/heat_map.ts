// Heat maps as SVG documents: a matrix in colours with its labels, its numbers where they fit, and a colour bar. Drawn
// here and not by Chart.js, whose legend knows no colour scale.

import { maximum } from "../extremes.ts";
import { reportProgress } from "../progress.ts";
import { cellPaths, hatchedCells, hatchPattern, HEAT_COLOURS, heatLevel, lightness } from "./colour_scale.ts";
import { AXIS_COLOUR, fingerprint, svgDocument, TEXT_SIZE, TITLE_SIZE, wrap } from "./document.ts";
import { LABEL_SIZE, labelWidth, labelWithGap, num, text, titleTexts, withBlanks } from "./sheet_text.ts";
import { isFlat, linearTicks, tickLabel } from "./ticks.ts";

/** What {@link heatMap} draws. */
export interface HeatMap {
  /** Above the matrix; long ones are broken into lines. */
  title: string;
  /** Labels of the rows from top to bottom: layers, or the tokens of the queries. */
  rows: readonly string[];
  /** Labels of the columns from left to right: heads, or the tokens of the keys. */
  columns: readonly string[];
  /** One list for each row with one number for each column; one that is not finite is hatched. */
  values: readonly ArrayLike<number>[];
  /** What the rows are, along the left. */
  y: { label: string };
  /** What the columns are, below. */
  x: { label: string };
  /** What the numbers are, with the unit, along the colour bar. */
  value: { label: string };
  /** The numbers of the palest and the darkest colour; the least (0 where that is near) and greatest unless told. */
  range?: readonly [number, number];
}

const SPAN = 560;
const LARGEST_CELL = 52;
const LEAST_WIDTH = 440;
const [MARGIN, GAP, BAR_WIDTH, BAR_LEAST] = [12, 6, 14, 150];
const LONGEST_LABEL = 170;

/** A label as it is drawn: blanks are seen, and a long one loses its middle. */
function shownLabel(label: string): string {
  let characters = [...withBlanks(label)];
  const width = () => labelWidth(characters.join(""));
  while (width() > LONGEST_LABEL) {
    const middle = Math.floor(characters.length / 2);
    characters = [...characters.slice(0, middle - 1), "…", ...characters.slice(middle + 1)];
  }
  return characters.join("");
}

/** Colours from `low` to `high`: as told, else over what is finite, from 0 where that is near. */
function rangeOf({ values, range }: HeatMap): [low: number, high: number] {
  if (range) return [...range];
  let [low, high] = [Infinity, -Infinity];
  for (const row of values) {
    for (let j = 0; j < row.length; j++) {
      if (!Number.isFinite(row[j])) continue;
      low = Math.min(low, row[j]);
      high = Math.max(high, row[j]);
    }
  }
  if (low > high) return [0, 1];
  if (low >= 0 && low < 0.3 * high) low = 0;
  if (!isFlat(low, high)) return [low, high];
  return low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, low)];
}

/** Numbers with as many decimals as show three digits of the largest; zero as 0. */
function numberFormat(largest: number, whole: boolean): (value: number) => string {
  if (largest > 0 && (largest < 1e-3 || largest >= 1e5)) {
    return (value) => value === 0 ? "0" : value.toExponential(1).replace("e+", "e");
  }
  const decimals = whole || largest === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(largest)));
  // What rounds to zero has no sign.
  return (value) => value === 0 ? "0" : value.toFixed(decimals).replace(/^-(?=[0.]+$)/, "");
}

/** Every k-th label, k of 1, 2, 5, 10, 20, ..., so that none is nearer to the next than `least` pixels. */
function everyKth(count: number, cell: number, least: number): number {
  for (let power = 1;; power *= 10) {
    for (const digit of [1, 2, 5]) {
      if (digit * power * cell >= least || digit * power >= count) return digit * power;
    }
  }
}

const areNumbers = (labels: readonly string[]): boolean => labels.every((label) => /^-?[\d.]+$/.test(label));

const NO_VALUE = "no value";

const hasGaps = ({ values }: HeatMap): boolean =>
  values.some((row) => Array.from(row).some((value) => !Number.isFinite(value)));

/** Where everything stands. */
interface Layout {
  readonly titles: readonly string[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly cell: { readonly width: number; readonly height: number };
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Every how many-th row and column has its label, and whether those of the columns are turned. */
  readonly everyRow: number;
  readonly everyColumn: number;
  readonly turned: boolean;
  /** What columns and rows are, and which of them have their label. */
  readonly x: string;
  readonly y: string;
  /** Pixels of the longest label of rows, of columns as they stand, and of the colour bar. */
  readonly rowRoom: number;
  readonly columnRoom: number;
  readonly tickRoom: number;
  readonly bar: { readonly x: number; readonly y: number; readonly height: number };
  readonly ticks: readonly { readonly value: number; readonly label: string }[];
  readonly width: number;
  readonly height: number;
}

function layOut(map: HeatMap, [low, high]: readonly [number, number]): Layout {
  const [rows, columns] = [map.rows.map(shownLabel), map.columns.map(shownLabel)];
  const longest = (labels: readonly string[]) => maximum(labels.map((label) => labelWidth(label)), 0);
  const size = (count: number) => Math.min(LARGEST_CELL, SPAN / Math.max(1, count));
  const cell = { width: size(columns.length), height: size(rows.length) };
  const [rowRoom, widest] = [longest(rows), longest(columns)];
  const turned = !areNumbers(columns) && widest + GAP > cell.width;
  const everyRow = everyKth(rows.length, cell.height, LABEL_SIZE + 1);
  const everyColumn = everyKth(columns.length, cell.width, turned ? LABEL_SIZE + 1 : widest + GAP);
  const [x, y] = [labelWithGap(map.x.label, columns, everyColumn), labelWithGap(map.y.label, rows, everyRow)];
  const columnRoom = turned ? widest : LABEL_SIZE;
  const marks = linearTicks(low, high, false).map(({ value }) => value);
  const ticks = marks.map((value) => ({
    value,
    label: tickLabel(value, maximum(marks.map(Math.abs))),
  }));
  const tickRoom = longest([...ticks.map(({ label }) => label), ...(hasGaps(map) ? [NO_VALUE] : [])]);
  const before = MARGIN + (y ? TEXT_SIZE + GAP : 0) + rowRoom + GAP;
  const beside = BAR_WIDTH + GAP + tickRoom + (map.value.label ? GAP + TEXT_SIZE : 0) + MARGIN;
  const needed = before + cell.width * columns.length + 2 * MARGIN + beside;
  const width = Math.ceil(Math.max(needed, LEAST_WIDTH));
  const left = before + (width - needed) / 2;
  const right = left + cell.width * columns.length;
  const titles = wrap(map.title, width - 2 * MARGIN).filter(Boolean);
  const top = MARGIN + titles.length * (TITLE_SIZE + 4) + 2 * GAP;
  const matrix = cell.height * rows.length;
  const barHeight = Math.max(matrix, BAR_LEAST, 1.1 * labelWidth(map.value.label));
  const bottom = top + matrix;
  const below = bottom + GAP + columnRoom + (x ? GAP + TEXT_SIZE + 4 : 0);
  const barBelow = top + barHeight + 2 * GAP + LABEL_SIZE;
  return {
    titles,
    rows,
    columns,
    cell,
    left,
    top,
    right,
    bottom,
    everyRow,
    everyColumn,
    turned,
    x,
    y,
    rowRoom,
    columnRoom,
    tickRoom,
    bar: { x: right + 2 * MARGIN, y: top, height: barHeight },
    ticks,
    width,
    height: Math.ceil(Math.max(below, barBelow) + MARGIN),
  };
}

/** The cells as strokes a cell high, neighbours of one colour joined; first those that are hatched. */
function drawCells(
  { values }: HeatMap,
  { left, top, cell }: Layout,
  range: readonly [number, number],
  hatch: string,
): string[] {
  const paths = cellPaths(values, range);
  const scale = `translate(${num(left)} ${num(top + cell.height / 2)}) ` +
    `scale(${Number(cell.width.toFixed(4))} ${Number(cell.height.toFixed(4))})`;
  const drawn = [...paths].map(([level, path]) =>
    `<path d="${path}" stroke="${level < 0 ? "#dddddd" : HEAT_COLOURS[level]}"/>`
  );
  const cells = [
    `<g transform="${scale}" fill="none" stroke-width="1" shape-rendering="crispEdges">`,
    ...drawn,
    "</g>",
  ];
  if (!paths.has(-1)) return cells;
  return [...cells, hatchedCells(paths.get(-1)!, { left, top, ...cell }, hatch)];
}

/** The numbers, where the longest fits in a cell. */
function drawNumbers(
  { values }: HeatMap,
  { left, top, cell, columns }: Layout,
  range: readonly [number, number],
) {
  if (cell.height < LABEL_SIZE + 3) return [];
  const finite = values.flatMap((row) => Array.from(row).filter(Number.isFinite));
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const format = numberFormat(largest, finite.every(Number.isInteger));
  const longest = finite.reduce((most, value) => Math.max(most, labelWidth(format(value))), 0);
  if (longest > cell.width - 3) return [];
  return values.flatMap((row, i) =>
    columns.flatMap((_, j) => {
      if (!Number.isFinite(row[j])) return [];
      const dark = lightness(HEAT_COLOURS[heatLevel(row[j], ...range)]) < 50;
      const [x, y] = [left + (j + 0.5) * cell.width, top + (i + 0.5) * cell.height + LABEL_SIZE * 0.36];
      return [text(x, y, format(row[j]), { colour: dark ? "#ffffff" : "#000000" })];
    })
  );
}

/** Labels and titles of rows and columns. */
function drawLabels(at: Layout): string[] {
  const { x, y, left, top, bottom, right, cell, columnRoom } = at;
  const shift = LABEL_SIZE * 0.36;
  const rows = at.rows.flatMap((label, i) =>
    i % at.everyRow ? [] : [text(left - GAP, top + (i + 0.5) * cell.height + shift, label, { anchor: "end" })]
  );
  const columns = at.columns.flatMap((label, j) => {
    if (j % at.everyColumn) return [];
    const middle = left + (j + 0.5) * cell.width;
    return [
      at.turned
        ? text(middle + shift, bottom + GAP, label, { anchor: "end", turned: true })
        : text(middle, bottom + GAP + LABEL_SIZE * 0.8, label),
    ];
  });
  const under = bottom + GAP + columnRoom + GAP + TEXT_SIZE;
  const beside = left - GAP - at.rowRoom - GAP;
  return [
    ...rows,
    ...columns,
    ...(x ? [text((left + right) / 2, under, x, { size: TEXT_SIZE })] : []),
    ...(y ? [text(beside, (top + bottom) / 2, y, { size: TEXT_SIZE, turned: true })] : []),
  ];
}

/** The colour bar with its ticks and title, and what is hatched. */
function drawBar(map: HeatMap, at: Layout, [low, high]: readonly [number, number], hatch: string): string[] {
  const { x, y, height } = at.bar;
  const level = height / HEAT_COLOURS.length;
  const colours = HEAT_COLOURS.map((colour, n) =>
    `<rect x="${num(x)}" y="${num(y + height - (n + 1) * level)}" width="${BAR_WIDTH}" ` +
    `height="${num(level + 0.5)}" fill="${colour}" shape-rendering="crispEdges"/>`
  );
  const ticks = at.ticks.flatMap(({ value, label }) => {
    const place = y + height * (1 - (value - low) / (high - low));
    return [
      `<path d="M${num(x + BAR_WIDTH)},${num(place)}h4" stroke="${AXIS_COLOUR}"/>`,
      text(x + BAR_WIDTH + GAP, place + LABEL_SIZE * 0.36, label, { anchor: "start" }),
    ];
  });
  const edge = x + BAR_WIDTH + GAP + at.tickRoom + GAP + TEXT_SIZE;
  const title = map.value.label
    ? [text(edge, y + height / 2, map.value.label, { size: TEXT_SIZE, turned: true })]
    : [];
  const swatch = y + height + GAP;
  const gaps = hasGaps(map)
    ? [
      `<rect x="${num(x)}" y="${
        num(swatch)
      }" width="${BAR_WIDTH}" height="${LABEL_SIZE}" fill="url(#${hatch})"/>`,
      text(x + BAR_WIDTH + GAP, swatch + LABEL_SIZE * 0.86, NO_VALUE, { anchor: "start" }),
    ]
    : [];
  return [...colours, ...ticks, ...title, ...gaps];
}

/**
 * A matrix in colours as an SVG document with real text: labels of rows and columns (blanks of a token shown as ␣ ↵ ⇥),
 * the numbers in the cells where they fit, a colour bar with ticks. Darker is more; the order of the colours holds in
 * grey too. Equal maps give equal bytes.
 *
 * @throws Error where the values have not one row for each label of a row, and one number for each of a column
 *
 * @example
 * ```ts
 * import { heatMap } from "../../mod.ts";
 * const svg = heatMap({
 *   title: "Attention to the first token",
 *   rows: ["0", "1"],
 *   columns: ["0", "1", "2"],
 *   values: [[0.1, 0.5, 0.9], [0.2, 0.3, NaN]],
 *   y: { label: "layer" },
 *   x: { label: "head" },
 *   value: { label: "sink" },
 * });
 * ```
 */
export function heatMap(map: HeatMap): string {
  reportProgress({ what: `drawing ${map.title}` });
  const { title, rows, columns, values } = map;
  if (values.length !== rows.length || values.some((row) => row.length !== columns.length)) {
    throw new Error(
      `A heat map of ${rows.length} x ${columns.length} labels has ${values.length} rows of ` +
        `${values.map((row) => row.length).join(", ")} numbers.`,
    );
  }
  const range = rangeOf(map);
  const at = layOut(map, range);
  const hatch = `hatch-${fingerprint(JSON.stringify([title, rows, columns, range]))}`;
  const border = `<rect x="${num(at.left)}" y="${num(at.top)}" width="${num(at.right - at.left)}" ` +
    `height="${num(at.bottom - at.top)}" fill="none" stroke="${AXIS_COLOUR}"/>`;
  const elements = [
    hatchPattern(hatch),
    ...titleTexts(at.titles, at.width, MARGIN, TITLE_SIZE),
    ...drawCells(map, at, range, hatch),
    ...drawNumbers(map, at, range),
    border,
    ...drawLabels(at),
    ...drawBar(map, at, range, hatch),
  ];
  return svgDocument(at.width, at.height, title, elements.join("\n"));
}
