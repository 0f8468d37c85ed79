// Every line of JSON that a task prints, whatever the task: a record with `v`, `type` and fields in snake_case.
import assert from "node:assert/strict";
import { inFolder, latest, logOf, succeeds } from "./harness.ts";

type Task = Parameters<typeof succeeds>[0];

/** Names within a value, but for a configuration's own. */
function namesIn(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(namesIn);
  return Object.entries(value).flatMap(([name, inner]) => [
    name,
    ...(name === "config" ? [] : namesIn(inner)),
  ]);
}

function checkLine(task: string, line: string): string {
  const record = JSON.parse(line);
  assert.deepEqual([Object.keys(record).slice(0, 2), record.v], [["v", "type"], 2], `${task}: ${line}`);
  const odd = namesIn(record).filter((name) => !/^[a-z][a-z0-9_]*$/.test(name));
  assert.deepEqual(odd, [], `${task}: ${line.slice(0, 300)}`);
  return record.type;
}

/** The arguments of each task, and the types of its records. */
const ASKED: readonly (readonly [Task, string, readonly string[]])[] = [
  ["show", "tokens", ["tiny.yaml", "--format", "ndjson"]],
  ["generate", "generated", ["--tokens", "20", "--format", "ndjson"]],
  ["perplexity", "perplexity token_loss", ["--text", "The n", "--tokens", "--format", "ndjson"]],
  ["next_token", "next_token", ["--text", "The ", "--format", "ndjson"]],
  ["logit_lens", "lens_point", ["--text", "The ", "--format", "ndjson"]],
  ["attribution", "contribution", ["--text", "The ", "--format", "ndjson"]],
  ["ablate", "ablation", ["--format", "ndjson"]],
  ["patch", "patch", ["--clean", "number", "--corrupted", "follow", "--format", "ndjson"]],
  ["runs", "found_run", ["--format", "ndjson"]],
  ["runs", "config_difference", ["--diff", "latest", "other", "--format", "ndjson"]],
  ["stats", "statistic", ["--format", "ndjson"]],
  ["collect", "result", ["runs", "--format", "ndjson"]],
  ["train", "job", ["tiny.yaml", "seed=[1,2]", "--jobs"]],
  ["check_attention", "attention_case", ["--device", "cpu", "--cases", "3", "--ndjson", "-"]],
  ["analyze_softmax_jacobian", "jacobian", ["tiny", "--ndjson", "-", "--batches", "1"]],
  ["verify_load", "check", ["--format", "ndjson"]],
];

Deno.test("every record of every task has v, type and snake_case fields, nested ones too", () =>
  inFolder(async (folder) => {
    const short = ["tiny.yaml", "train.steps=3", "eval.batches=1", "track=[{every: 3}]"];
    await succeeds("train", [...short, "name=other", "model.dim=8", "sample.tokens=0"], folder);
    await succeeds("train", short, folder);
    logOf(latest(folder)).trimEnd().split("\n").forEach((line) => checkLine("train", line));
    for (const [task, types, args] of ASKED) {
      const { stdout } = await succeeds(task, args, folder);
      const records = stdout.trimEnd().split("\n").map((line) => checkLine(task, line));
      assert.deepEqual([...new Set(records)].sort(), types.split(" "), task);
    }
  }));

Deno.test("collect nests the keys that differ between runs under config", () =>
  inFolder(async (folder) => {
    const short = ["tiny.yaml", "train.steps=1", "eval.batches=1", "sample.tokens=0"];
    for (const dim of [8, 16]) await succeeds("train", [...short, `model.dim=${dim}`], folder);
    const { stdout } = await succeeds("collect", ["--format", "ndjson"], folder);
    const configs = stdout.trimEnd().split("\n").map((line) => JSON.parse(line).config);
    assert.deepEqual(configs.map((config) => config?.model?.dim).sort(), [16, 8]);
  }));
