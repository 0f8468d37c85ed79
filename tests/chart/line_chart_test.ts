// Line charts: deterministic bytes, readable names, only finite numbers, small files.

import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { CHART_COLOURS, type LineChart, lineChart } from "../../src/chart/line_chart.ts";
import { lossChart } from "../../src/chart/loss_chart.ts";
import { thin } from "../../src/chart/downsample.ts";
import type { LogRecord } from "../../src/log/records.ts";

/** The texts of a document, as a reader sees them. */
function texts(svg: string): string[] {
  const entities: { [name: string]: string } = { lt: "<", gt: ">", amp: "&", quot: '"' };
  return [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)]
    .map((match) => match[1].replace(/&(\w+);/g, (_, name) => entities[name]));
}

/** A numeric attribute of the text element with this content. */
function placeOf(svg: string, text: string, attribute: string): number {
  const match = new RegExp(`<text [^>]*?\\b${attribute}="([-\\d.]+)"[^>]*>${text}</text>`).exec(svg);
  assert.ok(match, `no text "${text}"`);
  return Number(match[1]);
}

function noise(count: number, name: string): [number, number][] {
  const random = randomStream(1, name);
  return Array.from({ length: count }, (_, i) => [i + 1, 2 + Math.exp(-i / 300) + 0.1 * random.normal()]);
}

function chartOf(series: LineChart["series"], more: Partial<LineChart> = {}): LineChart {
  return { title: "Title", x: { label: "step" }, y: { label: "loss" }, series, ...more };
}

const FOUR = chartOf(["a", "b", "c", "d"].map((name) => ({ name, points: noise(2000, name) })));

Deno.test("lineChart() gives the same bytes for the same chart, also after another chart", () => {
  const first = lineChart(FOUR);
  lineChart(chartOf([{ name: "other", points: [[1, 2], [3, 4]] }], { x: { label: "", log: true } }));
  assert.equal(lineChart(structuredClone(FOUR)), first);
});

Deno.test("lineChart() of 2,000 points in 4 series stays under 100 KB, and of 200,000 too", () => {
  assert.ok(lineChart(FOUR).length < 100e3);
  const long = chartOf(["a", "b", "c", "d"].map((name) => ({ name, points: noise(200_000, name) })));
  assert.ok(lineChart(long).length < 100e3);
});

Deno.test("lineChart() names title, axes and every series in text elements, with any characters", () => {
  const names = [
    "<b>&amp;\"'",
    "blocks.0.attn",
    "é 漢 ∂L",
    ...Array.from({ length: 9 }, (_, i) => `series ${i}`),
  ];
  const chart = chartOf(names.map((name, i) => ({ name, points: [[0, i], [1, i + 1]] })), {
    title: 'A & B <"C">',
    y2: { label: "rate" },
  });
  const svg = lineChart(chart);
  for (const name of [...names, chart.title, "step", "loss", "rate"]) {
    assert.ok(texts(svg).includes(name), name);
  }
  assert.ok(!svg.includes("<b>"));
  assert.ok(texts(lineChart(chartOf([{ name: "a\u0000\ud800b", points: [] }]))).includes("a\\u0000\ufffdb"));
});

Deno.test("lineChart() wraps a long title instead of cutting it", () => {
  const title = Array.from({ length: 30 }, (_, i) => `word${i}`).join(" ");
  const svg = lineChart(chartOf([], { title }));
  const lines = texts(svg).filter((text) => text.startsWith("word"));
  assert.ok(lines.length > 1);
  assert.equal(lines.join(" "), title);
});

Deno.test("lineChart() keeps the legend above the plot, at any number of series", () => {
  for (const count of [1, 4, 16]) {
    const series = Array.from(
      { length: count },
      (_, i) => ({ name: `s${i}s`, points: [[0, 1], [9, 2]] as [number, number][] }),
    );
    const svg = lineChart(chartOf(series));
    const plotTop = placeOf(svg, "2", "y");
    for (const { name } of series) assert.ok(placeOf(svg, name, "y") < plotTop, `${name} of ${count}`);
  }
});

/** The number of points of each segment of the data's lines; lines of legend and grid have no round joins. */
function stretches(svg: string): number[] {
  const lines = svg.matchAll(/<path d="([^"]*)" fill="none" [^>]*stroke-linejoin="round"/g);
  return [...lines].flatMap((match) => match[1].slice(1).split("M")).map((line) => line.split(" ").length);
}

Deno.test("lineChart() breaks a line at points that are not finite and never writes one", () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const middle: [number, number][] = [[4, 1], [5, 3], [bad, 2], [7, 2], [8, 1]];
    const points: [number, number][] = [[1, 1], [2, 2], [3, bad], ...middle, [9, bad], [10, 1]];
    const svg = lineChart(chartOf([{ name: "a", points }]));
    assert.ok(!/NaN|Infinity/.test(svg));
    assert.deepEqual(stretches(svg), [2, 2, 2, 1]);
    // The point at 10 has no line on either side, so it is drawn as a disc.
    assert.equal(svg.match(/A2,2 /g)?.length, 2);
  }
});

Deno.test("lineChart() leaves values that are not positive out of a logarithmic axis", () => {
  const points: [number, number][] = [[0, 1], [1, 10], [2, 100], [3, 0], [4, -1], [5, 1000]];
  const svg = lineChart(
    chartOf([{ name: "a", points }], { x: { label: "x", log: true }, y: { label: "y", log: true } }),
  );
  assert.ok(!/NaN|Infinity/.test(svg));
  assert.deepEqual(stretches(svg), [2, 1]);
  for (const label of ["10", "100", "1000"]) assert.ok(texts(svg).includes(label));
});

Deno.test("lineChart() draws the empty chart, one point, a constant and huge ranges", () => {
  for (
    const points of [[], [[3, 4]], [[1, 2], [2, 2]], [[0, 0], [1e9, 1e30]], [[1, 5e-7], [2, 6e-7]]] as [
      number,
      number,
    ][][]
  ) {
    for (const log of [false, true]) {
      const svg = lineChart(
        chartOf([{ name: "a", points }], { x: { label: "x", log }, y: { label: "y", log } }),
      );
      assert.ok(!/NaN|Infinity|undefined/.test(svg), JSON.stringify(points));
    }
  }
});

Deno.test("lineChart() shows a line that is flat up to rounding between distinct ticks", () => {
  const points = noise(50, "flat").map(([x, y]): [number, number] => [x, 1 + y * 1e-8]);
  const ticks = texts(lineChart(chartOf([{ name: "a", points }], { x: { label: "step", log: true } })));
  assert.deepEqual(ticks.filter((text) => /^[01]\./.test(text)), ["0.9", "0.95", "1.05", "1.1"]);
});

Deno.test("lineChart() grows if its legend takes many rows, so that the plot does not shrink", () => {
  const series = Array.from(
    { length: 24 },
    (_, i) => ({ name: `blocks.${i}.attn.wq.weight`, points: [[0, 100], [9, 200]] as [number, number][] }),
  );
  const svg = lineChart(chartOf(series));
  const plot = placeOf(svg, "100", "y") - placeOf(svg, "200", "y");
  assert.ok(plot > 230, `${plot} pixels`);
});

Deno.test("lineChart() refuses a series on an axis that the chart does not have", () => {
  assert.throws(
    () => lineChart(chartOf([{ name: "lr", points: [], axis: "y2" }])),
    /"lr" is on the axis "y2"/,
  );
});

/** CIE L* of a colour, 0 black to 100 white. */
function lightness(colour: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const value = parseInt(colour.slice(i, i + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return y > 216 / 24389 ? 116 * Math.cbrt(y) - 16 : y * 24389 / 27;
}

Deno.test("the eight colours differ by 7.5 L* in greyscale, and none is too pale for white paper", () => {
  const greys = CHART_COLOURS.map(lightness).sort((a, b) => a - b);
  assert.equal(greys.length, 8);
  // 2.3 is the smallest visible difference side by side; three times that is visible across a page.
  for (let i = 1; i < 8; i++) assert.ok(greys[i] - greys[i - 1] >= 7.5, `${greys[i - 1]} and ${greys[i]}`);
  assert.ok(greys[7] <= 77);
});

Deno.test("lineChart() distinguishes the ninth series from the first by dots", () => {
  const series = Array.from(
    { length: 9 },
    (_, i) => ({ name: `s${i}`, points: [[0, i], [1, i]] as [number, number][] }),
  );
  const strokes = lineChart(chartOf(series)).split("\n").filter((line) =>
    line.includes(`stroke="${CHART_COLOURS[0]}"`)
  );
  assert.ok(strokes.some((line) => line.includes("stroke-dasharray")));
  assert.ok(strokes.some((line) => !line.includes("stroke-dasharray")));
});

Deno.test("thin() keeps ends, order, extremes and breaks in at most n points", () => {
  const points = noise(10_000, "thin");
  points[4321] = [4322, 50];
  points[777] = [778, -50];
  for (const n of [5, 100, 1500]) {
    const kept = thin(points, n);
    assert.ok(kept.length <= n && kept.length > n / 2);
    for (const index of [0, 777, 4321, 9999]) assert.ok(kept.includes(points[index]), `${index} of ${n}`);
    assert.ok(kept.every(([x], i) => i === 0 || x > kept[i - 1][0]));
  }
  points[5000] = [5001, NaN];
  assert.ok(thin(points, 100).length <= 100 && thin(points, 100).some(([, y]) => Number.isNaN(y)));
  assert.equal(thin(points, 10_000), points);
});

function* runOf(steps: number): Generator<LogRecord> {
  const random = randomStream(1, "run");
  yield { type: "run", name: "small & <co>" } as LogRecord;
  for (let step = 1; step <= steps; step++) {
    const loss = step === 50 ? NaN : 2 + 2 * Math.exp(-step / 200) + 0.05 * random.normal();
    yield { type: "step", step, loss, lr: 1e-3 * Math.min(1, step / 100) } as LogRecord;
    if (step % 250 === 0) {
      yield { type: "eval", step, split: "val", loss: 2 + 2 * Math.exp(-step / 200) } as LogRecord;
    }
  }
}

Deno.test("lossChart() shows training and val loss, unigram entropy and learning rate of a run of 2,000 steps", () => {
  const svg = lossChart(runOf(2000), { unigramNats: 3.3 });
  const shown = texts(svg);
  for (
    const text of [
      "Loss of small & <co>",
      "training loss",
      "val loss",
      "unigram entropy",
      "learning rate",
      "step",
      "2000",
    ]
  ) assert.ok(shown.includes(text), text);
  assert.equal(shown.filter((text) => text === "learning rate").length, 2, "in the legend and on its axis");
  // A disc is two arcs: eight evaluations.
  assert.equal(svg.match(/A3,3 /g)?.length, 16);
  assert.ok(svg.length < 100e3);
  assert.equal(lossChart([...runOf(2000)], { unigramNats: 3.3 }), svg);
});

Deno.test("lossChart() of a log with no or one step is still a chart", () => {
  for (const steps of [0, 1]) {
    assert.ok(!/NaN|Infinity/.test(lossChart(runOf(steps), { title: "t", unigramNats: 3 })));
  }
});
