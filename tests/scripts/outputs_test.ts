// Where a script is to write is looked at before its work, not after it.
import assert from "node:assert/strict";
import { inFolder, script } from "./harness.ts";

Deno.test("ablate, patch and logit_lens refuse an --out that cannot be written before they compute anything", () =>
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
        const [out, reason] of [["missing/chart.svg", "No such file"], ["model", "a folder stands there"]]
      ) {
        const options = ["model", ...args, "--device", "cpu", "--out", out];
        const { code, stdout, stderr } = await script(name as keyof typeof questions, options, folder);
        assert.deepEqual([code, stdout], [2, ""], stderr);
        assert.match(stderr, new RegExp(`^${name}: ${out}: ${reason}[^\\n]*\\n$`));
      }
    }
  }));
