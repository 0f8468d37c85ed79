// Rotary positions: both pairings, part of a head, far positions.
import assert from "node:assert/strict";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { rope, ropeTurns } from "../../kernels/rope/op.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import {
  between,
  type Case,
  checkGradient,
  checkKernel,
  evaluate,
  kernelDevices,
  randomInput,
  relativeError,
} from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

function rotation(rng: RandomStream): Case & { wrt: Record<string, Tensor> } {
  const feeds: Record<string, Values> = {};
  const D = between(rng, 2, 41);
  const shape = [between(rng, 1, 3), between(rng, 1, 37), between(rng, 1, 5), D];
  const rotaryDim = 2 * between(rng, 1, Math.floor(D / 2));
  const pairs = rng.below(2) ? "half" : "interleaved";
  const offset = rng.below(2) ? 0 : rng.below(200_000);
  const base = [10_000, 500_000, 100][rng.below(3)];
  const x = randomInput(rng, feeds, "x", shape);
  const y = rope(x, { base, pairs, rotaryDim, offset });
  const label = `${shape.join("x")}, ${rotaryDim} ${pairs} from ${offset}`;
  return { feeds, wrt: { x }, outputs: { y }, label };
}

/** The definition, by complex multiplication, independent of the kernel. */
function defined(x: ArrayLike<number>, [B, T, H, D]: number[], pairs: string, R: number, offset: number) {
  return Float64Array.from(x, (value, i) => {
    const [d, t] = [i % D, Math.floor(i / (D * H)) % T];
    if (d >= R) return value;
    const half = pairs === "half";
    const pair = half ? d % (R / 2) : Math.floor(d / 2);
    const second = half ? d >= R / 2 : d % 2 === 1;
    const other = x[i + (second ? -1 : 1) * (half ? R / 2 : 1)];
    const angle = (offset + t) * Math.pow(10_000, -2 * pair / R);
    return value * Math.cos(angle) + (second ? 1 : -1) * other * Math.sin(angle);
  }).slice(0, B * T * H * D);
}

Deno.test("rope() equals float64 on every device, far positions too", () => checkKernel("rope", rotation));
Deno.test("rope()'s gradient equals central differences", () => checkGradient("rope", rotation));

/** A rotation and its gradient, given dy. */
function complete(shape: number[], rotaryDim: number, pairs: "half" | "interleaved"): Case {
  const feeds: Record<string, Values> = {};
  const [x, dy] = ["x", "dy"].map((name) => randomInput(randomStream(4, name), feeds, name, shape));
  const y = rope(x, { pairs, rotaryDim });
  const [dx] = grad(sumAll(multiply(y, dy)), [x]);
  return { feeds, outputs: { y, dx }, label: `${shape.join("x")}, ${rotaryDim} ${pairs}` };
}

Deno.test("rope() and its gradient are the same bytes for any number of threads, and NaN where the reference device's are", async () => {
  for (const pairs of ["interleaved", "half"] as const) {
    await checkThreads(complete([2, 65, 3, 64], 64, pairs), ["rope"]);
    for (const [D, R] of [[16, 16], [13, 10], [7, 2]]) await checkNonFinite(complete([1, 3, 2, D], R, pairs));
  }
});

for (const pairs of ["interleaved", "half"] as const) {
  Deno.test(`rope() with ${pairs} pairs equals its definition within 1e-5 at position 100,000`, async () => {
    const shape = [2, 5, 3, 10];
    const feeds: Record<string, Values> = {};
    const x = randomInput(randomStream(1, "rope definition"), feeds, "x", shape);
    const y = rope(x, { pairs, rotaryDim: 8, offset: 100_003 });
    const expected = defined(feeds.x, shape, pairs, 8, 100_003);
    using oracle = referenceDevice({ precision: "f64" });
    using plain = referenceDevice();
    for (const device of [oracle, plain, ...await kernelDevices()]) {
      const results = await evaluate(device, { feeds, outputs: { y } });
      assert.ok(relativeError(results.y, expected) <= (device === oracle ? 1e-12 : 1e-5), device.adapter);
    }
  });
}

Deno.test("the product of a rotated query and key depends only on their distance", async () => {
  const feeds: Record<string, Values> = {};
  const rng = randomStream(2, "rope distance");
  const [q, k] = ["q", "k"].map((name) => randomInput(rng, feeds, name, [1, 1, 1, 16]));
  using oracle = referenceDevice({ precision: "f64" });
  const product = async (i: number, j: number) => {
    const outputs = { q: rope(q, { offset: i }), k: rope(k, { offset: j }) };
    const results = await evaluate(oracle, { feeds, outputs });
    return Array.from(results.q).reduce((sum, a, d) => sum + a * results.k[d], 0);
  };
  const near = await product(7, 3);
  assert.ok(Math.abs(near - await product(1007, 1003)) < 1e-10);
  assert.ok(Math.abs(near - await product(8, 3)) > 1e-3);
});

Deno.test("one table of turns serves several tensors", async () => {
  const feeds: Record<string, Values> = {};
  const x = randomInput(randomStream(3, "turns"), feeds, "x", [1, 4, 2, 6]);
  const table = ropeTurns(4, 6, { base: 50 });
  using oracle = referenceDevice({ precision: "f64" });
  const outputs = { shared: rope(x, { base: 50, turns: table }), separate: rope(x, { base: 50 }) };
  const results = await evaluate(oracle, { feeds, outputs });
  assert.deepEqual(results.shared, results.separate);
});

Deno.test("rope() rejects an odd or too large rotaryDim, other ranks and bad options in one line", () => {
  const x = input("x", [1, 4, 2, 6]);
  const refuses = (build: () => unknown, message: RegExp) =>
    assert.throws(build, (error) => {
      return error instanceof UserError && message.test(error.message) && !error.message.includes("\n");
    });
  refuses(() => rope(x, { rotaryDim: 3 }), /^rope: rotaryDim is 3, expected an even number of at least 2\.$/);
  refuses(() => rope(x, { rotaryDim: 8 }), /^rope: rotaryDim is 8, expected at most the head's 6\.$/);
  refuses(() => rope(input("x", [1, 4, 2, 5])), /rotaryDim is 5, expected an even number/);
  refuses(() => rope(x, { base: 0 }), /base is 0, expected a number above 0/);
  refuses(() => rope(x, { offset: -1 }), /offset is -1, expected a position/);
  refuses(() => rope(input("x", [4, 2, 6])), /rope: expected x f32\[B, T, H, d\], found f32\[4, 2, 6\]/);
  refuses(
    () => rope(x, { turns: ropeTurns(5, 6) }),
    /turns f32\[T, 6\], found f32\[1, 4, 2, 6\] and f32\[5, 6\]/,
  );
});
