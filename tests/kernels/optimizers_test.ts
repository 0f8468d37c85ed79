// SGD, Lion, Muon and Adam against PyTorch's numbers and plain float64 references over several steps, with their choices of
// clip, decay, what is trained and what is kept; on the float64 oracle, the float32 CPU and WebGPU under both schedules.
import assert from "node:assert/strict";
import { adamw, adamwHyper } from "../../kernels/adamw/op.ts";
import { lion } from "../../kernels/lion/op.ts";
import { muon, orthogonalised } from "../../kernels/muon/op.ts";
import { type RandomStream, randomStream } from "../../kernels/random/threefry.ts";
import { sumSquares } from "../../kernels/reduce/op.ts";
import { sgd } from "../../kernels/sgd/op.ts";
import { cpuDevice } from "../../src/device/cpu.ts";
import type { Device } from "../../src/device/device.ts";
import { UserError } from "../../src/errors.ts";
import { constant, input, state } from "../../src/graph/structure.ts";
import { sizeOf, type Tensor } from "../../src/graph/tensor.ts";
import golden from "../golden/optimizers.json" with { type: "json" };
import { between, checkKernel, randomInput, relativeError, webgpuDevices } from "./harness.ts";

interface Step {
  readonly lr: number;
  readonly gradient: Float64Array;
}

interface Given {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly states: Readonly<Record<string, Tensor>>;
  readonly norm: Tensor;
  readonly hyper: Tensor;
  readonly lr: Tensor;
  /** 1 for each parameter that is trained. */
  readonly trained: Tensor;
}

/** An optimizer to test: its states, and its step, which gives the parameters after it and what it added. */
interface Tested {
  readonly states: readonly string[];
  readonly betas?: readonly [number, number];
  step(given: Given): { parameter: Tensor; update?: Tensor };
}

type Found = Record<string, Float64Array>;

let programs = 0;

/** Runs the steps on a device with states of their own; gives parameters, states and the update after each step. */
async function runSteps(
  device: Device,
  { states, betas = [0.9, 0.99], step }: Tested,
  initial: Float64Array,
  steps: readonly Step[],
  trained: Float64Array = new Float64Array(initial.length).fill(1),
): Promise<Found[]> {
  const size = initial.length;
  const names = ["parameter", ...states].map((name) => `optimizer ${name} ${programs}`);
  programs++;
  const [parameter, ...own] = names.map((name) => state(name, [size]));
  const gradient = input("gradient", [size]);
  const after = step({
    parameter,
    gradient,
    states: Object.fromEntries(states.map((name, i) => [name, own[i]])),
    norm: sumSquares(gradient),
    hyper: input("hyper", [4]),
    lr: input("lr", [1]),
    trained: input("trained", [size]),
  });
  device.define(names[0], parameter, initial);
  for (const name of names.slice(1)) device.define(name, { shape: [size], dtype: "f32" });
  const outputs: Record<string, Tensor> = after.update ? { update: after.update } : {};
  using program = await device.compile({ effects: [after.parameter], outputs });
  const found: Found[] = [];
  for (const [k, { lr, gradient }] of steps.entries()) {
    const feeds = { gradient, hyper: adamwHyper(lr, k + 1, betas), lr: Float64Array.of(lr), trained };
    const wanted = new Set(program.plan.buffers.filter((b) => b.kind === "input").map(({ name }) => name));
    program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => wanted.has(name))));
    const [update] = after.update ? await program.read(["update"]) : [];
    const values = await device.read(names);
    const read = Object.fromEntries(["parameter", ...states].map((name, i) => [name, values[i]]));
    if (update) read.update = update;
    found.push(Object.fromEntries(Object.entries(read).map(([name, x]) => [name, Float64Array.from(x)])));
  }
  return found;
}

/** Every device, and what float32 may add to a tolerance of float64. */
async function onDevices(
  test: (device: Device, tolerance: (double: number, single: number) => number) => Promise<void>,
): Promise<void> {
  using oracle = cpuDevice({ precision: "f64" });
  using single = cpuDevice();
  await test(oracle, (double) => double);
  for (const device of [single, ...await webgpuDevices()]) await test(device, (_, single) => single);
}

const { clip, weight_decay: weightDecay, decayed } = golden.common;
const MATRICES = [{ offset: 0, shape: [8, 16] }, { offset: 128, shape: [16, 8] }, {
  offset: 256,
  shape: [8, 8],
}];

const muonOf = (options: { momentum: number; nesterov: boolean }, keepUpdate = false): Tested => ({
  states: ["momentum"],
  step: ({ parameter, gradient, states: { momentum }, norm, lr, trained }) =>
    muon(parameter, gradient, momentum, norm, lr, trained, MATRICES, {
      ...options,
      weightDecay,
      clip,
      keepUpdate,
    }),
});

const sgdOf = (options: { momentum: number; nesterov: boolean }): Tested => ({
  states: ["momentum"],
  step: ({ parameter, gradient, states: { momentum }, norm, lr }) =>
    sgd(parameter, gradient, momentum, norm, lr, { ...options, weightDecay, clip, decayed }),
});

const ADAM: Tested = {
  states: ["exp_avg", "exp_avg_sq"],
  step: ({ parameter, gradient, states: { exp_avg, exp_avg_sq }, norm, hyper }) =>
    adamw(parameter, gradient, exp_avg, exp_avg_sq, norm, hyper, {
      betas: [0.9, 0.99],
      eps: 1e-8,
      weightDecay,
      clip,
      decayed,
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
      const found = await runSteps(device, tested, initial, steps);
      found.forEach((after, k) => {
        for (const key of ["parameter", ...tested.states]) {
          const error = relativeError(after[key], records[k][key as "parameter"]);
          // What two orders of summation leave, which Newton-Schulz makes larger; in float32 the parameters' own rounding.
          const allowed = tolerance(name.startsWith("muon") ? 1e-13 : 1e-14, 1e-6);
          assert.ok(error <= allowed, `step ${k + 1}, ${key}, ${device.adapter}: ${error}`);
        }
      });
    });
  });
}

/** Lion as its paper's Algorithm 2 has it, an array at a time; frozen elements left out. */
function lionReference(
  initial: Float64Array,
  steps: readonly Step[],
  options: Parameters<typeof lion>[5],
  trained: Float64Array,
): Found {
  const { betas: [b1, b2], weightDecay, clip, decayed } = options;
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

/** Some steps of random gradients, rounded to float32 so that every device starts from the same numbers. */
function randomSteps(rng: RandomStream, size: number) {
  const draw = (scale: number) =>
    Float64Array.from({ length: size }, () => Math.fround(scale * rng.normal()));
  const steps = Array.from({ length: between(rng, 2, 5) }, () => {
    return { lr: Math.fround(1e-2 * (0.1 + rng.uniform())), gradient: draw(10 ** (2 * rng.uniform() - 2)) };
  });
  return { initial: draw(1), steps };
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
      decayed,
      keepUpdate: true,
    } as const;
    const expected = lionReference(initial, steps, options, trained);
    const tested: Tested = {
      states: ["exp_avg"],
      step: ({ parameter, gradient, states: { exp_avg }, norm, lr, trained }) =>
        lion(parameter, gradient, exp_avg, norm, lr, options, trained),
    };
    await onDevices(async (device, tolerance) => {
      const found = await runSteps(device, tested, initial, steps, trained);
      const last = found.at(-1)!;
      const where = `case ${k}, ${size} parameters, ${device.adapter}`;
      for (const name of ["parameter", "exp_avg"]) {
        // float32 rounds a parameter near 1 to 6e-8 at each step.
        const error = relativeError(last[name], expected[name]);
        assert.ok(error <= tolerance(1e-14, 1e-6), `${where}: ${name} ${error}`);
      }
      const before = found.at(-2)!.parameter;
      const moved = last.parameter.map((p, i) => p - before[i]);
      assert.ok(relativeError(last.update, moved) <= tolerance(1e-14, 1e-6), `${where}: update`);
      assert.ok(last.update.every((x, i) => trained[i] !== 0 || x === 0), where);
    });
  }
});

Deno.test("sgd() without momentum or clip is p - lr g, and leaves frozen elements and their momentum alone", async () => {
  const rng = randomStream(1, "sgd");
  const { initial, steps } = randomSteps(rng, 300);
  const trained = Float64Array.from({ length: 300 }, (_, i) => Number(i % 3 > 0));
  const tested: Tested = {
    states: ["momentum"],
    step: ({ parameter, gradient, states: { momentum }, norm, lr, trained }) =>
      sgd(parameter, gradient, momentum, norm, lr, {
        momentum: 0,
        weightDecay: 0,
        clip: 0,
        decayed: 300,
        keepUpdate: true,
      }, trained),
  };
  const expected = initial.slice();
  for (const { lr, gradient } of steps) gradient.forEach((g, i) => expected[i] -= lr * g * trained[i]);
  const last = steps.at(-1)!;
  await onDevices(async (device, tolerance) => {
    const found = (await runSteps(device, tested, initial, steps, trained)).at(-1)!;
    assert.ok(relativeError(found.parameter, expected) <= tolerance(1e-14, 1e-6), device.adapter);
    const update = last.gradient.map((g, i) => -last.lr * g * trained[i]);
    // An update of 1e-4 is the difference of two parameters near 1: 6e-8 of these.
    assert.ok(relativeError(found.update, update) <= tolerance(1e-11, 1e-2), device.adapter);
    for (let i = 0; i < 300; i += 3) {
      assert.deepEqual([found.parameter[i], found.momentum[i], found.update[i]], [initial[i], 0, 0]);
    }
  });
});

Deno.test("muon() moves the matrices chosen by what it says it added, and nothing else", async () => {
  const rng = randomStream(1, "muon");
  const { initial, steps } = randomSteps(rng, 384);
  // The tall matrix stands still, and the last 64 numbers are no matrix.
  const trained = Float64Array.from({ length: 384 }, (_, i) => Number(i < 128 || (i >= 256 && i < 320)));
  await onDevices(async (device, tolerance) => {
    const found = await runSteps(
      device,
      muonOf({ momentum: 0.9, nesterov: true }, true),
      initial,
      steps,
      trained,
    );
    const [before, last] = found.slice(-2);
    for (let i = 0; i < 384; i++) {
      const moved = last.parameter[i] - before.parameter[i];
      assert.ok(Math.abs(last.update[i] - moved) <= tolerance(1e-15, 3e-7), `${i} on ${device.adapter}`);
      if (trained[i] === 0) assert.deepEqual([moved, last.momentum[i], last.update[i]], [0, 0, 0]);
      else assert.notEqual(moved, 0);
    }
  });
});

/** Newton-Schulz by plain loops, the tall matrix by its transpose. */
function newtonSchulz(values: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const product = (a: number[][], b: number[][]) =>
    a.map((row) => b[0].map((_, j) => row.reduce((sum, x, k) => sum + x * b[k][j], 0)));
  const transposed = (a: number[][]) => a[0].map((_, j) => a.map((row) => row[j]));
  const norm = Math.hypot(...Array.from(values));
  let x = Array.from(
    { length: rows },
    (_, i) => Array.from({ length: columns }, (_, j) => values[i * columns + j] / Math.max(norm, 1e-7)),
  );
  if (rows > columns) x = transposed(x);
  for (let round = 0; round < 5; round++) {
    const gram = product(x, transposed(x));
    const fourth = product(gram, gram);
    const polynomial = gram.map((row, i) => row.map((g, j) => -4.775 * g + 2.0315 * fourth[i][j]));
    const change = product(polynomial, x);
    x = x.map((row, i) => row.map((value, j) => 3.4445 * value + change[i][j]));
  }
  return Float64Array.from((rows > columns ? transposed(x) : x).flat());
}

Deno.test("orthogonalised() equals Newton-Schulz by plain loops in 20 random shapes, and float64 on WebGPU in 4", async () => {
  using oracle = cpuDevice({ precision: "f64" });
  const made = (rng: RandomStream) => {
    const feeds: Record<string, Float64Array> = {};
    const shape = [between(rng, 1, 40), between(rng, 1, 40)];
    const x = randomInput(rng, feeds, "x", shape, 10 ** (4 * rng.uniform() - 3));
    return { feeds, outputs: { y: orthogonalised(x, 3) }, label: shape.join("x") };
  };
  for (let k = 0; k < 20; k++) {
    const { feeds, outputs } = made(randomStream(k, "orthogonalised"));
    using program = await oracle.compile({ outputs });
    program.run(feeds);
    const [rows, columns] = outputs.y.shape;
    const expected = newtonSchulz(feeds.x, rows, columns).map((value) => 3 * value);
    const error = relativeError((await program.read(["y"]))[0], expected);
    assert.ok(error <= 1e-12, `${rows}x${columns}: ${error}`);
  }
  // Each round multiplies the rounding in a small singular value by up to 3.4: 500 times 6e-8.
  await checkKernel("orthogonalised", made, { tolerance: 3e-5, count: 4 });
});

Deno.test("muon() gives each matrix its own direction, whether it is stacked with others of its shape or not", async () => {
  // Those of 128 and 64 numbers are stacked, those of 35 would not lie where a kernel may begin.
  const shapes = [[8, 16], [5, 7], [8, 16], [16, 8], [5, 7], [8, 8], [16, 8], [8, 8]];
  let size = 0;
  const matrices = shapes.map((shape) => {
    const offset = size;
    size += Math.ceil(sizeOf(shape) / 64) * 64;
    return { offset, shape };
  });
  const options = { momentum: 0, nesterov: false, weightDecay: 0, clip: 0 };
  const tested: Tested = {
    states: ["momentum"],
    step: ({ parameter, gradient, states: { momentum }, norm, lr, trained }) =>
      muon(parameter, gradient, momentum, norm, lr, trained, matrices, options),
  };
  const { steps: [{ gradient }] } = randomSteps(randomStream(2, "muon stacks"), size);
  await onDevices(async (device, tolerance) => {
    const [{ parameter }] = await runSteps(device, tested, new Float64Array(size), [{ lr: 1, gradient }]);
    for (const { offset, shape: [rows, columns] } of matrices) {
      const part = (x: Float64Array) => x.subarray(offset, offset + rows * columns);
      const factor = 0.2 * Math.sqrt(Math.max(rows, columns));
      const expected = newtonSchulz(part(gradient), rows, columns).map((value) => -factor * value);
      // Rounding of float32, multiplied by up to 3.4 in each of five rounds.
      const error = relativeError(part(parameter), expected);
      assert.ok(
        error <= tolerance(1e-12, 3e-5),
        `${rows}x${columns} at ${offset}, ${device.adapter}: ${error}`,
      );
    }
  });
});

Deno.test("orthogonalised() keeps singular vectors, brings singular values to between 0.6 and 1.3, and gives 0 for 0", async () => {
  using device = cpuDevice({ precision: "f64" });
  const x = input("x", [4, 6]);
  using program = await device.compile({ outputs: { y: orthogonalised(x) } });
  // Singular values on the diagonal: of the norm they are shares down to 2%.
  const values = new Float64Array(24);
  [1, 0.5, 0.1, 0.02].forEach((s, i) => values[7 * i] = s);
  program.run({ x: values });
  const [y] = await program.read(["y"]);
  y.forEach((value, at) => {
    if (at % 7 === 0 && at < 28) assert.ok(value > 0.6 && value < 1.3, `${value} at ${at}`);
    else assert.equal(value, 0);
  });
  program.run({ x: new Float64Array(24) });
  assert.ok((await program.read(["y"]))[0].every((value) => value === 0));
});

Deno.test("sgd(), lion() and muon() refuse options and sizes that do not fit, naming them", () => {
  const [p, m] = ["p", "m"].map((name) => state(name, [64]));
  const [norm, lr, g] = [input("norm", [1]), input("lr", [1]), input("g", [64])];
  const good = { weightDecay: 0, clip: 1, decayed: 64 };
  const refuses = (message: RegExp, make: () => unknown) =>
    assert.throws(make, (error: Error) => error instanceof UserError && message.test(error.message));
  refuses(
    /sgd: momentum is 1, expected a number in \[0, 1\)/,
    () => sgd(p, g, m, norm, lr, { ...good, momentum: 1 }),
  );
  refuses(
    /sgd: decayed is 65, expected a whole number of the 64/,
    () => sgd(p, g, m, norm, lr, { ...good, momentum: 0, decayed: 65 }),
  );
  refuses(
    /lion: beta2 is -1/,
    () => lion(p, g, m, norm, lr, { ...good, betas: [0.9, -1] }),
  );
  refuses(
    /lion: .*one size.*found f32\[64\] and f32\[7\]/,
    () => lion(p, input("g", [7]), m, norm, lr, { ...good, betas: [0.9, 0.99] }),
  );
  const muonOptions = { momentum: 0.95, nesterov: true, weightDecay: 0.1, clip: 1 };
  const chosen = constant(1, [64]);
  const matrices = [{ offset: 0, shape: [8, 8] }];
  refuses(
    /muon: weightDecay is NaN/,
    () => muon(p, g, m, norm, lr, chosen, matrices, { ...muonOptions, weightDecay: NaN }),
  );
  refuses(
    /muon: .*one size/,
    () => muon(p, g, m, norm, lr, constant(1, [63]), matrices, muonOptions),
  );
  assert.equal(sizeOf(muon(p, g, m, norm, lr, chosen, matrices, muonOptions).parameter), 64);
});
