// Shared by the tests of optimizers: an optimizer to test, its steps on every device, and random steps.
import { adamwHyper } from "../../kernels/optimizers/adamw.ts";
import type { RandomStream } from "../../src/base/random.ts";
import { sumSquares } from "../../kernels/elementwise/op.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { Device } from "../../src/device/device.ts";
import { input, state } from "../../src/graph/structure.ts";
import type { Tensor } from "../../src/graph/tensor.ts";
import type { Updated, UpdateTensors } from "../../kernels/optimizers/flat_update.ts";
import { between, kernelDevices } from "./harness.ts";

/** Inputs of one step. */
export interface Step {
  readonly lr: number;
  readonly gradient: Float64Array;
}

/** An optimizer to test: its states, and its step, which returns the new parameters and the update. */
export interface Tested {
  readonly states: readonly string[];
  readonly betas?: readonly [number, number];
  step(tensors: Required<UpdateTensors>): Updated;
}

/** Parameters, states and the update by name. */
export type Found = Record<string, Float64Array>;

let programs = 0;

/** Runs the steps on a device with new states; returns parameters, states and the update after each step. */
export async function runSteps(
  device: Device,
  { states, betas = [0.9, 0.99], step }: Tested,
  initial: Float64Array,
  steps: readonly Step[],
  trained: Float64Array = new Float64Array(initial.length).fill(1),
): Promise<Found[]> {
  const size = initial.length;
  const names = ["parameter", ...states].map((name) => `optimizer ${name} ${programs}`);
  programs++;
  const [parameter, ...held] = names.map((name) => state(name, [size]));
  const gradient = input("gradient", [size]);
  const after = step({
    parameter,
    gradient,
    states: Object.fromEntries(states.map((name, i) => [name, held[i]])),
    squaredNorm: sumSquares(gradient),
    hyper: input("hyper", [4]),
    trainable: input("trained", [size]),
  });
  device.define(names[0], parameter, initial);
  for (const name of names.slice(1)) device.define(name, { shape: [size], dtype: "f32" });
  const outputs: Record<string, Tensor> = after.update ? { update: after.update } : {};
  using program = await device.compile({ effects: [after.parameter], outputs });
  const results: Found[] = [];
  for (const [k, { lr, gradient }] of steps.entries()) {
    const feeds = { gradient, hyper: adamwHyper(lr, k + 1, betas), trained };
    const inputNames = new Set(
      program.plan.buffers.filter((b) => b.kind === "input").map(({ name }) => name),
    );
    program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => inputNames.has(name))));
    const [update] = after.update ? await program.read(["update"]) : [];
    const values = await device.read(names);
    const read = Object.fromEntries(["parameter", ...states].map((name, i) => [name, values[i]]));
    if (update) read.update = update;
    results.push(Object.fromEntries(Object.entries(read).map(([name, x]) => [name, Float64Array.from(x)])));
  }
  return results;
}

/** All devices, and the tolerance that float32 adds to that of float64. */
export async function onDevices(
  test: (device: Device, tolerance: (double: number, single: number) => number) => Promise<void>,
): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  using single = referenceDevice();
  await test(oracle, (double) => double);
  for (const device of [single, ...await kernelDevices()]) await test(device, (_, single) => single);
}

/** Some steps of random gradients, rounded to float32 so that every device starts from the same numbers. */
export function randomSteps(rng: RandomStream, size: number) {
  const draw = (scale: number) =>
    Float64Array.from({ length: size }, () => Math.fround(scale * rng.normal()));
  const steps = Array.from({ length: between(rng, 2, 5) }, () => {
    return { lr: Math.fround(1e-2 * (0.1 + rng.uniform())), gradient: draw(10 ** (2 * rng.uniform() - 2)) };
  });
  return { initial: draw(1), steps };
}
