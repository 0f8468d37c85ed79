// Cross-entropy: losses, gradient, ignored targets, ties, and logits too large for a plain exponential.
import assert from "node:assert/strict";
import { crossEntropy, IGNORE } from "../../kernels/cross_entropy/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
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
  webgpuDevices,
} from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

/** A random batch; a fifth of the targets are ignored, some because they are past the vocabulary. */
function batch(
  rng: RandomStream,
  { rows = between(rng, 1, 150), size = between(rng, 2, 300), scale = 3 } = {},
) {
  const feeds: Record<string, Values> = {};
  const logits = randomInput(rng, feeds, "logits", [rows, size], scale);
  // Integers in a third of the cases, so that the largest logit is often tied.
  if (rng.below(3) === 0) feeds.logits.forEach((x, i) => feeds.logits[i] = Math.round(x));
  feeds.targets = Uint32Array.from({ length: rows }, () => {
    if (rng.below(5) > 0) return rng.below(size);
    return [IGNORE, size, size + 7][rng.below(3)];
  });
  const targets = input("targets", [rows], "u32");
  return { feeds, logits, targets, label: `${rows}x${size}` };
}

function everything(rng: RandomStream): Case {
  const { feeds, logits, targets, label } = batch(rng);
  return { feeds, outputs: { ...crossEntropy(logits, targets) }, label };
}

Deno.test("crossEntropy() equals float64 on every device, with ignored targets and ties", () => {
  return checkKernel("cross entropy", everything, { count: 30 });
});

Deno.test("crossEntropy() without its gradient gives the same numbers", () => {
  return checkKernel("cross entropy evaluation", (rng) => {
    const { feeds, outputs: { loss, losses, valid, correct }, label } = everything(rng);
    return { feeds, outputs: { loss, losses, valid, correct }, label };
  });
});

Deno.test("the gradient of crossEntropy() is not computed if nothing reads it", async () => {
  const { loss } = crossEntropy(input("logits", [4, 5]), input("targets", [4], "u32"));
  const [device] = await webgpuDevices();
  using evaluation = await device.compile({ outputs: { loss } });
  using training = await device.compile({ outputs: { loss, dlogits: grad(loss, [loss.node.inputs[0]])[0] } });
  const rowsOf = (program: typeof training) => program.plan.steps[0].lowered.dispatches[1].constants.GRADIENT;
  assert.deepEqual([rowsOf(evaluation), rowsOf(training)], [false, true]);
  assert.equal(training.plan.steps.length, 1, "a seed of 1 costs no kernel");
});

Deno.test("the gradient of crossEntropy() equals central differences", () => {
  return checkGradient("cross entropy", (rng): Case & { wrt: Record<string, Tensor> } => {
    const { feeds, logits, targets, label } = batch(rng, {
      rows: between(rng, 1, 20),
      size: between(rng, 2, 30),
    });
    return { feeds, wrt: { logits }, outputs: { loss: crossEntropy(logits, targets).loss }, label };
  });
});

Deno.test("crossEntropy() of logits in the thousands stays finite and exact", () => {
  return checkKernel("large logits", (rng) => {
    const { feeds, logits, targets, label } = batch(rng, { scale: 2000 });
    return { feeds, outputs: { ...crossEntropy(logits, targets) }, label };
  }, { count: 5 });
});

Deno.test("crossEntropy() accepts rows beyond 65,535 workgroups and a large vocabulary", async () => {
  for (const [rows, size] of [[66_001, 3], [5, 50_257]]) {
    await checkKernel("cross entropy sizes", (rng) => {
      const { feeds, logits, targets, label } = batch(rng, { rows, size });
      return { feeds, outputs: { ...crossEntropy(logits, targets) }, label };
    }, { count: 1 });
  }
});

Deno.test("crossEntropy() equals float64 for thin and odd shapes", async () => {
  for (const [rows, size] of [[1, 1], [1, 5], [2, 3], [3, 16], [5, 18], [9, 1027], [131, 65]]) {
    await checkKernel("cross entropy shapes", (rng) => {
      const { feeds, logits, targets, label } = batch(rng, { rows, size });
      return { feeds, outputs: { ...crossEntropy(logits, targets) }, label };
    }, { count: 2 });
  }
});

Deno.test("crossEntropy() gives the same bytes for any number of threads", async () => {
  const { feeds, logits, targets } = batch(randomStream(0, "threads"), { rows: 523, size: 67 });
  await checkThreads({ feeds, outputs: { ...crossEntropy(logits, targets) } }, ["cross_entropy"]);
});

Deno.test("crossEntropy() is not finite where the reference device is not", async () => {
  for (const size of [4, 19]) {
    const { feeds, logits, targets, label } = batch(randomStream(size, "not finite"), { rows: 7, size });
    await checkNonFinite({ feeds, outputs: { ...crossEntropy(logits, targets) }, label }, ["logits"]);
  }
});

Deno.test("predictions beside NaN are those of the reference device", async () => {
  const { hits } = crossEntropy(input("logits", [4, 9]), input("targets", [4], "u32"));
  const logits = Float32Array.from({ length: 36 }, (_, i) => i % 9 === 7 ? 2 : 1);
  // NaN at the start of rows 0 and 1 is their largest logit; elsewhere it never is.
  for (const at of [0, 9, 18 + 3, 27 + 7]) logits[at] = NaN;
  const testCase = { feeds: { logits, targets: Uint32Array.of(0, 7, 7, 0) }, outputs: { hits } };
  using reference = referenceDevice();
  using cpu = cpuDevice({ threads: 1 });
  for (const device of [reference, cpu]) {
    assert.deepEqual([...(await evaluate(device, testCase)).hits], [1, 0, 1, 1], device.kind);
  }
});

Deno.test("without a valid target the loss and its gradient are zero", async () => {
  const outputs = { ...crossEntropy(input("logits", [3, 5]), input("targets", [3], "u32")) };
  const feeds = { logits: new Float32Array(15).fill(2), targets: Uint32Array.of(IGNORE, 5, IGNORE) };
  using reference = referenceDevice();
  for (const device of [reference, ...await kernelDevices()]) {
    for (const [name, values] of Object.entries(await evaluate(device, { feeds, outputs }))) {
      assert.ok(values.every((value) => value === 0), `${name} on ${device.adapter}: ${values}`);
    }
  }
});

Deno.test("the first of equal logits is the prediction", async () => {
  const { correct } = crossEntropy(input("logits", [3, 70]), input("targets", [3], "u32"));
  const logits = new Float32Array(3 * 70);
  for (const [row, column] of [[0, 3], [0, 66], [1, 3], [1, 66]]) logits[row * 70 + column] = 1;
  // Row 0 is correct, row 1 has the second of equal logits as target, row 2 is flat and so correct with token 0.
  const feeds = { logits, targets: Uint32Array.of(3, 66, 0) };
  using reference = referenceDevice();
  for (const device of [reference, ...await kernelDevices()]) {
    assert.deepEqual([...(await evaluate(device, { feeds, outputs: { correct } })).correct], [2]);
  }
});

Deno.test("a NaN logit makes the loss NaN", async () => {
  const { loss } = crossEntropy(input("logits", [2, 70]), input("targets", [2], "u32"));
  const logits = new Float32Array(140);
  logits[80] = NaN;
  using reference = referenceDevice();
  for (const device of [reference, ...await kernelDevices()]) {
    const results = await evaluate(device, {
      feeds: { logits, targets: Uint32Array.of(1, 2) },
      outputs: { loss },
    });
    assert.ok(Number.isNaN(results.loss[0]), `${results.loss[0]} on ${device.adapter}`);
  }
});

Deno.test("crossEntropy() equals PyTorch's, with its gradient", async () => {
  const { cross_entropy: golden } = opsGolden();
  const [rows, size] = golden.logits.shape;
  const logits = input("logits", [rows, size]);
  const { loss } = crossEntropy(logits, input("targets", [rows], "u32"));
  const feeds = {
    logits: Float64Array.from(golden.logits.data),
    targets: Uint32Array.from(golden.targets.data, (t) => t === golden.ignore_index ? IGNORE : t),
  };
  const outputs = { loss, dlogits: grad(loss, [logits], golden.dloss.data[0])[0] };
  using oracle = referenceDevice({ precision: "f64" });
  for (const device of [oracle, ...await kernelDevices()]) {
    const results = await evaluate(device, { feeds, outputs });
    const tolerance = device === oracle ? 1e-12 : 1e-5;
    for (const key of ["loss", "dlogits"] as const) {
      const error = relativeError(results[key], golden[key].data);
      assert.ok(error <= tolerance, `${key} on ${device.adapter}: ${error}, allowed ${tolerance}`);
    }
  }
});

Deno.test("targets that do not fit the logits are an error that shows the shapes", () => {
  const logits = input("logits", [4, 5]);
  assert.throws(() => crossEntropy(logits, input("targets", [3], "u32")), (error) => {
    return error instanceof UserError &&
      error.message ===
        "cross_entropy: expected logits f32[N, V] and targets u32[N], found f32[4, 5] and u32[3].";
  });
  assert.throws(() => crossEntropy(logits, input("targets", [4])), UserError);
  assert.throws(() => grad(crossEntropy(logits, input("t", [4], "u32")).losses, [logits]), /has a gradient/);
});
