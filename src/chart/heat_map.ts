// Draws heat maps as SVG documents: a coloured matrix with labels, numbers if they fit, and a colour bar. It does not use
// Chart.js, which has no colour bars.

import { reportProgress } from "../base/progress.ts";
import { cellFormat } from "./cell_numbers.ts";
import { cellPaths, colourOf, colourScale, hatchedCells, hatchPattern, lightness } from "./colour_scale.ts";
import type { ColourScale } from "./colour_scale.ts";
import { AXIS_COLOUR, fingerprint, svgDocument, TEXT_SIZE, TITLE_SIZE } from "./document.ts";
import { BAR_WIDTH, GAP, type HeatLayout, type HeatMap, layOut, MARGIN, NO_VALUE } from "./heat_layout.ts";
import { LABEL_SIZE, labelWidth, num, text, texts, titleTexts } from "./sheet_text.ts";
import { isFlat, shareOf } from "./ticks.ts";

export type { HeatMap } from "./heat_layout.ts";

/** Returns, for each row, the numbers in the cells that are not blank. */
const drawn = ({ values, blank = () => false }: HeatMap): number[][] =>
  values.map((row, i) => Array.from(row).filter((_, j) => !blank(i, j)));

/**
 * Returns the colour scale over `range` or, if there is no range, over the finite values; the scale starts at 0 if that is
 * close.
 */
function scaleOf({ range, signed }: HeatMap, shown: readonly (readonly number[])[]): ColourScale {
  if (range) return colourScale(range[0], range[1], signed);
  let [low, high] = [Infinity, -Infinity];
  for (const value of shown.flat().filter(Number.isFinite)) {
    [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  if (low > high) return colourScale(0, 1, signed);
  if (signed || low < 0) return colourScale(low, high, true);
  if (low < 0.3 * high) low = 0;
  if (!isFlat(low, high)) return colourScale(low, high);
  return low === 0 ? colourScale(0, 1) : colourScale(0, high);
}

/** Draws the cells, with one stroke for adjacent cells of the same colour. Hatched cells are drawn last. */
function drawCells(
  { values, blank }: HeatMap,
  { left, top, cell }: HeatLayout,
  scale: ColourScale,
  hatch: string,
): string[] {
  const paths = cellPaths(values, scale, blank);
  const move = `translate(${num(left)} ${num(top + cell.height / 2)}) ` +
    `scale(${Number(cell.width.toFixed(4))} ${Number(cell.height.toFixed(4))})`;
  const strokes = [...paths].map(([level, path]) =>
    `<path d="${path}" stroke="${level < 0 ? "#dddddd" : scale.colours[level]}"/>`
  );
  const cells = [
    `<g transform="${move}" fill="none" stroke-width="1" shape-rendering="crispEdges">`,
    ...strokes,
    "</g>",
  ];
  if (!paths.has(-1)) return cells;
  return [...cells, hatchedCells(paths.get(-1)!, { left, top, ...cell }, hatch)];
}

function drawNumbers(
  { values, blank = () => false }: HeatMap,
  shown: readonly (readonly number[])[],
  { left, top, cell }: HeatLayout,
  scale: ColourScale,
): string[] {
  if (cell.height < LABEL_SIZE + 3) return [];
  const format = cellFormat(
    shown.flat().filter(Number.isFinite),
    (number) => labelWidth(number) <= cell.width - 5,
  );
  if (!format) return [];
  return values.flatMap((row, i) =>
    Array.from(row).flatMap((value, j) => {
      if (!Number.isFinite(value) || blank(i, j)) return [];
      const dark = lightness(colourOf(value, scale)) < 50;
      const [x, y] = [left + (j + 0.5) * cell.width, top + (i + 0.5) * cell.height + LABEL_SIZE * 0.36];
      return [text(x, y, format(value), { colour: dark ? "#ffffff" : "#000000" })];
    })
  );
}

function drawLabels(at: HeatLayout): string[] {
  const { left, top, bottom, right, cell } = at;
  const rows = at.rows.flatMap((lines, i) =>
    i % at.everyRow ? [] : texts(left - GAP, top + (i + 0.5) * cell.height, lines, { anchor: "end" })
  );
  const columns = at.columns.flatMap((lines, j) => {
    if (j % at.everyColumn) return [];
    const middle = left + (j + 0.5) * cell.width;
    return at.turned
      ? texts(middle, bottom + GAP, lines, { anchor: "end", turned: true })
      : [text(middle, bottom + GAP + LABEL_SIZE * 0.8, lines[0])];
  });
  return [
    ...rows,
    ...columns,
    ...texts((left + right) / 2, at.xMiddle, at.x, { size: TEXT_SIZE }),
    ...texts(at.yMiddle, (top + bottom) / 2, at.y.lines, { size: TEXT_SIZE, turned: true }),
  ];
}

/** Draws the colour bar, which is as high as the matrix, with its ticks, its title and the legend of hatched cells. */
function drawBar(at: HeatLayout, { low, high, colours }: ColourScale, gaps: boolean, hatch: string) {
  const { x, y, height } = at.bar;
  if (height === 0) return [];
  const level = height / colours.length;
  const bar = colours.map((colour, n) =>
    `<rect x="${num(x)}" y="${num(y + height - (n + 1) * level)}" width="${BAR_WIDTH}" ` +
    `height="${num(level + (n === 0 ? 0 : 0.5))}" fill="${colour}" shape-rendering="crispEdges"/>`
  );
  const ticks = at.ticks.flatMap(({ value, label }) => {
    const place = y + height * (1 - shareOf(value, low, high));
    return [
      `<path d="M${num(x + BAR_WIDTH)},${num(place)}h4" stroke="${AXIS_COLOUR}"/>`,
      text(x + BAR_WIDTH + GAP, place + LABEL_SIZE * 0.36, label, { anchor: "start" }),
    ];
  });
  const { lines, turned, width } = at.barTitle;
  const middle = x + BAR_WIDTH + GAP + at.tickRoom + GAP + width / 2;
  const title = texts(middle, y + height / 2, lines, { size: TEXT_SIZE, turned });
  const swatch = y + height + GAP;
  const note = gaps
    ? [
      `<rect x="${num(x)}" y="${num(swatch)}" width="${BAR_WIDTH}" height="${LABEL_SIZE}" ` +
      `fill="url(#${hatch})"/>`,
      text(x + BAR_WIDTH + GAP, swatch + LABEL_SIZE * 0.86, NO_VALUE, { anchor: "start" }),
    ]
    : [];
  return [...bar, ...ticks, ...title, ...note];
}

/**
 * Returns a heat map as an SVG document with real text. It has labels of rows and columns (white space in tokens is shown
 * as ␣ ↵ ⇥), numbers in the cells if they fit, and a colour bar with ticks. A darker colour means a larger number or, for
 * signed numbers, a number farther from 0; the order of the colours is the same in greyscale. A blank cell has no colour
 * and no number. Equal maps give equal bytes.
 *
 * @throws Error if the values do not have one row per row label and one number per column label
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
 * @category Charts
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
  const shown = drawn(map);
  const scale = scaleOf(map, shown);
  const gaps = shown.some((row) => row.some((value) => !Number.isFinite(value)));
  const at = layOut(map, scale, gaps);
  const hatch = `hatch-${fingerprint(JSON.stringify([title, rows, columns, scale.low, scale.high]))}`;
  const border = `<rect x="${num(at.left)}" y="${num(at.top)}" width="${num(at.right - at.left)}" ` +
    `height="${num(at.bottom - at.top)}" fill="none" stroke="${AXIS_COLOUR}"/>`;
  const elements = [
    hatchPattern(hatch),
    ...titleTexts(at.titles, at.width, MARGIN, TITLE_SIZE),
    ...drawCells(map, at, scale, hatch),
    ...drawNumbers(map, shown, at, scale),
    border,
    ...drawLabels(at),
    ...drawBar(at, scale, gaps, hatch),
  ];
  return svgDocument(at.width, at.height, title, elements.join("\n"));
}
