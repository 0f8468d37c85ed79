// Text generation: the next-token distribution, filters, sampling, and the model's window.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { attentionMaps } from "../../src/interpret/attention_maps.ts";
import { attributeLogit } from "../../src/interpret/attribution.ts";
import { generate, generateTexts, type TextPiece } from "../../src/generate/generate.ts";
import { logitLens } from "../../src/interpret/logit_lens.ts";
import { nextTokens } from "../../src/interpret/next_tokens.ts";
import { nextLogits } from "../../src/generate/next_logits.ts";
import { nextProbabilities, sample, type Sampling } from "../../src/generate/sampling.ts";
import { resolveConfig } from "../../src/config/mod.ts";
import { charTokenizer, huggingfaceTokenizer } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { languageModelOf, modelOf } from "../../src/model/model.ts";
import { initialise } from "../../src/model/layout.ts";
import { logitsGraph } from "../../src/train/step_graph.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "../interpret/random_model.ts";

/** The definition, in quadratic time: every token counts the tokens ranked before it. */
function bruteForce(logits: number[], { temperature, topK, topP, minP }: Sampling): number[] {
  const before = (a: number, b: number) => logits[a] > logits[b] || (logits[a] === logits[b] && a < b);
  const rank = logits.map((_, id) => logits.filter((_, other) => before(other, id)).length);
  const softmax = (kept: boolean[]) => {
    const weights = logits.map((l, id) => kept[id] ? Math.exp(l / temperature) : 0);
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((w) => w / sum);
  };
  const inTop = rank.map((r) => r < (topK ?? Infinity));
  const p = softmax(inTop);
  const mass = (id: number) => p.reduce((sum, x, other) => before(other, id) ? sum + x : sum, 0);
  const inNucleus = inTop.map((kept, id) => kept && (rank[id] === 0 || mass(id) < (topP ?? Infinity)));
  const q = softmax(inNucleus);
  const top = Math.max(...q);
  return softmax(inNucleus.map((kept, id) => kept && q[id] >= (minP ?? 0) * top * (1 - 1e-12)));
}

Deno.test("nextProbabilities() equals the filtered softmax of its definition, for every combination of filters", () => {
  const rng = randomStream(1, "next probabilities");
  for (let round = 0; round < 300; round++) {
    const logits = Array.from({ length: 2 + rng.below(12) }, () => Math.round(6 * rng.normal()) / 2);
    const options = {
      temperature: 0.3 + 2 * rng.uniform(),
      topK: rng.below(2) ? 1 + rng.below(14) : null,
      topP: rng.below(2) ? rng.uniform() : null,
      minP: rng.below(2) ? rng.uniform() : null,
    };
    const actual = nextProbabilities(logits, options);
    const expected = bruteForce(logits, options);
    // Sums of at most 14 numbers in another order.
    expected.forEach((p, id) =>
      assert.ok(Math.abs(actual[id] - p) < 1e-12, JSON.stringify({ logits, options }))
    );
  }
});

Deno.test("nextProbabilities() at the edges: temperature 0, top-p 0 and 1, huge logits, and values out of range", () => {
  assert.deepEqual([...nextProbabilities([1, 3, 3, 2], { temperature: 0 })], [0, 1, 0, 0]);
  assert.deepEqual([...nextProbabilities([1, 3, 3, 2], { temperature: 1, topP: 0 })], [0, 1, 0, 0]);
  assert.deepEqual([...nextProbabilities([0, 0], { temperature: 1, topP: 1 })], [0.5, 0.5]);
  assert.deepEqual([...nextProbabilities([3, 0, 3], { temperature: 1, minP: 1 })], [0.5, 0, 0.5]);
  assert.deepEqual([...nextProbabilities([1e4, 0, 1e4], { temperature: 1e-3 })], [0.5, 0, 0.5]);
  for (
    const wrong of [
      { temperature: -1 },
      { temperature: NaN },
      { topK: 0 },
      { topP: 1.1 },
      { topP: -0.1 },
      { minP: 2 },
      { minP: -1 },
    ]
  ) {
    assert.throws(() => nextProbabilities([0, 1], { temperature: 1, ...wrong }), RangeError);
  }
  const old = { temperature: 1, nucleus: 0.9 };
  assert.throws(() => nextProbabilities([0, 1], old), {
    name: "UserError",
    message: "sampling: nucleus is now topP.",
  });
});

Deno.test("sample() draws each index with its probability, and never one of probability 0", () => {
  const probabilities = [0.3, 0, 0.05, 0.15, 0.25, 0, 0.2, 0.05];
  const counts = probabilities.map(() => 0);
  const rng = randomStream(5, "draws");
  const draws = 20_000;
  for (let i = 0; i < draws; i++) counts[sample(probabilities, rng.uniform())]++;
  const chi2 = probabilities.reduce(
    (sum, p, i) => p ? sum + (counts[i] - draws * p) ** 2 / (draws * p) : sum,
    0,
  );
  assert.deepEqual([counts[1], counts[5]], [0, 0]);
  // 5 degrees of freedom: 20.5 is passed once in a thousand seeds.
  assert.ok(chi2 < 20.5, `chi-squared ${chi2}`);
  assert.equal(sample([0.5, 0.5, 0], 1 - 2 ** -53), 1);
  assert.equal(
    sample([0, 0.1, 0.1, 0], 0.999),
    2,
    "rounding that leaves the sum short never gives an impossible index",
  );
});

const model = modelOf(
  resolveConfig({ model: { context: 6, dim: 16, layers: 2, heads: 2, init: { std: 0.5 } } }, {
    place: "test",
    name: "test",
  }),
  charTokenizer("abcdefgh"),
);

Deno.test("generate() at temperature 0 takes the argmax of the last logits, also beyond the context", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const text = await generate(device, languageModelOf(model), {
    prompt: "abc",
    tokens: 12,
    temperature: 0,
    seed: 1,
  });
  const ids = [...model.tokenizer.encode("abc")];
  while (ids.length < 15) {
    const seen = ids.slice(-6);
    // A program of exactly this length, without padding.
    using program = await device.compile(logitsGraph(model.architecture, model.layout, 1, seen.length));
    program.run({ ids: Uint32Array.from(seen) });
    const [logits] = await program.read(["logits"]);
    const last = [...logits.subarray(-8)];
    ids.push(last.indexOf(Math.max(...last)));
  }
  assert.equal(text, model.tokenizer.decode(ids));
});

Deno.test("generate() gives the same text for the same seed, others for other seeds, and starts with the prompt", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const write = (seed: number) =>
    generate(device, languageModelOf(model), { prompt: "abcabcabcabc", tokens: 20, temperature: 1, seed });
  const text = await write(1);
  assert.equal(text.length, 32);
  assert.ok(text.startsWith("abcabcabcabc"));
  assert.equal(await write(1), text);
  assert.notEqual(await write(2), text);
  const none = { prompt: "abc", tokens: 0, temperature: 1, seed: 1 };
  assert.equal(await generate(device, languageModelOf(model), none), "abc");
});

Deno.test("generate() refuses an invalid prompt, and stops when its signal is aborted", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const options = { tokens: 5, temperature: 1, seed: 1 };
  await assert.rejects(generate(device, languageModelOf(model), { ...options, prompt: "" }), UserError);
  await assert.rejects(generate(device, languageModelOf(model), { ...options, prompt: "az" }), UserError);
  const signal = AbortSignal.abort();
  assert.equal(await generate(device, languageModelOf(model), { ...options, prompt: "ab", signal }), "ab");
});

const WRITTEN = { tokens: 20, temperature: 1, seed: 1 };

Deno.test("generateTexts() gives each prompt the same text as alone with its index, independent of the other prompts", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const generator = languageModelOf(model);
  const prompts = Array.from({ length: 18 }, (_, n) => "abcdefgh".slice(n % 7));
  const all = await generateTexts(device, generator, prompts, WRITTEN);
  assert.deepEqual(
    all.map(({ prompt, text, ended }) => [prompt, text.slice(0, prompt.length), ended]),
    prompts.map((prompt) => [prompt, prompt, "tokens"]),
  );
  const fewer = await generateTexts(device, generator, ["h", ...prompts.slice(1, 3)], WRITTEN);
  assert.deepEqual(fewer.slice(1), all.slice(1, 3));
  assert.equal(all[0].text, await generate(device, generator, { ...WRITTEN, prompt: prompts[0] }));
  assert.notEqual(all[0].continuation, all[7].continuation, "one prompt twice is drawn twice");
});

Deno.test("generateTexts() ends before the first generated stop string, and ignores those in the prompt", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const generator = languageModelOf(model);
  const [{ continuation, ids }] = await generateTexts(device, generator, ["ab"], WRITTEN);
  const stop = continuation.slice(7, 9);
  const at = continuation.indexOf(stop);
  const [stopped] = await generateTexts(device, generator, [`ab`], { ...WRITTEN, stop: ["zz", stop] });
  assert.deepEqual(
    [stopped.continuation, stopped.text, stopped.ended, [...stopped.ids]],
    [continuation.slice(0, at), `ab${continuation.slice(0, at)}`, "stop", ids.slice(0, at + 2)],
  );
  await assert.rejects(generateTexts(device, generator, ["ab"], { ...WRITTEN, stop: [""] }), UserError);
});

Deno.test("tokens sampled by generateTexts() are as frequent as their filtered probabilities", async () => {
  using device = referenceDevice();
  await initialise(device, model.layout, 2);
  const generator = languageModelOf(model);
  const sampling = { temperature: 1.5, topK: 6, topP: 0.95, minP: 0.1 };
  using reader = await nextLogits(device, generator, 1);
  const [logits] = await reader.next([[...model.tokenizer.encode("abc")]]);
  const expected = nextProbabilities(logits, sampling);
  const draws = 1600;
  const prompts = new Array<string>(draws).fill("abc");
  const counts = new Array<number>(expected.length).fill(0);
  for (
    const { ids } of await generateTexts(device, generator, prompts, { ...sampling, tokens: 1, seed: 9 })
  ) {
    counts[ids[0]]++;
  }
  const seen = [...expected].map((p, id) => ({ p, n: counts[id] })).filter(({ p, n }) => p > 0 || n > 0);
  const chi2 = seen.reduce((sum, { p, n }) => sum + (n - draws * p) ** 2 / (draws * p), 0);
  assert.ok(seen.length > 2 && seen.length < 7, `${seen.length} tokens are left`);
  // At most 5 degrees of freedom: 20.5 is passed once in a thousand seeds.
  assert.ok(chi2 < 20.5, `chi-squared ${chi2}`);
});

/** Words, each with its preceding space as a mark, as in SentencePiece. */
const METASPACE = huggingfaceTokenizer({
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  model: {
    type: "WordLevel",
    vocab: { "▁the": 0, "▁cat": 1, "▁sat": 2, "▁on": 3, "<unk>": 4 },
    unk_token: "<unk>",
  },
});

Deno.test("a stop string that begins with a space is found at the first token of a tokenizer that marks spaces", async () => {
  using device = referenceDevice({ precision: "f64" });
  const architecture = { ...TINY, vocabulary: METASPACE.size };
  const model = { ...randomModel(device, architecture, "metaspace"), tokenizer: METASPACE };
  const options = { tokens: 12, temperature: 1.5, seed: 1 };
  const begun = new Set<string>();
  for (const prompt of ["the", "cat", "sat", "on", "the cat", "sat on", "on on"]) {
    const [full] = await generateTexts(device, model, [prompt], options);
    const [, first] = /^( \w+)/.exec(full.continuation) ?? [];
    if (first === undefined || full.continuation.includes("unk")) continue;
    begun.add(first);
    const [stopped] = await generateTexts(device, model, [prompt], { ...options, stop: [first] });
    const expected = { continuation: "", ended: "stop", ids: full.ids.slice(0, 1) };
    const { continuation, ended, ids } = stopped;
    assert.deepEqual({ continuation, ended, ids: [...ids] }, expected, `${prompt}:${full.continuation}`);
  }
  assert.ok(begun.size > 0);
});

Deno.test("labels of tokens keep the space of their word if the tokenizer marks spaces", async () => {
  using device = referenceDevice({ precision: "f64" });
  const architecture = { ...TINY, vocabulary: METASPACE.size };
  const model = { ...randomModel(device, architecture, "metaspace labels"), tokenizer: METASPACE };
  const { tokens } = await attentionMaps(device, model, "the cat sat");
  assert.deepEqual(tokens, ["the", " cat", " sat"]);
  const next = await nextTokens(device, model, "the cat", 4);
  assert.ok(next.every(({ token }) => token.startsWith(" ")), JSON.stringify(next));
  assert.equal((await attributeLogit(device, model, "the cat", { token: " sat" })).token, " sat");
  const { predicted } = await logitLens(device, model, "the cat");
  assert.ok(predicted.every((token) => token.startsWith(" ")), JSON.stringify(predicted));
});

Deno.test("the pieces of generated texts concatenate to the texts, in any batch, with stop strings, beams and no tokens", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "stream");
  const prompts = Array.from({ length: 18 }, (_, n) => "abcdk".slice(0, 1 + n % 5));
  const ways = [{}, { stop: ["ab", "aba", "cc"] }, { beams: 2 }, { tokens: 0 }, {
    stop: ["q"],
    temperature: 0,
  }];
  for (const way of ways) {
    const pieces: TextPiece[] = [];
    const options = { tokens: 12, temperature: 1.5, seed: 3, ...way };
    const plain = await generateTexts(device, model, prompts, options);
    const texts = await generateTexts(device, model, prompts, {
      ...options,
      onPiece: (piece) => void pieces.push(piece),
    });
    assert.deepEqual(texts, plain);
    texts.forEach(({ text }, n) => {
      const ofText = pieces.filter((piece) => piece.text === n);
      assert.equal(ofText.map(({ piece }) => piece).join(""), text);
      assert.deepEqual(ofText.map(({ last }) => last), ofText.map((_, i) => i === ofText.length - 1));
    });
    if (Object.keys(way).length === 0) assert.ok(pieces.length > 18 * 6, "tokens come one by one");
  }
});
