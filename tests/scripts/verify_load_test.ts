// verify_load on intact checkpoints, and on checkpoints with one damaged byte in any file.
import assert from "node:assert/strict";
import { checkpoint, inFolder, latest, point, reseal, script, succeeds } from "./harness.ts";

const CHECKS = [
  "state.json",
  "hash of model.safetensors",
  "hash of optimizer.safetensors",
  "hash of config.yaml",
  "hash of tokenizer.json",
  "log",
  "loads",
  "parameters",
  "configuration",
  "tokenizer",
  "optimizer",
  "logits on fixed input",
  "logits on random input",
  "validation loss",
];

/** The names of checks, by whether they passed. */
function checksIn(stdout: string): { passed: string[]; failed: string[] } {
  const named = (mark: string) =>
    stdout.split("\n").filter((line) => line.startsWith(mark)).map((line) => line.slice(5).split(":")[0]);
  return { passed: named("ok   "), failed: named("FAIL ") };
}

async function changeByte(path: string, at: (bytes: Uint8Array) => number, to?: number): Promise<void> {
  const bytes = await Deno.readFile(path);
  const i = at(bytes);
  bytes[i] = to ?? bytes[i] ^ 1;
  await Deno.writeFile(path, bytes);
}

/** The index of a text in the bytes of a file, plus `more`. */
const indexOf = (text: string, more = 0) => (bytes: Uint8Array): number => {
  const at = new TextDecoder("latin1").decode(bytes).indexOf(text);
  assert.ok(at >= 0, text);
  return at + more;
};

for (const device of ["cpu", "webgpu"]) {
  Deno.test(`verify_load of an intact checkpoint from ${device} passes every check and exits with 0`, () =>
    inFolder(async (folder) => {
      const trained = await succeeds("train", ["tiny.yaml", "optimizer.lr=0.01", "--device", device], folder);
      assert.match(trained.stdout, /val loss/);
      for (const path of ["runs/latest", "tiny", checkpoint(latest(folder), "best")]) {
        const { code, stdout, stderr } = await script("verify_load", [path], folder);
        assert.equal(code, 0, stdout + stderr);
        assert.deepEqual(checksIn(stdout), { passed: CHECKS, failed: [] });
        assert.match(stdout, /\n.*checkpoints\/\d: verified\n$/);
        if (device === "webgpu") break;
      }
    }));
}

Deno.test("verify_load of a checkpoint saved on Ctrl-C reports that no loss was recorded, and passes", () =>
  inFolder(async (folder) => {
    const args = ["tiny.yaml", "output.checkpoint_every=2", "eval.every=4", "train.steps=5"];
    await succeeds("train", args, folder);
    const { code, stdout } = await script("verify_load", [`${latest(folder)}/checkpoints/2`], folder);
    assert.equal(code, 0);
    assert.match(stdout, /\nok {3}validation loss: none was recorded at this step\n/);
  }));

Deno.test("verify_load after one byte of any file was changed exits with 1 and names the check that failed", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const intact = checkpoint(latest(folder));
    const last = (bytes: Uint8Array) => bytes.length - 1;
    // The file, the byte, its new value, and the checks that must fail: the first, and others that see it too.
    const damages: [string, (bytes: Uint8Array) => number, number | undefined, string[]][] = [
      ["model.safetensors", () => 0, undefined, ["hash of model.safetensors", "loads"]],
      ["model.safetensors", indexOf("F32"), undefined, ["hash of model.safetensors", "loads"]],
      ["model.safetensors", indexOf('"step":"6"', 8), undefined, ["hash of model.safetensors"]],
      ["model.safetensors", indexOf("final_norm"), undefined, [
        "hash of model.safetensors",
        "parameters",
        "logits on fixed input",
        "logits on random input",
        "validation loss",
      ]],
      ["model.safetensors", last, undefined, ["hash of model.safetensors", "validation loss"]],
      ["optimizer.safetensors", last, undefined, ["hash of optimizer.safetensors"]],
      ["optimizer.safetensors", () => 10, undefined, ["hash of optimizer.safetensors", "optimizer"]],
      ["config.yaml", indexOf("dim: 16", 5), "2".charCodeAt(0), [
        "hash of config.yaml",
        "parameters",
        "optimizer",
        "logits on fixed input",
        "logits on random input",
        "validation loss",
      ]],
      ["config.yaml", indexOf("seed: 1", 6), "2".charCodeAt(0), ["hash of config.yaml"]],
      ["config.yaml", indexOf("steps"), "x".charCodeAt(0), ["hash of config.yaml", "loads"]],
      ["config.yaml", indexOf("text.txt"), "n".charCodeAt(0), ["hash of config.yaml", "validation loss"]],
      ["tokenizer.json", () => 0, undefined, ["hash of tokenizer.json", "loads"]],
      ["tokenizer.json", indexOf('"T"', 1), undefined, ["hash of tokenizer.json", "validation loss"]],
      ["state.json", indexOf('"counter"', 11), undefined, ["state.json"]],
      ["state.json", () => 0, undefined, ["state.json"]],
      ["state.json", last, undefined, ["state.json"]],
      ["state.json", indexOf('"sha256"', 12), undefined, ["state.json"]],
    ];
    for (const [name, at, to, expected] of damages) {
      const path = `${intact}/${name}`;
      const before = await Deno.readFile(path);
      await changeByte(path, at, to);
      const { code, stdout, stderr } = await script("verify_load", ["runs/latest"], folder);
      const after = new TextDecoder("latin1").decode(await Deno.readFile(path)).slice(0, 2000);
      assert.equal(code, 1, stdout + stderr + after);
      assert.deepEqual(checksIn(stdout).failed, expected, stdout);
      assert.match(stdout, new RegExp(`\\n.*: ${expected.length} of \\d+ checks failed\\n$`));
      await Deno.writeFile(path, before);
    }
    await succeeds("verify_load", ["runs/latest"], folder);
  }));

Deno.test("verify_load of a checkpoint without any one of its files exits with 1 and names the check that failed", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const intact = checkpoint(latest(folder));
    for (
      const name of [
        "model.safetensors",
        "optimizer.safetensors",
        "config.yaml",
        "tokenizer.json",
        "state.json",
      ]
    ) {
      await Deno.rename(`${intact}/${name}`, `${folder}/kept`);
      for (const path of [intact, "runs/latest"]) {
        const { code, stdout, stderr } = await script("verify_load", [path], folder);
        assert.equal(code, 1, `${name}: ${stdout}${stderr}`);
        const [first] = checksIn(stdout).failed;
        assert.equal(first, name === "state.json" ? name : `hash of ${name}`);
      }
      await Deno.rename(`${folder}/kept`, `${intact}/${name}`);
    }
  }));

Deno.test("verify_load detects changed parameters with new hashes: the recorded loss is not reproduced", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const intact = checkpoint(latest(folder));
    const path = `${intact}/model.safetensors`;
    // The highest byte of the last number: its sign.
    await changeByte(path, (bytes) => bytes.length - 1, 0x40);
    await reseal(intact);
    const { code, stdout } = await script("verify_load", [intact], folder);
    assert.equal(code, 1);
    assert.deepEqual(checksIn(stdout).failed, ["validation loss"]);
  }));

Deno.test("verify_load of a missing run, of a run without a checkpoint, and of two runs are one line and exit code 2", () =>
  inFolder(async (folder) => {
    const refused = async (args: string[], pattern: RegExp) => {
      const { code, stdout, stderr } = await script("verify_load", args, folder);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, pattern);
    };
    await refused([], /^verify_load: runs\/latest: not found, .*\n$/);
    await refused(["a", "b"], /^verify_load: b: one run or checkpoint at a time, a was given before\.\n$/);
    await succeeds("train", ["tiny.yaml"], folder);
    const run = latest(folder);
    await point(run, "last", "7");
    await succeeds("verify_load", [], folder);
    await Deno.remove(`${run}/checkpoints`, { recursive: true });
    await refused([run], /^verify_load: .*: the run has no checkpoint yet\.\n$/);
  }));
