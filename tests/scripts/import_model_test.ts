// A model of Hugging Face's from the command line: in, continued, trained further, verified, out.
import assert from "node:assert/strict";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import golden from "../golden/gpt2.json" with { type: "json" };
import { checkpoint, inFolder, latest, logOf, ROOT, script, succeeds } from "./harness.ts";

const FOLDER = new URL("tests/golden/gpt2", ROOT).pathname;

Deno.test("an imported model is verified, continued, fine-tuned with fewer positions, and exported unchanged", () =>
  inFolder(async (folder) => {
    const { stdout } = await succeeds("import_model", [FOLDER, "--out", "runs/tiny"], folder);
    assert.match(
      stdout,
      /^runs\/tiny: 36,512 parameters, 2 layers of 4 heads, dim 32, context 48, vocabulary 297\n/,
    );
    assert.match((await succeeds("verify_load", ["tiny"], folder)).stdout, /: verified\n$/);
    const small = [
      "data.files=[text.txt]",
      "model.context=16",
      "eval.batches=1",
      "sample.tokens=0",
      "device=cpu",
    ];
    const tune = ["--from", "runs/tiny", ...small];
    await succeeds("train", [...tune, "train.steps=3", "schedule.name=constant"], folder);
    const run = latest(folder);
    assert.match(run, /\/gpt2-tuned\//);
    const [first] = logOf(run).split("\n").filter((line) => line.includes('"type":"step"')).map((line) =>
      JSON.parse(line)
    );
    // Fresh parameters would give ln 297 = 5.7 to 0.1; those of the golden model are sharp and mostly wrong.
    assert.ok(first.loss > 6.2, `${first.loss}`);
    assert.match((await succeeds("verify_load", [run], folder)).stdout, /: verified\n$/);
    await succeeds("export_model", [checkpoint(run), "--out", "out"], folder);
    assert.equal(JSON.parse(Deno.readTextFileSync(`${folder}/out/config.json`)).n_positions, 16);
  }));

Deno.test("generate continues an imported model as transformers does", () =>
  inFolder(async (folder) => {
    await succeeds("import_model", [FOLDER, "--out", "tiny", "--cache", "c"], folder);
    const [{ text, ids, greedy }] = golden.prompts;
    const args = ["tiny", "--prompt", text, "--tokens", String(greedy.length - ids.length)];
    const { stdout } = await succeeds("generate", [...args, "--temperature", "0", "--device", "cpu"], folder);
    const { tokenizer } = await loadCheckpoint(`${folder}/tiny`);
    assert.deepEqual([...tokenizer.encode(text)], ids);
    assert.equal(stdout, tokenizer.decode(greedy) + "\n");
  }));

Deno.test("import_model and export_model of missing models are one line and exit code 2", () =>
  inFolder(async (folder) => {
    const refuses = async (
      name: "import_model" | "export_model" | "train",
      args: string[],
      pattern: RegExp,
    ) => {
      const { code, stdout, stderr } = await script(name, args, folder, { without: "--allow-net" });
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, pattern);
    };
    await refuses("import_model", [], /^import_model: Expected the folder or name of a model, .*\n$/);
    await refuses(
      "import_model",
      ["gtp2"],
      /^import_model: gtp2: no such folder, .* Did you mean "gpt2"\?\n$/,
    );
    await refuses(
      "import_model",
      ["gpt2"],
      /^import_model: gpt2: config\.json cannot be downloaded \(.*; put config.*\n$/,
    );
    await refuses("import_model", ["runs"], /^import_model: runs: no such folder/);
    await refuses("export_model", ["nothing", "--out", "x"], /^export_model: nothing: not found, .*\n$/);
    await refuses("export_model", [], /^export_model: --out: expected a folder to write\.\n$/);
    await refuses("train", ["--from", "nothing"], /^train: nothing: not found, .*\n$/);
    await refuses(
      "train",
      ["--from", "a", "--resume", "b"],
      /^train: --from: .* leave it out after --resume\.\n$/,
    );
    await succeeds("import_model", [FOLDER, "--out", "tiny"], folder);
    await refuses("import_model", [FOLDER, "--out", "tiny"], /^import_model: tiny: exists already; .*\n$/);
    await refuses(
      "train",
      ["tiny.yaml", "--from", "tiny", "sample.tokens=0"],
      /^train: train\.from: tensor embed\.weight is .* model\.dim is 16 here and 32 there\.\n$/,
    );
    await refuses(
      "train",
      ["--from", "tiny", "tokenizer.kind=byte"],
      /^train: tokenizer\.kind=byte: a run that starts from another uses its tokenizer; leave it out/,
    );
    // Another shape: the tensor, both shapes and the key, before a device is opened.
    const there = "in tiny and";
    for (
      const [override, message] of [
        [
          "model.dim=16",
          `embed.weight is [297, 32] ${there} [297, 16] in this model: model.dim is 16 here and 32 there`,
        ],
        [
          "model.context=64",
          `pos_embed.weight is [48, 32] ${there} [64, 32] in this model: model.context is 64 here and 48 there`,
        ],
        [
          "model.layers=1",
          `blocks.1.attn.wk.bias is [32] ${there} missing in this model: model.layers is 1 here and 2 there`,
        ],
        [
          "model.blocks=[{attention: {extra_keys: 2}}]",
          `blocks.0.attn.extra_k is missing ${there} [2, 32] in this model: model.blocks.0.attention.extra_keys is 2 here and missing there`,
        ],
      ]
    ) {
      const args = ["--from", "tiny", "data.files=[text.txt]", override];
      const { code, stderr } = await script("train", args, folder);
      assert.deepEqual([code, stderr], [2, `train: train.from: tensor ${message}.\n`]);
    }
  }));
