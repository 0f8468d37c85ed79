// What tests read from a chart: its texts, where they stand, how much of the page they take.
import assert from "node:assert/strict";

const ENTITIES: { [name: string]: string } = { lt: "<", gt: ">", amp: "&", quot: '"' };

/** One text of a document. */
export interface Text {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly attributes: string;
}

/** The texts of a document, as a reader sees them, with the places that they are drawn at before their groups move them. */
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

/** That a document holds numbers only, is closed, and has each of some texts. */
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
