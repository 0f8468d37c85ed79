// AdamW against a plain float64 reference over several steps, against PyTorch's numbers, and its clip and
// decay at their edges; on the float64 oracle and on WebGPU under both schedules.
import assert from "node:assert/strict";
import { adamw, adamwHyper, type AdamwOptions } from "../../kernels/optimizers/adamw.ts";
import { add, sumSquares } from "../../kernels/elementwise/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/base/errors.ts";
import { constant, input, state } from "../../src/graph/structure.ts";
import golden from "../golden/adamw.json" with { type: "json" };
import { between, type Case, checkKernel, kernelDevices, randomInput, relativeError } from "./harness.ts";

interface Step {
  readonly lr: number;
  readonly gradient: Float64Array;
}

interface State {
  readonly parameter: Float64Array;
  readonly expAvg: Float64Array;
  readonly expAvgSq: Float64Array;
}

/** PyTorch's order of operations, one array at a time. */
function reference(initial: Float64Array, steps: readonly Step[], options: AdamwOptions): State {
  const { betas: [b1, b2], eps, weightDecay, clip, decayedCount: decayed } = options;
  const parameter = initial.slice();
  const expAvg = new Float64Array(initial.length);
  const expAvgSq = new Float64Array(initial.length);
  steps.forEach(({ lr, gradient }, k) => {
    const norm = Math.hypot(...gradient);
    const coefficient = clip === 0 ? 1 : Math.min(1, clip / (norm + 1e-6));
    const g = gradient.map((value) => value * coefficient);
    for (let i = 0; i < decayed; i++) parameter[i] *= 1 - lr * weightDecay;
    g.forEach((value, i) => {
      expAvg[i] += (value - expAvg[i]) * (1 - b1);
      expAvgSq[i] = b2 * expAvgSq[i] + (1 - b2) * value ** 2;
      const denominator = Math.sqrt(expAvgSq[i]) / Math.sqrt(1 - b2 ** (k + 1)) + eps;
      parameter[i] -= lr / (1 - b1 ** (k + 1)) * expAvg[i] / denominator;
    });
  });
  return { parameter, expAvg, expAvgSq };
}

let programs = 0;

/** Runs the steps on a device with new states; returns the states after each step. */
async function runSteps(
  device: Device,
  initial: Float64Array,
  steps: readonly Step[],
  options: AdamwOptions,
): Promise<State[]> {
  const size = initial.length;
  const names = ["parameter", "exp_avg", "exp_avg_sq"].map((name) => `${name} ${programs}`);
  programs++;
  const [parameter, exp_avg, exp_avg_sq] = names.map((name) => state(name, [size]));
  const gradient = input("gradient", [size]);
  const tensors = { parameter, gradient, states: { exp_avg, exp_avg_sq } };
  const after = adamw({ ...tensors, squaredNorm: sumSquares(gradient), hyper: input("hyper", [4]) }, options);
  device.define(names[0], parameter, initial);
  using program = await device.compile({ effects: [after.parameter] });
  const states: State[] = [];
  for (const [k, step] of steps.entries()) {
    program.run({ gradient: step.gradient, hyper: adamwHyper(step.lr, k + 1, options.betas) });
    const [parameter, expAvg, expAvgSq] = (await device.read(names)).map((values) =>
      Float64Array.from(values)
    );
    states.push({ parameter, expAvg, expAvgSq });
  }
  return states;
}

const difference = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]);

Deno.test("several steps of adamw() equal a plain float64 loop, in 20 random sizes", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  using single = referenceDevice();
  for (let k = 0; k < 20; k++) {
    const rng = randomStream(k, "adamw");
    const size = between(rng, 1, 900);
    // Rounded to float32, so that every device starts from the same numbers.
    const draw = (scale: number) =>
      Float64Array.from({ length: size }, () => Math.fround(scale * rng.normal()));
    const initial = draw(1);
    const steps = Array.from({ length: between(rng, 2, 5) }, () => {
      return { lr: 1e-2 * (0.1 + rng.uniform()), gradient: draw(10 ** (2 * rng.uniform() - 2)) };
    });
    const clip = [0, 1, 10][rng.below(3)];
    const options = {
      betas: [0.9, 0.99],
      eps: 1e-8,
      weightDecay: 0.1,
      clip,
      decayedCount: between(rng, 0, size),
    } as const;
    const expected = reference(initial, steps, options);
    const update = difference(expected.parameter, initial);
    // float32 keeps a parameter near 1 to 6e-8, and rounds it at every step of at least 1e-3: 1e-4 of the
    // update.
    for (
      const [device, tolerance] of [
        [oracle, 1e-12],
        [single, 1e-4],
        ...(await kernelDevices()).map((d) => [d, 1e-4]),
      ] as const
    ) {
      const results = (await runSteps(device as Device, initial, steps, options)).at(-1)!;
      const where = `case ${k}, ${size} parameters, ${(device as Device).adapter}`;
      const errors = {
        update: relativeError(difference(results.parameter, initial), update) / (tolerance as number),
        expAvg: relativeError(results.expAvg, expected.expAvg) / Math.min(tolerance as number, 1e-5),
        expAvgSq: relativeError(results.expAvgSq, expected.expAvgSq) / Math.min(tolerance as number, 1e-5),
      };
      for (const [name, error] of Object.entries(errors)) {
        assert.ok(error <= 1, `${where}: ${name} ${error} times what is allowed`);
      }
    }
  }
});

function one(rng: ReturnType<typeof randomStream>): Case {
  const feeds: Case["feeds"] = {};
  const size = between(rng, 1, 3000);
  const [p, g, m, v] = ["p", "g", "m", "v"].map((name) => randomInput(rng, feeds, name, [size]));
  feeds.v = feeds.v.map(Math.abs);
  feeds.hyper = adamwHyper(Math.fround(1e-3), 7, [0.9, 0.95]).map(Math.fround);
  const options = {
    betas: [0.9, 0.95],
    eps: 1e-8,
    weightDecay: 0.1,
    clip: 1,
    decayedCount: between(rng, 0, size),
  } as const;
  // Results rather than inputs, which may not be replaced.
  const [parameter, exp_avg, exp_avg_sq] = [p, m, v].map((x) => add(x, constant(0)));
  const tensors = { parameter, gradient: g, states: { exp_avg, exp_avg_sq } };
  const after = adamw({ ...tensors, squaredNorm: sumSquares(g), hyper: input("hyper", [4]) }, options);
  return { feeds, outputs: { parameter: after.parameter, ...after.states }, label: `${size}` };
}

Deno.test("one step of adamw() from given moments equals float64 on WebGPU", () =>
  checkKernel("adamw one step", one));

Deno.test("adamw() with clip and decay equals torch.optim.AdamW after each of three steps", async () => {
  const { betas, eps, weight_decay, clip, decayed } = golden.options;
  const options = {
    betas: [betas[0], betas[1]] as const,
    eps,
    weightDecay: weight_decay,
    clip,
    decayedCount: decayed,
  };
  const records = [golden["step 1"], golden["step 2"], golden["step 3"]];
  const steps = records.map(({ lr, gradient }) => ({ lr, gradient: Float64Array.from(gradient) }));
  const initial = Float64Array.from(golden.initial.parameter);
  using oracle = referenceDevice({ precision: "f64" });
  // In float32 the rounding of the parameters: 1e-6; on the oracle the difference between two orders of summation.
  for (
    const [device, tolerance] of [[oracle, 1e-14], ...(await kernelDevices()).map((d) => [d, 1e-6])] as [
      Device,
      number,
    ][]
  ) {
    const results = await runSteps(device, initial, steps, options);
    results.forEach((after, k) => {
      for (
        const [name, key] of [["parameter", "parameter"], ["expAvg", "exp_avg"], [
          "expAvgSq",
          "exp_avg_sq",
        ]] as const
      ) {
        const error = relativeError(after[name], records[k][key]);
        assert.ok(error <= tolerance, `step ${k + 1}, ${name}, ${device.adapter}: ${error}`);
      }
    });
  }
});

Deno.test("clipping adds 1e-6 to the norm, also exactly at the threshold, and never scales up", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  // A norm of 1e-3, of which 1e-6 is a thousandth, visible in float32.
  const steps = [{ lr: 0, gradient: Float64Array.of(6e-4, 0, 8e-4) }];
  const cases = [[1e-3, 1e-3 / 1.001e-3], [1.0005e-3, 1.0005 / 1.001], [1.002e-3, 1], [1, 1], [
    5e-4,
    0.5e-3 / 1.001e-3,
  ], [0, 1]];
  for (
    const [device, tolerance] of [[oracle, 1e-12], ...(await kernelDevices()).map((d) => [d, 1e-6])] as [
      Device,
      number,
    ][]
  ) {
    for (const [clip, factor] of cases) {
      const options = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1, clip, decayedCount: 0 } as const;
      const [{ expAvg }] = await runSteps(device, Float64Array.of(1, 2, 3), steps, options);
      const error = relativeError(expAvg.map((m) => m * 1e4), [6 * factor * 0.1, 0, 8 * factor * 0.1]);
      assert.ok(error <= tolerance, `clip ${clip}, ${device.adapter}: ${error}`);
    }
  }
});

Deno.test("with a gradient of zeros only the decayed parameters move, by lr times the decay", async () => {
  for (const device of await kernelDevices()) {
    const initial = Float64Array.from({ length: 131 }, (_, i) => i + 1);
    const options = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.5, clip: 1, decayedCount: 67 } as const;
    const [{ parameter }] = await runSteps(
      device,
      initial,
      [{ lr: 0.5, gradient: new Float64Array(131) }],
      options,
    );
    assert.deepEqual([...parameter], [...initial].map((p, i) => i < 67 ? 0.75 * p : p));
  }
});

Deno.test("adamwHyper() gives the rate and both corrections, exact at the first step and much later", () => {
  assert.deepEqual([...adamwHyper(0.5, 1, [0.75, 0.9375])], [0.5, 0.25, 0.25, 0]);
  assert.deepEqual([...adamwHyper(0.5, 1e6, [0.9, 0.99])], [0.5, 1, 1, 0]);
});

Deno.test("adamw() rejects options and sizes that do not fit, naming them", () => {
  const [parameter, exp_avg, exp_avg_sq] = ["p", "m", "v"].map((name) => state(name, [7]));
  const [squaredNorm, hyper] = [input("norm", [1]), input("hyper", [4])];
  const good = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1, clip: 1, decayedCount: 7 } as const;
  const refuses = (message: RegExp, options: Partial<AdamwOptions>, gradient = input("g", [7])) =>
    assert.throws(
      () =>
        adamw({ parameter, gradient, states: { exp_avg, exp_avg_sq }, squaredNorm, hyper }, {
          ...good,
          ...options,
        }),
      (error: Error) => error instanceof UserError && message.test(error.message),
    );
  refuses(/decayedCount is 8, expected an integer from 0 to 7, the number of parameters/, {
    decayedCount: 8,
  });
  refuses(/beta2 is 1, expected a number in \[0, 1\)/, { betas: [0.9, 1] });
  refuses(/clip is -1/, { clip: -1 });
  refuses(/weightDecay is NaN/, { weightDecay: NaN });
  refuses(/one size.*found f32\[7\] and f32\[6\]/, {}, input("g", [6]));
});
