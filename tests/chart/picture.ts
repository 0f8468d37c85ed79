// Reads a chart for tests: its texts, their positions, and the area they cover.
import assert from "node:assert/strict";
import { FAMILY } from "../../src/chart/document.ts";
import { textWidth } from "../../src/chart/text_width.ts";

const ENTITIES: { [name: string]: string } = { lt: "<", gt: ">", amp: "&", quot: '"' };

/** One text of a document. */
export interface Text {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly attributes: string;
}

/** The texts of a document, unescaped, with their positions before the transformations of groups. */
export function textsOf(svg: string): Text[] {
  return [...svg.matchAll(/<text x="([-\d.]+)" y="([-\d.]+)"([^>]*)>([^<]*)<\/text>/g)].map((match) => ({
    x: Number(match[1]),
    y: Number(match[2]),
    attributes: match[3],
    text: match[4].replace(/&(\w+);/g, (_, name) => ENTITIES[name]),
  }));
}

/** The words of a document's texts. */
export const wordsOf = (svg: string): string[] => textsOf(svg).map(({ text }) => text);

/** Asserts that a document has only finite numbers, is closed, and contains each of these texts. */
export function assertReads(svg: string, ...texts: readonly string[]): void {
  assert.ok(svg.startsWith("<svg xmlns=") && svg.endsWith("</svg>\n"));
  assert.ok(
    !/NaN|Infinity|undefined|null/.test(svg),
    svg.match(/.{40}(NaN|Infinity|undefined|null).{40}/)?.[0],
  );
  for (const [opened, closed] of [["<g ", "</g>"], ["<text ", "</text>"], ["<defs>", "</defs>"]]) {
    assert.equal(svg.split(opened).length, svg.split(closed).length, opened);
  }
  const words = wordsOf(svg);
  for (const text of texts) {
    assert.ok(words.includes(text), `${JSON.stringify(text)} in ${words.join(" | ")}`);
  }
}

/** A text and the area that it covers on the page. */
export interface Box {
  readonly text: string;
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The area of a text of this width whose baseline starts, ends or is centred at (x, y). */
function roomOf(text: string, attributes: string, x: number, y: number, anchor: string): Box {
  const attribute = (name: string, otherwise: string) =>
    new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1] ?? otherwise;
  const size = Number(attribute("font-size", "10"));
  const font = { style: "normal", weight: attribute("font-weight", "normal"), size, family: FAMILY };
  const width = textWidth(text, font);
  const begin = { middle: -width / 2, end: -width, start: 0 }[attribute("text-anchor", anchor)]!;
  // From cap height to the descender of a comma.
  const [up, down] = [0.73 * size, 0.14 * size];
  const angle = Number(/rotate\((-?[\d.]+)/.exec(attributes)?.[1] ?? 0);
  const corners = [[begin, -up], [begin + width, down]];
  const turned = corners.map(([u, v]) =>
    angle === 0 ? [x + u, y + v] : angle < 0 ? [x + v, y - u] : [x - v, y + u]
  );
  const [us, vs] = [0, 1].map((n) => turned.map((corner) => corner[n]).toSorted((a, b) => a - b));
  return { text, left: us[0], top: vs[0], right: us[1], bottom: vs[1] };
}

/** The area of each text of a document, with the transformations of its groups. */
export function boxesOf(svg: string): Box[] {
  const moves = [[0, 0]];
  const anchor = /^<svg [^>]*text-anchor="(\w+)"/.exec(svg)?.[1] ?? "start";
  const boxes: Box[] = [];
  for (
    const [tag, x, y, attributes, text] of svg.matchAll(
      /<g\b[^>]*>|<\/g>|<text x="([-\d.]+)" y="([-\d.]+)"([^>]*)>([^<]*)<\/text>/g,
    )
  ) {
    const [dx, dy] = moves.at(-1)!;
    if (tag === "</g>") moves.pop();
    else if (x === undefined) {
      const move = /translate\((-?[\d.]+) (-?[\d.]+)\)/.exec(tag);
      moves.push(move ? [dx + Number(move[1]), dy + Number(move[2])] : [dx, dy]);
    } else if (text !== "") {
      const shown = text.replace(/&(\w+);/g, (_, name) => ENTITIES[name]);
      boxes.push(roomOf(shown, attributes, dx + Number(x), dy + Number(y), anchor));
    }
  }
  return boxes;
}

/** Asserts that every text of a document is on its page and overlaps no other. */
export function assertApart(name: string, svg: string): void {
  const [, width, height] = /^<svg [^>]*width="(\d+)" height="(\d+)"/.exec(svg)!.map(Number);
  const boxes = boxesOf(svg);
  for (const { text, left, top, right, bottom } of boxes) {
    const inside = left > -1 && top > -1 && right < width + 1 && bottom < height + 1;
    assert.ok(inside, `${name}: "${text}" at ${left} ${top} ${right} ${bottom} on ${width} x ${height}`);
  }
  boxes.forEach((a, n) => {
    for (const b of boxes.slice(n + 1)) {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      // Two labels at one position, as of panels with a common axis, count as one.
      const same = a.text === b.text && across > 0.9 * (a.right - a.left);
      assert.ok(
        across < 1 || down < 1 || same,
        `${name}: "${a.text}" and "${b.text}" meet by ${across} x ${down}`,
      );
    }
  });
}
