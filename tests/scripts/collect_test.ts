// End-to-end tests of collect: results of many runs from their logs.
import assert from "node:assert/strict";
import { formatRecord } from "../../src/log/records.ts";
import { recordOf } from "../log/made_records.ts";
import { inGrid, sweepOf } from "./grid.ts";
import { script, succeeds } from "./harness.ts";

Deno.test("collect reads logs from any folder tree into one table, as CSV and NDJSON too, and draws a chart", () =>
  inGrid(async (folder) => {
    await succeeds("train", ["grid.yaml", "optimizer.lr=0.01", "train.steps=6"], folder);
    await succeeds("train", ["tiny.yaml"], folder);
    // Moved from two machines, with a link that leads to a run a second time.
    await Deno.mkdir(`${folder}/all/deep`, { recursive: true });
    await Deno.rename(sweepOf(folder), `${folder}/all/deep/here`);
    await Deno.rename(`${folder}/runs/tiny`, `${folder}/all/there`);
    await Deno.writeTextFile(`${folder}/all/log.ndjson`, `${formatRecord(recordOf("done"))}\n`);
    const table = await succeeds("collect", ["all", "--chart", "losses.svg"], folder);
    assert.match(table.stderr, /^all\/log\.ndjson: has no run record and is left out\.\nlosses\.svg\n$/);
    const [heading, ...rows] = table.stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/));
    assert.equal(heading[0], "name");
    assert.ok(heading.includes("model.dim") && heading.includes("optimizer.lr") && !heading.includes("seed"));
    assert.deepEqual(heading.slice(-7), [
      "parameters",
      "steps",
      "best_loss",
      "best_step",
      "last_loss",
      "seconds",
      "state",
    ]);
    assert.deepEqual(rows.map(([name]) => name), ["grid-01-dim=8", "grid-02-dim=16", "tiny"]);
    const chart = Deno.readTextFileSync(`${folder}/losses.svg`);
    for (const [name] of rows) assert.ok(chart.includes(name), name);

    const { stdout: ndjson } = await succeeds("collect", ["all", "--format", "ndjson"], folder);
    const results = ndjson.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const result of results) {
      const records = Deno.readTextFileSync(`${folder}/${result.log}`).trimEnd().split("\n").map((line) =>
        JSON.parse(line)
      );
      const losses = records.filter(({ type }) => type === "eval").map(({ loss }) => loss);
      assert.deepEqual(
        [result.best_loss, result.last_loss, result.steps, result.state, result.parameters],
        [Math.min(...losses), losses.at(-1), 6, "done", records[0].parameters],
      );
      const ms = records.filter(({ type }) => type === "step").reduce((sum, record) => sum + record.ms, 0);
      // Four digits are kept.
      assert.ok(Math.abs(result.seconds - ms / 1000) <= 1e-3 * ms / 1000);
    }
    const { stdout: csv } = await succeeds("collect", ["all", "--format", "csv"], folder);
    const lines = csv.trimEnd().split("\n");
    assert.deepEqual(lines[0].split(","), [...heading, "log"]);
    assert.equal(lines.length, 4);
    assert.ok(lines[3].endsWith(`,done,${results[2].log}`));

    // A killed run has the results of its last step, and one before its first evaluation has no loss yet.
    const log = Deno.readTextFileSync(`${folder}/${results[2].log}`).split("\n");
    await Deno.writeTextFile(`${folder}/${results[2].log}`, `${log.slice(0, 3).join("\n")}\n{"v":1,"ty`);
    const { stdout } = await succeeds("collect", [results[2].log, results[0].log], folder);
    assert.match(stdout, /\ntiny .* 2 +- +- +- +[\d.]+ +unfinished\ngrid-01.* done\n$/);
  }));

Deno.test("collect reports errors in one line and exits with 2", () =>
  inGrid(async (folder) => {
    await Deno.mkdir(`${folder}/empty`);
    await Deno.writeTextFile(`${folder}/log.ndjson`, "nonsense\nmore\n");
    const mistakes: [string[], RegExp][] = [
      [[], /^collect: runs: No such file or directory\./],
      [["empty"], /^collect: empty: expected a folder with logs of runs, found none\./],
      [["log.ndjson"], /^collect: log\.ndjson: line 1 is not a record/],
      [
        ["empty", "--format", "cvs"],
        /^collect: --format: expected table, ndjson, csv, found "cvs"\. Did you mean "csv"\?/,
      ],
      [["empty", "--chrt", "a.svg"], /^collect: --chrt: unknown option\. Did you mean "chart"\?/],
    ];
    for (const [args, pattern] of mistakes) {
      const { code, stdout, stderr } = await script("collect", args, folder);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, pattern);
      assert.match(stderr, /^[^\n]+\n$/);
    }
  }));
