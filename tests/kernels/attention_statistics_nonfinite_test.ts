// Statistics of attention whose scores, weights or gradients are not finite.
import assert from "node:assert/strict";
import {
  ATTENTION_GRADIENT_STATISTICS,
  attentionGradientStatistics,
} from "../../kernels/attention_statistics/gradient.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { ATTENTION_STATISTICS } from "../../kernels/attention_statistics/table.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import { ACTIVATIONS, assertNear, GRADIENTS } from "./attention_statistics_cases.ts";
import { dense, denseGradients, type Setting } from "./attention_statistics_dense.ts";
import { kernelDevices, nameOf, randomInput } from "./harness.ts";

const SIZES = { B: 2, T: 37, S: 37, H: 2, HKV: 2, d: 3 };
const REPEATED = 5;

/** q, k, v and dz with a number inserted into one of them, in each head or only in the first. */
function planted(
  rng: RandomStream,
  tensor: string,
  value: number,
  everywhere: boolean,
): Record<string, Values> {
  const { B, T, H, d } = SIZES;
  const feeds: Record<string, Values> = {};
  for (const name of ["q", "k", "v", "dz"]) randomInput(rng, feeds, name, [B, T, H, d]);
  if (everywhere) feeds[tensor].fill(value);
  else {for (let n = 0; n < 2; n++) {
      feeds[tensor][(T * rng.below(B) + rng.below(T)) * H * d + rng.below(d)] = value;
    }}
  return feeds;
}

const PLANTED = [
  { tensor: "q", value: NaN },
  { tensor: "k", value: NaN },
  { tensor: "v", value: NaN },
  { tensor: "q", value: Infinity },
  { tensor: "k", value: -Infinity },
  { tensor: "v", value: Infinity },
  { tensor: "dz", value: NaN },
  { tensor: "k", value: NaN, everywhere: true },
];

/** Shaders compile slowly on a software adapter; the other activations differ from these only in an expression. */
const ON_WEBGPU = ["softmax", "sigmoid", "sigmoid / n", "relu"];

const KINDS: Record<string, AttentionOptions> = {
  ...ACTIVATIONS,
  "softmax without its lateral sum": { backward: "diag" },
};

for (const [name, options] of Object.entries(KINDS)) {
  Deno.test(`a NaN or an infinity in q, k or v makes no statistic wrong: ${name}`, async () => {
    const { B, T, H, d } = SIZES;
    const [q, k, v, dz] = ["q", "k", "v", "dz"].map((name) => input(name, [B, T, H, d]));
    // All keys are visible for the gradients: a NaN in v spreads over a tile of keys on WebGPU.
    const all = { ...options, causal: false as const };
    const outputs = {
      results: attentionStatistics(attention(q, k, v, options), { repeated: REPEATED }),
      gradients: attentionGradientStatistics(attention(q, k, v, all), dz),
    };
    using oracle = referenceDevice({ precision: "f64" });
    const others = (await kernelDevices()).filter(({ kind }) => kind === "cpu" || ON_WEBGPU.includes(name));
    for (const device of [oracle, ...others]) {
      using program = await device.compile({ outputs });
      const near = device === oracle ? 1e-11 : 2e-5;
      for (const { tensor, value, everywhere = false } of PLANTED) {
        const rng = randomStream(1, `${name} ${tensor} ${value}`);
        const feeds = planted(rng, tensor, value, everywhere);
        const setting: Setting = { ...SIZES, rng, feeds };
        program.run(feeds);
        const [results, gradients] = await program.read(["results", "gradients"]);
        const where = `${name}, ${value} in ${tensor}, ${nameOf(device)}`;
        assertNear(results, dense(setting, { options }, REPEATED), near, where);
        assertNear(gradients, denseGradients(setting, { options: all }), near, where, GRADIENTS);
      }
    }
  });
}

Deno.test("a row with a NaN score is excluded from its head's averages, and a head without remaining rows has none", async () => {
  // Two rows, two heads; the first head's second query is NaN, the second head has no finite query.
  const feeds = {
    q: Float64Array.of(1, NaN, NaN, NaN),
    k: Float64Array.of(1, 1, 1, 1),
  };
  const [q, k] = ["q", "k"].map((name) => input(name, [1, 2, 2, 1]));
  const outputs = { results: attentionStatistics(attention(q, k, k, { causal: false })) };
  for (const device of [referenceDevice({ precision: "f64" }), ...await kernelDevices()]) {
    using program = await device.compile({ outputs });
    program.run(feeds);
    const [results] = await program.read(["results"]);
    const of = (head: number, name: typeof ATTENTION_STATISTICS[number]) => {
      return results[head * ATTENTION_STATISTICS.length + ATTENTION_STATISTICS.indexOf(name)];
    };
    assert.ok(Math.abs(of(0, "entropy") - Math.log(2)) < 1e-6, `${of(0, "entropy")}`);
    assert.deepEqual([of(0, "nonfinite"), of(1, "nonfinite")], [2, 4]);
    // The remaining row is the first, which has no previous key.
    for (const name of ["sink", "previous"] as const) assert.ok(Number.isNaN(of(0, name)), name);
    for (const name of ATTENTION_STATISTICS) {
      if (!name.endsWith("nonfinite")) assert.ok(Number.isNaN(of(1, name)), `${name}: ${of(1, name)}`);
    }
  }
});

Deno.test("an infinite gradient is counted and excluded from the statistics of its matrix", async () => {
  const feeds = { x: Float64Array.of(1, 2), dz: Float64Array.of(1, Infinity) };
  const [x, dz] = [input("x", [1, 2, 1, 1]), input("dz", [1, 2, 1, 1])];
  const outputs = { results: attentionGradientStatistics(attention(x, x, x, { activation: "relu" }), dz) };
  for (const device of [referenceDevice({ precision: "f64" }), ...await kernelDevices()]) {
    using program = await device.compile({ outputs });
    program.run(feeds);
    const [results] = await program.read(["results"]);
    const of = (name: typeof ATTENTION_GRADIENT_STATISTICS[number]) =>
      results[ATTENTION_GRADIENT_STATISTICS.indexOf(name)];
    // The first row's one pair has dA = 1; the second's two are infinite.
    assert.deepEqual([of("pattern_mean"), of("pattern_absmax"), of("pattern_nonfinite")], [1, 1, 2]);
    assert.equal(of("scores_nonfinite"), 2);
  }
});
