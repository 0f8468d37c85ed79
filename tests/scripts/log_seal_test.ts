// The log that a checkpoint was saved with: missing records are reported by --resume and verify_load, with the remedy.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { resume } from "../../mod.ts";
import {
  checkpoint,
  filesOf,
  inFolder,
  latest,
  logOf,
  point,
  reseal,
  script,
  succeeds,
  timeless,
  tree,
} from "./harness.ts";

const ARGS = ["tiny.yaml", "output.checkpoint_every=2", "eval.every=6"];

const stateOf = (path: string) => JSON.parse(Deno.readTextFileSync(`${path}/state.json`));
const outcome = (run: string): unknown => [timeless(logOf(run)), filesOf(checkpoint(run))];
const linesOf = (run: string): string[] => logOf(run).trimEnd().split("\n");
const lineOf = (lines: readonly string[], text: string): number =>
  lines.findIndex((line) => line.includes(text));

/** Reverts an ended run to its checkpoint of step 4, as if it had been killed after it; returns its log's lines. */
async function stoppedAt4(run: string): Promise<string[]> {
  await Deno.remove(`${run}/checkpoints/6`, { recursive: true });
  for (const which of ["last", "best"] as const) await point(run, which, "4");
  const lines = linesOf(run);
  return lines.slice(0, lineOf(lines, '"type":"step","step":5'));
}

Deno.test("state.json seals the records so far: their number, and a SHA-256 without clock fields", () =>
  inFolder(async (folder) => {
    const seals: unknown[] = [];
    for (let i = 0; i < 2; i++) {
      await succeeds("train", ARGS, folder);
      const run = latest(folder);
      const lines = linesOf(run);
      for (const step of [2, 4, 6]) {
        const { log } = stateOf(`${run}/checkpoints/${step}`);
        const before = lines.slice(0, lineOf(lines, `"type":"checkpoint","step":${step}`));
        const hash = createHash("sha256");
        for (const line of before) {
          const { time: _t, ms: _m, tokens_per_s: _p, seconds: _s, ...rest } = JSON.parse(line);
          // The configuration and the other objects of the first record have their keys sorted as well.
          const sorted = (value: unknown): unknown =>
            typeof value !== "object" || value === null || Array.isArray(value) ? value : Object.fromEntries(
              Object.keys(value).sort().map((key) => [key, sorted((value as Record<string, unknown>)[key])]),
            );
          hash.update(`${JSON.stringify(sorted(rest)).slice(1, -1)}\n`);
        }
        assert.deepEqual(log, { records: before.length, sha256: hash.digest("hex") });
      }
      seals.push(stateOf(checkpoint(run)));
    }
    assert.deepEqual(seals[0], seals[1]);
  }));

Deno.test("a shorter, damaged, changed, missing or foreign log, or one with gaps, is an error of one line with the remedy, and verify_load exits with 1", () =>
  inFolder(async (folder) => {
    await succeeds("train", [...ARGS, "seed=2"], folder);
    const foreign = await stoppedAt4(latest(folder));
    await succeeds("train", ARGS, folder);
    const run = latest(folder);
    const expected = outcome(run);
    const lines = await stoppedAt4(run);
    const path = run.slice(folder.length + 1);
    const at2 = lineOf(lines, '"type":"checkpoint","step":2');
    const at4 = lineOf(lines, '"type":"checkpoint","step":4');
    const sealed = `of the ${at4} records that the checkpoint of step 4 was saved with`;
    const others = `its first ${at4} records are not those that the checkpoint of step 4 was saved with: `;
    const without = (i: number) => [...lines.slice(0, i), ...lines.slice(i + 1)];
    const lacking = "lacks records that the checkpoint of step 4 was saved with";
    // The log's lines, the message, and the step of the checkpoint to resume from: 0 for none.
    const damages: [string[] | undefined, string, number][] = [
      [lines.slice(0, 1), `has 1 ${sealed}`, 0],
      [lines.slice(0, at4 - 1), `has ${at4 - 1} ${sealed}`, 2],
      [without(at4 - 1), lacking, 2],
      [without(1), `${lacking}, found step 2, expected step 1`, 0],
      [
        [...lines.slice(0, at2 + 1), "\0".repeat(20), ...lines.slice(at2 + 2)],
        `has ${at2 + 1} ${sealed}, line ${at2 + 2} is not a record`,
        2,
      ],
      [lines.with(at4 - 1, lines[at4 - 1].replace(/"loss":\d/, '"loss":9')), others, 2],
      [foreign, others, 0],
      [undefined, `has 0 ${sealed}`, 0],
    ];
    for (const [damaged, fault, step] of damages) {
      const text = damaged?.map((line) => `${line}\n`).join("");
      if (text === undefined) await Deno.remove(`${run}/log.ndjson`);
      else await Deno.writeTextFile(`${run}/log.ndjson`, text);
      const message = await resume(run).then(() => "it went on", (error: Error) => error.message);
      assert.ok(message.startsWith(`${run}/log.ndjson: ${fault}`), `${fault}: ${message}`);
      const remedy = step > 0 ? `--resume ${run}/checkpoints/${step}` : `${run}/config.yaml`;
      assert.ok(!message.includes("\n") && message.endsWith(`: deno task train ${remedy}`), message);
      // Nothing was touched.
      if (text !== undefined) assert.equal(logOf(run), text);
    }
    const { code, stdout, stderr } = await script("train", ["--resume", path], folder);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, /^train: .*: has 0 of the .*; start again: deno task train .*\n$/);
    const verified = await script("verify_load", [path], folder);
    assert.equal(verified.code, 1);
    assert.match(verified.stdout, /\nFAIL log: .*: has 0 of the/);
    // The remedy gives the same run as without damage.
    await Deno.writeTextFile(`${run}/log.ndjson`, `${without(at4 - 1).join("\n")}\n`);
    await succeeds("train", ["--resume", `${path}/checkpoints/2`], folder);
    assert.deepEqual(outcome(run), expected);
    await succeeds("verify_load", [path], folder);
    await succeeds("train", [`${path}/config.yaml`], folder);
    assert.notEqual(latest(folder), run);
    assert.deepEqual(outcome(latest(folder)), expected);
  }));

Deno.test("a sweep whose run has lost its log names the folder to remove, and then repeats that run", () =>
  inFolder(async (folder) => {
    const sweep = [...ARGS, "optimizer.lr=[0.001]"];
    await succeeds("train", sweep, folder);
    const [name] = tree(folder).filter((path) => /-sweep-[0-9a-f]{8}$/.test(path));
    const run = latest(folder, name);
    const lines = await stoppedAt4(run);
    await Deno.writeTextFile(`${run}/log.ndjson`, `${lines[0]}\n`);
    const { code, stderr } = await script("train", sweep, folder);
    assert.equal(code, 2, stderr);
    const path = run.slice(folder.length + 1);
    assert.match(stderr, /^train: tiny-01-lr=0\.001: [^\n]*\n$/);
    assert.ok(stderr.endsWith(`; remove ${path} and run the sweep's command again\n`), stderr);
    await Deno.remove(run, { recursive: true });
    await succeeds("train", sweep, folder);
    assert.notEqual(latest(folder, name), run);
  }));

Deno.test("a log rewritten by another tool with sorted keys and spaces still matches the checkpoint", () =>
  inFolder(async (folder) => {
    await succeeds("train", ARGS, folder);
    const run = latest(folder);
    const { log } = stateOf(checkpoint(run));
    const lines = await stoppedAt4(run);
    const rewritten = lines.map((line) => {
      const record = JSON.parse(line);
      return JSON.stringify(Object.fromEntries(Object.keys(record).sort().map((key) => [key, record[key]])))
        .replace(/^\{/, "{ ");
    });
    await Deno.writeTextFile(`${run}/log.ndjson`, `${rewritten.join("\n")}\n`);
    await succeeds("verify_load", [run], folder);
    await succeeds("train", ["--resume", run], folder);
    assert.deepEqual(stateOf(checkpoint(run)).log, log);
  }));

Deno.test("a checkpoint whose log is not sealed, as older ones are, needs the records of all its steps", () =>
  inFolder(async (folder) => {
    await succeeds("train", ARGS, folder);
    const run = latest(folder);
    const lines = await stoppedAt4(run);
    const state = `${checkpoint(run)}/state.json`;
    const { log: _log, data: _data, ...older } = JSON.parse(Deno.readTextFileSync(state));
    await Deno.writeTextFile(state, JSON.stringify(older));
    await reseal(checkpoint(run));
    await Deno.writeTextFile(`${run}/log.ndjson`, `${lines.join("\n")}\n`);
    await succeeds("verify_load", [run], folder);
    await Deno.writeTextFile(`${run}/log.ndjson`, `${lines.slice(0, 3).join("\n")}\n`);
    const { code, stdout } = await script("verify_load", [run], folder);
    assert.equal(code, 1);
    assert.match(stdout, /\nFAIL log: .*log\.ndjson: has the records of 2 of 4 steps\n/);
    const refused = await script("train", ["--resume", run], folder);
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /has the records of 2 of 4 steps; resume from an earlier checkpoint: .*\/2\n$/,
    );
  }));
