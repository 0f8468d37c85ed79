// Bar charts: deterministic bytes, every name, a whisker for each interval, inside the axis.
import assert from "node:assert/strict";
import { type BarChart, barChart } from "../../src/chart/bar_chart.ts";
import { CHART_COLOURS } from "../../src/chart/document.ts";
import { assertReads, textsOf, wordsOf } from "./picture.ts";

const CHART: BarChart = {
  title: 'Share <of> "diag" & more',
  x: { label: "layer" },
  y: { label: "r_diag" },
  groups: ["0", "1", "<2>"],
  series: [
    { name: "head 0", values: [0.5, 0.7, NaN], intervals: [0.1, NaN, 0.3] },
    { name: "head & 1", values: [-0.2, 0.1, 0.9], intervals: [0.05, 0, 0.6] },
  ],
};

Deno.test("barChart() gives the same bytes for the same chart, and names title, axes, groups and series", () => {
  const svg = barChart(CHART);
  assert.equal(barChart(structuredClone(CHART)), svg);
  assertReads(svg, CHART.title, "layer", "r_diag", "head 0", "head & 1", "0", "1", "<2>");
});

/** The lowest and the highest pixel of each whisker, drawn in black over white. */
const whiskersOf = (svg: string): [low: number, high: number][] =>
  [...svg.matchAll(
    /<path d="M[\d.]+,([\d.]+) [\d.]+,([\d.]+)M[^"]*" fill="none" stroke="#222222" stroke-width="1.25"\/>/g,
  )]
    .map(([, low, high]) => [Number(low), Number(high)]);

/** The vertical pixel of the tick with this label. */
const tickAt = (svg: string, text: string): number =>
  textsOf(svg).find((one) => one.text === text && one.attributes.includes('text-anchor="end"'))!.y -
  0.36 * 12;

Deno.test("barChart() names its intervals in the legend and cuts them at the limits", () => {
  const svg = barChart({
    title: "accuracy",
    x: { label: "method" },
    y: { label: "accuracy", limits: [0, 1] },
    interval: "95% interval over 3 seeds",
    groups: ["a", "b", "c"],
    series: [{ name: "accuracy", values: [0.95, 0.5, 0.02], intervals: [0.2, 0.1, 0.3] }],
  });
  assertReads(svg, "95% interval over 3 seeds");
  const drawn = whiskersOf(svg).filter(([low, high]) => Math.abs(low - high) > 13);
  assert.equal(drawn.length, 3);
  const [none, all] = [tickAt(svg, "0"), tickAt(svg, "1")];
  for (const [low, high] of drawn) {
    assert.ok(low <= none + 0.5 && high >= all - 0.5, `${low} to ${high} between ${none} and ${all}`);
  }
  assert.ok(!ticksOf(svg).some((tick) => tick > 1 || tick < 0), ticksOf(svg).join(" "));
  const unsaid = barChart({ ...CHART, series: [{ name: "s", values: [1, 2, 3], intervals: [1, 1, 1] }] });
  assertReads(unsaid, "95% interval");
  assert.ok(
    !wordsOf(barChart({ ...CHART, series: [{ name: "s", values: [1, 2, 3] }] })).includes("95% interval"),
  );
});

Deno.test("barChart() draws a cross for a missing value, unlike 0, and has sixteen colours", () => {
  const one = (values: number[]) => barChart({ ...CHART, series: [{ name: "s", values }] });
  assertReads(one([NaN, 1, 2]), "no value");
  assert.ok(!wordsOf(one([0, 1, 2])).includes("no value"));
  const series = Array.from({ length: 16 }, (_, n) => ({ name: `head ${n}`, values: [1, 2, 3] }));
  const fills = barChart({ ...CHART, series }).match(/Z" fill="#\w+"/g)!;
  assert.ok(new Set(fills).size >= 16);
});

/** Numbers of the vertical axis: texts that end at its left. */
const ticksOf = (svg: string): number[] =>
  textsOf(svg).filter(({ attributes }) => attributes.includes('text-anchor="end"')).map(({ text }) =>
    Number(text)
  );

Deno.test("barChart() draws a bar for each finite value and a whisker for each interval, all within the axis", () => {
  const svg = barChart(CHART);
  const bars = (colour: string) => svg.split(`Z" fill="${colour}"`).length - 1;
  // One more is in the legend.
  assert.equal(bars(CHART_COLOURS[0]), 2 + 1);
  assert.equal(bars(CHART_COLOURS[1]), 3 + 1);
  // An interval of 0, no interval, and that of a missing value have no whisker: 3 are left, each with a white outline.
  assert.equal(svg.match(/stroke="#ffffff" stroke-width="3"/g)?.length, 3);
  const ticks = ticksOf(svg);
  assert.ok(Math.min(...ticks) <= -0.25 && Math.max(...ticks) >= 1.5, ticks.join(" "));
});

Deno.test("barChart() draws charts without groups or series, one bar, and zeros", () => {
  const some: Partial<BarChart>[] = [
    { groups: [], series: [] },
    { groups: ["a"], series: [{ name: "s", values: [1] }] },
    { groups: ["a", "b"], series: [{ name: "s", values: [0, 0], intervals: [0, 0] }] },
    { groups: ["a"], series: [{ name: "s", values: [NaN] }] },
  ];
  for (const one of some) assertReads(barChart({ ...CHART, ...one }));
});

Deno.test("barChart() keeps its legend above the plot and names 40 groups without overlap", () => {
  const groups = Array.from({ length: 40 }, (_, i) => `group ${i}`);
  const series = Array.from(
    { length: 8 },
    (_, n) => ({ name: `head ${n}`, values: groups.map((_, i) => i) }),
  );
  const svg = barChart({ ...CHART, groups, series });
  const top = Math.min(...textsOf(svg).filter(({ text }) => text.startsWith("group")).map(({ y }) => y));
  for (const { text, y } of textsOf(svg)) if (text.startsWith("head")) assert.ok(y < top - 200);
  assert.ok(wordsOf(svg).filter((text) => text.startsWith("group")).length >= 10);
});

Deno.test("barChart() refuses a series without one value per group", () => {
  assert.throws(
    () => barChart({ ...CHART, series: [{ name: "s", values: [1] }] }),
    /Series "s" has 1 values for 3 groups/,
  );
});

Deno.test("barChart() labels every group or states which; consecutive numbers need no note", () => {
  const shown = (groups: string[]) => {
    const svg = barChart({
      title: "t",
      x: { label: "token" },
      y: { label: "y" },
      groups,
      series: [{ name: "s", values: groups.map(() => 1) }],
    });
    const texts = [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
    return {
      labels: texts.filter((text) => groups.includes(text)),
      axis: texts.find((text) => /^token/.test(text)),
    };
  };
  const words = (count: number) => Array.from({ length: count }, (_, n) => `word${n}`);
  assert.deepEqual(shown(words(38)), { labels: words(38), axis: "token" });
  const many = shown(words(100));
  assert.deepEqual(many, {
    labels: words(100).filter((_, n) => n % 3 === 0),
    axis: "token (every 3rd labelled)",
  });
  assert.equal(shown(Array.from({ length: 100 }, (_, n) => `${n}`)).axis, "token");
});
