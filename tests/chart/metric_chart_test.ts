// Metrics and statistics over steps, samples, tokens and seconds: numbers, names, errors.
import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import { metricChart, type MetricChartOptions } from "../../src/chart/metric_chart.ts";
import { type ProgressUnit, progressUnit, runLines } from "../../src/chart/metric_lines.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { recordOf } from "../log/made_records.ts";
import { assertReads, textsOf, wordsOf } from "./picture.ts";
import { type MadeLog, withLog, writeLog } from "./run_log.ts";

const MADE: MadeLog = { steps: 100, layers: 2, heads: 2, every: 10, evaluate: 20 };

/** Runs `body` with the path of a log of some records, which is removed afterwards. */
async function withRecords(
  records: readonly LogRecord[],
  body: (log: string) => Promise<void>,
): Promise<void> {
  const log = await Deno.makeTempFile({ suffix: ".ndjson" });
  try {
    await writeLog(log, [recordOf("run", {}), ...records]);
    await body(log);
  } finally {
    await Deno.remove(log);
  }
}

const refuses = (promise: Promise<unknown>, pattern: RegExp) =>
  assert.rejects(promise, (error: Error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"));
    return true;
  });

Deno.test("runLines() places steps, evaluations and statistics in steps, samples, tokens and seconds", () =>
  withLog(MADE, async (log) => {
    // Four samples, 64 tokens and half a second per step.
    const scale: [ProgressUnit, number][] = [["steps", 1], ["samples", 4], ["tokens", 64], ["seconds", 0.5]];
    const stat = { tap: "blocks.0.attn.pattern", stat: "entropy" };
    for (const [unit, factor] of scale) {
      const { lines } = await runLines({ name: "a", log }, ["loss", "val_loss"], stat, unit, 24);
      assert.deepEqual(
        lines.map(({ metric, points }) => [metric, points.length, points[0][0], points.at(-1)![0]]),
        [
          ["loss", 100, factor, 100 * factor],
          ["val_loss", 5, 20 * factor, 100 * factor],
          ["entropy", 10, 10 * factor, 100 * factor],
        ],
      );
      assert.ok(Number.isNaN(lines[0].points[6][1]), "the loss of step 7 is no number");
    }
  }));

Deno.test("metricChart() puts what lines have in common in the title and what differs in the legend", () =>
  withLog(MADE, async (log) => {
    const runs = [{ name: "first", log }, { name: "second", log }];
    const drawn = async (count: number, options: MetricChartOptions) => {
      const svg = await metricChart(runs.slice(0, count), options);
      assert.equal(await metricChart(runs.slice(0, count), options), svg);
      assertReads(svg);
      return wordsOf(svg);
    };
    const has = (words: string[], ...texts: string[]) => {
      for (const text of texts) assert.ok(words.includes(text), `${text} in ${words.join(" | ")}`);
    };
    has(await drawn(1, { show: "loss" }), "first: loss", "loss", "step", "loss (nats per token)");
    has(
      await drawn(2, { show: "val_loss", x: "seconds" }),
      "validation loss",
      "first",
      "second",
      "training time (s)",
    );
    const both = await drawn(2, { show: "loss", second: "lr", x: "tokens" });
    has(both, "loss and learning rate", "first, loss", "second, learning rate", "tokens");
    assert.equal(both.filter((word) => word === "learning rate").length, 1, "the second axis's title");
    has(await drawn(1, { show: "answer_accuracy" }), "first: accuracy of the answers, val");
    const all = { tap: "blocks.*.attn.*.weight", stat: "l2" };
    has(await drawn(1, { show: all }), "first: L2 norm", "param, blocks.1.attn.wk.weight");
    const paired = await drawn(1, { show: { tap: "blocks.0.attn.pattern", stat: "sink" }, second: "loss" });
    has(
      paired,
      "first: attention to the first key and loss",
      "attention to the first key, blocks.0.attn.pattern",
      "loss",
    );
    const heads = { tap: "blocks.0.attn.pattern", stat: "sink", heads: [1] };
    has(
      await drawn(2, { show: heads }),
      "attention to the first key of blocks.0.attn.pattern, head 1",
      "second",
    );
    const kind = { tap: "**", stat: "l2", kind: "param_grad" };
    has(await drawn(1, { show: kind, log: true }), "first: L2 norm (param_grad)", "blocks.1.attn.wq.weight");
  }));

Deno.test("metricChart() without a head draws only the mean over heads", () =>
  withLog(MADE, async (log) => {
    const { lines, count } = await runLines(
      { name: "a", log },
      [],
      { tap: "blocks.*.attn.pattern", stat: "entropy" },
      "steps",
      24,
    );
    assert.equal(count, 2);
    assert.deepEqual(lines.map(({ tap, part }) => [tap, part]), [
      ["blocks.0.attn.pattern", ""],
      ["blocks.1.attn.pattern", ""],
    ]);
  }));

Deno.test("metricChart() reports mistakes in one line with the nearest name", () =>
  withLog(MADE, (log) =>
    withLog({ steps: 5 }, async (bare) => {
      const of = (options: MetricChartOptions, path = log) =>
        metricChart([{ name: "a", log: path }], options);
      await refuses(of({ show: "los" }), /^los: no such metric\. Did you mean "loss"\?$/);
      await refuses(of({ show: "answer_acuracy" }), /Did you mean "answer_accuracy"\?$/);
      await refuses(of({ show: "loss", second: "learning" }), /^learning: no such metric\. /);
      await refuses(of({ show: "loss", second: "loss" }), /^loss: is already on the first axis/);
      await refuses(of({ show: "val_loss" }, bare), /^val_loss: a has none, because it has no evaluation\.$/);
      const tap = "blocks.0.attn.pattern";
      await refuses(
        of({ show: { tap: "blocks.0.attn.patern", stat: "sink" } }),
        /Did you mean "blocks\.0\.attn\.pattern"\?/,
      );
      await refuses(of({ show: { tap, stat: "entorpy" } }), /Did you mean "entropy"\?/);
      await refuses(
        of({ show: { tap, stat: "sink", heads: [9] } }),
        /^--head 9: no such record in a\. Found: 0, 1/,
      );
      await refuses(of({ show: { tap, stat: "sink", kind: "grad" } }), /^--kind grad: no such record in a/);
      await refuses(of({ show: { tap, stat: "sink" } }, bare), /no stat records/);
      await refuses(of({ show: "loss" }, `${log}.missing`), /No such file/);
      assert.equal(progressUnit("tokens"), "tokens");
      assert.throws(() => progressUnit("token"), /^UserError: --x token: .* Did you mean "tokens"\?$/);
    })));

Deno.test("metricChart() refuses a logarithmic axis without a positive value", async () => {
  const path = await Deno.makeTempFile();
  try {
    const line = {
      v: 1,
      type: "stat",
      step: 1,
      kind: "metric",
      tap: "balance",
      layer: null,
      head: null,
      value: -1,
    };
    await Deno.writeTextFile(path, JSON.stringify(line) + "\n");
    const show = { tap: "balance", stat: "value" };
    assertReads(await metricChart([{ name: "a", log: path }], { show }));
    await refuses(
      metricChart([{ name: "a", log: path }], { show, log: true }),
      /value: no positive value/,
    );
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("metricChart() refuses more than 24 lines with their number, and draws 24 below 100 KB", () =>
  withLog({ steps: 2000, layers: 12, heads: 3, every: 1 }, async (log) => {
    const runs = [{ name: "a", log }];
    const show = { tap: "**.weight", stat: "l2" };
    await refuses(
      metricChart(runs, { show }),
      /^\*\*\.weight: 36 lines; expected at most 24 in a chart; select fewer/,
    );
    const svg = await metricChart(runs, { show: { ...show, kind: "param" } });
    assert.ok(svg.length < 100e3, `${svg.length}`);
    const strokes = [...svg.matchAll(/<path d="[^"]*" fill="none" (stroke="[^>]*stroke-linejoin[^>]*)\/>/g)];
    assert.equal(new Set(strokes.map((match) => match[1])).size, 24, "every line looks different");
  }));

Deno.test("metricChart() writes times in suitable units: ms, s, min, h, days", async () => {
  const step = (n: number, ms: number) => recordOf("step", { step: n, ms });
  for (
    const [ms, unit, stepUnit] of [[20, "s", "ms"], [2e4, "min", "s"], [1.2e6, "h", "min"], [
      4e7,
      "days",
      "h",
    ]] as const
  ) {
    await withRecords(Array.from({ length: 100 }, (_, n) => step(n + 1, ms)), async (log) => {
      const svg = await metricChart([{ name: "a", log }], { show: "loss", second: "ms", x: "seconds" });
      assertReads(svg, `training time (${unit})`, `time per step (${stepUnit})`);
      // The axis shows the time of 100 steps: 2 s, 33.3 min, 33.3 h, 46.3 days.
      const total = { s: 2, min: 33.3, h: 33.3, days: 46.3 }[unit];
      const ticks = textsOf(svg).filter(({ attributes, text }) =>
        attributes.includes('"middle"') && /^[\d.]+$/.test(text)
      ).map(({ text }) => Number(text));
      const last = Math.max(...ticks);
      assert.ok(last <= total + 0.1 && last > 0.7 * total, `${ticks} of ${total} ${unit}`);
    });
  }
});

Deno.test("metricChart() of a metric with limits has no axis beyond them, also if it is constant", async () => {
  const evaluations = [1, 2].map((step) => recordOf("eval", { step, accuracy: 1, loss: 0 }));
  await withRecords(evaluations, async (log) => {
    const axis = async (show: string) => {
      const words = wordsOf(await metricChart([{ name: "a", log }], { show })).map(Number);
      return words.filter((word) => !Number.isNaN(word) && word !== 2);
    };
    assert.ok(Math.max(...await axis("accuracy")) <= 1);
    assert.ok(Math.min(...await axis("val_loss")) >= 0);
  });
});
