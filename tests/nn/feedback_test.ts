// Feedback alignment: the error that a linear layer propagates backward, and what does not change.
import assert from "node:assert/strict";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { linear, matmul } from "../../kernels/matmul/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import {
  directError,
  feedbackLinear,
  feedbackMatrix,
  keepError,
  type OutputError,
} from "../../src/nn/feedback.ts";
import { evaluate, randomInput, relativeError, webgpuDevices } from "../kernels/harness.ts";

/** y = x W^T + b + r, logits = y U^T: values and gradients with feedback, and the expected ones. */
function chain(method: "fa" | "dfa") {
  const rng = randomStream(5, `feedback ${method}`);
  const feeds: Record<string, Values> = {};
  const make = (name: string, shape: number[]) => randomInput(rng, feeds, name, shape);
  const leaves: Record<string, Tensor> = {
    x: make("x", [2, 3, 4]),
    W: make("W", [5, 4]),
    b: make("b", [5]),
    r: make("r", [2, 3, 5]),
    U: make("U", [7, 5]),
  };
  const { x, W, b, r, U } = leaves;
  const output: OutputError = {};
  const feedback = { name: `test ${method}`, std: 0.5 };
  const y = method === "fa"
    ? feedbackLinear(x, W, feedback, { bias: b, addend: r })
    : linear(directError(x, feedback, output), W, { bias: b, addend: r });
  const logits = keepError(linear(y, U), output);
  const e = make("e", [6, 7]);
  const gradients = grad(sumAll(multiply(logits, e)), Object.values(leaves));
  const names = Object.keys(leaves);
  const plain = linear(linear(x, W, { bias: b, addend: r }), U);
  const exact = grad(sumAll(multiply(plain, e)), Object.values(leaves));
  const dy = matmul(e, U);
  const error = method === "dfa" ? e : dy;
  return {
    feeds,
    actual: { logits, ...Object.fromEntries(names.map((name, i) => [name, gradients[i]])) },
    expected: {
      logits: plain,
      ...Object.fromEntries(names.map((name, i) => [name, exact[i]])),
      x: matmul(error, feedbackMatrix(feedback, [error.shape[1], 4])),
    },
    exact: exact[0],
  };
}

for (const [method, sends] of [["fa", "the layer's error"], ["dfa", "the logits' error"]] as const) {
  Deno.test(`${method} sends ${sends} through a fixed random matrix; all other gradients keep their form`, async () => {
    const { feeds, actual, expected, exact } = chain(method);
    using oracle = referenceDevice({ precision: "f64" });
    const gradients: Record<string, Values> = await evaluate(oracle, { feeds, outputs: expected });
    for (const device of [oracle, ...await webgpuDevices()]) {
      const values: Record<string, Values> = await evaluate(device, { feeds, outputs: actual });
      for (const name of Object.keys(actual)) {
        const error = relativeError(values[name], gradients[name]);
        assert.ok(error <= (device === oracle ? 1e-12 : 1e-5), `${device.adapter}, ${name}: ${error}`);
      }
    }
    const { x } = await evaluate(oracle, { feeds, outputs: { x: exact } });
    assert.ok(relativeError(gradients.x, x) > 0.1, "which is not the gradient");
  });
}

Deno.test("a feedback matrix is the same in every program, and differs by name", async () => {
  using device = referenceDevice();
  const draw = async (name: string) => {
    const outputs = { b: feedbackMatrix({ name, std: 0.02 }, [3, 4]) };
    return (await evaluate(device, { feeds: {}, outputs })).b;
  };
  assert.deepEqual(await draw("blocks.0.mlp.fc"), await draw("blocks.0.mlp.fc"));
  assert.notDeepEqual(await draw("blocks.0.mlp.fc"), await draw("blocks.1.mlp.fc"));
});

Deno.test("dfa without the error of the logits is refused", () => {
  const feeds: Record<string, Values> = {};
  const rng = randomStream(6, "feedback without logits");
  const [x, W] = [randomInput(rng, feeds, "x", [2, 3]), randomInput(rng, feeds, "W", [4, 3])];
  const y = linear(directError(x, { name: "lonely", std: 1 }, {}), W);
  assert.throws(() => grad(sumAll(y), [x]), /lonely: dfa needs the error of the logits/);
});
