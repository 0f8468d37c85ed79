// LayerNorm and RMSNorm: outputs, gradients of x and of the parameters, the addend, and cases that are hard in float32.
import assert from "node:assert/strict";
import { add, multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { layerNorm, rmsNorm } from "../../kernels/norm/op.ts";
import type { NormBackwardAttrs } from "../../kernels/norm/sizes.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { opsGolden, type OpTensor } from "../golden/golden.ts";
import {
  between,
  type Case,
  checkGradient,
  checkKernel,
  evaluate,
  randomInput,
  relativeError,
  webgpuDevices,
} from "./harness.ts";
import { checkNonFinite, checkThreads } from "./simd_cases.ts";

type Kind = "layerNorm" | "layerNorm without bias" | "rmsNorm";
const KINDS: readonly Kind[] = ["layerNorm", "layerNorm without bias", "rmsNorm"];

function build(kind: Kind, x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  if (kind === "rmsNorm") return rmsNorm(x, weight);
  return layerNorm(x, weight, kind === "layerNorm" ? bias : undefined);
}

/** A normalisation of a random shape; `widest` rows take the vector path under both schedules. */
function normCase(rng: RandomStream, kind: Kind, widest: number): Case & { wrt: Record<string, Tensor> } {
  const feeds: Record<string, Values> = {};
  // With two numbers per row dx is only rounding error; with three or more it can be compared.
  const size = rng.below(2) ? between(rng, 3, widest) : 4 * between(rng, 1, Math.floor(widest / 4));
  const shape = [between(rng, 1, 5), between(rng, 1, 40), size];
  const x = randomInput(rng, feeds, "x", shape, 3);
  const weight = randomInput(rng, feeds, "weight", [size]);
  const bias = randomInput(rng, feeds, "bias", [size]);
  const wrt: Record<string, Tensor> = kind === "layerNorm" ? { x, weight, bias } : { x, weight };
  return { feeds, wrt, label: shape.join("x"), outputs: { y: build(kind, x, weight, bias) } };
}

/** Gradients as outputs, with another use of x so that its gradient goes through the addend. */
function gradientsOf(rng: RandomStream, kind: Kind): Case {
  const { feeds, wrt, outputs: { y }, label } = normCase(rng, kind, 600);
  const weighted = (name: string, z: Tensor) =>
    sumAll(multiply(z, randomInput(rng, feeds, name, [...z.shape])));
  const alone = weighted("dy", y);
  const beside = add(alone, weighted("dx beside", wrt.x));
  const names = Object.keys(wrt);
  const outputs: Record<string, Tensor> = {};
  grad(alone, names.map((name) => wrt[name])).forEach((g, i) => outputs[`d${names[i]}`] = g);
  [outputs["dx with addend"]] = grad(beside, [wrt.x]);
  assert.equal((outputs["dx with addend"].node.attrs as NormBackwardAttrs).addend, true);
  return { feeds, outputs, label };
}

/** The normalisation of x [rows, size] and all gradients, given dy. */
function complete(kind: Kind, rows: number, size: number): Case {
  const rng = randomStream(rows, `${kind} of ${size}`);
  const feeds: Record<string, Values> = {};
  const x = randomInput(rng, feeds, "x", [rows, size], 3);
  const [weight, bias] = ["weight", "bias"].map((name) => randomInput(rng, feeds, name, [size]));
  const dy = randomInput(rng, feeds, "dy", [rows, size]);
  const y = build(kind, x, weight, bias);
  const wrt = { x, weight, ...(kind === "layerNorm" ? { bias } : {}) };
  const slopes = grad(sumAll(multiply(y, dy)), Object.values(wrt));
  const gradients = Object.fromEntries(Object.keys(wrt).map((name, i) => [`d${name}`, slopes[i]]));
  if (kind !== "layerNorm") delete feeds.bias;
  return { feeds, outputs: { y, ...gradients }, label: `${kind} of ${rows}x${size}` };
}

/** Rows and sizes with every number of rows of a last group, and every tail of a row and of a strip of columns. */
const ODD_SHAPES = [[1, 4], [2, 7], [3, 18], [5, 33], [6, 67], [9, 130], [600, 3], [1030, 20]];

for (const kind of KINDS) {
  Deno.test(`${kind} and its gradients equal float64 for thin and odd shapes`, async () => {
    for (const [rows, size] of ODD_SHAPES) {
      await checkKernel(kind, () => complete(kind, rows, size), { count: 1 });
    }
  });
  Deno.test(`${kind} and its gradients are the same bytes for any number of threads`, () => {
    return checkThreads(complete(kind, 601, 71), ["norm", "norm_backward", "norm_parameters"]);
  });
  Deno.test(`${kind} and its gradients are not finite where the reference device's are not`, async () => {
    for (const size of [4, 7]) await checkNonFinite(complete(kind, 6, size));
  });
  Deno.test(`${kind} equals float64 on every device`, () =>
    checkKernel(kind, (rng) => normCase(rng, kind, 600)));
  // Measured 3e-7; an error in any term exceeds 1e-5.
  Deno.test(`${kind}'s gradients, with and without an addend, equal float64 on every device`, () => {
    return checkKernel(`${kind} gradients`, (rng) => gradientsOf(rng, kind), { tolerance: 1e-5 });
  });
  Deno.test(`${kind}'s gradients equal central differences`, () => {
    return checkGradient(kind, (rng) => normCase(rng, kind, 30), { directions: 2 });
  });
}

Deno.test("layerNorm's variance survives a mean a thousand times its deviation", async () => {
  // The mean alone is rounded to 6e-5 here; a difference of sums would be off by 5e-2.
  await checkKernel("shifted layerNorm", (rng) => {
    const feeds: Record<string, Values> = {};
    const size = between(rng, 3, 300);
    const x = randomInput(rng, feeds, "x", [7, size]);
    feeds.x.forEach((value, i) => feeds.x[i] = Math.fround(value + 1000));
    const [weight, bias] = ["weight", "bias"].map((name) => randomInput(rng, feeds, name, [size]));
    return { feeds, outputs: { y: layerNorm(x, weight, bias) }, label: `${size}` };
  }, { count: 5, tolerance: 3e-4 });
});

Deno.test("rows beyond 65,535 workgroups are normalised too, and their gradients summed", async () => {
  await checkKernel("many rows", (rng) => {
    const feeds: Record<string, Values> = {};
    const x = randomInput(rng, feeds, "x", [66_001, 3]);
    const [weight, bias] = ["weight", "bias"].map((name) => randomInput(rng, feeds, name, [3]));
    const y = layerNorm(x, weight, bias);
    const [dx, dweight, dbias] = grad(sumAll(multiply(y, randomInput(rng, feeds, "dy", [66_001, 3]))), [
      x,
      weight,
      bias,
    ]);
    return { feeds, outputs: { y, dx, dweight, dbias } };
  }, { count: 1 });
});

Deno.test("a row longer than the adapter's limit of iterations is normalised completely", async () => {
  // llvmpipe ends a shader's loops after a total of 65,535 iterations; forward has three loops over the row.
  await checkKernel("long rows", (rng) => {
    const feeds: Record<string, Values> = {};
    const x = randomInput(rng, feeds, "x", [3, 30_001]);
    const [weight, bias] = ["weight", "bias"].map((name) => randomInput(rng, feeds, name, [30_001]));
    const y = layerNorm(x, weight, bias);
    const [dx] = grad(sumAll(multiply(y, randomInput(rng, feeds, "dy", [3, 30_001]))), [x]);
    return { feeds, outputs: { y, dx } };
  }, { count: 1 });
});

Deno.test("an addend that is dy itself is added by a separate kernel", async () => {
  await checkKernel("twice dy", (rng) => {
    const feeds: Record<string, Values> = {};
    const x = randomInput(rng, feeds, "x", [5, 12]);
    const dy = randomInput(rng, feeds, "dy", [5, 12]);
    const y = rmsNorm(x, randomInput(rng, feeds, "weight", [12]));
    const [dx] = grad(sumAll(multiply(y, dy)), [x]);
    const backward = dx.node;
    assert.equal(backward.op.fuseAdd!(backward, backward.inputs[2]), undefined);
    return { feeds, outputs: { dx } };
  }, { count: 1 });
});

Deno.test("frozen parameters cost no kernel, a frozen x neither", () => {
  const [x, weight, bias] = [input("x", [5, 8]), input("weight", [8]), input("bias", [8])];
  const names = (wrt: Tensor[]) => {
    return grad(sumAll(layerNorm(x, weight, bias)), wrt).map((g) => g.node.op.name);
  };
  assert.deepEqual(names([x]), ["norm_backward"]);
  assert.deepEqual(names([weight, bias]), ["norm_parameters", "norm_parameters"]);
});

Deno.test("layerNorm and rmsNorm equal PyTorch's, with their gradients", async () => {
  const { layer_norm, rms_norm } = opsGolden();
  const layer = goldenCase(layer_norm, (x, w, b) => layerNorm(x, w, b, layer_norm.eps));
  const rms = goldenCase(rms_norm, (x, w) => rmsNorm(x, w, rms_norm.eps));
  using oracle = referenceDevice({ precision: "f64" });
  for (const { golden, ...testCase } of [layer, rms]) {
    for (const device of [oracle, ...await webgpuDevices()]) {
      const results = await evaluate(device, testCase);
      // Float32 loses two digits in the golden row whose deviation is a hundredth of the others'.
      const tolerance = device === oracle ? 1e-12 : 2e-5;
      for (const key of Object.keys(results)) {
        const error = relativeError(results[key], golden[key].data);
        assert.ok(error <= tolerance, `${key} on ${device.adapter}: ${error}, allowed ${tolerance}`);
      }
    }
  }
});

function goldenCase(
  golden: Record<string, OpTensor | number>,
  make: (x: Tensor, weight: Tensor, bias: Tensor) => Tensor,
): Case & { golden: Record<string, OpTensor> } {
  const tensors = golden as Record<string, OpTensor>;
  const names = ["x", "weight", "bias"].filter((name) => name in golden);
  const feeds = Object.fromEntries(
    [...names, "dy"].map((name) => [name, Float64Array.from(tensors[name].data)]),
  );
  const leaves = names.map((name) => input(name, tensors[name].shape));
  const y = make(leaves[0], leaves[1], leaves[2]);
  const slopes = grad(sumAll(multiply(y, input("dy", tensors.dy.shape))), leaves);
  const outputs = { y, ...Object.fromEntries(names.map((name, i) => [`d${name}`, slopes[i]])) };
  return { golden: tensors, feeds, outputs };
}

Deno.test("the parameters' gradients are deterministic", async () => {
  const { feeds, outputs } = gradientsOf(randomStream(1, "norm twice"), "layerNorm");
  for (const device of await webgpuDevices()) {
    const [first, second] = [
      await evaluate(device, { feeds, outputs }),
      await evaluate(device, { feeds, outputs }),
    ];
    assert.deepEqual(first, second);
  }
});

Deno.test("a weight of another size is an error that shows the shapes", () => {
  assert.throws(() => layerNorm(input("x", [2, 8]), input("weight", [7])), (error) => {
    return error instanceof UserError &&
      error.message === "layer_norm: expected x f32[..., D], weight f32[D], found f32[2, 8] and f32[7].";
  });
  assert.throws(() => rmsNorm(input("x", [2, 8], "u32"), input("weight", [8])), UserError);
});
