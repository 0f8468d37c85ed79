// The automatic bias of scores: -ln of the keys in attention(), of the context in a model; only for a plain sigmoid.
import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import { type Architecture, decoder, decoderParameters } from "../../src/nn/decoder.ts";
import { evaluate, randomInput, relativeError } from "../kernels/harness.ts";

/** Difference of attention's outputs under two options, over 7 keys. */
async function distance(a: AttentionOptions, b: AttentionOptions): Promise<number> {
  const feeds: Record<string, Values> = {};
  const rng = randomStream(1, "auto bias");
  const [q, k, v] = ["q", "k", "v"].map((name) => randomInput(rng, feeds, name, [2, 7, 2, 4]));
  using oracle = referenceDevice({ precision: "f64" });
  const outputs = { a: attention(q, k, v, a), b: attention(q, k, v, b) };
  const values = await evaluate(oracle, { feeds, outputs });
  return relativeError(values.a, values.b);
}

for (const divide of ["n", "sqrt_n"] as const) {
  Deno.test(`a sigmoid divided by ${divide} has no automatic bias`, async () => {
    const divided = { activation: "sigmoid", divide } as const;
    assert.equal(await distance(divided, { ...divided, bias: 0 }), 0);
  });
}

Deno.test("attention()'s automatic bias of a plain sigmoid is -ln of its keys", async () => {
  assert.equal(await distance({ activation: "sigmoid" }, { activation: "sigmoid", bias: -Math.log(7) }), 0);
  assert.ok(await distance({ activation: "sigmoid" }, { activation: "sigmoid", bias: 0 }) > 0.1);
});

Deno.test("a fixed bias applies to every activation except softmax, which refuses it", async () => {
  for (const activation of ["softmax1", "sigmoid", "relu", "relu2"] as const) {
    assert.ok(await distance({ activation, bias: 1 }, { activation, bias: 0 }) > 0.1, activation);
  }
  await assert.rejects(distance({ bias: 1 }, {}), UserError);
});

Deno.test("a model's automatic bias is -ln of its context, whatever learned keys there are", async () => {
  const model = (bias: "auto" | "learned" | number): Architecture => ({
    ...{ vocabulary: 5, context: 6, dim: 8, layers: 1, heads: 2, positions: "none", norm: "layernorm" },
    ...{ bias: false, tied: true, dropout: 0, init: { std: 0.5, scaled_residual: true } },
    block: { attention: { activation: "sigmoid", bias, extra_keys: 3 } },
  });
  const learned = decoderParameters(model("learned")).find(({ name }) => name === "blocks.0.attn.score_bias");
  assert.equal(learned?.mean, -Math.log(6));
  const feeds: Record<string, Values> = { ids: Uint32Array.of(0, 1, 2, 3, 4, 0) };
  const rng = randomStream(2, "auto bias");
  const parameters = Object.fromEntries(
    decoderParameters(model("auto")).map((
      { name, shape },
    ) => [name, randomInput(rng, feeds, name, [...shape])]),
  );
  const logits = (bias: "auto" | number) => decoder(model(bias), parameters, input("ids", [1, 6], "u32"));
  using oracle = referenceDevice({ precision: "f64" });
  const { auto, fixed } = await evaluate(oracle, {
    feeds,
    outputs: { auto: logits("auto"), fixed: logits(-Math.log(6)) },
  });
  assert.deepEqual(auto, fixed);
});
