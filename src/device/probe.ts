// Measures how fast a device computes, with a few small programs, and keeps the result in a file.
import { join } from "node:path";
import { scale } from "../../kernels/elementwise/op.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { VERSION } from "../base/version.ts";
import { input, view } from "../graph/structure.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { Device } from "./device.ts";
import type { Graph, Plan } from "./plan.ts";

/** The speed of a device. */
export interface Speed {
  /** Number of floating point operations per second in matrix products. */
  readonly flops: number;
  /** Fixed overhead of each operation (its dispatch or barrier), in seconds. */
  readonly operation: number;
  /** Number of seconds that the host loses each time it waits for results. */
  readonly read: number;
}

/** A graph, and the number of times that it runs. */
export interface Workload {
  /** The graph to compute. */
  readonly graph: Graph;
  /** Number of runs. */
  readonly runs: number;
  /** Number of times that the host waits for results. Default: 0. */
  readonly reads?: number;
}

const [SIZE, PRODUCTS, OPERATIONS, ROUNDS] = [512, 2, 64, 4];

const repeat = (x: Tensor, times: number, step: (x: Tensor) => Tensor): Tensor =>
  Array.from({ length: times }).reduce<Tensor>((y) => step(y), x);

/** Returns the number of seconds that one run and the read of its result take: the minimum of a few runs after the first. */
async function secondsOf(device: Device, y: Tensor, x: Float32Array): Promise<number> {
  using program = await device.compile({ outputs: { y: view(y, [1]) } });
  let shortest = Infinity;
  for (let round = 0; round <= ROUNDS; round++) {
    const began = performance.now();
    program.run({ x });
    await program.read(["y"]);
    if (round > 0) shortest = Math.min(shortest, performance.now() - began);
  }
  return shortest / 1000;
}

/** Measures the speed of a device, which takes some tens of milliseconds. */
export async function measureSpeed(device: Device): Promise<Speed> {
  const [large, small] = [input("x", [SIZE, SIZE]), input("x", [64])];
  const [matrix, row] = [new Float32Array(SIZE * SIZE).fill(1 / SIZE), new Float32Array(64)];
  const one = await secondsOf(device, scale(small, 2), row);
  const many = await secondsOf(device, repeat(small, OPERATIONS, (x) => scale(x, 2)), row);
  const products = await secondsOf(device, repeat(large, PRODUCTS, (x) => matmul(x, x)), matrix);
  // Clocks are coarse: differences below a microsecond are noise.
  return {
    flops: 2 * SIZE ** 3 * PRODUCTS / Math.max(products - one, 1e-6),
    operation: Math.max(many - one, 1e-6) / (OPERATIONS - 1),
    read: one,
  };
}

/** The file in which speeds are cached. A program that may not write to it measures the speed every time. */
const FILE = join(".cache", "devices.json");

const may = (name: "read" | "write"): boolean =>
  Deno.permissions.querySync({ name, path: FILE }).state === "granted";

/** Returns the speeds in the file, keyed by device; there are none if the file is missing or damaged. */
async function storedSpeeds(): Promise<Record<string, Speed>> {
  try {
    return may("read") ? JSON.parse(await Deno.readTextFile(FILE)) : {};
  } catch {
    return {};
  }
}

/**
 * Returns the speed of a device from the file. If the file does not have it for these versions of heed and Deno, measures
 * the speed and adds it to the file.
 */
export async function speedOf(device: Device): Promise<Speed> {
  const key =
    `${device.adapter}, ${navigator.hardwareConcurrency} cores, heed ${VERSION}, Deno ${Deno.version.deno}`;
  const stored = await storedSpeeds();
  if (stored[key]) return stored[key];
  const speed = await measureSpeed(device);
  if (may("read") && may("write")) {
    try {
      await Deno.mkdir(".cache", { recursive: true });
      await Deno.writeTextFile(FILE, JSON.stringify({ ...stored, [key]: speed }, null, 2));
    } catch { /* It is measured again the next time. */ }
  }
  return speed;
}

/**
 * Estimates the number of seconds that `work` takes, without uploads and without the host's own work. `plan` plans the
 * graphs.
 */
export function estimateSeconds(
  work: readonly Workload[],
  plan: (graph: Graph) => Plan,
  speed: Speed,
): number {
  return work.reduce((sum, { graph, runs, reads = 0 }) => {
    if (runs === 0) return sum;
    const { flops, steps } = plan(graph);
    return sum + runs * (flops / speed.flops + steps.length * speed.operation) + reads * speed.read;
  }, 0);
}
