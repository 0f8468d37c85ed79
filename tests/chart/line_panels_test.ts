// Sheets of lines: shared axes, one style per name, labels only at the edges, sizes independent of the model.
import assert from "node:assert/strict";
import { type HeadSheet, headSheet } from "../../src/chart/line_panels.ts";
import { assertReads, textsOf, wordsOf } from "./picture.ts";

type Points = [number, number][];

function sheetOf(layers: number, heads: number, points: (layer: number, head: number) => Points): HeadSheet {
  return {
    title: "Entropy <of> small",
    x: { label: "step" },
    y: { label: "entropy (nats)" },
    panels: Array.from({ length: layers }, (_, layer) => ({
      title: `layer ${layer}`,
      series: Array.from(
        { length: heads },
        (_, head) => ({ name: `head ${head}`, points: points(layer, head) }),
      ),
    })),
  };
}

const wave = (length: number) => (layer: number, head: number): Points =>
  Array.from({ length }, (_, i) => [i + 1, 2 + Math.sin(i / 50 + layer + head)]);

Deno.test("headSheet() gives the same bytes for the same sheet, and names title, axes, panels and lines", () => {
  const sheet = sheetOf(4, 4, wave(300));
  const svg = headSheet(sheet);
  assert.equal(headSheet(structuredClone(sheet)), svg);
  assertReads(svg, "Entropy <of> small", "step", "entropy (nats)", "layer 3", "head 3", "300");
  assert.equal(wordsOf(svg).filter((text) => text === "head 0").length, 1, "one legend");
});

Deno.test("headSheet() labels the vertical axis once per row and the horizontal once per column", () => {
  const words = wordsOf(headSheet(sheetOf(5, 2, () => [[1, 0.5], [100, 3]])));
  // Five panels in three columns: two rows at the left; the last panel of the first row has nothing below it.
  assert.equal(words.filter((text) => text === "2.5").length, 2);
  assert.equal(words.filter((text) => text === "40").length, 3);
});

Deno.test("headSheet() gives a name the same colour and dashes in every panel, and 24 names different ones", () => {
  const svg = headSheet(sheetOf(2, 24, (_, head) => [[0, head], [1, head]]));
  const looks = [...svg.matchAll(/<path d="[^"]*" (fill="none" stroke="#[^>]*stroke-linejoin[^>]*)\/>/g)].map(
    (m) => m[1],
  );
  const counts = new Map<string, number>();
  for (const look of looks) counts.set(look, (counts.get(look) ?? 0) + 1);
  assert.equal(counts.size, 24);
  for (const count of counts.values()) assert.equal(count, 3, "two panels and the legend");
});

Deno.test("headSheet() of 12 layers and 12 heads of 2,000 steps stays below 100 KB, one of 24 and 16 below 200", () => {
  assert.ok(headSheet(sheetOf(12, 12, wave(2000))).length < 100e3);
  // 384 lines with the minimum number of points per line.
  assert.ok(headSheet(sheetOf(24, 16, wave(2000))).length < 200e3);
});

Deno.test("headSheet() breaks lines at values that are not finite and shows isolated points", () => {
  const svg = headSheet(
    sheetOf(1, 1, () => [[1, 1], [2, 2], [3, NaN], [4, 3], [5, Infinity], ...wave(20)(0, 0)]),
  );
  assertReads(svg);
  assert.equal(svg.match(/<circle/g)?.length, 1);
});

Deno.test("headSheet() draws few points as dots, no panels, no lines, a flat line with rounding errors, and logarithmic axes", () => {
  assert.equal(headSheet(sheetOf(2, 2, () => [[0, 1], [1, 2], [2, 3]])).match(/<circle/g)?.length, 12);
  assertReads(headSheet(sheetOf(0, 0, () => [])));
  assertReads(headSheet(sheetOf(2, 1, () => [])));
  const flat = headSheet(sheetOf(1, 2, (_, head) => [[1, 1], [2, 1 + head * 1e-7]]));
  assertReads(flat, "0.9", "1");
  assert.equal(wordsOf(flat).filter((text) => text === "1").length, 2, "of the steps and of the values");
  for (const [low, high] of [[1e-6, 1], [1, 1], [0.9, 1.1], [-1, 0], [1e-30, 1e30]]) {
    assertReads(
      headSheet({ ...sheetOf(1, 1, () => [[1, low], [2, high]]), y: { label: "norm", log: true } }),
    );
  }
  const decades = headSheet({ ...sheetOf(1, 1, () => [[1, 1e-3], [2, 1]]), y: { label: "norm", log: true } });
  assertReads(decades, "1e-3", "0.01", "0.1", "1");
});

Deno.test("the labels of a sheet's horizontal axis do not overlap, also with six digits", () => {
  const svg = headSheet(sheetOf(12, 1, () => [[0, 1], [250_000, 2]]));
  const labels = textsOf(svg).filter(({ text, attributes }) =>
    (/^\d+,000$/.test(text) || text === "0") && attributes.includes('"middle"')
  );
  assert.ok(labels.length >= 8);
  for (let i = 1; i < labels.length; i++) {
    const apart = labels[i].x - labels[i - 1].x;
    assert.ok(apart < 0 || apart > 45, `${labels[i - 1].text} ${labels[i].text} ${apart}`);
  }
});
