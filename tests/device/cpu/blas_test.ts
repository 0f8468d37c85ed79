// Matrix products by a BLAS: the results of the device's own kernels, from every thread.
import assert from "node:assert/strict";
import { matmul } from "../../../kernels/matmul/op.ts";
import { UserError } from "../../../src/base/errors.ts";
import { randomStream } from "../../../src/base/random.ts";
import { type Blas, findBlas, openSgemm, productPhase } from "../../../src/device/cpu/blas.ts";
import { cpuDevice } from "../../../src/device/cpu/device.ts";
import { hostFeatures } from "../../../src/device/cpu/features.ts";
import { referenceDevice } from "../../../src/device/reference.ts";
import type { Values } from "../../../src/graph/tensor.ts";
import { type Case, evaluate, randomInput, relativeError } from "../../kernels/harness.ts";
import { compileBlas, HAS_COMPILER } from "./test_blas.ts";

const folder = Deno.makeTempDirSync({ prefix: "heed-blas-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** The library of this system, if there is one. */
function systemBlas(): Blas[] {
  try {
    return [findBlas("auto")];
  } catch {
    return [];
  }
}

const KINDS = ["openblas", "numpy", "mkl"] as const;
const compiled = HAS_COMPILER ? await Promise.all(KINDS.map((kind) => compileBlas(folder, kind))) : [];
const LIBRARIES = [...compiled.map(findBlas), ...systemBlas()];

/** Tests that need a library; without one and without a C compiler they are ignored. */
const test = (name: string, fn: () => void | Promise<void>): void =>
  Deno.test({ name, ignore: LIBRARIES.length === 0, fn });

/** Products in every transposition, with every combination of bias, activation and addend. */
function products(
  [batch, M, N, K]: readonly number[],
  every: readonly number[] = Array.from({ length: 32 }, (_, i) => i),
): Case[] {
  return every.map((bits) => {
    const [transA, transB, bias, activation, addend] = [1, 2, 4, 8, 16].map((bit) => (bits & bit) > 0);
    const feeds: Record<string, Values> = {};
    const rng = randomStream(bits, "product by a BLAS");
    const lead = batch === 1 ? [] : [batch];
    const a = randomInput(rng, feeds, "a", [...lead, ...(transA ? [K, M] : [M, K])]);
    const b = randomInput(rng, feeds, "b", [...lead, ...(transB ? [N, K] : [K, N])]);
    const y = matmul(a, b, {
      ...{ transA, transB },
      ...(bias ? { bias: randomInput(rng, feeds, "bias", [N]) } : {}),
      ...(activation ? { activation: "gelu" as const } : {}),
      ...(addend ? { addend: randomInput(rng, feeds, "addend", [...lead, M, N]) } : {}),
    });
    // The sums before the activation are an output of the operation that its gradient reads.
    const pre: Case["outputs"] = activation && bits % 3 ? { pre: y.node.outputs[1] } : {};
    const label = `${lead} ${M}x${N}x${K} ${JSON.stringify({ transA, transB, bias, activation, addend })}`;
    return { feeds, outputs: { y, ...pre }, label };
  });
}

/** Runs a product and checks that the library computed it. */
async function byLibrary(blas: Blas, threads: number, { feeds, outputs, label }: Case) {
  using device = cpuDevice({ threads, blas });
  using program = await device.compile({ outputs });
  const labels = program.profile(feeds).map((timing) => timing.label);
  assert.match(labels[0], /^sgemm /, label);
  assert.ok(labels.slice(1).every((name) => name === "matmul epilogue"), `${label}: ${labels}`);
  const names = Object.keys(outputs);
  const values = await program.read(names);
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

test("a BLAS computes every transposition, batched or not, with every epilogue, as float64 does", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  for (const blas of LIBRARIES) {
    const tall = products([1, 67, 90, 130], blas === LIBRARIES[0] ? undefined : [3, 12, 21, 30]);
    const batched = products([3, 49, 66, 43], [1, 2, 11, 20, 31]);
    const wide = products([1, 17, 240, 40], [0, 7, 9, 18, 30]);
    for (const made of [...tall, ...batched, ...wide]) {
      const expected = await evaluate(oracle, made);
      const values = await byLibrary(blas, 2, made);
      for (const name of Object.keys(expected)) {
        const error = relativeError(values[name], expected[name]);
        // Float32 sums of up to 130 products.
        assert.ok(error <= 1e-6, `${blas.name}, ${made.label}, ${name}: relative error ${error}`);
      }
    }
  }
});

test("with a BLAS the results are the same bytes for any number of threads", async () => {
  for (const blas of LIBRARIES) {
    for (const sizes of [[1, 400, 130, 200], [1, 60, 400, 400], [5, 60, 50, 48]]) {
      for (const made of products(sizes, [3, 30])) {
        let expected: Record<string, Values> | undefined;
        for (const threads of [1, 2, 3]) {
          const values = await byLibrary(blas, threads, made);
          assert.deepEqual(values, expected ??= values, `${blas.name}, ${made.label}`);
        }
      }
    }
  }
  const plain = { M: 400, N: 130, K: 200, batch: 1, transA: false, transB: false, then: [] };
  for (const product of [plain, { ...plain, M: 60, N: 400, K: 400 }]) {
    assert.ok(productPhase(product).blocks >= 3);
  }
});

test("NaN and infinities in every input come out of a BLAS as on the reference device", async () => {
  using reference = referenceDevice();
  const kind = (x: number) => Number.isFinite(x) ? 0 : x;
  for (const blas of LIBRARIES) {
    for (const { feeds, outputs, label } of products([1, 50, 60, 64], [20, 23])) {
      for (const name of Object.keys(feeds)) {
        for (const value of [NaN, Infinity]) {
          const values = feeds[name].slice();
          values[Math.floor(values.length / 2)] = value;
          const made = { feeds: { ...feeds, [name]: values }, outputs, label };
          const { y } = await byLibrary(blas, 2, made);
          const expected = (await evaluate(reference, made)).y;
          assert.deepEqual(Array.from(y, kind), Array.from(expected, kind), `${label}: ${value} in ${name}`);
        }
      }
    }
  }
});

test("small products and few rows stay with the device's kernels", async () => {
  for (const sizes of [[1, 4, 500, 500], [1, 30, 30, 30], [1, 500, 3, 500]]) {
    const [{ feeds, outputs }] = products(sizes, [2]);
    using device = cpuDevice({ threads: 1, blas: LIBRARIES[0] });
    using program = await device.compile({ outputs });
    for (const { label } of program.profile(feeds)) assert.match(label, /^matmul /);
  }
});

test("a library is called with addresses above 2 GiB", () => {
  const memory = new WebAssembly.Memory({ initial: 40_000, maximum: 40_000, shared: true });
  const sgemm = openSgemm(LIBRARIES[0], memory);
  const [a, b, y] = [0, 256, 512].map((offset) => 39_999 * 65536 + offset);
  new Float32Array(memory.buffer, a, 4).set([1, 2, 3, 4]);
  new Float32Array(memory.buffer, b, 4).set([5, 6, 7, 8]);
  sgemm(0, 1, 2, 2, 2, a | 0, 2, b | 0, 2, y | 0, 2);
  assert.deepEqual([...new Float32Array(memory.buffer, y, 4)], [17, 23, 39, 53]);
});

test("the device is named after its library; without shared memory it uses none", () => {
  const [blas] = LIBRARIES;
  using device = cpuDevice({ threads: 2, blas });
  assert.match(device.adapter, new RegExp(`^CPU \\(WebAssembly, \\w+ multiply-add, ${blas.name}\\)$`));
  assert.equal(device.blas, blas.build);
  if (HAS_COMPILER) {
    assert.deepEqual(LIBRARIES.slice(0, 3).map(({ name, build, int }) => [name, build, int]), [
      ["OpenBLAS 1.2.3", "OpenBLAS 1.2.3 FOR_TESTS", "i32"],
      ["OpenBLAS 1.2.3", "OpenBLAS 1.2.3 FOR_TESTS", "i64"],
      ["MKL 4.5", "Library Version 4.5-Product FOR_TESTS", "i32"],
    ]);
  }
  using alone = cpuDevice({ blas, features: { ...hostFeatures(), shared: false } });
  assert.doesNotMatch(alone.adapter, /BLAS/);
});

Deno.test("a file that is no BLAS, or does not exist, is an error of one line", () => {
  const none = `${folder}/none.so`;
  assert.throws(() => findBlas(none), (error) => {
    return error instanceof UserError && error.message.startsWith("blas: ") && error.message.includes(none) &&
      !error.message.includes("\n");
  });
});
