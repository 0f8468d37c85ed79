// The colours of heat maps: pale yellow through green to navy. Lightness (CIE L*) falls in equal steps, so equal
// differences look equal, and a print without colour keeps the order.

import { num } from "./sheet_text.ts";

const ANCHORS = [
  "#ffffe0",
  "#edf8b1",
  "#c7e9b4",
  "#7fcdbb",
  "#41b6c4",
  "#1d91c0",
  "#225ea8",
  "#253494",
  "#081d58",
];
const LEVELS = 64;
const SAMPLES = 200;

type Rgb = readonly [number, number, number];

const bytesOf = (colour: string): Rgb =>
  [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) as unknown as Rgb;

const hexOf = (rgb: Rgb): string =>
  `#${rgb.map((byte) => Math.round(byte).toString(16).padStart(2, "0")).join("")}`;

/** CIE L* of a colour `#rrggbb`: 0 is black, 100 is white. */
export function lightness(colour: string): number {
  const [r, g, b] = bytesOf(colour).map((byte) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return y > 216 / 24389 ? 116 * Math.cbrt(y) - 16 : y * 24389 / 27;
}

/** Of many colours along the anchors, for each level the one whose lightness is nearest to where the level should be. */
function levels(): string[] {
  const path: { colour: string; light: number }[] = [];
  for (let piece = 0; piece + 1 < ANCHORS.length; piece++) {
    const [from, to] = [bytesOf(ANCHORS[piece]), bytesOf(ANCHORS[piece + 1])];
    for (let i = 0; i <= SAMPLES; i++) {
      const colour = hexOf(from.map((byte, c) => byte + (to[c] - byte) * i / SAMPLES) as unknown as Rgb);
      path.push({ colour, light: lightness(colour) });
    }
  }
  const [pale, dark] = [path[0].light, path.at(-1)!.light];
  return Array.from({ length: LEVELS }, (_, level) => {
    const wanted = pale + (dark - pale) * level / (LEVELS - 1);
    return path.reduce((a, b) => Math.abs(b.light - wanted) < Math.abs(a.light - wanted) ? b : a).colour;
  });
}

/** The colours of a heat map from the least value to the greatest. */
export const HEAT_COLOURS: readonly string[] = levels();

/** The index in {@link HEAT_COLOURS} of a value within [low, high]; what lies outside takes the colour of that end. */
export function heatLevel(value: number, low: number, high: number): number {
  const share = high > low ? (value - low) / (high - low) : 0;
  return Math.min(LEVELS - 1, Math.max(0, Math.floor(share * LEVELS)));
}

/** What hatches cells without a number: a pattern to be defined once in a document. */
export const hatchPattern = (id: string): string =>
  `<defs><pattern id="${id}" width="5" height="5" patternUnits="userSpaceOnUse" ` +
  `patternTransform="rotate(45)"><rect width="5" height="5" fill="#eeeeee"/>` +
  `<rect width="1.5" height="5" fill="#999999"/></pattern></defs>`;

/** The cells of a path of {@link cellPaths}, hatched: in pixels, so that the pattern is not stretched with the cells. */
export function hatchedCells(
  path: string,
  at: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  hatch: string,
): string {
  const rects = [...path.matchAll(/M(\d+),(\d+)h(\d+)/g)].map(([_, j, i, n]) =>
    `M${num(at.left + Number(j) * at.width)},${num(at.top + Number(i) * at.height)}` +
    `h${num(Number(n) * at.width)}v${num(at.height)}h${num(-Number(n) * at.width)}Z`
  );
  return `<path d="${rects.join("")}" fill="url(#${hatch})"/>`;
}

/**
 * The cells of a matrix as one SVG path for each of its colours, palest first: strokes one high, neighbours of one colour
 * joined. What is not finite is under -1.
 */
export function cellPaths(
  values: readonly ArrayLike<number>[],
  [low, high]: readonly [number, number],
): Map<number, string> {
  const paths = new Map<number, string[]>();
  values.forEach((row, i) => {
    const level = (j: number) => Number.isFinite(row[j]) ? heatLevel(row[j], low, high) : -1;
    for (let j = 0, end = 0; j < row.length; j = end) {
      const own = level(j);
      while (end < row.length && level(end) === own) end++;
      if (!paths.has(own)) paths.set(own, []);
      paths.get(own)!.push(`M${j},${i}h${end - j}`);
    }
  });
  return new Map([...paths].sort(([a], [b]) => a - b).map(([level, parts]) => [level, parts.join("")]));
}
