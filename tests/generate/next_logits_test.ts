// The KV cache: for every option of a model its logits equal those of a full forward pass.
import assert from "node:assert/strict";
import { scale } from "../../kernels/elementwise/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { generateTexts } from "../../src/generate/generate.ts";
import { nextLogits } from "../../src/generate/next_logits.ts";
import type { LanguageModel } from "../../src/model/model.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import type { Architecture } from "../../src/nn/decoder.ts";
import { relativeError, webgpuDevices } from "../kernels/harness.ts";
import { EXACT, SURROGATE, TINY } from "../nn/options.ts";
import { randomModel } from "../interpret/random_model.ts";

/** Compares cached with full passes: three growing texts, and rows that are reordered in between. */
async function compare(device: Device, model: LanguageModel, allowed: number, name: string): Promise<void> {
  const rng = randomStream(3, name);
  const { context, vocabulary } = model.architecture;
  const letters = (n: number) => Array.from({ length: n }, () => rng.below(vocabulary));
  let texts = [letters(1), letters(3), letters(2)];
  using cached = await nextLogits(device, model, 3);
  using uncached = await nextLogits(device, model, 3, { cache: false });
  for (let step = 0; Math.max(...texts.map((text) => text.length)) <= context; step++) {
    const actual = await cached.next(texts);
    const expected = await uncached.next(texts);
    assert.equal(cached.whole, undefined);
    assert.equal(uncached.whole, "the cache is off");
    actual.forEach((logits, row) => {
      assert.equal(logits.length, vocabulary);
      const error = relativeError(logits, expected[row]);
      assert.ok(error <= allowed, `${name}, step ${step}, row ${row}: ${error}`);
    });
    if (step === 1) {
      await cached.reorder([2, 2, 0]);
      texts = [texts[2], texts[2], texts[0]];
    }
    // The last row does not grow for a step, and another grows by two.
    texts = texts.map((text, row) => [...text, ...letters(step === 2 ? [1, 2, 0][row] : 1)]);
  }
}

for (const [name, choices] of Object.entries({ ...EXACT, ...SURROGATE })) {
  Deno.test(`a decoder with ${name} gives with its cache the logits of the whole text`, async () => {
    using device = referenceDevice({ precision: "f64" });
    // Float64 sums in another order.
    await compare(device, randomModel(device, { ...TINY, ...choices }, name), 1e-12, name);
  });
}

/** Longer than a tile of keys, so that tiles are skipped; many options at once, so that few programs are compiled. */
const LONG: Record<string, Partial<Architecture>> = {
  "rope, groups, QK-norm and a sigmoid": {
    positions: "rope",
    blocks: [{ attention: { kv_heads: 1, qk_norm: "rmsnorm", value_dim: 18 } }, {
      attention: { activation: "sigmoid", divide: "sqrt_n" },
    }],
  },
  "alibi, extra keys, a window, a bias and a temperature": {
    positions: "alibi",
    bias: true,
    blocks: [{ attention: { extra_keys: 2, window: 9 } }, {
      attention: { activation: "sigmoid", bias: "learned", temperature: "learned", per: "head" },
    }],
  },
};

for (const [name, choices] of Object.entries(LONG)) {
  Deno.test(`a decoder with ${name} gives the same logits with its cache on WebGPU, beyond a tile of keys`, async () => {
    // The kernels are tested under both schedules elsewhere: here each uses one, to compile less.
    for (const device of [(await webgpuDevices())[Object.keys(LONG).indexOf(name)]]) {
      const model = randomModel(device, { ...TINY, context: 40, ...choices }, name);
      const rng = randomStream(5, name);
      const texts = [31, 38].map((n) => Array.from({ length: n }, () => rng.below(TINY.vocabulary)));
      using cached = await nextLogits(device, model, 2);
      using uncached = await nextLogits(device, model, 2, { cache: false });
      for (let step = 0; step < 3; step++) {
        const [actual, expected] = [await cached.next(texts), await uncached.next(texts)];
        actual.forEach((logits, row) => {
          // Float32 sums over forty keys and twelve numbers, in other tiles.
          const error = relativeError(logits, expected[row]);
          assert.ok(error <= 2e-5, `${device.target!.kind} schedule, step ${step}, row ${row}: ${error}`);
        });
        texts.forEach((text) => text.push(rng.below(TINY.vocabulary)));
        if (step === 0) {
          await cached.reorder([1, 0]);
          texts.reverse();
        }
      }
    }
  });
}

Deno.test("texts are the same with and without the cache, sampled and searched, also beyond the context, which is reported", async () => {
  using device = referenceDevice();
  const model = randomModel(device, { ...TINY, positions: "rope" }, "texts");
  const prompts = ["abc", "k", "hgfed"];
  for (const choices of [{ temperature: 0 }, { temperature: 1.3, topK: 6 }, { temperature: 1, beams: 3 }]) {
    const options = { ...choices, tokens: 9, seed: 4 };
    const actual = await generateTexts(device, model, prompts, options);
    const expected = await generateTexts(device, model, prompts, { ...options, cache: false });
    const summary = (texts: typeof actual) => texts.map(({ text, ids }) => [text, [...ids]]);
    assert.deepEqual(summary(actual), summary(expected));
    assert.deepEqual(actual.map(({ ids }) => ids.length), [9, 9, 9]);
    assert.equal(actual[0].uncached, "the context of 7 positions is full");
    const [short] = await generateTexts(device, model, ["abc"], { ...options, tokens: 5 });
    assert.equal(short.uncached, undefined);
  }
});

Deno.test("a model with hooks recomputes every text, and reports why", async () => {
  using device = referenceDevice({ precision: "f64" });
  const plain = randomModel(device, TINY, "hooks");
  const taps = { logits: (x: Tensor) => scale(x, 2) };
  const model = { ...plain, architecture: { ...TINY, hooks: { file: "mine.ts", keys: {}, taps } } };
  using hooked = await nextLogits(device, model, 2);
  using reader = await nextLogits(device, plain, 2);
  const texts = [[1, 2, 3], [4]];
  const [actual, expected] = [await hooked.next(texts), await reader.next(texts)];
  actual.forEach((logits, row) => {
    // The same sums, in another order.
    assert.ok(relativeError(logits, Array.from(expected[row], (x) => 2 * x)) < 1e-12);
  });
  assert.equal(hooked.whole, "hooks may use any position");
});

Deno.test("a model with non-finite logits is refused in one line, by sampling and by beam search", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "broken");
  const size = TINY.vocabulary * TINY.dim;
  device.define(
    "broken unembed.weight",
    { shape: [TINY.vocabulary, TINY.dim], dtype: "f32" },
    new Float32Array(size).fill(NaN),
  );
  for (const choices of [{ temperature: 0 }, { temperature: 1 }, { temperature: 1, beams: 2 }]) {
    await assert.rejects(
      () => generateTexts(device, model, ["abc"], { ...choices, tokens: 2, seed: 1 }),
      (error: Error) =>
        error instanceof UserError && /not finite, the logit of token 0 is NaN/.test(error.message),
    );
  }
});
