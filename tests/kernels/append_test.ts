// Rows appended to every sample, and where their gradients go.
import assert from "node:assert/strict";
import { append } from "../../kernels/append/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { between, type Case, checkGradient, checkKernel, evaluate, randomInput } from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

function appended(
  rng: RandomStream,
  [B, S, E, C] = [between(rng, 1, 9), between(rng, 1, 33), between(rng, 1, 5), between(rng, 1, 70)],
): Case & { wrt: Record<string, Tensor> } {
  const feeds: Record<string, Values> = {};
  const wrt = { x: randomInput(rng, feeds, "x", [B, S, C]), rows: randomInput(rng, feeds, "rows", [E, C]) };
  return { feeds, wrt, outputs: { y: append(wrt.x, wrt.rows) }, label: `${B}x${S}+${E}x${C}` };
}

/** Both gradients, and each alone, without the other's kernel. */
function gradients(rng: RandomStream, sizes?: Parameters<typeof appended>[1]): Case {
  const { feeds, wrt: { x, rows }, outputs: { y }, label } = appended(rng, sizes);
  const loss = sumAll(multiply(y, randomInput(rng, feeds, "dy", [...y.shape])));
  const [dx, drows] = grad(loss, [x, rows]);
  return { feeds, label, outputs: { dx, drows, onlyX: grad(loss, [x])[0], onlyRows: grad(loss, [rows])[0] } };
}

Deno.test("append() equals float64 on every device", () => checkKernel("append", (rng) => appended(rng)));
Deno.test("append()'s gradients equal float64 on every device", () =>
  checkKernel("append gradient", (rng) => gradients(rng)));
Deno.test("append()'s gradients equal central differences", () =>
  checkGradient("append", (rng) => appended(rng)));

Deno.test("append() and its gradients are the same bytes for any number of threads", async () => {
  const rng = randomStream(5, "append threads");
  await checkThreads(appended(rng, [5, 7, 2, 19]), ["append"]);
  // The sum over samples has a block for 64 columns.
  await checkThreads(gradients(rng, [3, 5, 3, 67]), ["append_backward"]);
});

Deno.test("append() and its gradients are not finite where the reference device's are not", async () => {
  const rng = randomStream(6, "append not finite");
  await checkNonFinite(appended(rng, [2, 3, 2, 5]));
  await checkNonFinite(gradients(rng, [2, 3, 2, 5]));
});

Deno.test("append() appends the same rows to every sample", async () => {
  const feeds: Record<string, Values> = {};
  const rng = randomStream(4, "append order");
  const [x, rows] = [randomInput(rng, feeds, "x", [2, 2, 1]), randomInput(rng, feeds, "rows", [1, 1])];
  using oracle = referenceDevice({ precision: "f64" });
  const { y } = await evaluate(oracle, { feeds, outputs: { y: append(x, rows) } });
  const [a, b, c, d] = feeds.x;
  assert.deepEqual([...y], [a, b, feeds.rows[0], c, d, feeds.rows[0]]);
});

Deno.test("append() of rows of another width is rejected in one line", () => {
  assert.throws(() => append(input("x", [2, 3, 4]), input("rows", [1, 5])), (error) => {
    return error instanceof UserError &&
      error.message ===
        "append: expected x f32[B, S, C] and rows f32[E, C], found f32[2, 3, 4] and f32[1, 5].";
  });
});
