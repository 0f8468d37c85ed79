// Shared by all kernel tests: runs a graph on the float64 oracle and on WebGPU with both schedules, and checks gradients
// against central differences.
import assert from "node:assert/strict";
import { referenceDevice } from "../../src/device/reference.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import type { Device } from "../../src/device/device.ts";
import { findAdapter, webgpuDevice } from "../../src/device/webgpu.ts";
import { add, multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { input } from "../../src/graph/structure.ts";
import { sizeOf, type Tensor, type Values } from "../../src/graph/tensor.ts";

/** A graph to test: its inputs' numbers by input name, and its outputs. */
export interface Case {
  readonly feeds: Record<string, Values>;
  readonly outputs: Record<string, Tensor>;
  /** Description in failure messages. */
  readonly label?: string;
}

let opened: Promise<Device[]> | undefined;

/** WebGPU with both schedules, opened once. Nothing is skipped: without an adapter the tests fail. */
export function webgpuDevices(): Promise<Device[]> {
  opened ??= (async () => {
    const open = async (kind: "software" | "gpu") => {
      const adapter = await findAdapter();
      if (!adapter) {
        throw new Error("No WebGPU adapter: install mesa-vulkan-drivers, or a GPU's Vulkan driver.");
      }
      return webgpuDevice(adapter, kind);
    };
    return [await open("software"), await open("gpu")];
  })();
  return opened;
}

let cpu: Device | undefined;

/** All devices whose kernels are held against the oracle: WebGPU with both schedules, and the CPU with two threads. */
export async function kernelDevices(): Promise<Device[]> {
  cpu ??= cpuDevice({ threads: 2 });
  return [...await webgpuDevices(), cpu];
}

/** Name of a device in failure messages. */
export const nameOf = ({ kind, target }: Device): string =>
  target ? `${kind}, ${target.kind} schedule` : kind;

/** An input with random normal numbers, scaled; the numbers are added to `feeds`. */
export function randomInput(
  rng: RandomStream,
  feeds: Record<string, Values>,
  name: string,
  shape: number[],
  scale = 1,
): Tensor {
  // Rounded to float32, so that all devices start from the same numbers.
  feeds[name] = Float64Array.from({ length: sizeOf(shape) }, () => Math.fround(scale * rng.normal()));
  return input(name, shape);
}

/** A random integer between two bounds, both included. */
export const between = (rng: RandomStream, low: number, high: number): number =>
  low + rng.below(high - low + 1);

/** ||a - b|| / ||b||, with a floor under ||b|| for numbers that should be zero. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>, floor = 1e-6): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    if (Number.isNaN(a[i])) return NaN;
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), floor);
}

/** Runs a case's graph on a device and reads its outputs. */
export async function evaluate(device: Device, { feeds, outputs }: Case): Promise<Record<string, Values>> {
  using program = await device.compile({ outputs });
  program.run(feeds);
  const names = Object.keys(outputs);
  const values = await program.read(names);
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/**
 * Runs `count` random cases on the oracle, on WebGPU under both schedules and on the CPU with two threads; every output must agree to `tolerance`
 * (relative, in the L2 norm).
 */
export async function checkKernel(
  name: string,
  make: (rng: RandomStream) => Case,
  { count = 20, tolerance = 1e-5, floor = 1e-6 }: { count?: number; tolerance?: number; floor?: number } = {},
): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  const devices = await kernelDevices();
  for (let i = 0; i < count; i++) {
    const testCase = make(randomStream(i, name));
    const expected = await evaluate(oracle, testCase);
    for (const device of devices) {
      const results = await evaluate(device, testCase);
      for (const key of Object.keys(expected)) {
        const error = relativeError(results[key], expected[key], floor);
        const where = `${name} case ${i} (${testCase.label ?? ""}), ${nameOf(device)}, ${key}`;
        assert.ok(error <= tolerance, `${where}: relative error ${error}, allowed ${tolerance}`);
      }
    }
  }
}

/**
 * Central differences in float64: for the weighted sum L of all outputs, dL/dx of every input named in `wrt` along
 * random directions must equal (L(x + h d) - L(x - h d)) / 2h to 1e-6 relative.
 */
export async function checkGradient(
  name: string,
  make: (rng: RandomStream) => Case & { wrt: Record<string, Tensor> },
  { count = 20, directions = 3, step = 1e-5 }: { count?: number; directions?: number; step?: number } = {},
): Promise<void> {
  using oracle = referenceDevice({ precision: "f64" });
  for (let i = 0; i < count; i++) {
    const rng = randomStream(i, `${name} gradient`);
    const testCase = make(rng);
    const feeds: Record<string, Values> = { ...testCase.feeds };
    const terms = Object.entries(testCase.outputs).map(([key, y]) => {
      return sumAll(multiply(y, randomInput(rng, feeds, `weights of ${key}`, [...y.shape])));
    });
    const loss = terms.reduce(add);
    const names = Object.keys(testCase.wrt);
    const slopes = grad(loss, names.map((key) => testCase.wrt[key]));
    const results = await evaluate(oracle, {
      feeds,
      outputs: Object.fromEntries(names.map((key, k) => [key, slopes[k]])),
    });
    using program = await oracle.compile({ outputs: { loss } });
    for (const key of names) {
      for (let k = 0; k < directions; k++) {
        const direction = Float64Array.from(feeds[key], () => rng.normal());
        const along = direction.reduce((sum, d, j) => sum + d * results[key][j], 0);
        const at = async (h: number) => {
          program.run({ ...feeds, [key]: Float64Array.from(feeds[key], (x, j) => x + h * direction[j]) });
          return (await program.read(["loss"]))[0][0];
        };
        // Richardson extrapolation cancels the h^2 term, which matters for curved functions at 1e-6.
        const coarse = (await at(2 * step) - await at(-2 * step)) / (4 * step);
        const fine = (await at(step) - await at(-step)) / (2 * step);
        const expected = (4 * fine - coarse) / 3;
        const scale = Math.max(Math.abs(expected), norm(results[key]), 1e-3);
        const error = Math.abs(along - expected) / scale;
        assert.ok(
          error <= 1e-6,
          `${name} case ${i} (${testCase.label ?? ""}), d/d${key}: ${along}, differences give ${expected}`,
        );
      }
    }
  }
}

const norm = (x: ArrayLike<number>): number =>
  Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0));
