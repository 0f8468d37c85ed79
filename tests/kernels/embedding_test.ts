// The embedding: rows, the table's gradient along chains of equal ids, the tied head's gradient added on the
// way.
import assert from "node:assert/strict";
import { add, multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { opsGolden } from "../golden/golden.ts";
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

/** A random lookup: few frequent ids, or many rare ones; sometimes one past the table. */
function lookup(rng: RandomStream): Case & { wrt: Record<string, Tensor> } {
  const feeds: Record<string, Values> = {};
  const rows = rng.below(2) ? between(rng, 1, 9) : between(rng, 100, 900);
  const size = rng.below(2) ? between(rng, 1, 70) : 4 * between(rng, 1, 20);
  const shape = rng.below(2) ? [between(rng, 1, 300)] : [between(rng, 1, 7), between(rng, 1, 40)];
  const table = randomInput(rng, feeds, "table", [rows, size]);
  feeds.ids = Uint32Array.from({ length: shape.reduce((a, b) => a * b) }, () => {
    return rng.below(20) ? rng.below(rows) : rows + rng.below(3);
  });
  const y = embedding(table, input("ids", shape, "u32"));
  return { feeds, wrt: { table }, outputs: { y }, label: `${rows}x${size} by ${shape.join("x")}` };
}

/** The table's gradient alone, and with the gradient of another use of the table, as of a tied head. */
function gradientsOf(rng: RandomStream): Case {
  const { feeds, wrt: { table }, outputs: { y }, label } = lookup(rng);
  const loss = sumAll(multiply(y, randomInput(rng, feeds, "dy", [...y.shape])));
  const head = sumAll(multiply(table, randomInput(rng, feeds, "head", [...table.shape])));
  const [alone] = grad(loss, [table]);
  const [tied] = grad(add(loss, head), [table]);
  assert.deepEqual([alone.node.inputs.length, tied.node.inputs.length], [2, 3], "the addend is fused");
  return { feeds, outputs: { alone, tied }, label };
}

Deno.test("embedding() equals float64 on every device, for any shape of ids", () =>
  checkKernel("embedding", lookup));
Deno.test("the table's gradient, alone and tied, equals float64 on every device", () => {
  // Sums of at most 300 terms in float32.
  return checkKernel("embedding gradients", gradientsOf, { tolerance: 1e-5, count: 30 });
});
Deno.test("the table's gradient equals central differences", () => checkGradient("embedding", lookup));

Deno.test("one id for 70,000 tokens, and 70,000 ids for as many tokens, are summed correctly", async () => {
  for (const rows of [1, 70_000]) {
    await checkKernel("long chain", (rng) => {
      const feeds: Record<string, Values> = { ids: Uint32Array.from({ length: 70_000 }, (_, n) => n % rows) };
      const table = randomInput(rng, feeds, "table", [rows, 2]);
      const y = embedding(table, input("ids", [70_000], "u32"));
      const [dtable] = grad(sumAll(multiply(y, randomInput(rng, feeds, "dy", [70_000, 2]))), [table]);
      return { feeds, outputs: { y, dtable } };
      // One float32 sum of 70,000 terms: sqrt(70,000) roundings of 3e-8 at random is 8e-6.
    }, { count: 1 });
  }
});

/** A lookup of given sizes in a table, with both gradients. */
function lookupOf(rows: number, size: number, tokens: number): Case {
  const rng = randomStream(size, "lookup");
  const feeds: Record<string, Values> = { ids: Uint32Array.from({ length: tokens }, () => rng.below(rows)) };
  const table = randomInput(rng, feeds, "table", [rows, size]);
  const y = embedding(table, input("ids", [tokens], "u32"));
  const loss = sumAll(multiply(y, randomInput(rng, feeds, "dy", [tokens, size])));
  const head = sumAll(multiply(table, randomInput(rng, feeds, "head", [rows, size])));
  const [[alone], [tied]] = [grad(loss, [table]), grad(add(loss, head), [table])];
  return { feeds, outputs: { y, alone, tied }, label: `${rows}x${size}` };
}

Deno.test("embedding() and the table's gradient are the same bytes for any number of threads", async () => {
  // Zeros and addends of the gradient are written in blocks of 32,768 numbers, of which 30 x 4500 has a last, shorter one.
  for (const [rows, size, tokens] of [[65, 129, 700], [30, 4500, 20]]) {
    await checkThreads(lookupOf(rows, size, tokens), ["embedding", "embedding_backward"]);
  }
});

Deno.test("embedding() and the table's gradient are not finite where the reference device's are not", async () => {
  for (const size of [4, 19]) await checkNonFinite(lookupOf(9, size, 14));
});

Deno.test("the table's gradient is deterministic", async () => {
  const testCase = gradientsOf(randomStream(3, "embedding twice"));
  for (const device of await kernelDevices()) {
    assert.deepEqual(await evaluate(device, testCase), await evaluate(device, testCase));
  }
});

Deno.test("a program's second run starts from a table gradient of zero again", async () => {
  const testCase = gradientsOf(randomStream(4, "embedding again"));
  using reference = referenceDevice();
  for (const device of [reference, ...await kernelDevices()]) {
    using program = await device.compile({ outputs: testCase.outputs });
    program.run(testCase.feeds);
    const first = await program.read(["alone", "tied"]);
    program.run(testCase.feeds);
    assert.deepEqual(await program.read(["alone", "tied"]), first);
  }
});

Deno.test("embedding() equals PyTorch's, with its gradient", async () => {
  const { ids, weight, y: expected, dy, dweight } = opsGolden().embedding;
  const table = input("table", weight.shape);
  const y = embedding(table, input("ids", ids.shape, "u32"));
  const [dtable] = grad(sumAll(multiply(y, input("dy", dy.shape))), [table]);
  const feeds = {
    table: Float64Array.from(weight.data),
    dy: Float64Array.from(dy.data),
    ids: Uint32Array.from(ids.data),
  };
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await kernelDevices()]) {
    const results = await evaluate(device, { feeds, outputs: { y, dtable } });
    assert.deepEqual(y.shape, expected.shape);
    // The golden numbers are multiples of 2^-10: their rows and sums are exact in float32.
    assert.equal(relativeError(results.y, expected.data), 0);
    assert.equal(relativeError(results.dtable, dweight.data), 0);
  }
});

Deno.test("ids that are not u32 are an error that shows the shapes", () => {
  assert.throws(() => embedding(input("table", [7, 3]), input("ids", [2, 5])), (error) => {
    return error instanceof UserError &&
      error.message ===
        "embedding: expected table f32[V, D] and ids u32[...], found f32[7, 3] and f32[2, 5].";
  });
});
