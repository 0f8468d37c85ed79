// The legend above the plot of a Chart.js chart. It replaces Chart.js's horizontal legend, which draws the lines of a long
// name over the next row.

import { maximum } from "../base/extremes.ts";
import { type Chart, layouts, type Plugin } from "./chart_js.ts";
import { FAMILY, TEXT_COLOUR, TEXT_SIZE, wrap } from "./document.ts";
import { lineHeight } from "./sheet_text.ts";
import type { SvgContext } from "./svg_context.ts";
import { parseFont, textWidth } from "./text_width.ts";

export interface LegendEntry {
  /** The text of the entry; long names wrap. */
  readonly name: string;
  /** The mark before the name: a line, a filled square, the whisker of an interval, or the cross of a missing bar. */
  readonly mark: "line" | "bar" | "interval" | "cross";
  readonly colour: string;
  readonly width?: number;
  readonly dash?: readonly number[];
}

const MARK_WIDTHS = { line: 28, bar: 12, interval: 12, cross: 12 };
const [BETWEEN, BELOW] = [12, 10];
const FONT = `${TEXT_SIZE}px ${FAMILY}`;
const widthOf = (line: string): number => textWidth(line, parseFont(FONT));

/** An entry, the lines of its name, and its width in pixels. */
interface Placed {
  readonly entry: LegendEntry;
  readonly lines: readonly string[];
  readonly width: number;
}

/** Distributes the entries over rows, each with as many entries as fit. */
function rowsOf(entries: readonly LegendEntry[], width: number): Placed[][] {
  const rows: Placed[][] = [];
  let taken = Infinity;
  for (const entry of entries) {
    const mark = MARK_WIDTHS[entry.mark] + TEXT_SIZE / 2;
    const lines = wrap(entry.name, width - mark - 2 * BETWEEN, { size: TEXT_SIZE, bold: false });
    const entryWidth = mark + maximum(lines.map(widthOf));
    if (taken + entryWidth + 2 * BETWEEN > width) [taken] = [0, rows.push([])];
    rows.at(-1)!.push({ entry, lines, width: entryWidth });
    taken += entryWidth + BETWEEN;
  }
  return rows;
}

const heightOf = (row: readonly Placed[]): number =>
  TEXT_SIZE + BETWEEN + (maximum(row.map(({ lines }) => lines.length)) - 1) * lineHeight(TEXT_SIZE);

export function legendHeight(entries: readonly LegendEntry[], width: number): number {
  return rowsOf(entries, width).reduce((sum, row) => sum + heightOf(row), BELOW);
}

/** Draws the cross that marks a missing value, centred at (x, y). */
export function drawCross(canvas: SvgContext, x: number, y: number, colour: string): void {
  [canvas.strokeStyle, canvas.lineWidth] = [colour, 1.5];
  canvas.beginPath();
  for (const side of [-3, 3]) {
    canvas.moveTo(x - side, y - 3);
    canvas.lineTo(x + side, y + 3);
  }
  canvas.stroke();
}

function drawMark(
  canvas: SvgContext,
  { mark, colour, width = 1.25, dash = [] }: LegendEntry,
  x: number,
  y: number,
) {
  const half = TEXT_SIZE / 2;
  [canvas.strokeStyle, canvas.fillStyle, canvas.lineWidth] = [colour, colour, width];
  canvas.setLineDash(mark === "line" ? [...dash] : []);
  if (mark === "bar") {
    canvas.fillRect(x, y - half, TEXT_SIZE, TEXT_SIZE);
    [canvas.strokeStyle, canvas.lineWidth] = [TEXT_COLOUR, 0.5];
    canvas.strokeRect(x, y - half, TEXT_SIZE, TEXT_SIZE);
    return;
  }
  if (mark === "cross") return drawCross(canvas, x + half, y, TEXT_COLOUR);
  const strokes = mark === "line" ? [[0, 0, MARK_WIDTHS.line, 0]] : [
    [half, -half, half, half],
    [2, -half, TEXT_SIZE - 2, -half],
    [2, half, TEXT_SIZE - 2, half],
  ];
  canvas.beginPath();
  for (const [fromX, fromY, toX, toY] of strokes) {
    canvas.moveTo(x + fromX, y + fromY);
    canvas.lineTo(x + toX, y + toY);
  }
  canvas.stroke();
}

function drawRows(
  canvas: SvgContext,
  rows: readonly (readonly Placed[])[],
  left: number,
  top: number,
  width: number,
) {
  let down = top + BETWEEN;
  const widths = rows.map((row) => row.reduce((sum, entry) => sum + entry.width + BETWEEN, -BETWEEN));
  // If every entry has a row to itself, the entries are left-aligned.
  const list = rows.every((row) => row.length === 1);
  for (const [n, row] of rows.entries()) {
    const middle = down + (heightOf(row) - BETWEEN) / 2;
    let x = left + (width - (list ? maximum(widths) : widths[n])) / 2;
    for (const { entry, lines, width: entryWidth } of row) {
      drawMark(canvas, entry, x, middle);
      [canvas.fillStyle, canvas.font] = [TEXT_COLOUR, FONT];
      [canvas.textAlign, canvas.textBaseline] = ["left", "middle"];
      lines.forEach((line, n) => {
        const shift = (n - (lines.length - 1) / 2) * lineHeight(TEXT_SIZE);
        canvas.fillText(line, x + MARK_WIDTHS[entry.mark] + TEXT_SIZE / 2, middle + shift);
      });
      x += entryWidth + BETWEEN;
    }
    down += heightOf(row);
  }
}

/** Returns a plugin that draws a legend between the title of a chart and the plot. */
export function legendBox(entries: readonly LegendEntry[]): Plugin {
  return {
    id: "heedLegend",
    beforeInit(chart: Chart) {
      const box = {
        position: "top" as const,
        // The legend is below the title and takes the full width.
        weight: 1000,
        fullSize: true,
        options: {},
        ...{ left: 0, top: 0, right: 0, bottom: 0, width: 0, height: 0 },
        isHorizontal: () => true,
        update(width: number) {
          box.width = width;
          box.height = legendHeight(entries, width);
        },
        draw() {
          const canvas = chart.ctx as unknown as SvgContext;
          canvas.save();
          drawRows(canvas, rowsOf(entries, box.width), box.left, box.top, box.width);
          canvas.restore();
        },
      };
      layouts.addBox(chart, box as unknown as Parameters<typeof layouts.addBox>[1]);
    },
  };
}
