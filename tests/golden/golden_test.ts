// Shows that the TypeScript reader makes and reads what PyTorch wrote, and that its measure of error measures
// one: every parity test of the engine rests on these.

import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { UserError } from "../../src/base/errors.ts";
import { goldenBatches, goldenParameters, gradientError, nanogptGolden, opsGolden, type OpTensor } from "./golden.ts";

function assertNear(actual: number, expected: number, relative: number, what: string) {
  const difference = Math.abs(actual - expected);
  assert(difference <= relative * Math.abs(expected), `${what}: found ${actual}, expected ${expected}`);
}

/** Relative L2 distance. */
function distance(actual: number[], expected: number[]): number {
  assert.equal(actual.length, expected.length);
  return Math.hypot(...actual.map((x, i) => x - expected[i])) / Math.hypot(...expected);
}

/** Gradients that nanogpt.bin holds whole: those of at most 512 entries. */
function wholeGradients(): Map<string, Float32Array> {
  const { gradients, parameters } = nanogptGolden();
  const file = Deno.readFileSync(new URL("nanogpt.bin", import.meta.url)).buffer;
  const vectors = Object.keys(gradients).filter((name) => parameters[name].shape.length === 1);
  return new Map(vectors.map((name) => [name, new Float32Array(file, gradients[name].byte, 128)]));
}

Deno.test("goldenParameters() draws the values PyTorch trained from", () => {
  const { model, parameters } = nanogptGolden();
  const made = goldenParameters();
  assert.deepEqual([...made.keys()], Object.keys(parameters));
  assert.equal(made.size, 2 + 8 * model.layers + 1);
  for (const [name, { shape, data }] of made) {
    const { sum, sum_squares, last } = parameters[name];
    assert.deepEqual(shape, parameters[name].shape);
    // Logarithm and cosine may differ in the last of 53 bits between languages: a float32 rounds otherwise
    // once in some 10^8 values, and moves the sum by 1e-9.
    assertNear(data.reduce((a, x) => a + x, 0), sum, 1e-6, `sum of ${name}`);
    assertNear(data.reduce((a, x) => a + x * x, 0), sum_squares, 1e-6, `sum of squares of ${name}`);
    assertNear(data[data.length - 1], last, 1e-6, `last value of ${name}`);
  }
});

Deno.test("goldenBatches() gives ten batches whose targets are the next ids", () => {
  const { model, training } = nanogptGolden();
  const batches = goldenBatches();
  assert.equal(batches.length, 10);
  for (const { ids, targets } of batches) {
    assert.equal(ids.length, training.batch * model.context);
    assert(ids.every((id) => id < model.vocabulary));
    assert(ids.some((id) => id >= 40), "letters from the whole alphabet");
    for (let i = 0; i < ids.length; i++) {
      if ((i + 1) % model.context !== 0) assert.equal(targets[i], ids[i + 1]);
    }
  }
});

Deno.test("the golden losses start near ln 65, fall, and agree between float64 and float32", () => {
  const { float64, float32 } = nanogptGolden();
  assert.equal(float64.losses.length, 10);
  // Logits of an untrained model are small, not zero: 0.1 nats above the uniform guess.
  assertNear(float64.losses[0], Math.log(65), 0.02, "first loss");
  assert(float64.losses[9] < 3.4);
  for (let step = 0; step < 10; step++) {
    // Rounding grows from 1e-7 to 1e-6 over the steps.
    assertNear(float32.losses[step], float64.losses[step], 1e-5, `loss ${step}`);
    assertNear(float32.gradient_norms[step], float64.gradient_norms[step], 1e-5, `gradient norm ${step}`);
  }
});

Deno.test("the golden gradients' norms make up the global norm of step 1", () => {
  const { gradients, float64 } = nanogptGolden();
  const norms = Object.values(gradients).map(({ norm }) => norm);
  assertNear(Math.hypot(...norms), float64.gradient_norms[0], 1e-12, "global norm"); // float64 sums
});

Deno.test("gradientError() of PyTorch's own gradient is no more than float32 rounding", () => {
  const whole = wholeGradients();
  assert.equal(whole.size, 9);
  // Half a unit in the last place of 128 float32 values: 3e-8 relative.
  for (const [name, gradient] of whole) assert(gradientError(name, gradient) < 1e-7, name);
});

Deno.test("gradientError() follows the size of an error, wherever it is", () => {
  for (const [name, gradient] of wholeGradients()) {
    const { norm } = nanogptGolden().gradients[name];
    const { normal } = randomStream(7, name);
    const noise = Float64Array.from(gradient, () => (1e-3 * norm * normal()) / Math.sqrt(128));
    const spread = gradientError(name, gradient.map((g, i) => g + noise[i]));
    // The stored entries give the true 1e-3 (6% spread of the noise itself); 8 projections seldom give over
    // twice it.
    assert(spread > 0.8e-3 && spread < 2.5e-3, `${name}: ${spread}`);
    const single = gradientError(name, gradient.map((g, i) => i === 77 ? g + 1e-3 * norm : g));
    // One entry off by e: every projection is off by exactly e.
    assertNear(single, 1e-3, 1e-3, name);
  }
});

Deno.test("gradientError() sees an error between the sampled entries, a missing gradient and a NaN", () => {
  const name = "blocks.1.mlp.fc.weight";
  const { shape } = nanogptGolden().parameters[name];
  const { norm } = nanogptGolden().gradients[name];
  const zeros = new Float32Array(shape[0] * shape[1]);
  const missing = gradientError(name, zeros);
  assert(missing > 0.5 && missing < 2, `${missing}`); // 1, with the spread of eight projections (a quarter)
  const unseen = zeros.slice();
  unseen[64] = 1e3 * norm; // sampled entries lie at multiples of 128.25
  assertNear(gradientError(name, unseen), 1e3, 0.01, "one entry a thousand norms off");
  zeros[64] = NaN;
  assert(Number.isNaN(gradientError(name, zeros)));
});

Deno.test("gradientError() names the nearest parameter, and the length it expects", () => {
  const empty = new Float32Array(0);
  assert.throws(() => gradientError("blocks.0.attn.qw.weight", empty), (error) => {
    return error instanceof UserError && /blocks\.0\.attn\.w[a-z]\.weight/.test(error.message);
  });
  assert.throws(() => gradientError("final_norm.weight", empty), /found 0 values, expected 128 \(\[128\]\)/);
});

Deno.test("opsGolden() holds tensors as long as their shapes say", () => {
  const tensors = Object.values(opsGolden()).flatMap((one) => Object.values(one) as (OpTensor | unknown)[]);
  const dense = tensors.filter((x): x is OpTensor => typeof x === "object" && x !== null);
  assert.equal(dense.length, 8 + 6 + 3 * 4 + 5 + 2 * 8 + 5);
  for (const { shape, data } of dense) assert.equal(data.length, shape.reduce((a, b) => a * b, 1));
});

Deno.test("the golden norms, activations and losses are those of the plain formulas in float64", () => {
  const { layer_norm: ln, rms_norm: rms, gelu_tanh, relu, cross_entropy: ce, embedding } = opsGolden();
  const rows = (x: OpTensor) => x.data.map((_, i) => x.data.slice(i - i % 7, i - i % 7 + 7));
  const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length;
  const variance = (x: number[]) => mean(x.map((v) => (v - mean(x)) ** 2));
  const y = rows(ln.x).map((row, i) => {
    return (ln.x.data[i] - mean(row)) / Math.sqrt(variance(row) + ln.eps) * ln.weight.data[i % 7] +
      ln.bias.data[i % 7];
  });
  // 1e-13 throughout: a few units in the last of 53 bits.
  assert(distance(y, ln.y.data) < 1e-13);
  const meanSquares = rows(rms.x).map((row) => mean(row.map((v) => v * v)));
  const z = rms.x.data.map((x, i) => x / Math.sqrt(meanSquares[i] + rms.eps) * rms.weight.data[i % 7]);
  assert(distance(z, rms.y.data) < 1e-13);
  const inner = (x: number) => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
  assert(
    distance(gelu_tanh.x.data.map((x) => 0.5 * x * (1 + Math.tanh(inner(x)))), gelu_tanh.y.data) < 1e-13,
  );
  assert.deepEqual(relu.dx.data, relu.x.data.map((x) => x > 0 ? 1 : 0));
  const losses = ce.targets.data.map((target, row) => {
    const logits = ce.logits.data.slice(9 * row, 9 * row + 9);
    const top = Math.max(...logits);
    return top + Math.log(logits.reduce((a, x) => a + Math.exp(x - top), 0)) - logits[target];
  });
  assertNear(
    mean(losses.filter((_, i) => ce.targets.data[i] !== ce.ignore_index)),
    ce.loss.data[0],
    1e-13,
    "loss",
  );
  assert.deepEqual(ce.dlogits.data.slice(9, 18), new Array(9).fill(0), "an ignored row has no gradient");
  const gathered = embedding.ids.data.flatMap((id) => embedding.weight.data.slice(3 * id, 3 * id + 3));
  assert.deepEqual(gathered, embedding.y.data);
});

Deno.test("the golden attention is laid out [B, T, H, d] and sees no later key", () => {
  const { softmax_attention, sigmoid_attention } = opsGolden();
  const at = (b: number, t: number, h: number, c: number) => ((b * 5 + t) * 2 + h) * 3 + c;
  for (
    const [one, bias] of [[softmax_attention, null], [sigmoid_attention, sigmoid_attention.bias]] as const
  ) {
    const actual = new Array<number>(60);
    for (let row = 0; row < 20; row++) {
      const [b, i, h] = [Math.floor(row / 10), Math.floor(row / 2) % 5, row % 2];
      const score = (j: number) =>
        [0, 1, 2].reduce((s, c) => s + one.q.data[at(b, i, h, c)] * one.k.data[at(b, j, h, c)], 0) *
        one.scale;
      const keys = Array.from({ length: i + 1 }, (_, j) => j);
      const mass = keys.reduce((s, j) => s + Math.exp(score(j)), 0);
      const weight = (j: number) =>
        bias === null ? Math.exp(score(j)) / mass : 1 / (1 + Math.exp(-score(j) - bias));
      for (let c = 0; c < 3; c++) {
        actual[at(b, i, h, c)] = keys.reduce((s, j) => s + weight(j) * one.v.data[at(b, j, h, c)], 0);
      }
    }
    assert(distance(actual, one.o.data) < 1e-13); // a few units in the last of 53 bits
  }
  assertNear(sigmoid_attention.bias, -Math.log(5), 1e-15, "bias");
});
