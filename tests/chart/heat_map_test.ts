// Heat maps: colours ordered in greyscale, visible labels without overlap, small files.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import * as scales from "../../src/chart/colour_scale.ts";
import { type HeatMap, heatMap } from "../../src/chart/heat_map.ts";
import { assertReads, boxesOf, textsOf, wordsOf } from "./picture.ts";

const { HEAT_COLOURS, heatLevel, lightness } = scales;

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
  // From near white to near black; no step differs visibly from the mean, and none is reversed.
  assert.ok(light[0] > 95 && light[63] < 15);
  assert.ok(steps.every((step) => step > 0.5 * mean && step < 1.5 * mean), steps.join(" "));
});

Deno.test("heatLevel() maps a range to the colours and clamps values outside", () => {
  assert.deepEqual([-1, 0, 0.5, 1, 2].map((value) => heatLevel(value, 0, 1)), [0, 0, 32, 63, 63]);
  assert.equal(heatLevel(3, 3, 3), 0);
});

Deno.test("heatMap() shows white space in tokens, Chinese and markup, and shortens long tokens in the middle", () => {
  const tokens = [" the", "\n", "漢字", '<b>&"', "\t", "a".repeat(200), ""];
  const svg = heatMap(mapOf(tokens, tokens, (i, j) => j <= i ? 1 / (i + 1) : 0));
  assertReads(svg, "␣the", "↵", "漢字", '<b>&"', "⇥");
  assert.ok(!svg.includes("<b>"));
  // A cell has room for three lines, once in the rows and once in the columns.
  const long = wordsOf(svg).filter((text) => /^a{9,}…?a*$/.test(text));
  assert.deepEqual([long.length, long.join("").match(/…/g)?.length], [6, 2]);
  assert.ok(long.every((line) => line.length < 30));
});

Deno.test("heatMap() hatches values that are not finite and has a legend for them", () => {
  const svg = heatMap(SMALL);
  assert.ok(!wordsOf(svg).includes("no value") && !/fill="url\(#hatch/.test(svg));
  for (const bad of [NaN, Infinity, -Infinity]) {
    const svg = heatMap(mapOf(["0", "1"], ["a", "b"], (i, j) => i === j ? bad : 1 + i));
    assertReads(svg, "no value");
    // Two cells in one path, and the legend below the bar.
    assert.equal(svg.match(/fill="url\(#hatch-[0-9a-f]{8}\)"/g)?.length, 2);
  }
  assertReads(heatMap(mapOf(["0"], ["a"], () => NaN)), "no value");
});

Deno.test("heatMap() writes light numbers on dark cells and dark ones on light cells, and none if they do not fit", () => {
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

Deno.test("labels of 128 rows and columns do not overlap", () => {
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

Deno.test("heatMap() states which tokens it labels if not all fit, unless labels are consecutive numbers", () => {
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
  // Tokens that are digits look like row numbers, but are not.
  const digits = [...numbered(64)].reverse();
  assert.deepEqual(titles(heatMap(mapOf(numbered(64), digits, () => 1)))[1], "query");
  assert.match(titles(heatMap(mapOf(numbered(64), digits, () => 1)))[0], /^key \(every \d+\w\w labelled\)$/);
});

Deno.test("heatMap() draws 600 x 600 numbers, and writes 0 only for 0", () => {
  const many = numbered(600);
  // More numbers than a call can have arguments.
  assertReads(heatMap(mapOf(many, many, (i, j) => i + j)), "580");
  assertReads(heatMap(mapOf(["0"], ["a", "b"], (_, j) => j ? 1 : -1e-5)), "-1e-5", "1.00");
});

Deno.test("heatMap() draws no cells, one cell, equal values, huge and tiny values", () => {
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

/** The colour of each cell, by `i,j`, without blank cells. */
function coloursOf(svg: string): Map<string, string> {
  const colours = new Map<string, string>();
  for (const [, path, colour] of svg.matchAll(/<path d="((?:M\d+,\d+h\d+)+)" stroke="(#\w+)"/g)) {
    for (const [, j, i, count] of path.matchAll(/M(\d+),(\d+)h(\d+)/g)) {
      for (let n = 0; n < Number(count); n++) colours.set(`${i},${Number(j) + n}`, colour);
    }
  }
  return colours;
}

/** The numbers in cells, which are black or white. */
const numbersOf = (svg: string) =>
  textsOf(svg).filter(({ attributes }) => /fill="#(000000|ffffff)"/.test(attributes));

const greyOf = (colour: string) => [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16));

Deno.test("heatMap() leaves masked cells blank: no colour, no number, no hatching, and no part in the scale", () => {
  const map = mapOf(numbered(4), numbered(4), (i, j) => j > i ? -99 : 0.25 * (i + j));
  const svg = heatMap({ ...map, blank: (i, j) => j > i });
  const cells = [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].filter((j) => j <= i).map((j) => `${i},${j}`));
  assert.deepEqual([...coloursOf(svg).keys()].sort(), cells);
  assert.equal(numbersOf(svg).length, cells.length);
  assert.ok(!wordsOf(svg).includes("no value") && !/fill="url\(#hatch/.test(svg));
  assert.ok(!wordsOf(svg).some((word) => word.startsWith("-")), wordsOf(svg).join(" "));
  // 0 has a colour other than white.
  assert.ok(lightness(coloursOf(svg).get("0,0")!) < 97);
});

Deno.test("heatMap() shows signed numbers in colours that diverge symmetrically from grey at 0", () => {
  const values = [-2, -1, 0, 1, 2, 4];
  const svg = heatMap(mapOf(["0"], numbered(values.length), (_, j) => values[j]));
  const colour = (j: number) => coloursOf(svg).get(`0,${j}`)!;
  const [red, green, blue] = greyOf(colour(2));
  assert.ok(red === green && green === blue, `0 is ${colour(2)}`);
  for (const [below, above] of [[1, 3], [0, 4]]) {
    // Equal distances from 0 are equally dark in blue and red.
    assert.ok(
      Math.abs(lightness(colour(below)) - lightness(colour(above))) < 2,
      `${colour(below)} ${colour(above)}`,
    );
    assert.ok(
      greyOf(colour(below))[2] > greyOf(colour(below))[0] &&
        greyOf(colour(above))[0] > greyOf(colour(above))[2],
    );
  }
  // The bar is symmetric about 0.
  assertReads(svg, "-4", "0", "4");
  const one = heatMap({ ...mapOf(["0"], ["a", "b"], (_, j) => j + 1), signed: true });
  assertReads(one, "-2", "0", "2");
});

Deno.test("the diverging colours grow darker in equal steps from grey", () => {
  const light = scales.SIGNED_COLOURS.map(lightness);
  assert.deepEqual([light.length, light.indexOf(Math.max(...light))], [65, 32]);
  const steps = light.slice(33).map((l, n) => light[32 + n] - l);
  const mirrored = light.slice(0, 32).map((l, n) => light[64 - n] - l);
  assert.ok(steps.every((step) => step > 0.8 && step < 3), steps.join(" "));
  assert.ok(mirrored.every((difference) => Math.abs(difference) < 1), mirrored.join(" "));
});

Deno.test("heatMap() writes as many digits as the range of its numbers needs and as fit in cells", () => {
  const values = [0.001, 1200, 0.004, 0, 37.5, 0.0123, 5e-7, 999, -0.5, 31];
  const svg = heatMap(mapOf(["0"], numbered(values.length), (_, j) => values[j]));
  const numbers = numbersOf(svg);
  assert.equal(numbers.length, values.length);
  for (const [n, { text }] of numbers.entries()) {
    const error = Math.abs(Number(text) - values[n]);
    assert.ok(error <= 0.05 * Math.abs(values[n]), `${values[n]} as ${text}`);
    // A cell is 52 pixels wide.
    assert.ok(text.length < 8, text);
  }
  const near = heatMap(mapOf(["0"], numbered(3), (_, j) => 0.5 + j / 1000));
  assert.equal(
    new Set(numbersOf(near).map(({ text }) => text)).size,
    3,
    "0.500, 0.501, 0.502 are not one number",
  );
  const narrow = heatMap(mapOf(numbered(12), numbered(12), (i, j) => -(10 ** (i - j))));
  for (const { left, right, text } of boxesOf(narrow).filter(({ text }) => /^-[\d.e-]+$/.test(text))) {
    assert.ok(right - left < 560 / 12, text);
  }
});

Deno.test("the colour bar of a heat map is as high as its matrix, even if that is low", () => {
  for (const rows of [1, 2, 12]) {
    const svg = heatMap(mapOf(numbered(rows), numbered(3), (i, j) => i + j));
    const matrix = Math.min(52, 560 / rows) * rows;
    const bar = [...svg.matchAll(/<rect x="[\d.]+" y="([\d.]+)" width="14" height="([\d.]+)" fill="#/g)]
      .map(([, y, height]) => [Number(y), Number(y) + Number(height)]);
    const height = Math.max(...bar.map(([, end]) => end)) - Math.min(...bar.map(([begin]) => begin));
    // Coordinates have one decimal.
    assert.ok(bar.length > 60 && Math.abs(height - matrix) < 0.6, `${height} beside ${matrix}`);
  }
});
