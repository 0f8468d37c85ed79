// A multi-head layer against torch.nn.MultiheadAttention, values and gradients. multi_head.py generated the numbers.
import assert from "node:assert/strict";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { crossAttention, fromTorchAttention, multiHeadAttention } from "../../src/nn/mod.ts";
import { evaluate, relativeError, webgpuDevices } from "../kernels/harness.ts";

type Stored = { shape: number[]; data: number[] };
type Golden = {
  heads: number;
  causal: boolean;
  valid: number[][] | null;
  parameters: Record<string, Stored>;
  gradients: Record<string, Stored>;
} & Record<"q" | "k" | "v" | "y" | "dq" | "dk" | "dv" | "dy", Stored>;

const { cases }: { cases: Record<string, Golden> } = JSON.parse(
  Deno.readTextFileSync(new URL("multi_head.json", import.meta.url)),
);

const unpack = (stored: Record<string, Stored>) =>
  fromTorchAttention(Object.fromEntries(
    Object.entries(stored).map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
  ));

for (const [name, golden] of Object.entries(cases)) {
  Deno.test(`multiHeadAttention() equals PyTorch's: ${name}`, async () => {
    const feeds: Record<string, Values> = {};
    const feed = (
      key: string,
      { shape, data }: { shape: readonly number[]; data: ArrayLike<number> },
    ): Tensor => {
      feeds[key] = Float64Array.from(data);
      return input(key, shape);
    };
    const [q, k, v] = (["q", "k", "v"] as const).map((key) => feed(key, golden[key]));
    const unpacked = unpack(golden.parameters);
    const parameters = Object.fromEntries(Object.entries(unpacked).map(([key, x]) => [key, feed(key, x)]));
    const { heads, causal, valid } = golden;
    const keyPadding = valid
      ? feed("valid", { shape: [valid.length, valid[0].length], data: valid.flat() })
      : undefined;
    const options = { heads, keyPadding, causal: causal ? "top-left" as const : false as const };
    const y = multiHeadAttention(parameters, q, k, v, options);
    const names = [...Object.keys(parameters), "q", "k", "v"];
    const all: Record<string, Tensor> = { ...parameters, q, k, v };
    const loss = sumAll(multiply(y, feed("dy", golden.dy)));
    const gradients = grad(loss, names.map((key) => all[key]));
    const outputs = { y, ...Object.fromEntries(names.map((key, i) => [`d ${key}`, gradients[i]])) };
    const expected: Record<string, ArrayLike<number>> = { y: golden.y.data };
    for (const key of ["q", "k", "v"] as const) expected[`d ${key}`] = golden[`d${key}`].data;
    for (const [key, { data }] of Object.entries(unpack(golden.gradients))) expected[`d ${key}`] = data;
    using oracle = referenceDevice({ precision: "f64" });
    for (const device of [oracle, ...await webgpuDevices()]) {
      const actual = await evaluate(device, { feeds, outputs });
      for (const key of Object.keys(outputs)) {
        // The keys' bias adds a constant to a row of scores: its gradient is zero up to rounding.
        const [allowed, floor] = device === oracle ? [1e-9, 1e-3] : [key === "y" ? 1e-5 : 1e-4, 0.1];
        const error = relativeError(actual[key], expected[key], floor);
        assert.ok(error <= allowed, `${device.adapter}, ${key}: ${error}`);
      }
    }
  });
}

Deno.test("crossAttention() equals multiHeadAttention() over a memory, and ignores padding", async () => {
  const { parameters, q, k } = cases["cross attention with key padding"];
  const feeds: Record<string, Values> = { x: Float64Array.from(q.data), memory: Float64Array.from(k.data) };
  feeds.valid = Float64Array.of(1, 1, 1, 1, 0, 1, 0, 0, 0, 0);
  const tensors = Object.fromEntries(
    Object.entries(unpack(parameters)).map(([name, { shape, data }]) => {
      feeds[name] = data;
      return [name, input(name, shape)];
    }),
  );
  const [x, memory] = [input("x", q.shape), input("memory", k.shape)];
  const keyPadding = input("valid", [2, 5]);
  const y = crossAttention(tensors, x, memory, { heads: 3, keyPadding });
  using oracle = referenceDevice({ precision: "f64" });
  const { y: before } = await evaluate(oracle, { feeds, outputs: { y } });
  (feeds.memory as Float64Array).fill(9, 4 * 6, 5 * 6);
  (feeds.memory as Float64Array).fill(-9, 6 * 6);
  const { y: after } = await evaluate(oracle, { feeds, outputs: { y } });
  assert.deepEqual(after, before);
  const same = multiHeadAttention(tensors, x, memory, memory, { heads: 3, keyPadding });
  assert.deepEqual((await evaluate(oracle, { feeds, outputs: { same } })).same, after);
});

Deno.test("multiHeadAttention() refuses invalid heads and padding with one line", () => {
  const weights = ["wq", "wk", "wv", "wo"].map((name) => [`${name}.weight`, input(name, [6, 6])]);
  const parameters = Object.fromEntries(weights);
  const x = input("x", [2, 4, 6]);
  const refuses = (options: Parameters<typeof multiHeadAttention>[4], message: string) =>
    assert.throws(() => multiHeadAttention(parameters, x, x, x, options), (error) => {
      return error instanceof UserError && error.message === message;
    });
  refuses({ heads: 4 }, "multiHeadAttention: 4 heads do not divide queries of width 6.");
  refuses({ heads: 3, kvHeads: 2 }, "multiHeadAttention: 2 kvHeads do not divide 3 heads.");
  refuses(
    { heads: 3, keyPadding: input("valid", [2, 5]) },
    "multiHeadAttention: keyPadding is f32[2, 5], expected f32[2, 4].",
  );
});

Deno.test("fromTorchAttention() names missing weights", () => {
  const weight = { shape: [2, 2], data: new Float32Array(4) };
  assert.throws(
    () => fromTorchAttention({ "out_proj.weight": weight }),
    /in_proj_weight and q_proj_weight are missing/,
  );
  const packed = { shape: [6, 2], data: new Float32Array(12) };
  assert.throws(() => fromTorchAttention({ in_proj_weight: packed }), /out_proj\.weight is missing/);
});
