// The charts of a log: which are drawn for which records, their numbers, and their sizes.
import assert from "node:assert/strict";
import { headsCharts } from "../../src/chart/heads_chart.ts";
import { jacobianCharts } from "../../src/chart/jacobian_chart.ts";
import { normsCharts } from "../../src/chart/norms_chart.ts";
import { runCharts } from "../../src/chart/run_charts.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { assertReads, wordsOf } from "./picture.ts";
import { madeLog, withLog } from "./run_log.ts";

Deno.test("runCharts() draws the charts of a log: only losses, or norms, sheets and maps too, deterministically", async () => {
  await withLog({ steps: 50, evaluate: 10 }, async (path) => {
    assert.deepEqual(Object.keys(await runCharts(path)), ["loss.svg"]);
  });
  await withLog({ steps: 100, every: 10, evaluate: 50, name: "a <b>" }, async (path) => {
    const charts = await runCharts(path);
    assert.deepEqual(Object.keys(charts), [
      "loss.svg",
      "norms_parameters.svg",
      "norms_gradients.svg",
      "heads_entropy.svg",
      "heads_entropy_last.svg",
      "heads_sink.svg",
      "heads_sink_last.svg",
      "heads_rowmass.svg",
      "heads_rowmass_last.svg",
    ]);
    assert.deepEqual(await runCharts(path), charts);
    for (const svg of Object.values(charts)) assertReads(svg);
    assertReads(charts["loss.svg"], "Loss of a <b>", "learning rate", "val loss");
    assertReads(charts["heads_entropy.svg"], "a <b>: entropy of attention", "layer 1", "head 1");
    assertReads(charts["heads_sink_last.svg"], "a <b>: attention to the first key at step 100");
    assert.ok(wordsOf((await runCharts(path, "other"))["loss.svg"]).includes("Loss of other"));
  });
});

Deno.test("runCharts() of an empty log draws nothing", async () => {
  await withLog({ steps: 0 }, async (path) => assert.deepEqual(await runCharts(path), {}));
});

Deno.test("normsCharts() adds the squared norms of a layer's tensors at every step: 3 and 4 give 5", () => {
  const charts = normsCharts();
  for (const record of madeLog({ steps: 4, layers: 1, every: 1 })) charts.add(record);
  // A constant line is between the nearest ticks around 5, in the middle of the axis.
  const words = wordsOf(charts.draw("r")["norms_parameters.svg"]);
  const ticks = words.map(Number).filter((tick) => !Number.isNaN(tick));
  assert.ok(words.includes("5"), words.join(" "));
  assert.ok(Math.max(...ticks.filter((tick) => tick > 4)) <= 6, words.join(" "));
});

Deno.test("normsCharts() names layers in order and tensors outside them, and breaks at values that are not finite", () => {
  const charts = normsCharts();
  const of = (layer: number | null, step: number, l2: number) =>
    charts.add({ type: "stat", step, kind: "param_grad", tap: "x", layer, head: null, l2 });
  for (const step of [1, 2, 3]) for (const layer of [10, null, 2]) of(layer, step, step === 2 ? NaN : step);
  const svg = charts.draw("r")["norms_gradients.svg"];
  assertReads(svg);
  const words = wordsOf(svg);
  const named = words.filter((word) => /^(layer|outside)/.test(word));
  assert.deepEqual(named, ["layer 2", "layer 10", "outside layers"]);
});

Deno.test("headsCharts() maps only the last step, and leaves cells without a record empty", () => {
  const charts = headsCharts();
  const of = (step: number, layer: number, head: number | null, entropy: number) =>
    charts.add({
      type: "stat",
      step,
      kind: "act",
      tap: `blocks.${layer}.attn.pattern`,
      layer,
      head,
      entropy,
    });
  of(1, 0, 0, 0.11);
  of(1, 0, 1, 0.22);
  of(1, 0, null, 9.99);
  of(2, 0, 0, 0.77);
  of(2, 1, 1, 0.99);
  const { "heads_entropy_last.svg": map, "heads_entropy.svg": sheet } = charts.draw("r");
  assertReads(map, "0.770", "0.990", "no value");
  assert.ok(!wordsOf(map).includes("0.110") && !wordsOf(map).includes("0.220"));
  assert.ok(!wordsOf(sheet).includes("10"), "the mean over heads is no head");
});

Deno.test("a statistic that is null is hatched in the map of the last step, not shown with its earlier value", () => {
  const charts = headsCharts();
  for (const [step, entropy] of [[1, 0.11], [2, null], [3, NaN]] as const) {
    const where = { step, kind: "act", tap: "blocks.0.attn.pattern", layer: 0, head: 0 } as const;
    charts.add({ type: "stat", ...where, entropy });
    const { "heads_entropy_last.svg": map } = charts.draw("r");
    assertReads(map, `r: entropy of attention at step ${step}`);
    assert.equal(wordsOf(map).includes("no value"), step > 1, `step ${step}`);
  }
  const jacobians = jacobianCharts();
  for (const record of jacobian(1, 2, 1)) jacobians.add({ ...record, r_diag: null } as unknown as LogRecord);
  assertReads(jacobians.draw("r")["jacobian_r_diag.svg"], "r: share of the diagonal part at step 1");
});

function jacobian(layers: number, heads: number, step: number, method = "bp"): LogRecord[] {
  return Array.from({ length: layers * heads }, (_, i) => {
    const numbers = {
      r_diag: 0.5 + i / 100,
      r_diag_ci95: 0.1,
      r_lateral: 0.25,
      cos_diag: 0.9,
      cos_ste: -0.1,
    };
    const where = { step, layer: Math.floor(i / heads), head: i % heads, activation: "softmax", method };
    return { type: "jacobian", ...where, ...numbers } as unknown as LogRecord;
  });
}

Deno.test("jacobianCharts() draws bars with intervals, sheets over steps, maps of many heads, and each method separately", () => {
  const drawn = (records: LogRecord[]) => {
    const charts = jacobianCharts();
    for (const record of records) charts.add(record);
    return charts.draw("r");
  };
  const one = drawn(jacobian(2, 4, 500));
  const names = ["r_diag", "r_lateral", "cos_diag", "cos_ste"];
  assert.deepEqual(Object.keys(one), names.map((name) => `jacobian_${name}.svg`));
  assertReads(one["jacobian_r_diag.svg"], "r: share of the diagonal part at step 500", "head 3", "layer");
  assert.equal(one["jacobian_r_diag.svg"].match(/stroke="#ffffff" stroke-width="3"/g)?.length, 8);
  const two = drawn([...jacobian(2, 2, 0), ...jacobian(2, 2, 500)]);
  assertReads(two["jacobian_r_lateral_steps.svg"], "r: share of the lateral part", "layer 1");
  assert.equal(Object.keys(two).length, 8);
  const many = drawn(jacobian(12, 12, 1));
  assertReads(many["jacobian_r_diag.svg"], "11", "0.50");
  const methods = drawn([...jacobian(1, 2, 1), ...jacobian(1, 2, 1, "fa")]);
  assert.ok("jacobian_r_diag_bp.svg" in methods && "jacobian_r_diag_fa.svg" in methods);
});

Deno.test("runCharts() of 10,000 steps with 10,000 statistics takes less than 5 s, and no chart 100 KB", async () => {
  await withLog({ steps: 10_000, layers: 4, heads: 4, every: 80, evaluate: 1000 }, async (path) => {
    const began = performance.now();
    const charts = await runCharts(path);
    // A few hundred milliseconds on an idle machine; it may be busy.
    assert.ok(performance.now() - began < 5000);
    for (const [name, svg] of Object.entries(charts)) assert.ok(svg.length < 100e3, `${name} ${svg.length}`);
  });
});

Deno.test("jacobianCharts() states the number of batches of its intervals, and no cosine exceeds 1", () => {
  const charts = jacobianCharts();
  for (const head of [0, 1]) {
    const values = { cos_diag: 0.98 - head, cos_diag_ci95: 0.2, r_diag: 0.1, r_diag_ci95: 0.4, batches: 4 };
    charts.add(
      { type: "jacobian", step: 1, layer: 0, head, method: "bp", ...values } as unknown as LogRecord,
    );
  }
  const drawn = charts.draw("r");
  for (const [name, limits] of [["cos_diag", [-1, 1]], ["r_diag", [0, Infinity]]] as const) {
    const svg = drawn[`jacobian_${name}.svg`];
    assertReads(svg, "95% interval over 4 batches");
    const ticks = wordsOf(svg).map(Number).filter((tick) => !Number.isNaN(tick));
    assert.ok(ticks.every((tick) => tick >= limits[0] && tick <= limits[1]), `${name}: ${ticks}`);
  }
});

Deno.test("jacobianCharts() of many heads shows signed cosines in colours that diverge from 0", () => {
  const charts = jacobianCharts();
  for (let head = 0; head < 12; head++) {
    const values = { cos_diag: 0.5 + head / 100, batches: 4 };
    charts.add(
      { type: "jacobian", step: 1, layer: 0, head, method: "bp", ...values } as unknown as LogRecord,
    );
  }
  // All are above 0, but the scale is still symmetric.
  assertReads(charts.draw("r")["jacobian_cos_diag.svg"], "-0.5", "0", "0.5");
});
