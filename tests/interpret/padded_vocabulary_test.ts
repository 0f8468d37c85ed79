// Models with a larger vocabulary than their tokenizer: softmax runs over all logits, and only tokens are sampled.
import assert from "node:assert/strict";
import { beamSearch } from "../../src/generate/beams.ts";
import { generateTexts } from "../../src/generate/generate.ts";
import { logitLens } from "../../src/interpret/logit_lens.ts";
import { nextLogits } from "../../src/generate/next_logits.ts";
import type { LanguageModel } from "../../src/model/model.ts";
import { nextTokens } from "../../src/interpret/next_tokens.ts";
import { patchActivations } from "../../src/interpret/patching.ts";
import { tokenLosses } from "../../src/interpret/perplexity.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { decoder, input } from "../../mod.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "./random_model.ts";

/** Eleven ids, of which a, b, c, d are 0 to 3. */
const tokenizer = charTokenizer("abcd");
const V = TINY.vocabulary;

const paddedModel = (device: Device, purpose: string): LanguageModel => ({
  ...randomModel(device, TINY, purpose),
  tokenizer,
});

/** ln softmax over all eleven logits at each position of a text, by the definition. */
async function logSoftmaxes(device: Device, model: LanguageModel, text: string): Promise<number[][]> {
  const ids = tokenizer.encode(text);
  const logits = decoder(model.architecture, model.parameters, input("ids", [1, ids.length], "u32"));
  using program = await device.compile({ outputs: { logits } });
  program.run({ ids });
  const [all] = await program.read(["logits"]);
  return Array.from(ids, (_, t) => {
    const row = [...all.subarray(t * V, (t + 1) * V)];
    const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => x - total);
  });
}

// Float64 sums in another order.
const close = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) < 1e-10, `${actual} instead of ${expected}`);

Deno.test("next_token's probabilities are from the softmax over the model's vocabulary, listed for the ids with a token", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = paddedModel(device, "padded next");
  const expected = (await logSoftmaxes(device, model, "abc"))[2];
  const actual = await nextTokens(device, model, "abc", 99);
  assert.deepEqual(actual.map(({ id }) => id).sort(), [0, 1, 2, 3]);
  for (const { id, token, probability, logProbability } of actual) {
    assert.equal(token, "abcd"[id]);
    close(logProbability, expected[id]);
    close(probability, Math.exp(expected[id]));
  }
  assert.ok(actual.reduce((sum, { probability }) => sum + probability, 0) < 0.9, "the others have a share");
});

Deno.test("ln p of a sampled or searched text equals perplexity's, and all of its ids have tokens", async () => {
  using device = referenceDevice({ precision: "f64" });
  for (let seed = 1; seed <= 4; seed++) {
    const model = paddedModel(device, `padded text ${seed}`);
    const prompts = ["ab", "dcb"];
    const options = { tokens: 4, seed, temperature: 1.5, cache: seed % 2 === 0 };
    const texts = [
      ...await generateTexts(device, model, prompts, options),
      ...await generateTexts(device, model, prompts, { ...options, temperature: 0 }),
      ...await generateTexts(device, model, prompts, { ...options, beams: 3 }),
    ];
    for (const { prompt, ids, logProbability } of texts) {
      assert.ok(ids.length === 4 && ids.every((id) => id < tokenizer.size), ids.join());
      const start = tokenizer.encode(prompt);
      const [losses] = await tokenLosses(device, model, [[...start, ...ids]]);
      close(logProbability, -losses.slice(start.length - 1).reduce((a, b) => a + b, 0));
    }
  }
});

Deno.test("tokens are sampled by their share of the tokens' total probability", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = paddedModel(device, "padded draws");
  const after = (await logSoftmaxes(device, model, "abc"))[2].slice(0, 4).map(Math.exp);
  const sum = after.reduce((a, b) => a + b, 0);
  const counts = [0, 0, 0, 0];
  const draws = 1600;
  const prompts = Array.from({ length: draws }, () => "abc");
  const texts = await generateTexts(device, model, prompts, { tokens: 1, seed: 3, temperature: 1 });
  for (const { ids: [id] } of texts) counts[id]++;
  const chi2 = after.reduce(
    (total, p, id) => total + (counts[id] - draws * p / sum) ** 2 / (draws * p / sum),
    0,
  );
  // 3 degrees of freedom: 16.3 is passed once in a thousand seeds.
  assert.ok(chi2 < 16.3, `chi-squared ${chi2} of ${counts}`);
});

Deno.test("the logit lens uses probabilities over the full vocabulary and predicts tokens", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = paddedModel(device, "padded lens");
  const expected = await logSoftmaxes(device, model, "abcd");
  const { depths, predicted } = await logitLens(device, model, "abcd", { count: 99 });
  const last = depths.at(-1)!;
  expected.forEach((row, t) => {
    const best = row.indexOf(Math.max(...row.slice(0, 4)));
    assert.equal(predicted[t], "abcd"[best]);
    assert.equal(last[t].top.length, 4);
    close(last[t].top[0].logProbability, row[best]);
    close(last[t].finalLogProbability, row[best]);
    if (t < 3) close(last[t].nextLogProbability!, row[t + 1]);
  });
});

Deno.test("an id without a token is never sampled, and still counts in the softmax", async () => {
  using device = referenceDevice({ precision: "f64" });
  const plain = paddedModel(device, "padded hole");
  const row = (await logSoftmaxes(device, plain, "dab"))[2];
  const hole = row.indexOf(Math.max(...row.slice(0, 4)));
  const model = { ...plain, tokenizer: { ...tokenizer, hasToken: (id: number) => id !== hole } };
  const actual = await nextTokens(device, model, "dab", 99);
  assert.deepEqual(actual.map(({ id }) => id).sort(), [0, 1, 2, 3].filter((id) => id !== hole));
  for (const { id, logProbability } of actual) close(logProbability, row[id]);
  const options = { tokens: 4, seed: 1, temperature: 2 };
  for (const beams of [null, 8]) {
    for (const { ids } of await generateTexts(device, model, ["dab", "a"], { ...options, beams })) {
      assert.ok(!ids.includes(hole), ids.join());
    }
  }
  using reader = await nextLogits(device, model, 20);
  const texts = await beamSearch(reader, [0], { beams: 20, tokens: 2 });
  assert.equal(texts.length, 9);
  const { answer } = await patchActivations(device, model, "dab", "bad", { wrong: "abcd"[hole] });
  assert.notEqual(answer, "abcd"[hole]);
});
