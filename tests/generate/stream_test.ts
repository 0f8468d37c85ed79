// Analyses of one forward pass: attention maps, the residual stream, the logit lens, logit attribution.
import assert from "node:assert/strict";
import { attentionMaps } from "../../src/interpret/attention_maps.ts";
import { attributeLogit } from "../../src/interpret/attribution.ts";
import { embeddings } from "../../src/interpret/embeddings.ts";
import { logitLens } from "../../src/interpret/logit_lens.ts";
import { nextLogits } from "../../src/generate/next_logits.ts";
import type { LanguageModel } from "../../src/model/model.ts";
import { nextTokens } from "../../src/interpret/next_tokens.ts";
import { logSoftmax } from "../../src/generate/sampling.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { type Architecture, decoder } from "../../src/nn/decoder.ts";
import { relativeError } from "../kernels/harness.ts";
import { EXACT, TINY } from "../nn/options.ts";
import { randomModel } from "../interpret/random_model.ts";

const TEXT = "abcdk";

/** Every tap of a pass over the text, by name. */
async function everyTap(device: Device, model: LanguageModel, text = TEXT): Promise<Record<string, Values>> {
  const ids = model.tokenizer.encode(text);
  const outputs: Record<string, Tensor> = {};
  const taps = {
    wants: () => true,
    tap: (name: string, x: Tensor) => outputs[name] = x,
  };
  decoder(model.architecture, model.parameters, input("ids", [1, ids.length], "u32"), { taps });
  using program = await device.compile({ outputs });
  program.run({ ids });
  const names = Object.keys(outputs);
  const values = await program.read(names);
  return Object.fromEntries(names.map((name, n) => [name, values[n]]));
}

const CHOICES: Record<string, Partial<Architecture>> = {
  "the defaults": {},
  "grouped heads": EXACT["grouped heads"],
  "entmax15": EXACT["entmax15"],
  "a sigmoid and a window": { block: { attention: { activation: "sigmoid", window: 2 } } },
  "extra keys": EXACT["extra keys"],
};

for (const [name, choices] of Object.entries(CHOICES)) {
  Deno.test(`attentionMaps() of a decoder with ${name} are the weights that make its z of its values`, async () => {
    using device = referenceDevice({ precision: "f64" });
    const model = randomModel(device, { ...TINY, ...choices }, `maps ${name}`);
    const { tokens, keys, maps } = await attentionMaps(device, model, TEXT);
    const { heads, layers, dim } = model.architecture;
    assert.deepEqual([tokens, maps.length], [[..."abcdk"], heads * layers]);
    const taps = await everyTap(device, model);
    for (const { layer, head, weights } of maps) {
      const attention = { kv_heads: heads, extra_keys: 0, ...model.architecture.block.attention };
      const kvHeads = attention.kv_heads ?? heads;
      const d = dim / heads;
      const kv = Math.floor(head * kvHeads / heads);
      const [v, z] = [taps[`blocks.${layer}.attn.v`], taps[`blocks.${layer}.attn.z`]];
      using reference = await device.compile({
        outputs: {
          extra: model.parameters[`blocks.${layer}.attn.extra_v`] ??
            matmul(input("x", [1, 1]), input("x", [1, 1])),
        },
      });
      if (!attention.extra_keys) reference.run({ x: Float64Array.of(0) });
      const [extra] = await reference.read(["extra"]);
      assert.equal(keys.length, 5 + attention.extra_keys);
      for (let i = 0; i < 5; i++) {
        for (let j = i + 1; j < 5; j++) assert.equal(weights[i][j], NaN, "no position looks ahead");
        for (let e = 0; e < d; e++) {
          let sum = 0;
          // A key outside the window has no weight.
          for (let j = 0; j < 5; j++) sum += (weights[i][j] || 0) * v[(j * kvHeads + kv) * d + e];
          for (let j = 0; j < attention.extra_keys; j++) {
            sum += weights[i][5 + j] * extra[(j * kvHeads + kv) * d + e];
          }
          // Float64 sums in another order.
          assert.ok(Math.abs(sum - z[(i * heads + head) * d + e]) < 1e-12);
        }
      }
    }
    const some = await attentionMaps(device, model, TEXT, { layers: [1], heads: [2, 0] });
    assert.deepEqual(some.maps, maps.filter((map) => map.layer === 1 && map.head !== 1 && map.head < 3));
  });
}

Deno.test("embeddings() are the stream before the first block and after each, with zeros after a short text", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "embeddings");
  const texts = [..."abcdefghi"].map((letter, n) => "kabc".slice(0, 1 + n % 3) + letter);
  const { shape, values } = await embeddings(device, model, texts);
  assert.deepEqual(shape, [9, 3, 4, 12]);
  for (const [n, text] of texts.entries()) {
    const taps = await everyTap(device, model, text);
    ["blocks.0.resid_pre", "blocks.0.resid_post", "blocks.1.resid_post"].forEach((name, layer) => {
      const vector = values.subarray((n * 3 + layer) * 48, (n * 3 + layer + 1) * 48);
      // Stored as float32.
      assert.ok(relativeError(vector.subarray(0, text.length * 12), taps[name]) < 1e-7);
      assert.ok(vector.subarray(text.length * 12).every((x) => x === 0));
    });
  }
  await assert.rejects(embeddings(device, model, ["abcdefgh"]), UserError);
});

Deno.test("nextTokens() returns the ranked softmax of the last logits", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "next tokens");
  const all = await nextTokens(device, model, TEXT, 100);
  assert.equal(all.length, 11);
  assert.ok(Math.abs(all.reduce((sum, { probability }) => sum + probability, 0) - 1) < 1e-12);
  all.forEach(({ rank, probability, logProbability, token, id, logit }, n) => {
    assert.deepEqual([rank, token], [n + 1, model.tokenizer.decode([id])]);
    assert.ok(n === 0 || logit <= all[n - 1].logit);
    assert.ok(Math.abs(Math.log(probability) - logProbability) < 1e-12);
  });
  assert.deepEqual(await nextTokens(device, model, TEXT, 3), all.slice(0, 3));
});

Deno.test("logitLens() is the model's output at its last depth, and the head applied to the stream at the others", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, { ...TINY, tied: true }, "lens");
  const { tokens, predicted, depths } = await logitLens(device, model, TEXT, { count: 2 });
  assert.deepEqual([tokens.length, predicted.length, depths.length], [5, 5, 3]);
  using reader = await nextLogits(device, model, 1, { cache: false });
  const ids = model.tokenizer.encode(TEXT);
  for (const [t, point] of depths[2].entries()) {
    const [logits] = await reader.next([[...ids.subarray(0, t + 1)]]);
    const expected = logSoftmax(logits);
    assert.equal(point.top[0].token, predicted[t]);
    assert.ok(Math.abs(point.finalLogProbability - Math.max(...expected)) < 1e-10);
    if (t < 4) assert.ok(Math.abs(point.nextLogProbability! - expected[ids[t + 1]]) < 1e-10);
    else assert.equal(point.nextLogProbability, null);
  }
  // Depth 0 by hand: LayerNorm of the embedding and its position, times the embedding.
  const parameters = ["embed.weight", "pos_embed.weight", "final_norm.weight"];
  const [embed, positions, gain] = await device.read(parameters.map((name) => `lens ${name}`));
  for (let t = 0; t < 5; t++) {
    const x = Array.from({ length: 12 }, (_, d) => embed[ids[t] * 12 + d] + positions[t * 12 + d]);
    const mean = x.reduce((a, b) => a + b, 0) / 12;
    const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / 12 + 1e-5);
    const y = x.map((value, d) => (value - mean) / deviation * gain[d]);
    const logits = Array.from({ length: 11 }, (_, v) => y.reduce((a, b, d) => a + b * embed[v * 12 + d], 0));
    const best = logits.indexOf(Math.max(...logits));
    assert.equal(depths[0][t].top[0].id, best);
    assert.ok(Math.abs(depths[0][t].top[0].logProbability - logSoftmax(logits)[best]) < 1e-10);
  }
});

const ADDITIVE: Record<string, Partial<Architecture>> = {
  "the defaults": {},
  "biases, RMSNorm and a tied head": EXACT["biases and RMSNorm, tied"],
  "LayerNorm with biases and sincos": { bias: true, positions: "sincos" },
  "LayerScale and rope": { positions: "rope", ...EXACT["LayerScale"] },
  "wide values in groups": { heads: 6, block: { attention: { value_dim: 18, kv_heads: 2 } } },
  "hybrid norm": EXACT["hybrid norm"],
};

for (const [name, choices] of Object.entries(ADDITIVE)) {
  Deno.test(`attributeLogit() of a decoder with ${name} sums to the logit, and to a difference of two`, async () => {
    using device = referenceDevice({ precision: "f64" });
    const model = randomModel(device, { ...TINY, ...choices }, `parts ${name}`);
    const best = await attributeLogit(device, model, TEXT);
    const [{ token, logit }] = await nextTokens(device, model, TEXT, 1);
    assert.equal(best.token, token);
    const both = await attributeLogit(device, model, TEXT, { token: "b", minus: "c" });
    const single = await attributeLogit(device, model, TEXT, { token: "b" });
    const other = await attributeLogit(device, model, TEXT, { token: "c" });
    for (const attribution of [best, both, single, other]) {
      // The norm's factor is recovered in float64.
      assert.ok(Math.abs(attribution.unexplained) < 1e-9, `${attribution.unexplained}`);
    }
    assert.ok(Math.abs(best.logit - logit) < 1e-10);
    both.contributions.forEach(({ part, layer, head, value }, n) => {
      const [a, b] = [single.contributions[n], other.contributions[n]];
      assert.deepEqual([a.part, a.layer, a.head], [part, layer, head]);
      assert.ok(Math.abs(value - (a.value - b.value)) < 1e-9);
    });
    const heads = best.contributions.filter(({ head }) => head !== null).length;
    assert.equal(heads, name === "hybrid norm" ? 0 : 2 * model.architecture.heads);
  });
}

Deno.test("attributeLogit() refuses post-norm, where a logit is not a sum, and an answer of two tokens", async () => {
  using device = referenceDevice();
  const post = randomModel(device, { ...TINY, block: { norm_order: "post" } }, "post");
  await assert.rejects(
    attributeLogit(device, post, TEXT),
    /^UserError: Block 0 normalises the residual stream/,
  );
  const model = randomModel(device, TINY, "two tokens");
  await assert.rejects(attributeLogit(device, model, TEXT, { token: "ab" }), /^UserError: token: .* found 2/);
});
