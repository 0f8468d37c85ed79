// Losses of tokens: each counted once, independent of the batch, long texts through a window.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { nextLogits } from "../../src/generate/next_logits.ts";
import { perplexityOf, tokenLosses } from "../../src/interpret/perplexity.ts";
import { logSoftmax } from "../../src/generate/sampling.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { ancestors } from "../../src/graph/gradient.ts";
import { sizeOf } from "../../src/graph/tensor.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "./random_model.ts";

const letters = (name: string, n: number) => {
  const rng = randomStream(1, name);
  return Uint32Array.from({ length: n }, () => rng.below(TINY.vocabulary));
};

Deno.test("tokenLosses() are -ln p of each token given the earlier ones, independent of the other texts", async () => {
  using device = referenceDevice({ precision: "f64" });
  const sigmoid = { ...TINY, block: { attention: { activation: "sigmoid" } } } as const;
  for (const architecture of [TINY, sigmoid]) {
    const model = randomModel(device, architecture, `losses ${architecture === TINY}`);
    const texts = [5, 8, 2, 1, 6].map((n) => letters(`ragged ${n}`, n));
    const losses = await tokenLosses(device, model, texts, { rows: 2 });
    using reader = await nextLogits(device, model, 1, { cache: false });
    for (const [k, ids] of texts.entries()) {
      assert.equal(losses[k].length, ids.length - 1);
      for (let n = 1; n < ids.length; n++) {
        const [logits] = await reader.next([[...ids.subarray(0, n)]]);
        // Float64 sums in another order.
        assert.ok(Math.abs(losses[k][n - 1] + logSoftmax(logits)[ids[n]]) < 1e-10, `text ${k}, token ${n}`);
      }
    }
    assert.deepEqual((await tokenLosses(device, model, [texts[1]]))[0], losses[1]);
  }
});

Deno.test("tokenLosses() of a long text: each token once, with at least the context that the stride guarantees", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "long losses");
  const ids = letters("long", 33);
  const T = TINY.context;
  using reader = await nextLogits(device, model, 1, { cache: false });
  for (const stride of [1, 3, 7]) {
    const [losses] = await tokenLosses(device, model, [ids], { stride });
    assert.equal(losses.length, 32);
    for (let n = 1; n < ids.length; n++) {
      // The first window with the target: its end is T, T plus strides, or the text's end.
      const end = n <= T ? Math.min(T, 32) : Math.min(32, T + Math.ceil((n - T) / stride) * stride);
      const [logits] = await reader.next([[...ids.subarray(Math.max(0, end - T), n)]]);
      assert.ok(Math.abs(losses[n - 1] + logSoftmax(logits)[ids[n]]) < 1e-10, `stride ${stride}, token ${n}`);
    }
  }
  for (const stride of [0, 8, 1.5]) {
    await assert.rejects(tokenLosses(device, model, [ids], { stride }), UserError);
  }
});

Deno.test("tokenLosses() are the same if the device can hold the logits of few positions", async () => {
  using device = referenceDevice({ precision: "f64" });
  const model = randomModel(device, TINY, "narrow losses");
  const texts = [5, 33, 8, 1].map((n) => letters(`narrow ${n}`, n));
  const full = await tokenLosses(device, model, texts, { stride: 3 });
  for (const fitting of [1, 2, 3, 5, 7, 20]) {
    const sizes: number[] = [];
    // A narrow device is this one with a lower limit; it records the number of logits it computes.
    const narrow: Device = {
      ...device,
      target: { kind: "software", maxBindingBytes: 4 * TINY.vocabulary * fitting, maxWorkgroupBytes: 0 },
      compile: (graph) => {
        const heads = ancestors(Object.values(graph.outputs ?? {})).flatMap(({ outputs }) => outputs);
        sizes.push(...heads.filter(({ shape }) => shape.at(-1) === TINY.vocabulary).map(sizeOf));
        return device.compile(graph);
      },
    };
    // Float64 sums of the same products: the position of rows does not change their order.
    assert.deepEqual(await tokenLosses(narrow, model, texts, { stride: 3 }), full, `${fitting} positions`);
    assert.ok(sizes.length > 0 && Math.max(...sizes) <= TINY.vocabulary * fitting, `${fitting}: ${sizes}`);
  }
});

Deno.test("perplexityOf() weights tokens equally, not texts", () => {
  const actual = perplexityOf([[1, 2, 3], [6], []]);
  assert.deepEqual([actual.tokens, actual.loss, actual.perplexity], [4, 3, Math.exp(3)]);
});
