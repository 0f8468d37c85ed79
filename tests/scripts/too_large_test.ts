// Numbers that need more memory than any machine has fail at once with one line, from the command line and from files.
import assert from "node:assert/strict";
import { ended, inFolder, reseal, start } from "./harness.ts";

/** Time limit: unrolling, allocating or planning would take longer or run out of memory. */
const LIMIT_MS = 20_000;

async function refuses(
  name: Parameters<typeof start>[0],
  args: readonly string[],
  folder: string,
  message: RegExp,
): Promise<void> {
  const process = start(name, args, folder);
  const timer = setTimeout(() => process.kill("SIGKILL"), LIMIT_MS);
  const { code, stderr } = await ended(process);
  clearTimeout(timer);
  assert.equal(code, 2, `${name} ${args.join(" ")}: ${code} ${stderr.slice(0, 300)}`);
  assert.match(stderr, /^[^\n]*\n$/);
  assert.match(stderr, message);
}

const CASE: [string, RegExp][] = [
  ["train.batch=1e9", /^train: train\.batch: 1000000000 is too much: .* of memory for a step's batches/],
  ["train.accumulate=1e9", /^train: train\.accumulate: 1000000000 is too much: /],
  ["model.layers=1e9", /^train: model\.layers: 1000000000 is too much: /],
  ["train.batch=1e7", /^train: train\.batch: 10000000 is too much: .* of memory for the run on the CPU/],
];

for (const [override, message] of CASE) {
  Deno.test(`train ${override} on the CPU is one line at once`, () =>
    inFolder(async (folder) => {
      await refuses("train", ["tiny.yaml", "model.dim=512", override], folder, message);
    }));
}

Deno.test("import_model of a config.json with 1e9 layers is one line at once", () =>
  inFolder(async (folder) => {
    const golden = new URL("../golden/gpt2/", import.meta.url);
    Deno.mkdirSync(`${folder}/gpt2`);
    for (const { name } of Deno.readDirSync(golden)) {
      Deno.copyFileSync(new URL(name, golden), `${folder}/gpt2/${name}`);
    }
    const config = JSON.parse(Deno.readTextFileSync(`${folder}/gpt2/config.json`));
    Deno.writeTextFileSync(`${folder}/gpt2/config.json`, JSON.stringify({ ...config, n_layer: 1e9 }));
    const message = /model\.safetensors: it has 2 blocks, but n_layer in config\.json is 1000000000\.\n$/;
    await refuses("import_model", ["gpt2", "--out", "out"], folder, message);
  }));

Deno.test("a checkpoint whose config.yaml has 1e9 layers is one line at once, and so are 1e9 beams and tokens", () =>
  inFolder(async (folder) => {
    const plain = new URL("../fixtures/runs/fixture/", import.meta.url);
    const [{ name: run }] = Deno.readDirSync(plain);
    const from = new URL(`${run}/checkpoints/10/`, plain);
    for (const to of ["small", "large"]) {
      Deno.mkdirSync(`${folder}/${to}`);
      for (const { name } of Deno.readDirSync(from)) {
        Deno.copyFileSync(new URL(name, from), `${folder}/${to}/${name}`);
      }
    }
    const yaml = Deno.readTextFileSync(`${folder}/large/config.yaml`);
    Deno.writeTextFileSync(`${folder}/large/config.yaml`, yaml.replace(/^( *layers: )2$/m, "$11000000000"));
    await reseal(`${folder}/large`);
    const args = ["--prompt", "a", "--device", "cpu"];
    await refuses("generate", ["large", ...args], folder, /model\.layers: 1000000000 is too much: /);
    await refuses(
      "generate",
      ["small", ...args, "--beams", "1e9"],
      folder,
      /beams: 1000000000 is too much: /,
    );
    await refuses(
      "generate",
      ["small", ...args, "--tokens", "1e9"],
      folder,
      /tokens: expected at most 134217728/,
    );
  }));
