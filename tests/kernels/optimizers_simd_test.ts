// The optimizers' kernels in WebAssembly: what the tests of their results do not see. Ends that are no multiple of four, NaN in
// every input, the same bytes for any number of threads, subnormal moments.
import assert from "node:assert/strict";
import { adamw, adamwHyper } from "../../kernels/optimizers/adamw.ts";
import { lion } from "../../kernels/optimizers/lion.ts";
import { muon } from "../../kernels/optimizers/muon.ts";
import { sgd } from "../../kernels/optimizers/sgd.ts";
import type { Updated, UpdateTensors } from "../../kernels/optimizers/flat_update.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import type { CpuProgram } from "../../src/device/cpu/device.ts";
import type { Device } from "../../src/device/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input, state, view } from "../../src/graph/structure.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import { between, relativeError } from "./harness.ts";
import { fresh } from "../device/devices.ts";

type Tensors = UpdateTensors & { readonly trainable: Tensor };
const common = { weightDecay: 0.1, clip: 1, keepUpdate: true } as const;
const moments = { betas: [0.9, 0.99], eps: 1e-8 } as const;

/** Every optimizer's kernels, by name, with half of the elements decayed; `steps` are their operations. */
const STEPS: Record<string, { states: string[]; steps: string[]; step(x: Tensors, size: number): Updated }> =
  {
    adamw: {
      states: ["exp_avg", "exp_avg_sq"],
      steps: ["adamw"],
      step: (x, size) => adamw(x, { ...common, ...moments, decayedCount: size >> 1 }),
    },
    adam: {
      states: ["exp_avg", "exp_avg_sq"],
      steps: ["adamw"],
      step: (x, size) => adamw(x, { ...common, ...moments, decayedCount: size >> 1, coupled: true }),
    },
    lion: {
      states: ["exp_avg"],
      steps: ["lion"],
      step: (x, size) => lion(x, { ...common, betas: moments.betas, decayedCount: size >> 1 }),
    },
    sgd: {
      states: ["momentum"],
      steps: ["sgd"],
      step: (x, size) => sgd(x, { ...common, momentum: 0.9, nesterov: true, decayedCount: size >> 1 }),
    },
    muon: {
      states: ["momentum"],
      steps: ["muon_direction", "muon_step"],
      step: (x, size) =>
        muon(x, {
          ...common,
          momentum: 0.9,
          nesterov: true,
          matrices: [{ offset: 0, shape: [1, size] }],
        }),
    },
  };

/** Numbers of a step by name: parameter, states, gradient, hyper, squared norm, trainable. */
type Numbers = Record<string, Float32Array>;

function numbersOf(rng: RandomStream, states: readonly string[], size: number): Numbers {
  const draw = () => Float32Array.from({ length: size }, () => rng.normal());
  const held = Object.fromEntries(states.map((name) => [name, draw()]));
  if (held.exp_avg_sq) held.exp_avg_sq = held.exp_avg_sq.map((x) => x * x);
  return {
    parameter: draw(),
    ...held,
    gradient: draw(),
    hyper: Float32Array.from(adamwHyper(1e-2, 3, moments.betas)),
    squaredNorm: Float32Array.of(4),
    trainable: Float32Array.from({ length: size }, () => Number(rng.below(5) > 0)),
  };
}

/** More elements in memory than the optimizer is given; these must not change. */
const BEYOND = 7;

/** One step on a device: parameters and states, including the elements beyond, and the update. */
async function run(device: Device, name: string, numbers: Numbers): Promise<Numbers> {
  const { states, step, steps } = STEPS[name];
  const size = numbers.parameter.length;
  const held = ["parameter", ...states].map((key) => ({ key, name: fresh(key) }));
  for (const { key, name } of held) {
    const values = new Float32Array(size + BEYOND).fill(7);
    values.set(numbers[key]);
    device.define(name, { shape: [size + BEYOND], dtype: "f32" }, values);
  }
  const [parameter, ...rest] = held.map(({ name }) => view(state(name, [size + BEYOND]), [size], 0));
  const after = step({
    parameter,
    states: Object.fromEntries(states.map((key, k) => [key, rest[k]])),
    gradient: input("gradient", [size]),
    hyper: input("hyper", [4]),
    squaredNorm: input("squaredNorm", [1]),
    trainable: input("trainable", [size]),
  }, size);
  using program = await device.compile({ effects: [after.parameter], outputs: { update: after.update! } });
  const { gradient, hyper, squaredNorm, trainable } = numbers;
  program.run({ gradient, hyper, squaredNorm, trainable });
  const inTypeScript = (program as CpuProgram).inTypeScript ?? [];
  assert.deepEqual(steps.filter((op) => inTypeScript.includes(op)), [], name);
  const values = await device.read(held.map(({ name }) => name));
  const [update] = await program.read(["update"]);
  return {
    ...Object.fromEntries(held.map(({ key }, k) => [key, values[k] as Float32Array])),
    update: update as Float32Array,
  };
}

Deno.test("a step in WebAssembly equals float64 and changes nothing beyond the end, in 12 random sizes per optimizer", async () => {
  using cpu = cpuDevice({ threads: 2 });
  using oracle = referenceDevice({ precision: "f64" });
  for (const [name, { states }] of Object.entries(STEPS)) {
    for (let k = 0; k < 12; k++) {
      const rng = randomStream(k, `simd ${name}`);
      const size = k < 5 ? k + 1 : between(rng, 5, 20_000);
      const numbers = numbersOf(rng, states, size);
      const expected = await run(oracle, name, numbers);
      const results = await run(cpu, name, numbers);
      for (const key of Object.keys(expected)) {
        // An update is the difference of two parameters, each rounded to 6e-8 of its size. Newton-Schulz amplifies.
        const limit = key === "update" ? 1e-4 : name === "muon" ? 3e-5 : 1e-6;
        const floor = key === "update" ? 1e-3 * Math.hypot(...numbers.parameter) : 1e-6;
        const error = relativeError(results[key], expected[key], floor);
        assert.ok(error <= limit, `${name}, ${size} elements, ${key}: ${error}`);
        if (key !== "update") assert.ok(results[key].subarray(size).every((x) => x === 7), `${name} ${key}`);
      }
    }
  }
});

Deno.test("NaN and infinities in each input of an optimizer come out where the reference device has them", async () => {
  using cpu = cpuDevice({ threads: 2 });
  using reference = referenceDevice();
  const size = 39;
  for (const [name, { states }] of Object.entries(STEPS)) {
    for (const planted of [NaN, Infinity, -Infinity]) {
      const plain = numbersOf(randomStream(1, name), states, size);
      for (const key of Object.keys(plain).filter((key) => key !== "hyper")) {
        const numbers = { ...plain, [key]: plain[key].slice() };
        for (const at of [0, 6, 21, 22, 38]) if (at < numbers[key].length) numbers[key][at] = planted;
        const [results, expected] = [await run(cpu, name, numbers), await run(reference, name, numbers)];
        for (const [output, values] of Object.entries(expected)) {
          const kinds = (x: Float32Array) => [...x].map((v) => Number.isFinite(v) ? 0 : v);
          assert.deepEqual(kinds(results[output]), kinds(values), `${name}: ${planted} in ${key}, ${output}`);
        }
      }
    }
  }
});

Deno.test("an optimizer's step that every thread shares gives the same bytes with 1, 2 and 3 threads", async () => {
  for (const [name, { states, steps }] of Object.entries(STEPS)) {
    const size = 3 * 8192 + 5;
    const numbers = numbersOf(randomStream(2, name), states, size);
    let first: Numbers | undefined;
    for (const threads of [1, 2, 3]) {
      using cpu = cpuDevice({ threads });
      const results = await run(cpu, name, numbers);
      first ??= results;
      assert.deepEqual(results, first, `${name}, ${threads} threads`);
    }
    const flat = () => ["p", ...states].map((key) => state(key, [size]));
    const [parameter, ...held] = flat();
    const [gradient, hyper, squaredNorm] = [input("g", [size]), input("h", [4]), input("s", [1])];
    const after = STEPS[name].step({
      ...{ parameter, gradient, hyper, squaredNorm, trainable: input("t", [size]) },
      states: Object.fromEntries(states.map((key, k) => [key, held[k]])),
    }, size);
    using cpu = cpuDevice({ threads: 1 });
    using program = await cpu.compile({ effects: [after.parameter] });
    for (const { node, simd } of program.plan.steps.filter(({ node }) => steps.includes(node.op.name))) {
      assert.ok(simd!.phases.every(({ blocks }) => blocks >= 3), node.op.name);
    }
  }
});

Deno.test("moments of adamw() below float32's normal numbers become 0: a gradient of zeros costs no more in the long run", async () => {
  using cpu = cpuDevice({ threads: 1 });
  const numbers = numbersOf(randomStream(3, "subnormal"), STEPS.adamw.states, 8);
  const small = [1.1e-38, 1e-40, 1.4e-45, 0, 2e-38, -1e-40, 1, 1e-30];
  const results = await run(cpu, "adamw", {
    ...numbers,
    exp_avg: Float32Array.from(small),
    exp_avg_sq: Float32Array.from(small, Math.abs),
    gradient: new Float32Array(8),
    trainable: new Float32Array(8).fill(1),
  });
  const kept = (decay: number) =>
    small.map((x) => Math.abs(x) < 1.9e-38 ? 0 : Math.fround(x * Math.fround(decay)));
  assert.deepEqual([...results.exp_avg.subarray(0, 8)], kept(0.9));
  assert.deepEqual([...results.exp_avg_sq.subarray(0, 8)], kept(0.99));
});
