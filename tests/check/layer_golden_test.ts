// Whole layers against PyTorch: nn.TransformerEncoderLayer (norm first, causal) and nn.MultiheadAttention, whose packed
// in_proj [3 D, D] is taken apart here.
import assert from "node:assert/strict";
import { keyPaddingMask } from "../../kernels/attention/modifier.ts";
import { attention } from "../../kernels/attention/op.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { linear } from "../../kernels/matmul/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { decoderLayer } from "../../src/check/layer_graph.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input, reshape } from "../../src/graph/structure.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import { type Architecture, decoder, decoderParameters } from "../../src/nn/mod.ts";
import { type AttentionGolden, attentionGolden, goldenInputs } from "../golden/attention_golden.ts";
import { evaluate, webgpuDevices } from "../kernels/harness.ts";
import { assertGolden } from "./golden_harness.ts";

/** Rows of a packed tensor [3 D, ...]: part 0 is q's, 1 k's, 2 v's; other tensors are unchanged. */
function part(golden: AttentionGolden, name: string, n?: number) {
  const { shape, data } = golden[name];
  if (n === undefined) return { shape, data };
  const size = data.length / 3;
  return { shape: [shape[0] / 3, ...shape.slice(1)], data: data.slice(n * size, (n + 1) * size) };
}

/** heed's name of each parameter, torch's, and which third of it. */
type Names = Record<string, [string, number?]>;

const packed = (prefix: string, wo: string): Names => ({
  ...Object.fromEntries(["q", "k", "v"].flatMap((letter, n) => [
    [`${prefix}w${letter}.weight`, [`${wo}in_proj_weight`, n]],
    [`${prefix}w${letter}.bias`, [`${wo}in_proj_bias`, n]],
  ])),
  [`${prefix}wo.weight`]: [`${wo}out_proj.weight`],
  [`${prefix}wo.bias`]: [`${wo}out_proj.bias`],
});

/** y, dx and the gradient of every parameter against the golden layer, unpacked under heed's names. */
function checkLayer(
  name: string,
  names: Names,
  given: string[],
  layer: (x: Record<string, Tensor>, p: Record<string, Tensor>) => Tensor,
): Promise<void> {
  const torch = attentionGolden(name);
  const golden = Object.fromEntries([
    ...["x", "dy", "y", "dx", ...given].map((key) => [key, torch[key]]),
    ...Object.entries(names).flatMap(([name, [theirs, n]]) => [
      [name, part(torch, theirs, n)],
      [`d${name}`, part(torch, `d${theirs}`, n)],
    ]),
  ]) as AttentionGolden;
  const parameters = Object.keys(names);
  const { tensors, feeds } = goldenInputs(golden, ["x", "dy", ...given, ...parameters]);
  const y = layer(tensors, Object.fromEntries(parameters.map((key) => [key, tensors[key]])));
  const wrt = ["x", ...parameters];
  const slopes = grad(sumAll(multiply(y, tensors.dy)), wrt.map((key) => tensors[key]));
  const outputs = { y, ...Object.fromEntries(wrt.map((key, i) => [`d${key}`, slopes[i]])) };
  return assertGolden(name, golden, { feeds, outputs });
}

Deno.test("a multi-head layer equals torch.nn.MultiheadAttention, causal with key padding, with every gradient", () => {
  return checkLayer("multi-head layer", packed("", ""), ["valid"], ({ x, valid }, p) => {
    const heads = (name: string) => {
      return reshape(linear(x, p[`${name}.weight`], { bias: p[`${name}.bias`] }), [2, 6, 2, 4]);
    };
    const z = attention(heads("wq"), heads("wk"), heads("wv"), { mask: keyPaddingMask(valid) });
    return linear(reshape(z, [2, 6, 8]), p["wo.weight"], { bias: p["wo.bias"] });
  });
});

const ARCHITECTURE: Architecture = {
  vocabulary: 11,
  context: 6,
  dim: 8,
  layers: 1,
  heads: 2,
  positions: "none",
  norm: "layernorm",
  bias: true,
  tied: true,
  dropout: 0,
  init: { std: 0.3, scaled_residual: false },
  block: { attention: { activation: "softmax", bias: "auto" }, mlp: { activation: "gelu", factor: 4 } },
};

Deno.test("a decoder layer equals torch.nn.TransformerEncoderLayer, norm first and causal, with every gradient", () => {
  const block = "blocks.0";
  const names: Names = packed(`${block}.attn.`, "self_attn.");
  const others = { ln1: "norm1", ln2: "norm2", "mlp.fc": "linear1", "mlp.proj": "linear2" };
  for (const [name, theirs] of Object.entries(others)) {
    for (const kind of ["weight", "bias"]) names[`${block}.${name}.${kind}`] = [`${theirs}.${kind}`];
  }
  return checkLayer("decoder layer", names, [], ({ x }, p) => decoderLayer(ARCHITECTURE, x, p));
});

for (const activation of ["softmax", "sigmoid"] as const) {
  Deno.test(`no logit of a decoder with ${activation} attention changes, bit for bit, when a future token does`, async () => {
    const [B, T, at] = [2, 37, 20];
    const architecture: Architecture = {
      ...ARCHITECTURE,
      context: T,
      layers: 2,
      positions: "learned",
      block: { ...ARCHITECTURE.block, attention: { activation, bias: "auto" } },
    };
    const rng = randomStream(1, "future token");
    const parameters = decoderParameters(architecture);
    const tensors = Object.fromEntries(parameters.map(({ name, shape }) => [name, input(name, shape)]));
    const feeds = Object.fromEntries(parameters.map(({ name, shape, mean }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, Float32Array.from({ length: size }, () => mean + 0.3 * rng.normal())];
    }));
    const before = Uint32Array.from({ length: B * T }, () => rng.below(11));
    // Only in the first sample: the second must not change.
    const after = before.map((id, n) => n === at ? (id + 1) % 11 : id);
    const outputs = { logits: decoder(architecture, tensors, input("ids", [B, T], "u32")) };
    using reference = referenceDevice();
    for (const device of [reference, ...await webgpuDevices()]) {
      const [x, y] = await Promise.all(
        [before, after].map(async (ids) =>
          (await evaluate(device, { feeds: { ...feeds, ids }, outputs })).logits
        ),
      );
      const row = (n: number) => [x, y].map((logits) => [...logits.subarray(n * 11, (n + 1) * 11)]);
      for (let n = 0; n < B * T; n++) {
        const [a, b] = row(n);
        const where = `${device.adapter}, ${device.target?.kind}, position ${n}`;
        if (n < at || n >= T) assert.deepEqual(a, b, where);
        else assert.notDeepEqual(a, b, where);
      }
    }
  });
}
