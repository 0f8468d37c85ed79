// End-to-end tests of generate: reproducible by seed; filters; the same text on both devices.
import assert from "node:assert/strict";
import { inFolder, latest, script, succeeds, tree } from "./harness.ts";

Deno.test("generate continues the prompt, the same for one seed, and at temperature 0 for every seed and device", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=60", "optimizer.lr=0.01"], folder);
    const write = async (...args: string[]) => (await succeeds("generate", args, folder)).stdout;
    const text = await write();
    assert.match(text, /^The [\s\S]{10}\n$/);
    assert.equal(await write("runs/latest", "--tokens", "10", "--temperature", "0.8", "--seed", "1"), text);
    assert.equal(await write(latest(folder), "--seed", "1"), text);
    const long = ["--prompt", "is its own.\nThe number ", "--tokens", "80"];
    const drawn = await write(...long);
    assert.equal(drawn.length, 23 + 80 + 1);
    assert.ok(drawn.startsWith("is its own.\nThe number "));
    assert.notEqual(await write(...long, "--seed", "2"), drawn);
    const certain = await write(...long, "--temperature", "0");
    assert.equal(await write(...long, "--temperature", "0", "--seed", "2", "--device", "webgpu"), certain);
    assert.equal(await write(...long, "--top-k", "1", "--seed", "3"), certain);
    assert.equal(await write(...long, "--top-p", "0", "--seed", "4"), certain);
    assert.equal(await write("--tokens", "0", "--prompt", "own"), "own\n");
  }));

Deno.test("the sample at the end of a run equals that of generate from its last checkpoint", () =>
  inFolder(async (folder) => {
    const { stdout } = await succeeds("train", ["tiny.yaml", "sample.tokens=40", "sample.top_k=5"], folder);
    const generated = await succeeds("generate", [], folder);
    assert.ok(stdout.startsWith(`\n${generated.stdout}\n`), stdout);
  }));

Deno.test("a run that diverges ends without a sample", () =>
  inFolder(async (folder) => {
    const wild = ["optimizer.name=sgd", "optimizer.lr=1e30", "optimizer.clip=0", "sample.tokens=5"];
    await script("train", ["tiny.yaml", ...wild], folder);
    // Without a checkpoint it is not the latest run.
    const log = tree(folder).find((path) => path.endsWith("/log.ndjson"))!;
    const types = Deno.readTextFileSync(`${folder}/${log}`).trim().split("\n").map((line) =>
      JSON.parse(line).type
    );
    assert.deepEqual([types.includes("warning"), types.includes("sample"), types.at(-1)], [
      true,
      false,
      "done",
    ]);
  }));
