// NaN and infinities give the same results on every device: in expressions, attention of a NaN query, scores of -Infinity,
// and an optimizer's step with a NaN gradient.
import assert from "node:assert/strict";
import * as e from "../../kernels/expression/expression.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { booleanMask, mask, modifier, softcap } from "../../kernels/attention/modifier.ts";
import { crossEntropy } from "../../kernels/cross_entropy/op.ts";
import { elementwise, multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { lion } from "../../kernels/optimizers/lion.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { sgd } from "../../kernels/optimizers/sgd.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { type Case, evaluate, kernelDevices, nameOf } from "./harness.ts";
import { runSteps, type Tested } from "./optimizer_steps.ts";

const x = e.variable("x");

/** Outputs of a case in float64, and on every other device. */
async function everywhere(testCase: Case): Promise<[string, Record<string, ArrayLike<number>>][]> {
  using f64 = referenceDevice({ precision: "f64" });
  using f32 = referenceDevice();
  const results: [string, Record<string, ArrayLike<number>>][] = [];
  for (const device of [f64, f32, ...await kernelDevices()]) {
    results.push([device === f64 ? "float64" : nameOf(device), await evaluate(device, testCase)]);
  }
  return results;
}

/** Asserts these numbers on every device, NaN and infinities exactly, others to `tolerance`. */
function assertAll(
  results: [string, Record<string, ArrayLike<number>>][],
  expected: Record<string, ArrayLike<number>>,
  tolerance = 1e-5,
): void {
  for (const [device, outputs] of results) {
    for (const [name, numbers] of Object.entries(expected)) {
      Array.from(numbers).forEach((right, i) => {
        const value = outputs[name][i];
        const near = Object.is(value, right) ||
          Math.abs(value - right) <= tolerance * Math.max(1, Math.abs(right));
        assert.ok(near, `${name}[${i}] on ${device}: ${value}, expected ${right}`);
      });
    }
  }
}

const INPUTS = [NaN, Infinity, -Infinity, -1, 0.5];

/** Every function of `INPUTS`. */
const FUNCTIONS: Record<string, [e.Expression, number[]]> = {
  relu: [e.max(0, x), [NaN, Infinity, 0, 0, 0.5]],
  min: [e.min(x, 0.25), [NaN, 0.25, -Infinity, -1, 0.25]],
  clamp: [e.max(-1, e.min(x, 1)), [NaN, 1, -1, -1, 0.5]],
  tanh: [e.tanh(x), [NaN, 1, -1, Math.tanh(-1), Math.tanh(0.5)]],
  sigmoid: [e.sigmoid(x), [NaN, 1, 0, 1 / (1 + Math.E), 1 / (1 + Math.exp(-0.5))]],
  exp: [e.exp(x), [NaN, Infinity, 0, Math.exp(-1), Math.exp(0.5)]],
  log: [e.log(x), [NaN, Infinity, NaN, NaN, Math.log(0.5)]],
  sqrt: [e.sqrt(x), [NaN, Infinity, NaN, NaN, Math.sqrt(0.5)]],
  erf: [e.errorFunction(x), [NaN, 1, -1, -0.8427007929, 0.5204998778]],
  floor: [e.floor(x), [NaN, Infinity, -Infinity, -1, 0]],
  less: [e.less(x, 0), [0, 0, 1, 1, 0]],
  not_less: [e.equal(e.less(x, 0), 0), [1, 1, 0, 0, 1]],
  equal_itself: [e.equal(x, x), [0, 1, 1, 1, 1]],
  select_nan: [e.select(x, 1, 2), [1, 1, 1, 1, 1]],
  difference: [e.minus(x, x), [NaN, NaN, NaN, 0, 0]],
  back_and_forth: [e.minus(e.plus(x, 1), x), [NaN, NaN, NaN, 1, 1]],
  nothing: [e.times(0, x), [NaN, NaN, NaN, 0, 0]],
  reciprocal: [e.over(1, x), [NaN, 0, 0, -1, 2]],
  plus_infinity: [e.plus(x, Infinity), [NaN, Infinity, NaN, Infinity, Infinity]],
  below_infinity: [e.less(x, Infinity), [0, 0, 1, 1, 1]],
  hidden: [e.select(e.less(x, 0), -Infinity, x), [NaN, Infinity, -Infinity, -Infinity, 0.5]],
  too_large: [e.plus(x, 1e30), [NaN, Infinity, -Infinity, 1e30, 1e30]],
};

Deno.test("functions of NaN and infinities are JavaScript's on every device", async () => {
  const feeds = { x: Float32Array.from(INPUTS) };
  const outputs = Object.fromEntries(
    Object.entries(FUNCTIONS).map((
      [name, [f]],
    ) => [name, elementwise(f, { x: input("x", [INPUTS.length]) })]),
  );
  const expected = Object.fromEntries(Object.entries(FUNCTIONS).map(([name, [, right]]) => [name, right]));
  assertAll(await everywhere({ feeds, outputs }), expected, 1e-6);
});

Deno.test("a NaN constant compiles, and stays NaN on every device", async () => {
  const y = elementwise(e.select(e.less(x, 0), NaN, x), { x: input("x", [INPUTS.length]) });
  const results = await everywhere({ feeds: { x: Float32Array.from(INPUTS) }, outputs: { y } });
  assertAll(results, { y: [NaN, Infinity, NaN, NaN, 0.5] });
});

Deno.test("a derivative is 0 in a branch that does not depend on the variable", () => {
  const r = e.max(0, x);
  const cases: [e.Expression, number, number][] = [
    [e.times(r, e.sqrt(r)), -1, 0],
    [e.sqrt(r), -1, 0],
    [e.sqrt(r), 4, 0.25],
    [e.log(r), -2, 0],
    [e.times(r, e.log(r)), -1, 0],
    [e.over(1, r), -1, 0],
    [e.over(r, r), -1, 0],
    [e.exp(e.times(1.5, e.log(r))), -1, 0],
    [e.sqrt(e.plus(e.max(0, x), e.max(0, e.minus(x, 1)))), -1, 0],
    [e.sqrt(e.minus(e.max(0, x), e.min(0, e.minus(0, r)))), -1, 0],
    [e.sqrt(e.select(e.less(x, 0), 0, x)), -3, 0],
    [e.sqrt(e.negative(e.min(0, x))), 2, 0],
    [e.log(e.sqrt(e.max(x, 0))), -1, 0],
  ];
  for (const [f, at, right] of cases) {
    const slope = e.toFunction(e.derivative(f, "x"), ["x"]);
    assert.ok(Math.abs(slope(at) - right) < 1e-12, `${JSON.stringify(f)} at ${at}: ${slope(at)}`);
  }
});

Deno.test("the gradient of sqrt(max(0, x)) is finite on every device", async () => {
  const given = input("x", [4]);
  const y = elementwise(e.times(e.max(0, x), e.sqrt(e.max(0, x))), { x: given });
  const [dx] = grad(sumAll(y), [given]);
  const results = await everywhere({ feeds: { x: Float32Array.of(-1, 0, 1, 4) }, outputs: { dx } });
  assertAll(results, { dx: [0, 0, 1.5, 3] });
});

Deno.test("cross-entropy of logits that are infinite, NaN or below -1e30 is the same on every device", async () => {
  const rows = [
    [Infinity, 0, 1],
    [0, Infinity, 1],
    [-Infinity, -Infinity, -Infinity],
    [-Infinity, 0, 1],
    [0, NaN, 1],
    [-1e31, -1e31, -2e31],
  ];
  for (const row of rows) {
    const logits = input("logits", [1, 3]);
    const { loss } = crossEntropy(logits, input("targets", [1], "u32"));
    const [slope] = grad(loss, [logits]);
    const feeds = { logits: Float32Array.from(row), targets: Uint32Array.of(0) };
    const results = await everywhere({ feeds, outputs: { loss, slope } });
    assertAll(results, results[0][1]);
  }
});

Deno.test("a product's activation keeps NaN on every device", async () => {
  for (const activation of ["relu", "gelu_tanh"] as const) {
    const [a, w] = [input("a", [8, 4]), input("w", [8, 4])];
    const feeds = { a: wave(32, 1), w: wave(32, 0.7) };
    feeds.a[5] = NaN;
    const y = matmul(a, w, { transB: true, activation });
    const results = await everywhere({ feeds, outputs: { y } });
    assert.deepEqual(
      Array.from(results[0][1].y, Number.isNaN),
      Array.from({ length: 64 }, (_, n) => n >> 3 === 1),
    );
    assertAll(results, results[0][1]);
  }
});

const wave = (n: number, s: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * s + 1));

/** z and all gradients of sum(z^2), of q [1, T, 1, 2] and k, v [1, S, 1, 2]. */
function attentionCase(
  T: number,
  S: number,
  options: AttentionOptions,
): Case & { feeds: Record<string, Float32Array> } {
  const [q, k, v] = [input("q", [1, T, 1, 2]), input("k", [1, S, 1, 2]), input("v", [1, S, 1, 2])];
  const z = attention(q, k, v, options);
  const [dq, dk, dv] = grad(sumAll(multiply(z, z)), [q, k, v]);
  return {
    feeds: { q: wave(2 * T, 1), k: wave(2 * S, 1.7), v: wave(2 * S, 0.3) },
    outputs: { z, dq, dk, dv },
  };
}

const FAMILY: Record<string, AttentionOptions> = {
  softmax: {},
  softmax1: { activation: "softmax1" },
  entmax15: { activation: "entmax15" },
  diag: { backward: "diag" },
  sigmoid: { activation: "sigmoid" },
  relu: { activation: "relu" },
  relu2: { activation: "relu2" },
  softcap: { score: softcap(5) },
  divided: { activation: "sigmoid", divide: "n" },
};
for (const [name, options] of Object.entries(FAMILY)) {
  Deno.test(`attention of a NaN query (${name}) is NaN in its row and in what it reaches, on every device`, async () => {
    const testCase = attentionCase(3, 3, options);
    testCase.feeds.q[2] = NaN;
    const results = await everywhere(testCase);
    assert.deepEqual(Array.from(results[0][1].z, Number.isNaN), [false, false, true, true, false, false]);
    assert.ok(
      Array.from(results[0][1].dv).slice(0, 4).every(Number.isNaN),
      "dv of the keys that the query sees",
    );
    assertAll(results, { z: results[0][1].z });
    // Kernels also add 0 times a hidden pair's numbers: a gradient may be NaN in more places, never in fewer.
    for (const [device, outputs] of results) {
      for (const name of ["dq", "dk", "dv"]) {
        const lost = Array.from(results[0][1][name]).some((x, n) =>
          Number.isNaN(x) && !Number.isNaN(outputs[name][n])
        );
        assert.ok(!lost, `${name} on ${device}`);
      }
    }
  });
}

const [score, i, j] = ["score", "i", "j"].map(e.variable);
const SEEN = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]];
for (const [name, options] of Object.entries({ ...FAMILY, ste: { backward: "ste" as const } })) {
  if (name === "softcap") continue;
  Deno.test(`a score of -Infinity (${name}) hides its pair as a mask does: a row of them is zeros without a gradient`, async () => {
    const hide = modifier(e.select(e.less(j, i), score, -Infinity));
    const testCase = attentionCase(3, 4, { ...options, causal: false, score: hide });
    const seen = booleanMask(input("mask", [3, 4]));
    const masked = attentionCase(3, 4, { ...options, causal: false, mask: seen });
    const feeds = { ...masked.feeds, mask: Float32Array.from(SEEN.flat()) };
    using f64 = referenceDevice({ precision: "f64" });
    const expected = await evaluate(f64, { ...masked, feeds });
    assert.deepEqual(Array.from(expected.z).slice(0, 2), [0, 0]);
    assertAll(await everywhere(testCase), expected);
  });
}

Deno.test("a mask whose condition is NaN throughout a tile hides the tile on every device", async () => {
  // sqrt(j - 36) is NaN below j = 36, and no comparison with NaN holds: tile 0 of the keys is empty, not full.
  const visible = mask(e.less(e.sqrt(e.minus(j, 36)), 100));
  const testCase = attentionCase(2, 40, { causal: false, mask: visible });
  const results = await everywhere(testCase);
  assertAll(results, results[0][1]);
  assert.ok(Array.from(results[0][1].dv).slice(0, 72).every((slope) => slope === 0));
});

Deno.test("softmax of finite scores below -1e30 is that of their differences on every device", async () => {
  const testCase = attentionCase(2, 3, { causal: false, score: modifier(e.minus(e.times(0, score), 2e30)) });
  const results = await everywhere(testCase);
  assertAll(results, { z: results[0][1].z });
  assert.ok(Array.from(results[0][1].z).every((value) => value !== 0));
});

Deno.test("a lookup out of range reads the nearest entry of its dimension, NaN the first, on every device", async () => {
  const table = [[1, 2, 3], [4, 5, 6]];
  const [T, S] = [4, 7];
  const indices: Record<string, [e.Expression, e.Expression, (i: number, j: number) => number[]]> = {
    distance: [e.minus(i, 2), e.minus(j, 3), (i, j) => [i - 2, j - 3]],
    far: [
      e.times(1e30, e.minus(i, 1)),
      e.times(-1e30, e.minus(j, 1)),
      (i, j) => [1e30 * (i - 1), -1e30 * (j - 1)],
    ],
    nan: [
      e.over(e.minus(i, 1), e.minus(i, 1)),
      e.log(e.minus(1, j)),
      (i, j) => [(i - 1) / (i - 1), Math.log(1 - j)],
    ],
    fraction: [e.times(0.6, i), e.minus(e.times(0.7, j), 0.9), (i, j) => [0.6 * i, 0.7 * j - 0.9]],
  };
  const place = (x: number, n: number) => x >= 1 ? Math.min(Math.trunc(x), n - 1) : 0;
  for (const [name, [first, second, at]] of Object.entries(indices)) {
    const learned = input("table", [2, 3]);
    const [q, k, v] = [input("q", [1, T, 1, 1]), input("k", [1, S, 1, 1]), input("v", [1, S, 1, 1])];
    // relu of a score of 0 plus an entry: z_i is the sum of the entries that row i looks up.
    const z = attention(q, k, v, {
      causal: false,
      activation: "relu",
      score: modifier(e.plus(score, e.lookup("table", [2, 3], first, second)), { table: learned }),
    });
    const [dt] = grad(sumAll(z), [learned]);
    const feeds = {
      q: new Float32Array(T),
      k: new Float32Array(S),
      v: new Float32Array(S).fill(1),
      table: Float32Array.from(table.flat()),
    };
    const expected = { z: new Float64Array(T), dt: new Float64Array(6) };
    for (let r = 0; r < T; r++) {
      for (let c = 0; c < S; c++) {
        const [a, b] = at(r, c);
        expected.z[r] += table[place(a, 2)][place(b, 3)];
        expected.dt[place(a, 2) * 3 + place(b, 3)]++;
      }
    }
    const results = await everywhere({ feeds, outputs: { z, dt }, label: name });
    assertAll(results, expected);
  }
});

const STEPS: Record<string, Tested> = {
  sgd: {
    states: ["momentum"],
    step: (tensors) =>
      sgd({ ...tensors, trainable: undefined }, {
        momentum: 0,
        weightDecay: 0,
        clip: 1,
        decayedCount: 0,
      }),
  },
  lion: {
    states: ["exp_avg"],
    step: (tensors) =>
      lion({ ...tensors, trainable: undefined }, {
        betas: [0.9, 0.99],
        weightDecay: 0,
        clip: 1,
        decayedCount: 0,
      }),
  },
};
for (const [name, tested] of Object.entries(STEPS)) {
  Deno.test(`one NaN in the gradient makes the clipped step of ${name} NaN everywhere, on every device`, async () => {
    using f64 = referenceDevice({ precision: "f64" });
    for (const device of [f64, ...await kernelDevices()]) {
      const steps = [{ lr: 0.1, gradient: Float64Array.of(1, NaN, 3) }];
      const [{ parameter }] = await runSteps(device, tested, Float64Array.of(1, 2, 3), steps);
      assert.ok(parameter.every(Number.isNaN), `${device.adapter}: ${parameter}`);
    }
  });
}
