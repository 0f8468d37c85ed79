// SGD, Lion, Muon and Adam against PyTorch's numbers and plain float64 references over several steps, with
// clipping, decay, frozen parameters and kept updates; on the float64 oracle, the float32 CPU and WebGPU under both schedules.
import assert from "node:assert/strict";
import { adamw } from "../../kernels/optimizers/adamw.ts";
import { lion } from "../../kernels/optimizers/lion.ts";
import { muon } from "../../kernels/optimizers/muon.ts";
import { randomStream } from "../../src/base/random.ts";
import { sgd } from "../../kernels/optimizers/sgd.ts";
import { UserError } from "../../src/base/errors.ts";
import { constant, input, state } from "../../src/graph/structure.ts";
import { sizeOf } from "../../src/graph/tensor.ts";
import golden from "../golden/optimizers.json" with { type: "json" };
import { between, relativeError } from "./harness.ts";
import { type Found, onDevices, randomSteps, runSteps, type Step, type Tested } from "./optimizer_steps.ts";

const { clip, weight_decay: weightDecay, decayed } = golden.common;
const MATRICES = [{ offset: 0, shape: [8, 16] }, { offset: 128, shape: [16, 8] }, {
  offset: 256,
  shape: [8, 8],
}];

const muonOf = (options: { momentum: number; nesterov: boolean }, keepUpdate = false): Tested => ({
  states: ["momentum"],
  step: (tensors) => muon(tensors, { ...options, weightDecay, clip, keepUpdate, matrices: MATRICES }),
});

const sgdOf = (options: { momentum: number; nesterov: boolean }): Tested => ({
  states: ["momentum"],
  step: (tensors) =>
    sgd({ ...tensors, trainable: undefined }, { ...options, weightDecay, clip, decayedCount: decayed }),
});

const ADAM: Tested = {
  states: ["exp_avg", "exp_avg_sq"],
  step: (tensors) =>
    adamw({ ...tensors, trainable: undefined }, {
      betas: [0.9, 0.99],
      eps: 1e-8,
      weightDecay,
      clip,
      decayedCount: decayed,
      coupled: true,
    }),
};

const TORCH: Record<string, Tested> = {
  "adam": ADAM,
  "sgd": sgdOf(golden.sgd.options),
  "sgd nesterov": sgdOf(golden["sgd nesterov"].options),
  "muon": muonOf(golden.muon.options),
  "muon without nesterov": muonOf(golden["muon without nesterov"].options),
};

for (const [name, tested] of Object.entries(TORCH)) {
  Deno.test(`${name} with clip and decay equals torch.optim after each of three steps`, async () => {
    const record = golden[name as "sgd"];
    const records = [record["step 1"], record["step 2"], record["step 3"]];
    const steps = records.map(({ lr, gradient }) => ({ lr, gradient: Float64Array.from(gradient) }));
    const initial = Float64Array.from(record.initial);
    await onDevices(async (device, tolerance) => {
      const results = await runSteps(device, tested, initial, steps);
      results.forEach((after, k) => {
        for (const key of ["parameter", ...tested.states]) {
          const error = relativeError(after[key], records[k][key as "parameter"]);
          // The difference between two orders of summation, amplified by Newton-Schulz; in float32 the parameters' rounding.
          const allowed = tolerance(name.startsWith("muon") ? 1e-13 : 1e-14, 1e-6);
          assert.ok(error <= allowed, `step ${k + 1}, ${key}, ${device.adapter}: ${error}`);
        }
      });
    });
  });
}

/** Lion as in its paper's Algorithm 2, one array at a time; frozen elements are skipped. */
function lionReference(
  initial: Float64Array,
  steps: readonly Step[],
  options: Parameters<typeof lion>[1],
  trained: Float64Array,
): Found {
  const { betas: [b1, b2], weightDecay, clip, decayedCount: decayed } = options;
  const parameter = initial.slice();
  const expAvg = new Float64Array(initial.length);
  for (const { lr, gradient } of steps) {
    const norm = Math.hypot(...gradient);
    const g = gradient.map((x) => clip === 0 ? x : x * Math.min(1, clip / (norm + 1e-6)));
    const c = g.map((x, i) => b1 * expAvg[i] + (1 - b1) * x);
    for (let i = 0; i < parameter.length; i++) {
      if (trained[i] === 0) continue;
      const decay = i < decayed ? weightDecay * parameter[i] : 0;
      parameter[i] -= lr * (Math.sign(c[i]) + decay);
      expAvg[i] = b2 * expAvg[i] + (1 - b2) * g[i];
    }
  }
  return { parameter, exp_avg: expAvg };
}

Deno.test("several steps of lion() equal a plain float64 loop, frozen elements and all, in 20 random sizes", async () => {
  for (let k = 0; k < 20; k++) {
    const rng = randomStream(k, "lion");
    const size = between(rng, 1, 900);
    const { initial, steps } = randomSteps(rng, size);
    const trained = Float64Array.from({ length: size }, () => Number(rng.below(8) > 0));
    const decayed = between(rng, 0, size);
    const options = {
      betas: [0.9, 0.99],
      weightDecay: 0.5,
      clip: [0, 1, 10][rng.below(3)],
      decayedCount: decayed,
      keepUpdate: true,
    } as const;
    const expected = lionReference(initial, steps, options, trained);
    const tested: Tested = {
      states: ["exp_avg"],
      step: (tensors) => lion(tensors, options),
    };
    await onDevices(async (device, tolerance) => {
      const results = await runSteps(device, tested, initial, steps, trained);
      const last = results.at(-1)!;
      const where = `case ${k}, ${size} parameters, ${device.adapter}`;
      for (const name of ["parameter", "exp_avg"]) {
        // float32 rounds a parameter near 1 to 6e-8 at each step.
        const error = relativeError(last[name], expected[name]);
        assert.ok(error <= tolerance(1e-14, 1e-6), `${where}: ${name} ${error}`);
      }
      const before = results.at(-2)!.parameter;
      const moved = last.parameter.map((p, i) => p - before[i]);
      assert.ok(relativeError(last.update, moved) <= tolerance(1e-14, 1e-6), `${where}: update`);
      assert.ok(last.update.every((x, i) => trained[i] !== 0 || x === 0), where);
    });
  }
});

Deno.test("sgd() without momentum or clip is p - lr g, and leaves frozen elements and their momentum unchanged", async () => {
  const rng = randomStream(1, "sgd");
  const { initial, steps } = randomSteps(rng, 300);
  const trained = Float64Array.from({ length: 300 }, (_, i) => Number(i % 3 > 0));
  const tested: Tested = {
    states: ["momentum"],
    step: (tensors) =>
      sgd(tensors, { momentum: 0, weightDecay: 0, clip: 0, decayedCount: 300, keepUpdate: true }),
  };
  const expected = initial.slice();
  for (const { lr, gradient } of steps) gradient.forEach((g, i) => expected[i] -= lr * g * trained[i]);
  const last = steps.at(-1)!;
  await onDevices(async (device, tolerance) => {
    const results = (await runSteps(device, tested, initial, steps, trained)).at(-1)!;
    assert.ok(relativeError(results.parameter, expected) <= tolerance(1e-14, 1e-6), device.adapter);
    const update = last.gradient.map((g, i) => -last.lr * g * trained[i]);
    // An update of 1e-4 is the difference of two parameters near 1: 6e-8 of these.
    assert.ok(relativeError(results.update, update) <= tolerance(1e-11, 1e-2), device.adapter);
    for (let i = 0; i < 300; i += 3) {
      assert.deepEqual([results.parameter[i], results.momentum[i], results.update[i]], [initial[i], 0, 0]);
    }
  });
});

Deno.test("muon() changes the given matrices by the update that it returns, and nothing else", async () => {
  const rng = randomStream(1, "muon");
  const { initial, steps } = randomSteps(rng, 384);
  // The tall matrix is frozen, and the last 64 numbers are not a matrix.
  const trained = Float64Array.from({ length: 384 }, (_, i) => Number(i < 128 || (i >= 256 && i < 320)));
  await onDevices(async (device, tolerance) => {
    const results = await runSteps(
      device,
      muonOf({ momentum: 0.9, nesterov: true }, true),
      initial,
      steps,
      trained,
    );
    const [before, last] = results.slice(-2);
    for (let i = 0; i < 384; i++) {
      const moved = last.parameter[i] - before.parameter[i];
      assert.ok(Math.abs(last.update[i] - moved) <= tolerance(1e-15, 3e-7), `${i} on ${device.adapter}`);
      if (trained[i] === 0) assert.deepEqual([moved, last.momentum[i], last.update[i]], [0, 0, 0]);
      else assert.notEqual(moved, 0);
    }
  });
});

Deno.test("sgd(), lion() and muon() reject options and sizes that do not fit, naming them", () => {
  const [parameter, m] = ["p", "m"].map((name) => state(name, [64]));
  const [squaredNorm, hyper, gradient] = [input("norm", [1]), input("lr", [1]), input("g", [64])];
  const tensors = { parameter, gradient, states: { momentum: m, exp_avg: m }, squaredNorm, hyper };
  const good = { weightDecay: 0, clip: 1, decayedCount: 64 };
  const refuses = (message: RegExp, make: () => unknown) =>
    assert.throws(make, (error: Error) => error instanceof UserError && message.test(error.message));
  refuses(
    /sgd: momentum is 1, expected a number in \[0, 1\)/,
    () => sgd(tensors, { ...good, momentum: 1 }),
  );
  refuses(
    /sgd: decayedCount is 65, expected an integer from 0 to 64/,
    () => sgd(tensors, { ...good, momentum: 0, decayedCount: 65 }),
  );
  refuses(
    /lion: beta2 is -1/,
    () => lion(tensors, { ...good, betas: [0.9, -1] }),
  );
  refuses(
    /lion: .*one size.*found f32\[64\] and f32\[7\]/,
    () => lion({ ...tensors, gradient: input("g", [7]) }, { ...good, betas: [0.9, 0.99] }),
  );
  refuses(
    /lion: expected states exp_avg, found no exp_avg/,
    () => lion({ ...tensors, states: {} }, { ...good, betas: [0.9, 0.99] }),
  );
  const matrices = [{ offset: 0, shape: [8, 8] }];
  const muonOptions = { momentum: 0.95, nesterov: true, weightDecay: 0.1, clip: 1, matrices };
  const trained = constant(1, [64]);
  refuses(
    /muon: weightDecay is NaN/,
    () => muon({ ...tensors, trainable: trained }, { ...muonOptions, weightDecay: NaN }),
  );
  refuses(
    /muon: .*one size/,
    () => muon({ ...tensors, trainable: constant(1, [63]) }, muonOptions),
  );
  assert.equal(sizeOf(muon({ ...tensors, trainable: trained }, muonOptions).parameter), 64);
});
