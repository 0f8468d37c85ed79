// The outputs of a training run: its files, its records in a pipe, its progress on a terminal.
import assert from "node:assert/strict";
import {
  checkpoint,
  inFolder,
  latest,
  logOf,
  script,
  succeeds,
  taskArguments,
  timeless,
  tree,
} from "./harness.ts";

const FIELDS: Record<string, string> = {
  run: "v type name time heed deno device seed config parameters tokens_per_step memory git unigram_nats",
  step: "v type step samples tokens counter epoch loss lr grad_norm clipped ms tokens_per_s",
  eval: "v type step split loss perplexity accuracy tokens",
  checkpoint: "v type step path sha256 val_loss",
  sample: "v type step prompt text temperature top_k top_p seed",
  done: "v type step seconds best files",
};

Deno.test("train writes log, configuration, chart and checkpoints, and prints their paths", () =>
  inFolder(async (folder) => {
    const { stdout, stderr } = await succeeds("train", ["tiny.yaml", "optimizer.lr=0.01"], folder);
    const run = latest(folder);
    const best = checkpoint(run, "best").split("/").at(-1)!;
    const parts = [
      "config.yaml",
      "model.safetensors",
      "optimizer.safetensors",
      "state.json",
      "tokenizer.json",
    ];
    const steps = [...new Set([best, "6"])].sort();
    assert.deepEqual(tree(run), [
      "charts",
      "charts/loss.svg",
      "checkpoints",
      ...steps.flatMap((step) => [step, ...parts.map((part) => `${step}/${part}`)]).map((p) =>
        `checkpoints/${p}`
      ),
      "checkpoints/best",
      "checkpoints/last",
      "config.yaml",
      "log.ndjson",
    ]);
    assert.equal(checkpoint(run), `${run}/checkpoints/6`);
    assert.match(
      Deno.readTextFileSync(`${run}/charts/loss.svg`),
      /^<svg [\s\S]*training loss[\s\S]*<\/svg>\n$/,
    );
    assert.match(Deno.readTextFileSync(`${run}/config.yaml`), /lr: 0.01/);
    assert.match(
      stdout,
      /^\nThe [\s\S]{10}\n\nstep 6: val loss \d\.\d{4}, best \d\.\d{4} at step \d\n.*log\.ndjson, /,
    );
    assert.match(
      stderr,
      /^tiny: [\d,]+ parameters.*\nmemory: .*\ndevice: .*\nstep 3: val loss \d\.\d{4}\nstep 6: val loss \d\.\d{4}\n$/,
    );
    const state = JSON.parse(Deno.readTextFileSync(`${checkpoint(run)}/state.json`));
    assert.deepEqual([state.step, state.counter], [6, 24]);
  }));

Deno.test("every line of the log is a record with its fields in the order of the format", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const log = logOf(latest(folder));
    assert.ok(log.endsWith("}\n"));
    const records = log.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const record of records) assert.equal(Object.keys(record).join(" "), FIELDS[record.type]);
    const half = ["step", "step", "step", "eval", "checkpoint"];
    assert.deepEqual(records.map(({ type }) => type), ["run", ...half, ...half, "sample", "done"]);
    const steps = records.filter(({ type }) => type === "step");
    assert.deepEqual(steps.map(({ step }) => step), [1, 2, 3, 4, 5, 6]);
    // Three values per step and per evaluation.
    assert.deepEqual(steps.map(({ counter }) => counter), [3, 6, 9, 15, 18, 21]);
  }));

Deno.test("--ndjson - puts the bytes of the log on stdout and nothing else", () =>
  inFolder(async (folder) => {
    const { stdout, stderr } = await succeeds("train", ["tiny.yaml", "--ndjson", "-"], folder);
    assert.equal(stdout, logOf(latest(folder)));
    assert.match(stderr, /\nstep 6: val loss/);
  }));

Deno.test("--ndjson FILE has the records as well", () =>
  inFolder(async (folder) => {
    const { stdout } = await succeeds("train", ["tiny.yaml", "--ndjson", "records.ndjson"], folder);
    assert.equal(Deno.readTextFileSync(`${folder}/records.ndjson`), logOf(latest(folder)));
    assert.match(stdout, /\nstep 6: val loss/);
  }));

Deno.test("train into head ends quietly with exit code 0 and a checkpoint to resume from", () =>
  inFolder(async (folder) => {
    const args = [...taskArguments("train"), "tiny.yaml", "train.steps=20000", "--ndjson", "-"];
    const quoted = [Deno.execPath(), ...args].map((arg) => `'${arg}'`).join(" ");
    const piped = `(${quoted} 2>stderr; echo $? >code) | head -n 3`;
    const { stdout } = await new Deno.Command("sh", { args: ["-c", piped], cwd: folder }).output();
    assert.equal(new TextDecoder().decode(stdout).trim().split("\n").length, 3);
    assert.equal(Deno.readTextFileSync(`${folder}/code`), "0\n");
    assert.match(
      Deno.readTextFileSync(`${folder}/stderr`),
      /^tiny: .*\nmemory: .*\ndevice: .*\n(step \d+: val loss .*\n)*$/,
    );
    const { step } = JSON.parse(Deno.readTextFileSync(`${checkpoint(latest(folder))}/state.json`));
    const logged = logOf(latest(folder)).match(/"type":"step"/g)!.length;
    assert.equal(step, logged);
    assert.ok(step < 20000);
    const verified = await script("verify_load", [latest(folder)], folder);
    assert.equal(verified.code, 0, verified.stdout);
  }));

Deno.test("--dry-run prints the configuration, parameters, memory, device and layers to stdout, as a sweep's does, and writes nothing", () =>
  inFolder(async (folder) => {
    const before = tree(folder);
    const { stdout, stderr } = await succeeds("train", ["tiny.yaml", "--dry-run"], folder);
    assert.equal(stderr, "");
    assert.match(
      stdout,
      /^name: tiny\n[^]*\n\ntiny: .* parameters, .* 6 steps .*\nmemory: .*total [\d.]+ [KM]iB.*\ndevice: .*\n\nlayer /,
    );
    assert.deepEqual(tree(folder), before);
  }));

Deno.test("--dry-run of a large model gives memory in GiB and work in TFLOP", () =>
  inFolder(async (folder) => {
    const args = ["realnews_sigmoid_alibi", "model.vocabulary=32100", "device=reference", "--dry-run"];
    const { stdout } = await succeeds("train", args, folder);
    assert.match(stdout, /optimizer 2\.3 GiB, .* total [\d.]+ GiB; 3\d\.\d TFLOP per step\n/);
  }));

Deno.test("sample.tokens 0 ends a run without a sample", () =>
  inFolder(async (folder) => {
    const { stdout } = await succeeds("train", ["tiny.yaml", "sample.tokens=0", 'sample.prompt=""'], folder);
    assert.match(stdout, /^step 6: val loss/);
    assert.doesNotMatch(logOf(latest(folder)), /"type":"sample"/);
  }));

for (const device of ["cpu", "webgpu"]) {
  Deno.test(`two runs with one seed give the same log on ${device}, with dropout and accumulation; another seed differs`, () =>
    inFolder(async (folder) => {
      const train = async (seed: number) => {
        const model = ["model.dropout=0.1", "train.accumulate=2", "train.steps=12", `seed=${seed}`];
        await succeeds("train", ["tiny.yaml", ...model, "--device", device], folder);
        return timeless(logOf(latest(folder)));
      };
      const log = await train(7);
      assert.match(log, new RegExp(`"kind":"${device}"`));
      assert.equal(await train(7), log);
      const losses = (text: string) => text.match(/"loss":[\d.]+/g)!.join();
      assert.notEqual(losses(await train(8)), losses(log));
    }));
}
