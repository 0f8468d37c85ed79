// Files and names on the command line, and the project's configurations.

import assert from "node:assert/strict";
import { dumpConfig, loadConfig, parseConfig, resolveConfig } from "../../src/config/mod.ts";
import { SHIPPED_CONFIGS } from "../../src/config/shipped.ts";
import { UserError } from "../../src/base/errors.ts";

const CONFIGS = new URL("../../configs/", import.meta.url);

async function refusal(path: string, ...overrides: string[]): Promise<string> {
  try {
    await loadConfig(path, overrides);
  } catch (error) {
    assert.ok(error instanceof UserError, `expected a UserError, got ${error}`);
    return error.message;
  }
  return "accepted";
}

/** Runs in a new empty folder. */
async function elsewhere(body: (folder: string) => Promise<void>): Promise<void> {
  const before = Deno.cwd();
  const folder = await Deno.makeTempDir();
  try {
    Deno.chdir(folder);
    await body(folder);
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("every configuration of the project loads and round-trips through its YAML", async () => {
  let count = 0;
  for await (const { name } of Deno.readDir(CONFIGS)) {
    if (!name.endsWith(".yaml")) continue;
    const stem = name.replace(/\.yaml$/, "");
    const config = await loadConfig(stem, []);
    assert.equal(config.name, stem);
    assert.deepEqual(
      resolveConfig(parseConfig(dumpConfig(config), "dump"), { place: "dump", name: "other" }),
      config,
    );
    count++;
  }
  assert.ok(count >= 3);
});

Deno.test("nanogpt_cpu is nanoGPT's published CPU run", async () => {
  const { data, model, train, optimizer, schedule, seed } = await loadConfig("nanogpt_cpu", []);
  assert.deepEqual([model.layers, model.heads, model.dim, model.context, model.dropout], [4, 4, 128, 64, 0]);
  assert.deepEqual([model.bias, model.tied, model.block.mlp.activation], [false, true, "gelu"]);
  assert.deepEqual([train.steps, train.batch, train.accumulate, seed], [2000, 12, 1, 1337]);
  assert.deepEqual([optimizer.lr, optimizer.betas, optimizer.weight_decay, optimizer.clip], [
    1e-3,
    [0.9, 0.99],
    0.1,
    1,
  ]);
  const { name, warmup, min_lr, steps } = schedule;
  assert.deepEqual({ name, warmup, min_lr, steps }, {
    name: "cosine",
    warmup: 100,
    min_lr: 1e-4,
    steps: null,
  });
  assert.deepEqual([data.source, data.split, data.sampling], [
    "tiny_shakespeare",
    { val: 0.1, test: 0 },
    "crops",
  ]);
});

Deno.test("overrides apply in order, the last one wins", async () => {
  const config = await loadConfig("nanogpt_cpu", [
    "model.dim=256",
    "train.steps=10",
    "model.dim=64",
    "~seed",
  ]);
  assert.deepEqual([config.model.dim, config.train.steps, config.seed], [64, 10, 1]);
});

Deno.test("a bare name is a file of the working folder first, then of the project", async () => {
  await elsewhere(async () => {
    assert.equal((await loadConfig("nanogpt_cpu", [])).train.steps, 2000);
    await Deno.mkdir("nanogpt_cpu");
    assert.equal((await loadConfig("nanogpt_cpu", [])).train.steps, 2000);
    await Deno.remove("nanogpt_cpu");
    await Deno.writeTextFile("nanogpt_cpu", "train: { steps: 7 }");
    assert.equal((await loadConfig("nanogpt_cpu", [])).train.steps, 7);
  });
});

Deno.test("a missing file is reported with the closest existing name", async () => {
  await elsewhere(async () => {
    await Deno.writeTextFile("tiny.yaml", "seed: 1");
    await Deno.mkdir("empty");
    assert.equal(await refusal("tinny.yaml"), '"tinny.yaml": no such file. Did you mean "tiny.yaml"?');
    assert.equal(
      await refusal("empty/a.yaml"),
      '"empty/a.yaml": no such file. There is no YAML file in its folder.',
    );
    assert.match(
      await refusal("nowhere/a.yaml"),
      /: no such file; "nowhere" is not a folder that can be read\.$/,
    );
    assert.match(await refusal("tiny.yaml/a.yaml"), /: no such file; "tiny\.yaml" is not a folder/);
    assert.match(
      await refusal("nanogpt_cup"),
      /no such configuration in configs\/\. Did you mean "nanogpt_cpu"\?$/,
    );
    assert.match(await refusal("reverse"), /; for the synthetic task set data\.source=reverse\.$/);
    assert.match(await refusal("tinny"), /Did you mean "tiny\.yaml"\?$/);
    assert.match(await refusal("xyzxyz"), /Known: .*default/);
    assert.match(await refusal("empty"), /^empty: expected a YAML file, found a folder\.$/);
    // Without full permission to read, Deno refuses an empty path itself.
    assert.match(await refusal(""), /^"": (no such file|it cannot be read)/);
    assert.match(await refusal("a\0b"), /cannot be read/);
  });
});

Deno.test("an error in a file names the path as given", async () => {
  await elsewhere(async () => {
    await Deno.writeTextFile("bad.yaml", "model: { dmi: 1 }");
    assert.equal(await refusal("./bad.yaml"), './bad.yaml: model.dmi: unknown key. Did you mean "dim"?');
    assert.equal(
      await refusal("./bad.yaml", "model={}", "tran.steps=1"),
      'override tran.steps=1: tran: unknown key. Did you mean "train"?',
    );
    assert.match(
      await refusal("nanogpt_cpu", "model.heads=3"),
      /^override model\.heads=3: 3 does not divide/,
    );
  });
});

Deno.test("every configuration in configs/ is shipped in the program, unchanged", async () => {
  const folder = new URL("../../configs/", import.meta.url);
  const files: Record<string, string> = {};
  for await (const { name } of Deno.readDir(folder)) {
    const stem = name.replace(/\.yaml$/, "");
    if (stem !== name) files[stem] = await Deno.readTextFile(new URL(name, folder));
  }
  assert.deepEqual(SHIPPED_CONFIGS, files);
});
