// Sheets of small heat maps as SVG documents: one panel a head, all with the same rows, columns and colours, so that a page
// shows what each head of a model looks at.

import { maximum } from "../extremes.ts";
import { reportProgress } from "../progress.ts";
import { cellPaths, hatchedCells, hatchPattern, HEAT_COLOURS } from "./colour_scale.ts";
import { AXIS_COLOUR, fingerprint, svgDocument, TEXT_SIZE, TITLE_SIZE, wrap } from "./document.ts";
import { everyLabelled, LABEL_SIZE, labelWidth, num, text, titleTexts, withBlanks } from "./sheet_text.ts";
import { linearTicks, tickLabel } from "./ticks.ts";

/** One panel of a sheet. */
export interface MapPanel {
  /** Above the panel: `layer 0, head 1`. */
  title: string;
  /** One list for each row with one number for each column; one that is not finite is hatched. */
  values: readonly ArrayLike<number>[];
}

/** What {@link mapSheet} draws. */
export interface MapSheet {
  /** Above the panels; long ones are broken into lines. */
  title: string;
  /** Labels of the rows of every panel: the tokens of the queries. */
  rows: readonly string[];
  /** Labels of the columns of every panel: the tokens of the keys. */
  columns: readonly string[];
  /** What the numbers are, beside the colour bar. */
  value: { label: string };
  /** The numbers of the palest and the darkest colour. */
  range: readonly [number, number];
  /** The panels, row by row. */
  panels: readonly MapPanel[];
  /** Panels side by side: heads of a layer. */
  across: number;
}

const [MARGIN, GAP, PANEL_GAP] = [12, 6, 16];
/** Pixels of a panel's longer side, also where it grows so that every label has room, and of its largest cell. */
const [PANEL, LARGEST_PANEL, LARGEST_CELL] = [170, 400, 24];
const BAR = { width: 200, height: 10 };
const LONGEST = 80;

/** A label with its blanks seen, cut where it is long. */
function shown(label: string): string {
  let characters = [...withBlanks(label)];
  while (labelWidth(characters.join("")) > LONGEST) characters = [...characters.slice(0, -2), "…"];
  return characters.join("");
}

/** The cells of a panel: runs of one colour as one stroke a cell high, then those that are hatched. */
function cellsOf(
  { values }: MapPanel,
  x: number,
  y: number,
  cell: number,
  range: MapSheet["range"],
  hatch: string,
): string {
  const paths = cellPaths(values, range);
  const hatched = paths.has(-1)
    ? `\n${hatchedCells(paths.get(-1)!, { left: x, top: y, width: cell, height: cell }, hatch)}`
    : "";
  const drawn = [...paths].filter(([level]) => level >= 0).map(([level, path]) =>
    `<path d="${path}" stroke="${HEAT_COLOURS[level]}"/>`
  );
  return `<g transform="translate(${num(x)} ${num(y + cell / 2)}) scale(${
    Number(cell.toFixed(4))
  })" fill="none" ` +
    `stroke-width="1" shape-rendering="crispEdges">\n${drawn.join("\n")}\n</g>${hatched}`;
}

/** The colour bar with its ticks, and what its numbers are. */
function barOf({ range: [low, high], value }: MapSheet, every: number, x: number, y: number): string[] {
  const step = BAR.width / HEAT_COLOURS.length;
  const colours = HEAT_COLOURS.map((colour, n) =>
    `<rect x="${num(x + n * step)}" y="${num(y)}" width="${
      num(step + 0.5)
    }" height="${BAR.height}" fill="${colour}" ` +
    `shape-rendering="crispEdges"/>`
  );
  const ticks = linearTicks(low, high, false).map(({ value: at }) => {
    const place = x + BAR.width * (at - low) / (high - low);
    return text(place, y + BAR.height + LABEL_SIZE, tickLabel(at, Math.max(Math.abs(low), Math.abs(high))));
  });
  const beside = x + BAR.width + 2 * GAP;
  return [
    ...colours,
    ...ticks,
    text(beside, y + BAR.height, every > 1 ? `${value.label}; ${everyLabelled(every)}` : value.label, {
      size: TEXT_SIZE,
      anchor: "start",
    }),
  ];
}

/** Labels along a side, every k-th where all have no room. */
function labelled(
  labels: readonly string[],
  cell: number,
  every: number,
  draw: (label: string, middle: number) => string,
) {
  return labels.flatMap((label, n) => n % every ? [] : [draw(label, (n + 0.5) * cell)]);
}

/**
 * Matrices with the same labels side by side as one SVG document with real text: panels row by row, labels of rows on the
 * left and of columns below (blanks of a token shown as ␣ ↵ ⇥), one colour bar for all. Equal sheets give equal bytes.
 *
 * @throws Error where there is no panel, or the values of one have not the shape of the labels
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
 */
export function mapSheet(sheet: MapSheet): string {
  reportProgress({ what: `drawing ${sheet.title}` });
  const { title, panels, across } = sheet;
  const [rows, columns] = [sheet.rows.map(shown), sheet.columns.map(shown)];
  const odd = panels.find(({ values }) =>
    values.length !== rows.length || values.some((row) => row.length !== columns.length)
  );
  if (panels.length === 0 || odd) {
    throw new Error(`A sheet of ${rows.length} x ${columns.length} has no panel, or one of another shape.`);
  }
  const longer = Math.max(rows.length, columns.length);
  const cell = Math.min(
    LARGEST_CELL,
    Math.max(PANEL / longer, Math.min(LABEL_SIZE + 1, LARGEST_PANEL / longer)),
  );
  const every = Math.max(1, Math.ceil((LABEL_SIZE + 1) / cell));
  const [wide, high] = [cell * columns.length, cell * rows.length];
  const rowRoom = maximum(rows.map(labelWidth));
  const columnRoom = maximum(columns.map(labelWidth));
  const [stepX, stepY] = [wide + rowRoom + GAP + PANEL_GAP, high + columnRoom + GAP + PANEL_GAP + LABEL_SIZE];
  const shownAcross = Math.min(across, panels.length);
  const width = Math.ceil(Math.max(420, 2 * MARGIN + shownAcross * stepX));
  const titles = wrap(title, width - 2 * MARGIN).filter(Boolean);
  const top = MARGIN + titles.length * (TITLE_SIZE + 4) + GAP;
  const down = Math.ceil(panels.length / across);
  const first = top + BAR.height + LABEL_SIZE + 2 * PANEL_GAP;
  const gaps = panels.some(({ values }) =>
    values.some((row) => Array.from(row).some((x) => !Number.isFinite(x)))
  );
  const hatch = `hatch-${fingerprint(JSON.stringify([title, rows, columns]))}`;
  const drawn = panels.flatMap((panel, n) => {
    const x = MARGIN + (n % across) * stepX + rowRoom + GAP;
    const y = first + Math.floor(n / across) * stepY + LABEL_SIZE;
    return [
      text(x + wide / 2, y - GAP, panel.title, { bold: true }),
      cellsOf(panel, x, y, cell, sheet.range, hatch),
      `<rect x="${num(x)}" y="${num(y)}" width="${num(wide)}" height="${
        num(high)
      }" fill="none" stroke="${AXIS_COLOUR}"/>`,
      ...labelled(
        rows,
        cell,
        every,
        (label, at) => text(x - 4, y + at + LABEL_SIZE * 0.36, label, { anchor: "end" }),
      ),
      ...labelled(
        columns,
        cell,
        every,
        (label, at) => text(x + at + LABEL_SIZE * 0.36, y + high + 4, label, { anchor: "end", turned: true }),
      ),
    ];
  });
  const height = Math.ceil(first + down * stepY + MARGIN);
  const elements = [
    ...(gaps ? [hatchPattern(hatch)] : []),
    ...titleTexts(titles, width, MARGIN, TITLE_SIZE),
    ...barOf(sheet, every, MARGIN, top),
    ...drawn,
  ];
  return svgDocument(width, height, title, elements.join("\n"));
}
