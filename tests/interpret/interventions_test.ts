// Ablation and patching against a model whose heads were removed by hand.
import assert from "node:assert/strict";
import { ablateHeads, ABLATION_METHODS, textBatches } from "../../src/interpret/ablation.ts";
import type { LanguageModel } from "../../src/model/model.ts";
import { patchActivations } from "../../src/interpret/patching.ts";
import { perplexityOf, tokenLosses } from "../../src/interpret/perplexity.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "./random_model.ts";

const TEXTS = ["abcdefgh", "kjihg", "cafe", "dadafebe"];

/** Sets wo's columns of one head to 0, which equals a head without values; returns a function that restores them. */
async function withoutHead(
  device: Device,
  purpose: string,
  layer: number,
  head: number,
): Promise<() => void> {
  const { dim, heads } = TINY;
  const name = `${purpose} blocks.${layer}.attn.wo.weight`;
  const [before] = await device.read([name]);
  const d = dim / heads;
  const after = before.map((w, at) => Math.floor(at % dim / d) === head ? 0 : w);
  const shape = { shape: [dim, dim], dtype: "f32" } as const;
  device.define(name, shape, after);
  return () => device.define(name, shape, before);
}

const lossOf = async (device: Device, model: LanguageModel, ids: Uint32Array[]) =>
  perplexityOf(await tokenLosses(device, model, ids)).loss;

Deno.test("zero ablation equals the loss of the model without the head's columns of wo, over texts of different length", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "zero");
  const ids = TEXTS.map((text) => model.tokenizer.encode(text));
  const { loss, tokens, changes } = await ablateHeads(device, model, textBatches(model, ids, 3), 3, "zero");
  assert.equal(tokens, 7 + 4 + 3 + 7);
  assert.ok(Math.abs(loss - await lossOf(device, model, ids)) < 1e-10);
  for (let layer = 0; layer < 2; layer++) {
    for (let head = 0; head < 3; head++) {
      const undo = await withoutHead(device, "zero", layer, head);
      const expected = await lossOf(device, model, ids) - loss;
      undo();
      // Float64 sums in another order.
      assert.ok(Math.abs(changes[layer][head] - expected) < 1e-10, `${changes[layer][head]}, ${expected}`);
    }
  }
});

Deno.test("every ablation of a head without effect changes nothing, and of a head with effect changes the loss", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "idle");
  await withoutHead(device, "idle", 1, 2);
  const ids = TEXTS.map((text) => model.tokenizer.encode(text));
  for (const method of ABLATION_METHODS) {
    const { changes } = await ablateHeads(device, model, textBatches(model, ids, 4), 4, method);
    assert.ok(Math.abs(changes[1][2]) < 1e-12, method);
    assert.ok(changes.flatMap((row) => [...row]).filter((x) => Math.abs(x) > 1e-4).length === 5, method);
  }
});

Deno.test("mean and resample ablation change nothing if all samples are equal and all positions have the same value", async () => {
  using device = referenceDevice({ precision: "f64" });
  // Without positions and with a single letter, every position of every sample is the same.
  const model = randomModel(device, { ...TINY, positions: "none" }, "alike");
  const ids = ["aaaaa", "aaa"].map((text) => model.tokenizer.encode(text));
  const batches = textBatches(model, ids, 2);
  for (const method of ["mean", "resample"] as const) {
    const { changes } = await ablateHeads(device, model, batches, 2, method);
    assert.ok(changes.every((row) => row.every((x) => Math.abs(x) < 1e-12)), method);
  }
  const zero = await ablateHeads(device, model, batches, 2, "zero");
  assert.ok(zero.changes.some((row) => row.some((x) => Math.abs(x) > 1e-4)));
});

Deno.test("resample ablation is reproducible for a seed, differs for another, and refuses a single sample", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "resample");
  const ids = TEXTS.map((text) => model.tokenizer.encode(text));
  const run = async (seed: number, texts = ids) =>
    (await ablateHeads(device, model, textBatches(model, texts, 4), 4, "resample", { seed })).changes;
  assert.deepEqual(await run(1), await run(1));
  assert.notDeepEqual(await run(1), await run(2));
  await assert.rejects(run(1, [ids[0]]), UserError);
  await assert.rejects(ablateHeads(device, model, [], 4, "zero"), UserError);
});

Deno.test("patching recovers everything at the first stream of the last differing position, nothing where the texts agree", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "patching");
  const options = { answer: "a", wrong: "b" };
  const patching = await patchActivations(device, model, "abcde", "abhde", options);
  assert.deepEqual(patching.tokens, { clean: [..."abcde"], corrupted: [..."abhde"] });
  // The texts differ only at position 2: patching the stream into block 0 there restores the clean text.
  assert.ok(Math.abs(patching.recovered[0][2] - 1) < 1e-10);
  for (const t of [0, 1, 3, 4]) assert.ok(Math.abs(patching.recovered[0][t]) < 1e-10);
  // Streams before the difference are the same in both texts, at any depth.
  for (const t of [0, 1]) assert.ok(Math.abs(patching.recovered[1][t]) < 1e-10);
  assert.ok(Math.abs(patching.recovered[1][2]) > 1e-4);
  const last = await patchActivations(device, model, "abcde", "abcdh", { ...options, site: "mlp_out" });
  for (const row of last.recovered) for (const t of [0, 1, 2, 3]) assert.ok(Math.abs(row[t]) < 1e-10);
  const heads = await patchActivations(device, model, "abcde", "abhde", { ...options, site: "heads" });
  assert.deepEqual(heads.recovered.map((row) => row.length), [3, 3]);
});

Deno.test("patching a head recovers nothing if wo ignores it", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "patched head");
  await withoutHead(device, "patched head", 0, 1);
  const options = { answer: "a", wrong: "b", site: "heads" } as const;
  const { recovered } = await patchActivations(device, model, "abcde", "hbcde", options);
  assert.ok(Math.abs(recovered[0][1]) < 1e-12);
  for (const other of [recovered[0][0], recovered[0][2], recovered[1][1]]) assert.ok(Math.abs(other) > 1e-5);
});

Deno.test("patching warns if clean and corrupted hardly differ", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "patching");
  const seen = new Set<boolean>();
  for (const [answer, wrong] of ["ab", "ac", "bd", "ce", "dh"]) {
    const patching = await patchActivations(device, model, "abcde", "abhde", { answer, wrong });
    const { clean, corrupted } = patching.difference;
    const hardly = Math.abs(clean - corrupted) < 0.1;
    seen.add(hardly);
    assert.equal(patching.warning !== undefined, hardly, `${answer} ${wrong}: ${clean - corrupted}`);
    if (hardly) {
      assert.match(
        patching.warning!,
        /^logit\("."\) - logit\("."\) differs by only 0\.0/,
      );
    }
  }
  assert.equal(seen.size, 2);
});

Deno.test("patching refuses texts of different length, answers of two tokens and texts that agree", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "refused");
  const patch = (a: string, b: string, options = {}) => patchActivations(device, model, a, b, options);
  await assert.rejects(patch("abc", "ab"), /^UserError: Patching needs texts of equal length, found 3/);
  await assert.rejects(patch("abc", "abd", { answer: "ab" }), /^UserError: answer: expected one token/);
  await assert.rejects(patch("abc", "abc"), /^UserError: Patching compares /);
});
