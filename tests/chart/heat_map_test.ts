// Heat maps as documents: colours that order in grey, labels that are seen and do not meet, sizes that stay small.
import assert from "node:assert/strict";
import { randomStream } from "../../kernels/random/threefry.ts";
import { HEAT_COLOURS, heatLevel, lightness } from "../../src/chart/colour_scale.ts";
import { type HeatMap, heatMap } from "../../src/chart/heat_map.ts";
import { assertReads, textsOf, wordsOf } from "./picture.ts";

function mapOf(rows: readonly string[], columns: readonly string[], value: (i: number, j: number) => number) {
  const map: HeatMap = {
    title: "Map",
    rows,
    columns,
    values: rows.map((_, i) => columns.map((_, j) => value(i, j))),
    y: { label: "query" },
    x: { label: "key" },
    value: { label: "attention" },
  };
  return map;
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);
const SMALL = mapOf(["0", "1"], ["a", "b", "c"], (i, j) => i + j / 4);

Deno.test("heatMap() gives the same bytes for the same map, and names title, axes and every label", () => {
  const svg = heatMap(SMALL);
  assert.equal(heatMap(structuredClone(SMALL)), svg);
  assertReads(svg, "Map", "query", "key", "attention", "0", "1", "a", "b", "c", "1.25", "1.50");
});

Deno.test("the colours of heat maps grow darker in equal steps of lightness", () => {
  const light = HEAT_COLOURS.map(lightness);
  assert.equal(light.length, 64);
  const steps = light.slice(1).map((l, i) => light[i] - l);
  const mean = (light[0] - light[63]) / 63;
  // From near white to near black; a step differs from the mean by less than can be seen, and none is the other way.
  assert.ok(light[0] > 95 && light[63] < 15);
  assert.ok(steps.every((step) => step > 0.5 * mean && step < 1.5 * mean), steps.join(" "));
});

Deno.test("heatLevel() spreads a range over the colours and keeps what lies outside at its ends", () => {
  assert.deepEqual([-1, 0, 0.5, 1, 2].map((value) => heatLevel(value, 0, 1)), [0, 0, 32, 63, 63]);
  assert.equal(heatLevel(3, 3, 3), 0);
});

Deno.test("heatMap() shows blanks of tokens, Chinese, markup, and shortens a long token in its middle", () => {
  const tokens = [" the", "\n", "漢字", '<b>&"', "\t", "a".repeat(200), ""];
  const svg = heatMap(mapOf(tokens, tokens, (i, j) => j <= i ? 1 / (i + 1) : 0));
  assertReads(svg, "␣the", "↵", "漢字", '<b>&"', "⇥");
  assert.ok(!svg.includes("<b>"));
  const long = wordsOf(svg).filter((text) => /^a+…a+$/.test(text));
  assert.equal(long.length, 2);
  assert.ok(long[0].length < 30);
});

Deno.test("heatMap() hatches what is not a number and says so beside the colour bar", () => {
  const whole = heatMap(SMALL);
  assert.ok(!wordsOf(whole).includes("no value") && !/fill="url\(#hatch/.test(whole));
  for (const bad of [NaN, Infinity, -Infinity]) {
    const svg = heatMap(mapOf(["0", "1"], ["a", "b"], (i, j) => i === j ? bad : 1 + i));
    assertReads(svg, "no value");
    // Two cells in one path, and the mark beside the bar.
    assert.equal(svg.match(/fill="url\(#hatch-[0-9a-f]{8}\)"/g)?.length, 2);
  }
  assertReads(heatMap(mapOf(["0"], ["a"], () => NaN)), "no value");
});

Deno.test("heatMap() writes numbers in light on dark cells and dark on light ones, and none where they do not fit", () => {
  const svg = heatMap(mapOf(["0"], numbered(4), (_, j) => j / 3));
  const colourOf = (text: string) => textsOf(svg).find((one) => one.text === text)!.attributes;
  assert.match(colourOf("0.33"), /fill="#000000"/);
  assert.match(colourOf("0.67"), /fill="#ffffff"/);
  const crowded = heatMap(mapOf(numbered(40), numbered(40), (i, j) => i / (j + 1)));
  assert.ok(!/fill="#ffffff">/.test(crowded));
});

Deno.test("heatMap() of 128 x 128 random numbers stays below 200 KB, of a causal pattern below 110 KB", () => {
  const random = randomStream(1, "map");
  const svg = heatMap(mapOf(numbered(128), numbered(128), () => random.normal()));
  assert.ok(svg.length < 200e3, `${svg.length}`);
  const causal = heatMap(
    mapOf(numbered(128), numbered(128), (i, j) => j <= i ? Math.abs(random.normal()) : 0),
  );
  assert.ok(causal.length < 110e3, `${causal.length}`);
});

Deno.test("labels of 128 rows and columns do not meet", () => {
  const svg = heatMap(mapOf(numbered(128), numbered(128), (i, j) => i + j));
  const rows = textsOf(svg).filter(({ attributes, text }) =>
    attributes.includes('"end"') && /^\d+$/.test(text)
  );
  assert.ok(rows.length > 10);
  for (let i = 1; i < rows.length; i++) assert.ok(rows[i].y - rows[i - 1].y >= 11);
  const columns = textsOf(svg).filter(({ attributes, text }) =>
    attributes.includes('"middle"') && !attributes.includes("rotate") && /^\d+$/.test(text)
  );
  assert.ok(columns.length > 10);
  for (let i = 1; i < columns.length; i++) assert.ok(columns[i].x - columns[i - 1].x >= 22);
});

Deno.test("heatMap() says which tokens it labels where all have no room, and nothing where all have or they count up", () => {
  const tokens = (count: number) => Array.from({ length: count }, (_, n) => `t${n % 7}`);
  const titles = (svg: string) =>
    textsOf(svg).map(({ text }) => text).filter((text) => /query|key/.test(text));
  assert.deepEqual(titles(heatMap(mapOf(tokens(100), tokens(20), () => 1))), [
    "key",
    "query (every 5th labelled)",
  ]);
  assert.deepEqual(titles(heatMap(mapOf(tokens(9), tokens(300), () => 1))), [
    "key (every 10th labelled)",
    "query",
  ]);
  // Digits that are tokens look like numbers of rows and are none.
  const digits = [...numbered(64)].reverse();
  assert.deepEqual(titles(heatMap(mapOf(numbered(64), digits, () => 1)))[1], "query");
  assert.match(titles(heatMap(mapOf(numbered(64), digits, () => 1)))[0], /^key \(every \d+\w\w labelled\)$/);
});

Deno.test("heatMap() of 600 x 600 numbers is drawn, and a number that rounds to zero has no sign", () => {
  const many = numbered(600);
  // More numbers than a call has arguments.
  assertReads(heatMap(mapOf(many, many, (i, j) => i + j)), "580");
  assertReads(heatMap(mapOf(["0"], ["a", "b"], (_, j) => j ? 1 : -1e-5)), "0.00", "1.00");
});

Deno.test("heatMap() draws no cell, one cell, equal values, huge and tiny ones", () => {
  for (const value of [0, 1, -1, 1e300, 1e-300, 1 + 1e-7]) {
    assertReads(heatMap(mapOf(["0"], ["a", "b"], () => value)));
    assertReads(heatMap({ ...mapOf(["0"], ["a"], () => value), range: [0, 1] }));
  }
  assertReads(heatMap(mapOf([], [], () => 0)));
  assertReads(heatMap(mapOf(["0"], ["a", "b"], (_, j) => 1 + j * 2e-7)), "1.00");
});

Deno.test("heatMap() refuses values that do not fit its labels", () => {
  assert.throws(() => heatMap({ ...SMALL, values: [[1, 2, 3]] }), /2 x 3 labels has 1 rows of 3 numbers/);
  assert.throws(() => heatMap({ ...SMALL, values: [[1, 2, 3], [1]] }), /2 rows of 3, 1 numbers/);
});
