import assert from "node:assert/strict";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import { linear, matmul, type MatmulOptions } from "../../kernels/matmul/op.ts";
import type { RandomStream } from "../../src/base/random.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { between, type Case, checkGradient, checkKernel, randomInput } from "./harness.ts";

/** A product of random odd sizes, with a random choice of transposes, batch and epilogue. */
function product(largest: number, fixed: MatmulOptions = {}) {
  return (rng: RandomStream): Case & { wrt: Record<string, Tensor> } => {
    const [M, N, K] = [0, 0, 0].map(() => between(rng, 1, largest));
    const options = { transA: rng.below(2) === 1, transB: rng.below(2) === 1, ...fixed };
    const lead = rng.below(3) === 0 ? [between(rng, 1, 3), 2] : [];
    const feeds = {};
    const wrt: Record<string, Tensor> = {
      a: randomInput(rng, feeds, "a", [...lead, ...(options.transA ? [K, M] : [M, K])]),
      b: randomInput(rng, feeds, "b", [...lead, ...(options.transB ? [N, K] : [K, N])]),
    };
    if (rng.below(2)) wrt.bias = randomInput(rng, feeds, "bias", [N]);
    if (rng.below(2)) wrt.addend = randomInput(rng, feeds, "addend", [...lead, M, N]);
    const names = Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[];
    const activation = rng.below(2) ? names[rng.below(names.length)] : undefined;
    const y = matmul(wrt.a, wrt.b, { ...options, bias: wrt.bias, addend: wrt.addend, activation });
    const label = `${lead}:${M}x${N}x${K} ${
      JSON.stringify({ ...options, activation, inputs: Object.keys(wrt) })
    }`;
    return { feeds, wrt, outputs: { y }, label };
  };
}

for (const transA of [false, true]) {
  for (const transB of [false, true]) {
    const name = `matmul${transA ? " of a transposed a" : ""}${transB ? " of a transposed b" : ""}`;
    Deno.test(`${name} with every epilogue equals float64 on WebGPU`, () =>
      checkKernel(name, product(90, { transA, transB })));
    Deno.test(`${name} has the gradient of central differences`, () => {
      return checkGradient(name, product(14, { transA, transB }), { directions: 2 });
    });
  }
}

Deno.test("linear() keeps leading dimensions", () => {
  assert.deepEqual(linear(input("x", [2, 3, 4]), input("w", [5, 4])).shape, [2, 3, 5]);
});

Deno.test("matmul of shapes that do not fit is an error of one line with both shapes", () => {
  assert.throws(
    () => matmul(input("a", [2, 3]), input("b", [4, 5])),
    (error) => error instanceof UserError && /f32\[2, 3\] and f32\[4, 5\]/.test(error.message),
  );
});
