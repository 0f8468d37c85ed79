// Draws sheets of small heat maps as SVG documents. There is one panel per head, and all panels have the same rows, columns
// and colours, so that a page shows what each head of a model attends to.

import { maximum } from "../base/extremes.ts";
import { reportProgress } from "../base/progress.ts";
import { cellPaths, type ColourScale, colourScale, hatchedCells, hatchPattern } from "./colour_scale.ts";
import { AXIS_COLOUR, fingerprint, svgDocument, TEXT_SIZE, TITLE_SIZE, wrap } from "./document.ts";
import { barTicks } from "./heat_layout.ts";
import {
  everyLabelled,
  LABEL_SIZE,
  labelWidth,
  lineHeight,
  num,
  shortened,
  text,
  texts,
  titleTexts,
  withBlanks,
} from "./sheet_text.ts";
import { largestOf, shareOf, tickLabel } from "./ticks.ts";

/** One panel of a sheet. */
export interface MapPanel {
  /** The title above the panel, such as `layer 0, head 1`. */
  title: string;
  /** One list per row with one number per column; cells with a number that is not finite are hatched. */
  values: readonly ArrayLike<number>[];
  /** Whether to leave a cell blank, as for keys that are masked for a query. Default: no cell is blank. */
  blank?: (row: number, column: number) => boolean;
}

/** The data and options of {@link mapSheet}. */
export interface MapSheet {
  /** The title above the panels; long titles wrap. */
  title: string;
  /** Labels of the rows of every panel: the tokens of the queries. */
  rows: readonly string[];
  /** Labels of the columns of every panel: the tokens of the keys. */
  columns: readonly string[];
  /** Label of the colour bar: what the numbers are. */
  value: { label: string };
  /** The ends of the colour scale; if the first is below 0, the scale is symmetric and diverges from grey at 0. */
  range: readonly [number, number];
  /** The panels, row by row. */
  panels: readonly MapPanel[];
  /** Number of panels per row, such as the heads of a layer. */
  across: number;
}

const [MARGIN, GAP, PANEL_GAP] = [12, 6, 16];
/**
 * Three lengths in pixels: the usual length of a panel's longer side, the maximum length to which that side grows to fit
 * every label, and the maximum size of a cell.
 */
const [PANEL, LARGEST_PANEL, LARGEST_CELL] = [170, 400, 24];
/** The maximum width and the height of the colour bar in pixels. The bar is not wider than a panel. */
const BAR = { width: 200, height: 10 };
const LEAST_WIDTH = 420;
const [LONGEST, LONGEST_TITLE] = [80, 170];

/** Returns a label with visible blanks, which is shortened if it is long. */
const shown = (label: string): string => shortened(withBlanks(label), (cut) => labelWidth(cut) <= LONGEST);

/** Draws the cells of a panel, with one stroke for adjacent cells of the same colour, and then the hatched cells. */
function cellsOf(
  { values, blank }: MapPanel,
  x: number,
  y: number,
  cell: number,
  scale: ColourScale,
  hatch: string,
): string {
  const paths = cellPaths(values, scale, blank);
  const hatched = paths.has(-1)
    ? `\n${hatchedCells(paths.get(-1)!, { left: x, top: y, width: cell, height: cell }, hatch)}`
    : "";
  const drawn = [...paths].filter(([level]) => level >= 0).map(([level, path]) =>
    `<path d="${path}" stroke="${scale.colours[level]}"/>`
  );
  const move = `translate(${num(x)} ${num(y + cell / 2)}) scale(${Number(cell.toFixed(4))})`;
  return `<g transform="${move}" fill="none" stroke-width="1" shape-rendering="crispEdges">\n` +
    `${drawn.join("\n")}\n</g>${hatched}`;
}

function barOf(
  { low, high, colours }: ColourScale,
  title: readonly string[],
  x: number,
  y: number,
  width: number,
) {
  const step = width / colours.length;
  const bar = colours.map((colour, n) =>
    `<rect x="${num(x + n * step)}" y="${num(y)}" ` +
    `width="${
      num(step + (n + 1 < colours.length ? 0.5 : 0))
    }" height="${BAR.height}" fill="${colour}" shape-rendering="crispEdges"/>`
  );
  const largest = largestOf([low, high]);
  const ticks: string[] = [];
  let free = -Infinity;
  for (const { value } of barTicks(low, high, width / 2)) {
    const [place, label] = [x + width * shareOf(value, low, high), tickLabel(value, largest)];
    if (place - labelWidth(label) / 2 < free) continue;
    free = place + labelWidth(label) / 2 + GAP;
    ticks.push(text(place, y + BAR.height + LABEL_SIZE, label));
  }
  const beside = x + width + 2 * GAP;
  return [
    ...bar,
    ...ticks,
    ...title.map((line, n) =>
      text(beside, y + BAR.height + n * lineHeight(TEXT_SIZE), line, { size: TEXT_SIZE, anchor: "start" })
    ),
  ];
}

/**
 * Returns the layout of a sheet. `wide` and `high` are the size of a panel's matrix in pixels, and `top` is the y
 * coordinate of the colour bar.
 */
function layOut({ title, panels, across, value, ...sheet }: MapSheet) {
  const [rows, columns] = [sheet.rows.map(shown), sheet.columns.map(shown)];
  const longer = Math.max(rows.length, columns.length);
  const cell = Math.min(
    LARGEST_CELL,
    Math.max(PANEL / longer, Math.min(LABEL_SIZE + 1, LARGEST_PANEL / longer)),
  );
  const every = Math.max(1, Math.ceil((LABEL_SIZE + 1) / cell));
  const [wide, high] = [cell * columns.length, cell * rows.length];
  const [rowRoom, columnRoom] = [rows, columns].map((labels) => maximum(labels.map(labelWidth)));
  // A panel of few columns is as wide as its title, whose lines must not be too short to read.
  const inTitle = { size: LABEL_SIZE, bold: true };
  const panelTitles = panels.map((panel) => wrap(panel.title, Math.max(wide, LONGEST_TITLE), inTitle));
  const titleRoom = 1.12 * maximum(panelTitles.flat().map(labelWidth));
  const most = maximum(panelTitles.map((lines) => lines.length));
  const titleHeight = LABEL_SIZE + (most - 1) * lineHeight(LABEL_SIZE);
  const side = Math.max(rowRoom + GAP, (titleRoom - wide) / 2);
  const step = {
    x: side + Math.max(wide, (wide + titleRoom) / 2) + PANEL_GAP,
    y: high + columnRoom + GAP + PANEL_GAP + titleHeight,
  };
  const width = Math.ceil(Math.max(LEAST_WIDTH, 2 * MARGIN + Math.min(across, panels.length) * step.x));
  const titles = wrap(title, width - 2 * MARGIN).filter(Boolean);
  const top = MARGIN + titles.length * (TITLE_SIZE + 4) + GAP;
  const barWidth = Math.min(BAR.width, wide);
  const besideBar = width - 2 * MARGIN - barWidth - 2 * GAP;
  const label = every > 1 ? `${value.label}; ${everyLabelled(every)}` : value.label;
  const valueTitle = wrap(label, besideBar, { size: TEXT_SIZE, bold: false });
  const barRoom = Math.max(LABEL_SIZE, (valueTitle.length - 1) * lineHeight(TEXT_SIZE));
  const below = top + BAR.height + barRoom + 2 * PANEL_GAP;
  return {
    ...{ rows, columns, cell, every, wide, high },
    ...{ panelTitles, titles, valueTitle, barWidth, top, step, width },
    first: { x: MARGIN + side, y: below + titleHeight },
    height: Math.ceil(below + Math.ceil(panels.length / across) * step.y + MARGIN),
  };
}

function drawPanel(
  n: number,
  { panels, across }: MapSheet,
  at: ReturnType<typeof layOut>,
  scale: ColourScale,
  hatch: string,
): string[] {
  const { rows, columns, cell, every, wide, high } = at;
  const x = at.first.x + (n % across) * at.step.x;
  const y = at.first.y + Math.floor(n / across) * at.step.y;
  const lines = at.panelTitles[n];
  const middle = y - GAP - LABEL_SIZE * 0.36 - (lines.length - 1) * lineHeight(LABEL_SIZE) / 2;
  /** Draws the labels along a side, or only every k-th label if not all of them fit. */
  const labelled = (labels: readonly string[], draw: (label: string, middle: number) => string) =>
    labels.flatMap((label, n) => n % every ? [] : [draw(label, (n + 0.5) * cell)]);
  return [
    ...texts(x + wide / 2, middle, lines, { bold: true }),
    cellsOf(panels[n], x, y, cell, scale, hatch),
    `<rect x="${num(x)}" y="${num(y)}" width="${num(wide)}" height="${num(high)}" fill="none" ` +
    `stroke="${AXIS_COLOUR}"/>`,
    ...labelled(rows, (label, at) => text(x - 4, y + at + LABEL_SIZE * 0.36, label, { anchor: "end" })),
    ...labelled(
      columns,
      (label, at) => text(x + at + LABEL_SIZE * 0.36, y + high + 4, label, { anchor: "end", turned: true }),
    ),
  ];
}

/**
 * Returns a sheet of heat maps with shared labels as one SVG document with real text. The panels are arranged row by row.
 * Every panel has its row labels on the left and its column labels below (white space in tokens is shown as ␣ ↵ ⇥), and all
 * panels share one colour bar. A blank cell has no colour. Equal sheets give equal bytes.
 *
 * @throws Error if there is no panel, or the values of a panel do not have the shape of the labels
 *
 * @example
 * ```ts
 * import { mapSheet } from "../../mod.ts";
 * const svg = mapSheet({
 *   title: "Attention",
 *   rows: ["a", "b"],
 *   columns: ["a", "b"],
 *   value: { label: "weight" },
 *   range: [0, 1],
 *   panels: [{ title: "layer 0, head 0", values: [[1, 0], [0.5, 0.5]] }],
 *   across: 1,
 * });
 * ```
 * @category Charts
 */
export function mapSheet(sheet: MapSheet): string {
  reportProgress({ what: `drawing ${sheet.title}` });
  const { title, panels, rows, columns, range } = sheet;
  const mismatched = panels.find(({ values }) =>
    values.length !== rows.length || values.some((row) => row.length !== columns.length)
  );
  if (panels.length === 0 || mismatched) {
    throw new Error(`A sheet of ${rows.length} x ${columns.length} has no panel, or one of another shape.`);
  }
  const at = layOut(sheet);
  const scale = colourScale(range[0], range[1]);
  const gaps = panels.some(({ values, blank }) =>
    values.some((row, i) => Array.from(row).some((x, j) => !Number.isFinite(x) && !blank?.(i, j)))
  );
  const hatch = `hatch-${fingerprint(JSON.stringify([title, at.rows, at.columns]))}`;
  const elements = [
    ...(gaps ? [hatchPattern(hatch)] : []),
    ...titleTexts(at.titles, at.width, MARGIN, TITLE_SIZE),
    ...barOf(scale, at.valueTitle, MARGIN, at.top, at.barWidth),
    ...panels.flatMap((_, n) => drawPanel(n, sheet, at, scale, hatch)),
  ];
  return svgDocument(at.width, at.height, title, elements.join("\n"));
}
