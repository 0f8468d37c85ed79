// The colours of heat maps. Values of one sign go from pale yellow-green through green to navy, darker for larger values.
// If values have both signs, colours are blue below 0, light grey at 0 and red above 0, and equally dark at equal distances
// from 0. Lightness (CIE L*) falls in equal steps, so equal differences look equal and a greyscale print keeps the order of
// each side. White is reserved for blank cells.

import { num } from "./sheet_text.ts";
import { shareOf } from "./ticks.ts";

const ANCHORS = ["#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58"];
const [BELOW, ABOVE] = [
  ["#ebebeb", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac", "#053061"],
  ["#ebebeb", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
];
const LEVELS = 64;
const SAMPLES = 200;

type Rgb = readonly [number, number, number];

const bytesOf = (colour: string): Rgb =>
  [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)) as unknown as Rgb;

const hexOf = (rgb: Rgb): string =>
  `#${rgb.map((byte) => Math.round(byte).toString(16).padStart(2, "0")).join("")}`;

/** Returns the lightness (CIE L*) of a colour `#rrggbb`, from 0 for black to 100 for white. */
export function lightness(colour: string): number {
  const [r, g, b] = bytesOf(colour).map((byte) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return y > 216 / 24389 ? 116 * Math.cbrt(y) - 16 : y * 24389 / 27;
}

/**
 * Interpolates between the anchors and returns `count` colours: for each level, the colour whose lightness is closest to
 * that level's target. The targets fall in equal steps to `dark`.
 */
function levels(anchors: readonly string[], count: number, dark: number): string[] {
  const path: { colour: string; light: number }[] = [];
  for (let piece = 0; piece + 1 < anchors.length; piece++) {
    const [from, to] = [bytesOf(anchors[piece]), bytesOf(anchors[piece + 1])];
    for (let i = 0; i <= SAMPLES; i++) {
      const colour = hexOf(from.map((byte, c) => byte + (to[c] - byte) * i / SAMPLES) as unknown as Rgb);
      path.push({ colour, light: lightness(colour) });
    }
  }
  const pale = path[0].light;
  return Array.from({ length: count }, (_, level) => {
    const target = pale + (dark - pale) * level / (count - 1);
    return path.reduce((a, b) => Math.abs(b.light - target) < Math.abs(a.light - target) ? b : a).colour;
  });
}

/** The colours of a heat map from the smallest value to the largest. */
export const HEAT_COLOURS: readonly string[] = levels(ANCHORS, LEVELS, lightness(ANCHORS.at(-1)!));

/**
 * The lightness of both ends of {@link SIGNED_COLOURS}, which is the lowest lightness that both the blue and the red scale
 * reach.
 */
const SIGNED_DARK = Math.max(lightness(BELOW.at(-1)!), lightness(ABOVE.at(-1)!));

/** The colours of a diverging heat map, with 0 in the middle. */
export const SIGNED_COLOURS: readonly string[] = [
  ...levels(BELOW, LEVELS / 2 + 1, SIGNED_DARK).toReversed(),
  ...levels(ABOVE, LEVELS / 2 + 1, SIGNED_DARK).slice(1),
];

/**
 * Returns the index of a value's colour on a scale from `low` to `high`; a value outside the scale gets the colour of the
 * nearer end.
 */
export function heatLevel(value: number, low: number, high: number, levels = LEVELS): number {
  return Math.min(levels - 1, Math.max(0, Math.floor(shareOf(value, low, high) * levels)));
}

export type ColourScale = ReturnType<typeof colourScale>;

/**
 * Returns a scale from `low` to `high`. If `signed`, the scale goes from -m to m, where m is the larger of the magnitudes
 * of `low` and `high`, so that 0 is grey.
 */
export function colourScale(low: number, high: number, signed = low < 0) {
  if (!signed) return { low, high, colours: HEAT_COLOURS };
  const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
  return { low: -largest, high: largest, colours: SIGNED_COLOURS };
}

export const colourOf = (value: number, { low, high, colours }: ColourScale): string =>
  colours[heatLevel(value, low, high, colours.length)];

/** Returns the definition of the hatch pattern for cells without a number; each document must contain it once. */
export const hatchPattern = (id: string): string =>
  `<defs><pattern id="${id}" width="5" height="5" patternUnits="userSpaceOnUse" ` +
  `patternTransform="rotate(45)"><rect width="5" height="5" fill="#eeeeee"/>` +
  `<rect width="1.5" height="5" fill="#999999"/></pattern></defs>`;

/**
 * Returns the hatched cells of a path from {@link cellPaths}. They are in pixel coordinates, so that the pattern does not
 * scale with the cells.
 */
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

export type Blank = (row: number, column: number) => boolean;

/**
 * Returns the cells of a matrix as one SVG path per colour, in the order of the scale. The keys are the indices of the
 * colours. Each path consists of strokes of height 1, one for adjacent cells of the same colour. The path of values that
 * are not finite has the key -1; blank cells are in no path.
 */
export function cellPaths(
  values: readonly ArrayLike<number>[],
  { low, high, colours }: ColourScale,
  blank: Blank = () => false,
): Map<number, string> {
  const paths = new Map<number, string[]>();
  values.forEach((row, i) => {
    const level = (j: number) => {
      if (blank(i, j)) return undefined;
      return Number.isFinite(row[j]) ? heatLevel(row[j], low, high, colours.length) : -1;
    };
    for (let j = 0, end = 0; j < row.length; j = end) {
      const current = level(j);
      while (end < row.length && level(end) === current) end++;
      if (current === undefined) continue;
      if (!paths.has(current)) paths.set(current, []);
      paths.get(current)!.push(`M${j},${i}h${end - j}`);
    }
  });
  return new Map([...paths].sort(([a], [b]) => a - b).map(([level, parts]) => [level, parts.join("")]));
}
