// Results of runs in one table.
import assert from "node:assert/strict";
import { formatResults, replacedRuns, resultTable, type RunResult } from "../../src/log/results.ts";

const resultOf = (log: string, finished: boolean, seed = 1): RunResult => ({
  log: `${log}/log.ndjson`,
  name: "tiny",
  finished,
  diverged: false,
  parameters: 10,
  steps: 3,
  split: null,
  best: null,
  last: null,
  seconds: 1,
  keys: new Map([["seed", seed]]),
});

Deno.test("replacedRuns() finds runs that did not end while their folder has one that did or began later", () => {
  const replaced = (...results: RunResult[]) =>
    replacedRuns(results).map(({ log }) => log.split("/").slice(0, -1).join("/"));
  assert.deepEqual(replaced(resultOf("a/2", true), resultOf("a/1", false)), ["a/1"]);
  assert.deepEqual(replaced(resultOf("a/1", false), resultOf("a/3", false), resultOf("a/2", false)), [
    "a/1",
    "a/2",
  ]);
  assert.deepEqual(replaced(resultOf("a/1", true), resultOf("a/2", false)), ["a/2"]);
  // Two that ended are two results; another configuration or another folder is another run.
  assert.deepEqual(replaced(resultOf("a/1", true), resultOf("a/2", true)), []);
  assert.deepEqual(replaced(resultOf("a/1", false), resultOf("a/2", true, 7)), []);
  assert.deepEqual(replaced(resultOf("a/1", false), resultOf("b/2", true)), []);
});

Deno.test("formatResults() nests keys of configurations, also one that is a value in one run and has keys in another", () => {
  const runs = [["track", "[]"], ["track.0.every", 5]].map(([key, value], i) => ({
    ...resultOf(`runs/${i}`, true),
    keys: new Map([[String(key), value]]),
  }));
  const lines = formatResults(resultTable(runs), "ndjson").trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(lines.map(({ v, type, config }) => [v, type, config]), [
    [2, "result", { track: "[]" }],
    [2, "result", { track: { 0: { every: 5 } } }],
  ]);
});
