// The dense reference layers for users' layers, and the suspects that a check reports.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { attentionCase, oracleOptions } from "../../src/check/attention_cases.ts";
import { checkAttention } from "../../src/check/check_attention.ts";
import { functionAttention, headsOfCase } from "../../src/check/attention_implementation.ts";
import { checkLayer, layerCase, type LayerFunction, type LayerKind } from "../../src/check/layer_check.ts";
import { decoderLayer } from "../../src/check/layer_graph.ts";
import {
  decoderLayerOracle,
  headOracle,
  type LayerChange,
  type LayerWeights,
  type Matrix,
  multiHeadOracle,
} from "../../src/check/layer_oracle.ts";
import { describeLayerCase, layerSummary, smallestLayerFailure } from "../../src/check/layer_report.ts";
import { MISTAKES } from "../../src/check/mistakes.ts";
import { attentionOracle } from "../../src/check/oracle.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { attentionGolden } from "../golden/attention_golden.ts";
import { evaluate } from "../kernels/harness.ts";

const rowsOf = (data: ArrayLike<number>, columns: number): Matrix =>
  Array.from(
    { length: data.length / columns },
    (_, i) => Array.from({ length: columns }, (_, j) => data[i * columns + j]),
  );

/** The largest difference of numbers, of those of size 1. */
const apart = (a: Matrix, b: ArrayLike<number>) =>
  Math.max(...a.flat().map((x, i) => Math.abs(x - b[i])), a.flat().length - b.length);

const ORACLES = { multiHead: multiHeadOracle, decoderLayer: decoderLayerOracle };

/** A layer with a mistake. */
const wrong = (kind: LayerKind, change: LayerChange) => ({
  name: "wrong",
  kind,
  layer: ((x, weights, options) => ORACLES[kind](x, weights, options, change)) as LayerFunction,
});

Deno.test("the oracle's multi-head layer equals torch.nn.MultiheadAttention, causal with key padding", () => {
  const golden = attentionGolden("multi-head layer");
  const third = (name: string, n: number) => {
    const { data } = golden[name];
    return Array.from(data).slice(n * data.length / 3, (n + 1) * data.length / 3);
  };
  const weights: LayerWeights = Object.fromEntries([
    ...["wq", "wk", "wv"].flatMap((name, n) => [
      [`${name}.weight`, rowsOf(third("in_proj_weight", n), 8)],
      [`${name}.bias`, third("in_proj_bias", n)],
    ]),
    ["wo.weight", rowsOf(golden["out_proj.weight"].data, 8)],
    ["wo.bias", Array.from(golden["out_proj.bias"].data)],
  ]);
  for (const b of [0, 1]) {
    const part = (name: string, size: number) =>
      Array.from(golden[name].data).slice(b * size, (b + 1) * size);
    const valid = part("valid", 6);
    const mask = valid.map((_, i) => valid.map((ok, j) => j <= i && ok !== 0));
    const y = multiHeadOracle(rowsOf(part("x", 48), 8), weights, { heads: 2, mask });
    // The file keeps twelve digits.
    assert.ok(apart(y, part("y", 48)) < 1e-9);
  }
});

Deno.test("the oracle's decoder layer equals the one that heed trains, in float64", async () => {
  const { x, weights, heads } = layerCase("decoderLayer", 39);
  const [T, D, F] = [x.length, x[0].length, (weights["mlp.fc.weight"] as Matrix).length];
  assert.ok(T > 1 && heads > 1);
  const feeds: Record<string, Float64Array> = { x: Float64Array.from(x.flat()) };
  const parameters = Object.fromEntries(
    Object.entries(weights).map(([name, values]) => {
      const flat = values.flat();
      feeds[`blocks.0.${name}`] = Float64Array.from(flat);
      const shape = Array.isArray(values[0]) ? [values.length, flat.length / values.length] : [flat.length];
      return [`blocks.0.${name}`, input(`blocks.0.${name}`, shape)];
    }),
  );
  const architecture = {
    vocabulary: 2,
    context: T,
    dim: D,
    layers: 1,
    heads,
    positions: "none",
    norm: "layernorm",
    bias: true,
    tied: true,
    dropout: 0,
    init: { std: 0.02, scaled_residual: true },
    block: { attention: { activation: "softmax", bias: "auto" }, mlp: { activation: "relu", factor: F / D } },
  } as const;
  using device = referenceDevice({ precision: "f64" });
  const y = decoderLayer(architecture, input("x", [1, T, D]), parameters);
  const actual = (await evaluate(device, { feeds, outputs: { y } })).y;
  const mask = x.map((_, i) => x.map((_, j) => j <= i));
  assert.ok(apart(decoderLayerOracle(x, weights, { heads, mask }), actual) < 1e-9);
});

Deno.test("the oracle of one head equals the dense attention that kernels are checked against", () => {
  for (let index = 0; index < 20; index++) {
    const given = attentionCase(index);
    const { z } = attentionOracle(given.q, given.k, given.v, oracleOptions(given));
    const [, T, H, dv] = given.dz.shape;
    for (const { b, h, input } of headsOfCase(given)) {
      const expected = Array.from(
        { length: T },
        (_, i) => Array.from(z.subarray(((b * T + i) * H + h) * dv).slice(0, dv)),
      );
      assert.ok(apart(headOracle(input.q, input.k, input.v, input), expected.flat()) < 1e-12);
    }
  }
});

Deno.test("cases of layers have sizes from 1 on, masks of every kind, and reproducible numbers", () => {
  const cases = Array.from({ length: 100 }, (_, i) => layerCase("decoderLayer", i));
  for (const heads of [1, 2, 3]) assert.ok(cases.some((given) => given.heads === heads));
  for (const T of [1, 2, 3, 4, 5, 6, 7]) assert.ok(cases.some(({ x }) => x.length === T));
  assert.ok(cases.some(({ x }) => x.length > 7));
  assert.ok(cases.some(({ mask }) => mask.some((row) => !row.includes(true))), "rows that see nothing");
  assert.deepEqual(layerCase("multiHead", 7), layerCase("multiHead", 7));
  assert.notDeepEqual(layerCase("multiHead", 7).x, layerCase("multiHead", 7, { seed: 2 }).x);
  const causal = layerCase("multiHead", 7, { mask: "causal" });
  assert.deepEqual(causal.mask, causal.x.map((_, i) => causal.x.map((_, j) => j <= i)));
});

for (const kind of ["multiHead", "decoderLayer"] as const) {
  Deno.test(`every mistake of a ${kind} fails, and is identified by its numbers`, async () => {
    const right = await checkLayer(wrong(kind, {}));
    assert.deepEqual([right.failed.length, right.suspects], [0, []]);
    for (const { says, change } of MISTAKES[kind]) {
      const check = await checkLayer(wrong(kind, change), { count: 40 });
      assert.ok(check.failed.length > 0, says);
      assert.deepEqual(check.suspects, [says]);
    }
  });
}

Deno.test("every mistake of an attention fails, and is identified by its numbers", async () => {
  for (const { says, change } of MISTAKES.attention) {
    const attention = functionAttention("wrong", {
      attention: ({ q, k, v, mask, scale }) => headOracle(q, k, v, { mask, scale }, change),
    });
    const check = await checkAttention(attention, { count: 40 });
    assert.ok(check.failed.length > 0, says);
    assert.deepEqual(check.suspects, [says]);
  }
});

Deno.test("numbers of unknown mistakes, or of two mistakes at once, have no suspects", async () => {
  const rng = randomStream(1, "noise");
  const noise: LayerFunction = (x, weights, options) =>
    multiHeadOracle(x, weights, options).map((row) => row.map((value) => value + 1e-3 * rng.normal()));
  const check = await checkLayer({ name: "noise", kind: "multiHead", layer: noise }, { count: 20 });
  assert.deepEqual([check.failed.length, check.suspects], [20, []]);
  const two = await checkLayer(wrong("multiHead", { scale: () => 1, output: "left out" }), { count: 20 });
  assert.deepEqual(two.suspects, []);
});

Deno.test("the failing case of a layer shown first is an ordinary one, in full", async () => {
  const check = await checkLayer(wrong("multiHead", { scale: () => 1 }));
  const smallest = smallestLayerFailure(check)!;
  const { x, heads, mask, weights, index } = smallest.given;
  assert.ok(x.length > 1 && heads > 1 && x[0].length > heads && mask.every((row) => row.includes(true)));
  const page = describeLayerCase(smallest);
  assert.match(
    page,
    new RegExp(`^case ${index} of seed 1: failed\n  x \\[${x.length}\\]\\[${x[0].length}\\]`),
  );
  for (const name of Object.keys(weights)) assert.ok(page.includes(`  ${name} [`), name);
  assert.match(page, /y, expected \| found:\n[^]*\| .* {2}<$/);
  assert.match(layerSummary(check), /^FAIL wrong: \d+ of 100 cases failed, worst error /);
});

Deno.test("a layer that returns another shape or no numbers, or throws, fails with the reason, and changes no input", async () => {
  const failure = async (layer: unknown) => {
    const check = await checkLayer({ name: "a", kind: "multiHead", layer: layer as LayerFunction }, {
      count: 1,
    });
    return check.failed[0]?.failure;
  };
  const { x } = layerCase("multiHead", 0);
  const shape = `[${x.length}][${x[0].length}]`;
  assert.equal(await failure(() => [[1, 2, 3, 4, 5, 6, 7]]), `multiHead() is [1][7], expected ${shape}.`);
  assert.equal(await failure(() => undefined), `multiHead() is undefined, expected ${shape}.`);
  assert.equal(
    await failure((x: Matrix) => x.map((row) => row.map(() => "1"))),
    `multiHead()[0][0]: expected a number, found "1".`,
  );
  const thrown = await failure(() => {
    throw new Error("not yet");
  });
  assert.match(thrown!, /^Error: not yet\n +at .*layer_check_test\.ts/);
  assert.ok(!thrown!.includes("src/check"), thrown);
  const writes: LayerFunction = (x, weights, options) => {
    const y = multiHeadOracle(x, weights, options);
    x[0][0] = NaN;
    return y;
  };
  assert.equal(await failure(writes), undefined);
});
