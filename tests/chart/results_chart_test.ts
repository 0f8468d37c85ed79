// The chart that compares runs: the runs, losses and names that it shows.

import assert from "node:assert/strict";
import { resultsChart } from "../../src/chart/mod.ts";
import { formatRecord, type LogRecord } from "../../src/log/records.ts";
import { formatResults, resultTable, type RunResult, runResult } from "../../src/log/results.ts";
import { recordOf } from "../log/made_records.ts";
import { assertReads } from "./picture.ts";

/** Results of runs from records, each in a separate folder. */
async function withRuns(
  runs: readonly { name: string; config?: object; losses: readonly number[]; split?: string }[],
  body: (results: RunResult[]) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const results: RunResult[] = [];
    for (const [i, { name, config = {}, losses, split = "val" }] of runs.entries()) {
      const records: LogRecord[] = [recordOf("run", { name, config })];
      for (const [k, loss] of losses.entries()) {
        records.push(recordOf("step", { step: k + 1, loss: 2 * loss }));
        records.push(recordOf("eval", { step: k + 1, split, loss }));
      }
      await Deno.mkdir(`${folder}/${i}`);
      const log = `${folder}/${i}/log.ndjson`;
      await Deno.writeTextFile(
        log,
        records.map((record) => `${formatRecord(record)}\n`).join(""),
      );
      results.push((await runResult(log))!);
    }
    await body(results);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("of more runs than line styles the best are shown, and the title states of how many", () => {
  const runs = Array.from(
    { length: 30 },
    (_, i) => ({ name: `run-${i}-`, losses: [5, i === 3 ? NaN : 4 - i / 30] }),
  );
  return withRuns(runs, async (results) => {
    const { svg, shown } = await resultsChart(results);
    assert.equal(shown, 24);
    assert.ok(svg.includes("(the 24 best of 30 runs)"), svg.match(/<title>[^<]*/)?.[0]);
    // The last six started well and ended badly: 0 to 5, and the fourth of them ended with NaN.
    for (const [i, { name }] of runs.entries()) assert.equal(svg.includes(name), i > 5, name);
  });
});

Deno.test("runs of one name are distinguished by their folders, and training losses are shown if there are no validation losses", () =>
  withRuns([
    { name: "same", losses: [3, 2] },
    { name: "same", losses: [3, 1] },
    { name: "unevaluated", losses: [] },
  ], async (results) => {
    const { svg, shown } = await resultsChart(results);
    assert.equal(shown, 2);
    assertReads(svg, "validation loss (nats per token)", "same/0", "same/1");
    await withRuns([{ name: "a", losses: [3], split: "train" }], async (trained) => {
      assertReads((await resultsChart(trained)).svg, "loss (nats per token)");
    });
    await assert.rejects(resultsChart([results[2]]), /^UserError: There is no loss to draw/);
  }));

Deno.test("a result has the best and the last evaluation, the keys that differ, and the status of values that are not finite", () =>
  withRuns([
    {
      name: "a",
      config: { name: "a", seed: 1, x: { lr: 0.1, betas: [0.9, 0.95], same: 1 }, blocks: [] },
      losses: [3, 2, 4],
    },
    {
      name: 'b,"',
      config: { name: "b", seed: 1, x: { lr: 0.2, betas: [0.9, 0.99], same: 1 } },
      losses: [3, NaN],
    },
    { name: "c", config: {}, losses: [Infinity] },
  ], (results) => {
    const table = resultTable(results, ["log"]);
    assert.deepEqual(table.columns.slice(0, 6), ["name", "seed", "x.lr", "x.betas", "x.same", "blocks"]);
    const part = resultTable(results.slice(0, 2), ["log"]);
    const { columns, rows } = part;
    assert.deepEqual(columns.slice(0, 4), ["name", "x.lr", "x.betas", "blocks"]);
    assert.deepEqual(rows[0], ["a", 0.1, "[0.9,0.95]", "[]", 10, 3, 2, 2, 4, 1.5, "unfinished"]);
    assert.deepEqual(rows[1], ['b,"', 0.2, "[0.9,0.99]", null, 10, 2, 3, 1, NaN, 1, "unfinished"]);
    assert.equal(
      formatResults(part, "csv").split("\n")[2],
      '"b,""",0.2,"[0.9,0.99]",,10,2,3,1,NaN,1,unfinished',
    );
    const [, second] = formatResults(part, "ndjson").split("\n").map((line) => line && JSON.parse(line));
    assert.deepEqual([second.last_loss, second.last_loss_status, second.best_loss], [null, "nan", 3]);
    assert.match(formatResults(table, "table"), /\nc +- .* inf +0\.5 +unfinished\n$/);
    assert.throws(
      () => formatResults({ columns: ["odd"], rows: [[1]] }, "ndjson"),
      /A record of type result has the field odd/,
    );
    return Promise.resolve();
  }));
