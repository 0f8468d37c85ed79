// Output paths are checked before a script's work, not after it.
import assert from "node:assert/strict";
import { inFolder, script, succeeds } from "./harness.ts";

Deno.test("ablate, patch and logit_lens report an --out that cannot be written before they compute anything", () =>
  inFolder(async (folder) => {
    const runs = new URL("../fixtures/runs/fixture/", import.meta.url);
    const [{ name }] = Deno.readDirSync(runs);
    const from = new URL(`${name}/checkpoints/10/`, runs);
    Deno.copyFileSync(new URL("../fixtures/text.txt", import.meta.url), `${folder}/known.txt`);
    Deno.mkdirSync(`${folder}/model`);
    for (const { name } of Deno.readDirSync(from)) {
      Deno.copyFileSync(new URL(name, from), `${folder}/model/${name}`);
    }
    const questions = {
      ablate: ["--file", "known.txt"],
      patch: ["--clean", "The f", "--corrupted", "The s", "--answer", "o"],
      logit_lens: ["--text", "The "],
    } as const;
    for (const [name, args] of Object.entries(questions)) {
      for (
        const [out, reason] of [["missing/chart.svg", "No such file"], ["model", "found a folder"]]
      ) {
        const options = ["model", ...args, "--device", "cpu", "--out", out];
        const { code, stdout, stderr } = await script(name as keyof typeof questions, options, folder);
        assert.deepEqual([code, stdout], [2, ""], stderr);
        assert.match(stderr, new RegExp(`^${name}: ${out}: ${reason}[^\\n]*\\n$`));
      }
    }
  }));

Deno.test("plot, attention_maps and embeddings overwrite no file unless it is named", () =>
  inFolder(async (folder) => {
    const short = ["tiny.yaml", "train.steps=2", "eval.batches=1", "sample.tokens=0"];
    await succeeds("train", short, folder);
    const questions = [
      ["plot", ["--metric", "loss"], "plot.svg", "plot-2.svg"],
      ["attention_maps", ["--text", "The"], "attention_maps.svg", "attention_maps-2.svg"],
      ["attention_maps", ["--text", "The", "--each"], "attention_maps", "attention_maps-2"],
      ["embeddings", ["--text", "The"], "embeddings.safetensors", "embeddings-2.safetensors"],
    ] as const;
    for (const [task, args, first, second] of questions) {
      await succeeds(task, args, folder);
      const before = Deno.statSync(`${folder}/${first}`).mtime;
      const { stdout } = await succeeds(task, args, folder);
      assert.deepEqual(Deno.statSync(`${folder}/${first}`).mtime, before);
      assert.ok(stdout.startsWith(second), stdout);
      assert.ok(Deno.statSync(`${folder}/${second}`));
    }
  }));
