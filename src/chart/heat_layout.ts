// Computes the layout of a heat map: the positions of the matrix, the labels and the colour bar.

import { maximum } from "../base/extremes.ts";
import type { ColourScale } from "./colour_scale.ts";
import { TEXT_SIZE, TITLE_SIZE, wrap } from "./document.ts";
import { LABEL_SIZE, labelWidth, labelWithGap, lineHeight, shortened, withBlanks } from "./sheet_text.ts";
import { largestOf, linearTicks, tickLabel } from "./ticks.ts";

/** The data and options of `heatMap`. */
export interface HeatMap {
  /** The title above the matrix; long titles wrap. */
  title: string;
  /** Labels of the rows from top to bottom: layers, or the tokens of the queries. */
  rows: readonly string[];
  /** Labels of the columns from left to right: heads, or the tokens of the keys. */
  columns: readonly string[];
  /** One list per row with one number per column; cells with a number that is not finite are hatched. */
  values: readonly ArrayLike<number>[];
  /** Whether to leave a cell blank, as for keys that are masked for a query. Default: no cell is blank. */
  blank?: (row: number, column: number) => boolean;
  /** The label of the vertical axis, which says what the rows are. */
  y: { label: string };
  /** The label of the horizontal axis, which says what the columns are. */
  x: { label: string };
  /** The label of the colour bar, which says what the numbers are and their unit. */
  value: { label: string };
  /** The ends of the colour scale, before `signed` makes it symmetric. Default: the minimum (0 if that is close) and the maximum. */
  range?: readonly [number, number];
  /**
   * Whether the quantity has a sign: colours then diverge from grey at 0, symmetrically. Default: true if the range starts
   * below 0.
   */
  signed?: boolean;
}

const SPAN = 560;
const LARGEST_CELL = 52;
const LEAST_WIDTH = 440;
/**
 * Three lengths in pixels: the maximum line length of labels, the minimum room for a title along a side, and the maximum
 * line length of a horizontal title beside the colour bar.
 */
const [LONGEST_LABEL, LEAST_SIDE, BESIDE_BAR] = [200, 120, 150];
/** Widths in pixels of the margin, of the gap between elements, and of the colour bar. */
export const [MARGIN, GAP, BAR_WIDTH] = [12, 6, 14];
/** The legend of hatched cells below the colour bar. */
export const NO_VALUE = "no value";

/** Returns the lines of a label with visible blanks. A label that needs more than `most` lines is shortened in the middle. */
function labelLines(label: string, most: number): string[] {
  const lines = (shown: string) => wrap(shown, LONGEST_LABEL, { size: LABEL_SIZE, bold: false });
  return lines(shortened(withBlanks(label), (shown) => lines(shown).length <= most));
}

/**
 * Returns the smallest k of 1, 2, 5, 10, 20, ... for which labels that are k cells apart are at least `least` pixels apart.
 */
function everyKth(count: number, cell: number, least: number): number {
  for (let power = 1;; power *= 10) {
    for (const digit of [1, 2, 5]) {
      if (digit * power * cell >= least || digit * power >= count) return digit * power;
    }
  }
}

const linesOf = (text: string, width: number): string[] =>
  wrap(text, width, { size: TEXT_SIZE, bold: false }).filter(Boolean);

const longest = (lines: readonly string[], size = LABEL_SIZE): number =>
  maximum(lines.map(labelWidth), 0) * size / LABEL_SIZE;

/**
 * Returns a text to place beside an element, with the text's width and height in pixels. If `turned`, the text is rotated
 * to read upwards.
 */
function setBeside(lines: readonly string[], turned: boolean) {
  const [along, across] = [longest(lines, TEXT_SIZE), lines.length * lineHeight(TEXT_SIZE)];
  return { lines, turned, width: turned ? across : along, height: turned ? along : across };
}

/**
 * Returns a title to place beside an element that is `height` pixels high. The title is rotated, or horizontal if the
 * rotated title would take more than two lines.
 */
function besideBar(title: string, height: number) {
  const turned = linesOf(title, Math.max(height, LEAST_SIDE));
  return turned.length <= 2 ? setBeside(turned, true) : setBeside(linesOf(title, BESIDE_BAR), false);
}

const roomFor = ({ width }: { width: number }): number => width === 0 ? 0 : width + GAP;

/** Returns the labels of rows and columns, which have at most as many lines as a cell has room for. */
function labelsOf(map: HeatMap) {
  const size = (count: number) => Math.min(LARGEST_CELL, SPAN / Math.max(1, count));
  const cell = { width: size(map.columns.length), height: size(map.rows.length) };
  const most = (pixels: number) => Math.max(1, Math.floor((pixels - GAP) / lineHeight(LABEL_SIZE)));
  const level = map.columns.map((label) => labelLines(label, 1));
  const widest = longest(level.flat());
  const numbers = map.columns.every((label) => /^-?[\d.]+$/.test(label));
  const turned = !numbers && widest + GAP > cell.width;
  return {
    cell,
    rows: map.rows.map((label) => labelLines(label, most(cell.height))),
    columns: turned ? map.columns.map((label) => labelLines(label, most(cell.width))) : level,
    turned,
    // Every k-th row and column is labelled.
    everyRow: everyKth(map.rows.length, cell.height, LABEL_SIZE + 1),
    everyColumn: everyKth(map.columns.length, cell.width, turned ? LABEL_SIZE + 1 : widest + GAP),
  };
}

/**
 * Returns the ticks of a colour bar that is `length` pixels long: about six or, on a short bar, fewer but at least three if
 * possible, so that there is a tick near both ends.
 */
export function barTicks(low: number, high: number, length: number): { value: number }[] {
  for (let count = Math.min(6, Math.max(2, Math.floor(length / 20)));; count++) {
    const ticks = linearTicks(low, high, false, count);
    if (ticks.length >= 3 || count >= 6) return ticks;
  }
}

/** The layout of a map, in which all cells and texts fit. */
export type HeatLayout = ReturnType<typeof layOut>;

export function layOut(map: HeatMap, { low, high }: ColourScale, gaps: boolean) {
  const labels = labelsOf(map);
  const { cell, rows, columns, turned } = labels;
  const matrix = cell.height * rows.length;
  const rowRoom = longest(rows.flat());
  const columnRoom = turned ? longest(columns.flat()) : LABEL_SIZE;
  const y = setBeside(
    linesOf(labelWithGap(map.y.label, map.rows, labels.everyRow), Math.max(matrix, LEAST_SIDE)),
    true,
  );
  const barTitle = besideBar(map.value.label, matrix);
  const marks = barTicks(low, high, matrix);
  const largest = largestOf(marks.map(({ value }) => value));
  const ticks = marks.map(({ value }) => ({ value, label: tickLabel(value, largest) }));
  const tickRoom = longest([...ticks.map(({ label }) => label), ...(gaps ? [NO_VALUE] : [])]);
  const before = MARGIN + roomFor(y) + rowRoom + GAP;
  const beside = BAR_WIDTH + GAP + tickRoom + roomFor(barTitle) + MARGIN;
  const needed = before + cell.width * columns.length + 2 * MARGIN + beside;
  const width = Math.ceil(Math.max(needed, LEAST_WIDTH));
  const left = before + (width - needed) / 2;
  const right = left + cell.width * columns.length;
  const titles = wrap(map.title, width - 2 * MARGIN).filter(Boolean);
  const body = Math.max(matrix, y.height, barTitle.height);
  const first = MARGIN + titles.length * (TITLE_SIZE + 4) + 2 * GAP;
  const top = first + (body - matrix) / 2;
  const bottom = top + matrix;
  const middle = (left + right) / 2;
  const x = linesOf(
    labelWithGap(map.x.label, map.columns, labels.everyColumn),
    2 * (Math.min(middle, width - middle) - MARGIN),
  );
  const under = bottom + GAP + columnRoom + GAP;
  const xRoom = x.length * lineHeight(TEXT_SIZE);
  const below = Math.max(under + xRoom, first + body, bottom + (gaps ? 2 * GAP + LABEL_SIZE : GAP));
  return {
    ...labels,
    titles,
    left,
    top,
    right,
    bottom,
    x,
    y,
    // Centres of the axis titles.
    xMiddle: under + xRoom / 2,
    yMiddle: left - GAP - rowRoom - GAP - y.width / 2,
    bar: { x: right + 2 * MARGIN, y: top, height: matrix },
    ticks,
    tickRoom,
    barTitle,
    width,
    height: Math.ceil(below + MARGIN),
  };
}
