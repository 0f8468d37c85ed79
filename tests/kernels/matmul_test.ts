import assert from "node:assert/strict";
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import { linear, matmul, matmulOp, type MatmulOptions } from "../../kernels/matmul/op.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { type CpuDevice, cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import { apply, sizeOf, type Tensor, type Values } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { between, type Case, checkGradient, checkKernel, randomInput } from "./harness.ts";
import { evaluate, kernelDevices, relativeError } from "./harness.ts";

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
    Deno.test(`${name} with every epilogue equals float64`, () =>
      checkKernel(name, product(90, { transA, transB })));
    Deno.test(`${name} has the gradient of central differences`, () => {
      return checkGradient(name, product(14, { transA, transB }), { directions: 2 });
    });
  }
}

/** The CPU device with two threads. */
const cpuWithThreads = async () => (await kernelDevices()).find(({ kind }) => kind === "cpu")! as CpuDevice;

/** Compares the CPU device with float64, and checks that nothing ran in TypeScript. */
async function checkOnCpu({ feeds, outputs, label }: Case): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  using program = await (await cpuWithThreads()).compile({ outputs });
  assert.deepEqual(program.inTypeScript, [], label);
  program.run(feeds);
  const names = Object.keys(outputs);
  const values = await program.read(names);
  const expected = await evaluate(oracle, { feeds, outputs });
  names.forEach((name, i) => {
    const error = relativeError(values[i], expected[name], 1);
    // Float32 sums of up to 5,000 products of numbers up to 1.
    assert.ok(error <= 2e-6, `${label}: relative error of ${name} is ${error}`);
  });
}

/** A product of the given sizes, with every part of the epilogue, for every transposition. */
const cases = (sizes: readonly (readonly [batch: number, M: number, N: number, K: number])[]) =>
  sizes.flatMap(([batch, M, N, K]) =>
    [0, 1, 2, 3].map((bits) => (rng: RandomStream): Case => {
      const options = { transA: (bits & 1) === 1, transB: bits > 1 };
      const feeds: Record<string, Values> = {};
      // A prime number of different numbers, repeated: millions of random ones take longer than the products.
      const numbers = Float64Array.from({ length: 4099 }, () => Math.fround(rng.below(2001) / 1000 - 1));
      const repeated = (name: string, shape: number[]): Tensor => {
        feeds[name] = Float64Array.from({ length: sizeOf(shape) }, (_, i) => numbers[i % numbers.length]);
        return input(name, shape);
      };
      const a = repeated("a", [batch, ...(options.transA ? [K, M] : [M, K])]);
      const b = repeated("b", [batch, ...(options.transB ? [N, K] : [K, N])]);
      const bias = repeated("bias", [N]);
      const addend = repeated("addend", [batch, M, N]);
      const attrs = { ...options, bias: true, addend: true, activation: "gelu" } as const;
      const [y, pre] = apply(matmulOp, [a, b, bias, addend], attrs);
      const outputs = { y, pre, linear: matmul(a, b, { ...options, bias, addend }) };
      return { feeds, outputs, label: `${batch}x${M}x${N}x${K} ${JSON.stringify(options)}` };
    })
  );

Deno.test("matmul of one row, one column, one value along k, and few of each equals float64", async () => {
  const few = [1, 2, 3, 7];
  const sizes = few.flatMap((M) => few.flatMap((N) => few.map((K) => [1, M, N, K] as const)));
  for (const make of cases(sizes)) await checkOnCpu(make(randomStream(1, "thin product")));
});

Deno.test("matmul of sizes that the CPU splits equals float64", async () => {
  const sizes = [
    ...[[1, 70, 90, 2500], [1, 20, 8203, 520], [1, 8200, 7, 520], [1, 50, 60, 5000], [1, 9, 700, 1500], [
      1,
      50,
      27,
      36,
    ], [1, 130, 130, 1]],
    ...[[1, 700, 3, 64], [1, 8, 1000, 9], [5, 13, 65, 66], [2, 65, 4, 2000], [2, 200, 300, 300]],
  ] as [number, number, number, number][];
  for (const make of cases(sizes)) await checkOnCpu(make(randomStream(1, "split product")));
});

Deno.test("matmul gives the same bytes for any number of threads", async () => {
  for (const make of cases([[1, 100, 130, 1100], [4, 60, 50, 40], [1, 3, 2000, 300]])) {
    const { feeds, outputs, label } = make(randomStream(1, "threads of a product"));
    let expected: Values[] | undefined;
    for (const threads of [1, 2, 3]) {
      using device = cpuDevice({ threads });
      using program = await device.compile({ outputs });
      const blocks = Math.max(
        ...program.plan.steps.map(({ simd }) =>
          Math.max(0, ...(simd?.phases ?? []).map((phase) => phase.blocks))
        ),
      );
      assert.ok(blocks >= 3, `${label}: ${blocks} blocks`);
      program.run(feeds);
      const values = await program.read(Object.keys(outputs));
      assert.deepEqual(values, expected ??= values, label);
    }
  }
});

Deno.test("NaN and infinities in every input of matmul come out as on the reference device", async () => {
  using reference = referenceDevice();
  for (const make of cases([[1, 13, 21, 10], [1, 3, 21, 10], [1, 80, 70, 50]])) {
    for (const name of ["a", "b", "bias", "addend"]) {
      for (const value of [NaN, Infinity]) {
        const { feeds, outputs, label } = make(randomStream(1, "not finite"));
        feeds[name][Math.floor(feeds[name].length / 2)] = value;
        const [actual, expected] = [
          await evaluate(await cpuWithThreads(), { feeds, outputs }),
          await evaluate(reference, { feeds, outputs }),
        ];
        const kind = (x: number) => Number.isFinite(x) ? 0 : x;
        for (const key of Object.keys(outputs)) {
          const where = `${label}: ${value} in ${name}, ${key}`;
          assert.deepEqual(Array.from(actual[key], kind), Array.from(expected[key], kind), where);
        }
      }
    }
  }
});

Deno.test("linear() keeps leading dimensions", () => {
  assert.deepEqual(linear(input("x", [2, 3, 4]), input("w", [5, 4])).shape, [2, 3, 5]);
});

Deno.test("matmul of shapes that do not fit is an error of one line with both shapes", () => {
  assert.throws(
    () => matmul(input("a", [2, 3]), input("b", [4, 5])),
    (error) => error instanceof UserError && /f32\[2, 3\] and f32\[4, 5\]/.test(error.message),
  );
});
