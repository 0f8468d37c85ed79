// A model whose parameters, or whose numbers on the way, are not finite: every analysis is an error of one line.
import assert from "node:assert/strict";
import { attentionMaps } from "../../src/interpret/attention_maps.ts";
import { embeddings } from "../../src/interpret/embeddings.ts";
import { logitLens } from "../../src/interpret/logit_lens.ts";
import { patchActivations } from "../../src/interpret/patching.ts";
import { tokenLosses } from "../../src/interpret/perplexity.ts";
import { loadCheckpoint, putModel } from "../../src/model/checkpoint.ts";
import { languageModelOf } from "../../src/model/model.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { checkpoint, inFolder, latest, poison, script, succeeds } from "./harness.ts";

const QUESTIONS = {
  generate: [],
  perplexity: ["--text", "The number"],
  next_token: ["--text", "The numbe"],
  attention_maps: ["--text", "The number"],
  embeddings: ["--text", "The number"],
  logit_lens: ["--text", "The number"],
  attribution: ["--text", "The numbe"],
  ablate: ["--method", "zero"],
  patch: ["--clean", "The numb", "--corrupted", "The foll"],
  analyze_softmax_jacobian: ["runs/latest", "--batches", "1"],
  export_model: ["--out", "exported"],
} as const;

/** Runs `body` in a folder whose one run has parameters of NaN. */
const poisoned = (body: (folder: string) => Promise<void>): Promise<void> =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=3", "sample.tokens=0"], folder);
    await poison(checkpoint(latest(folder)));
    await body(folder);
  });

Deno.test("on a model of NaN every analysis is an error of one line, and verify_load fails", () =>
  poisoned(async (folder) => {
    const asked = [
      ...Object.entries(QUESTIONS),
      ["perplexity", ["--split", "val"]],
      ["train", ["--from", "runs/latest"]],
    ] as [keyof typeof QUESTIONS, string[]][];
    const lines: Record<string, string> = {};
    for (const [task, args] of asked) {
      const device = ["export_model", "train"].includes(task) ? [] : ["--device", "cpu"];
      const { code, stderr } = await script(task, [...args, ...device], folder);
      lines[`${task} ${args[0]}`] = `${code} ${stderr.replace(/^device: .*\n/, "")}`;
    }
    for (const [asked, line] of Object.entries(lines)) {
      assert.match(
        line,
        /^2 \w+: \S+model\.safetensors: the values of \S+ are not finite, element 0 is NaN: the model is unusable; .*\n$/,
        asked,
      );
    }
    const { code, stdout } = await script("verify_load", ["--device", "cpu"], folder);
    assert.equal(code, 1);
    assert.match(stdout, /\nFAIL parameters: .* are not finite, element 0 is NaN/);
  }));

Deno.test("an analysis of a model whose numbers are NaN on the device throws NotFiniteError", () =>
  poisoned(async (folder) => {
    const loaded = await loadCheckpoint(checkpoint(latest(folder)));
    using device = referenceDevice();
    putModel(device, loaded);
    const model = languageModelOf(loaded);
    const asked = {
      perplexity: () => tokenLosses(device, model, [loaded.tokenizer.encode("The number")]),
      maps: () => attentionMaps(device, model, "The number"),
      embeddings: () => embeddings(device, model, ["The number"]),
      lens: () => logitLens(device, model, "The number"),
      patch: () => patchActivations(device, model, "The numb", "The foll"),
    };
    for (const [name, ask] of Object.entries(asked)) {
      const error = await ask().then(() => undefined, (error: Error) => error);
      assert.match(String(error?.message), /not finite.*has its training diverged\?$/, name);
    }
  }));
