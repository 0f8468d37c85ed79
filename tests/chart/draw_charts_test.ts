// Every kind of chart from the fixtures of draw_charts.ts: texts on the page without overlap, numbers of every size.
import assert from "node:assert/strict";
import { barChart, headSheet, heatMap, lineChart } from "../../src/chart/mod.ts";
import { FIXTURES } from "./draw_charts.ts";
import { assertApart, assertReads, wordsOf } from "./picture.ts";

const long = Object.keys(FIXTURES).filter((name) => name.includes("long"));

for (const name of long) {
  Deno.test(`${name}: names of 90 characters are complete, on the page and overlap no text`, () => {
    const svg = FIXTURES[name]();
    assertReads(svg);
    assertApart(name, svg);
    // Titles and legends wrap and are not cut.
    const words = wordsOf(svg);
    assert.ok(words.some((line) => line.endsWith("xxxxxxxxxx")), words.join(" | "));
  });
}

for (
  const name of Object.keys(FIXTURES).filter((name) => !long.includes(name) && !/extreme|tiny/.test(name))
) {
  Deno.test(`${name}: every text is on the page and overlaps no other`, () => {
    const svg = FIXTURES[name]();
    assertReads(svg);
    assertApart(name, svg);
  });
}

const EXTREME: readonly (readonly [number, number])[] = [[1, 1e-320], [2, 1e-5], [3, 1], [4, 1e308]];
const SIGNS: readonly (readonly [number, number])[] = [[1, -1e308], [2, 1e308], [3, 0]];

/** The texts of a chart, or why there is none. */
function words(draw: () => string): string[] {
  try {
    const svg = draw();
    assertReads(svg);
    return wordsOf(svg);
  } catch (error) {
    return [String(error)];
  }
}

const lineOf = (points: readonly (readonly [number, number])[], log = false) => () =>
  lineChart({ title: "t", x: { label: "step" }, y: { label: "y", log }, series: [{ name: "a", points }] });

const sheetOf = (points: readonly (readonly [number, number])[], log = false) => () =>
  headSheet({
    title: "t",
    x: { label: "step" },
    y: { label: "y", log },
    panels: [{ title: "p", series: [{ name: "a", points }] }],
  });

Deno.test("axes of lines, sheets and bars handle 1e-320 and 1e308, linear and logarithmic", () => {
  const barsOf = (values: number[]) => () =>
    barChart({
      title: "t",
      x: { label: "x" },
      y: { label: "y" },
      groups: values.map(String),
      series: [{ name: "a", values }],
    });
  const charts: [string, () => string, string[]][] = [
    ["a line of both signs", lineOf(SIGNS), ["-1e308", "0", "1e308"]],
    ["a logarithmic line", lineOf(EXTREME, true), ["1e-300", "1", "1e300"]],
    ["a line of tiny numbers", lineOf([[1, 1e-320], [2, 5e-320]]), ["1e-320", "3e-320", "5e-320"]],
    ["bars of both signs", barsOf([1e308, -1e308, 1e-320]), ["-1e308", "0", "1e308"]],
    ["tiny bars", barsOf([1e-320, 4e-320]), ["0", "2e-320", "4e-320"]],
    ["a sheet of both signs", sheetOf(SIGNS), ["-1e308", "0", "1e308"]],
    ["a logarithmic sheet", sheetOf(EXTREME, true), ["1e-300", "1", "1e300"]],
  ];
  for (const [name, draw, ticks] of charts) {
    const said = words(draw);
    for (const tick of ticks) assert.ok(said.includes(tick), `${name}: "${tick}" in ${said.join(" | ")}`);
  }
});

Deno.test("one point at the end of float64's range has an axis, and so has a map", () => {
  for (const value of [1.7e308, Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, 1e-200, 1e200]) {
    for (const draw of [lineOf([[1, value]]), sheetOf([[1, value]])]) {
      const said = words(draw);
      assert.ok(said.filter((word) => /^-?[\d.]+e-?\d+$/.test(word)).length >= 1, said.join(" | "));
    }
    const log = Math.abs(value);
    assert.ok(words(lineOf([[1, log]], true)).length > 3 && words(sheetOf([[1, log]], true)).length > 3);
  }
  const map = words(() =>
    heatMap({
      title: "t",
      rows: ["0"],
      columns: ["0", "1", "2"],
      values: [[1e308, -1e308, 1e-320]],
      x: { label: "x" },
      y: { label: "y" },
      value: { label: "v" },
    })
  );
  for (const text of ["1e308", "-1e308", "1e-320"]) assert.ok(map.includes(text), map.join(" | "));
});
