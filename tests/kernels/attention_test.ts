import assert from "node:assert/strict";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { multiply } from "../../kernels/elementwise/op.ts";
import type { RandomStream } from "../../kernels/random/threefry.ts";
import { sumAll } from "../../kernels/reduce/op.ts";
import { cpuDevice } from "../../src/device/cpu.ts";
import { UserError } from "../../src/errors.ts";
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
} from "./harness.ts";

// Where a row sees one key the exact gradient of softmax is 0, and what is left is the rounding of terms of size 1.
const ONE_KEY = 0.1;
const MASKS = ["none", "top-left", "bottom-right"] as const;

/** q, k, v of random odd sizes: T != S, d != dv, grouped heads, rows that see nothing. */
function sequences(
  rng: RandomStream,
  largest: number,
): { feeds: Record<string, Values>; wrt: Record<string, Tensor>; label: string } {
  const [B, HKV, group] = [between(rng, 1, 2), between(rng, 1, 3), between(rng, 1, 3)];
  const [T, S] = [between(rng, 1, largest), between(rng, 1, largest)];
  const [d, dv] = [between(rng, 1, 19), between(rng, 1, 19)];
  const feeds = {};
  const wrt = {
    q: randomInput(rng, feeds, "q", [B, T, HKV * group, d]),
    k: randomInput(rng, feeds, "k", [B, S, HKV, d]),
    v: randomInput(rng, feeds, "v", [B, S, HKV, dv]),
  };
  return { feeds, wrt, label: `B${B} T${T} S${S} H${HKV * group}/${HKV} d${d} dv${dv}` };
}

function random(activation: "softmax" | "sigmoid", largest: number, dropped = false) {
  return (rng: RandomStream): Case & { wrt: Record<string, Tensor> } => {
    const { feeds, wrt, label } = sequences(rng, largest);
    const options: AttentionOptions = {
      activation,
      mask: MASKS[rng.below(3)],
      ...(rng.below(2) ? { bias: -1.5 } : {}),
      ...(dropped ? { dropout: { p: 0.3, site: 5, seed: input("seed", [2], "u32") } } : {}),
    };
    if (dropped) feeds.seed = Uint32Array.of(rng.uint32(), rng.uint32());
    const z = attention(wrt.q, wrt.k, wrt.v, options);
    return { feeds, wrt, outputs: { z }, label: `${label} ${options.mask}` };
  };
}

/** The same with the gradients of q, k and v as outputs. */
function backward(activation: "softmax" | "sigmoid", largest: number, dropped = false) {
  return (rng: RandomStream): Case => {
    const { feeds, wrt, outputs: { z }, label } = random(activation, largest, dropped)(rng);
    const dz = randomInput(rng, feeds, "dz", [...z.shape]);
    const [dq, dk, dv] = grad(sumAll(multiply(z, dz)), [wrt.q, wrt.k, wrt.v]);
    return { feeds, outputs: { dq, dk, dv }, label };
  };
}

for (const activation of ["softmax", "sigmoid"] as const) {
  Deno.test(`${activation} attention equals float64 on WebGPU`, () =>
    checkKernel(activation, random(activation, 80)));
  Deno.test(`${activation} attention's gradients equal float64 on WebGPU`, () => {
    return checkKernel(`${activation} gradients`, backward(activation, 70), {
      tolerance: 1e-4,
      floor: ONE_KEY,
    });
  });
  Deno.test(`${activation} attention's gradients equal central differences`, () => {
    return checkGradient(activation, random(activation, 7), { count: 20 });
  });
  Deno.test(`${activation} attention with dropout equals float64 on WebGPU, forward and backward`, async () => {
    await checkKernel(`${activation} dropout`, random(activation, 40, true), { count: 4 });
    await checkKernel(`${activation} dropout gradients`, backward(activation, 40, true), {
      count: 4,
      tolerance: 1e-4,
      floor: ONE_KEY,
    });
  });
  Deno.test(`${activation} attention with dropout has the gradient that central differences give`, () => {
    return checkGradient(`${activation} dropout`, random(activation, 7, true), { count: 5 });
  });
  Deno.test(`${activation} attention equals PyTorch`, async () => {
    const golden = opsGolden()[`${activation}_attention`] as unknown as Record<string, OpTensor>;
    const tensor = (name: string) => input(name, golden[name].shape);
    const feeds = Object.fromEntries(
      ["q", "k", "v", "do"].map((name) => [name, Float64Array.from(golden[name].data)]),
    );
    const [q, k, v, dz] = ["q", "k", "v", "do"].map(tensor);
    const z = attention(q, k, v, { activation });
    const [dq, dk, dv] = grad(sumAll(multiply(z, dz)), [q, k, v]);
    using oracle = cpuDevice({ precision: "f64" });
    const found = await evaluate(oracle, { feeds, outputs: { dq, dk, dv } });
    // Both are float64, and the golden file keeps at least nine digits.
    for (const name of ["dq", "dk", "dv"]) {
      assert.ok(relativeError(found[name], golden[name].data) < 1e-8, name);
    }
  });
}

Deno.test("a query that sees no key gives zeros and no gradient", async () => {
  using oracle = cpuDevice({ precision: "f64" });
  const [q, k, v] = [input("q", [1, 5, 1, 3]), input("k", [1, 2, 1, 3]), input("v", [1, 2, 1, 3])];
  const z = attention(q, k, v, { mask: "bottom-right" });
  const [dq] = grad(sumAll(z), [q]);
  const feeds = {
    q: new Float64Array(15).fill(1),
    k: new Float64Array(6).fill(1),
    v: new Float64Array(6).fill(1),
  };
  const found = await evaluate(oracle, { feeds, outputs: { z, dq } });
  assert.deepEqual([...found.z.subarray(0, 9), ...found.dq.subarray(0, 9)], new Array(18).fill(0));
  assert.deepEqual([...found.z.subarray(9)], new Array(6).fill(1));
});

Deno.test("attention of shapes that do not fit is one line with the shapes", () => {
  const [q, k] = [input("q", [1, 5, 3, 4]), input("k", [1, 5, 2, 4])];
  assert.throws(
    () => attention(q, k, k),
    (e) => e instanceof UserError && /f32\[1, 5, 3, 4\]/.test(e.message),
  );
});
