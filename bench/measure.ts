// How every benchmark is measured. Reading anything back from a device costs 10 to 30 ms whatever its size, so no call is
// timed alone: about 300 ms of calls are, then one small read, whose cost is subtracted.
import { randomStream } from "../src/base/random.ts";
import { alignedRows } from "../src/base/table.ts";
import type { Device } from "../src/device/device.ts";
import type { Graph } from "../src/device/plan.ts";
import { findAdapter, webgpuDevice } from "../src/device/webgpu.ts";
import { apply, type Op, sizeOf, type Spec, type Tensor, type Values } from "../src/graph/tensor.ts";
import { state } from "../src/graph/structure.ts";

/** Something to time: `start` starts `calls` calls, `settle` waits until all of them are done. */
export interface Runner {
  readonly name: string;
  readonly calls: number;
  /** Approximate milliseconds per call, if known. */
  readonly about?: number;
  start(): void;
  settle(): Promise<unknown>;
}

/** Time of a runner. */
export interface Timing {
  readonly name: string;
  /** Milliseconds per call. */
  readonly ms: number;
}

/** Opens WebGPU; a benchmark without an adapter fails. */
export async function openWebgpu(): Promise<Device> {
  const adapter = await findAdapter();
  if (!adapter) throw new Error("No WebGPU adapter: install mesa-vulkan-drivers, or a GPU's Vulkan driver.");
  return webgpuDevice(adapter);
}

/**
 * Registers a table as a benchmark. Deno's figures time only one submit of heed's last row, including its read-back;
 * everything else is in the table printed above them.
 */
export function benchTable(name: string, table: () => Promise<Runner>): void {
  let last: Runner | undefined;
  Deno.bench({
    name: `${name}: a submit of the last row and its read-back`,
    n: 1,
    warmup: 0,
    async fn(timer) {
      // The first call is Deno's warm-up, which is not counted: it measures the table.
      last ??= await table();
      timer.start();
      last.start();
      await last.settle();
      timer.end();
    },
  });
}

const BATCH_MS = 300;
const ROUNDS = 9;
const MOST_CALLS_A_SUBMIT = 32;

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Cost of waiting for an idle device. */
async function emptyRead({ settle }: Runner): Promise<number> {
  await settle();
  const costs: number[] = [];
  for (let i = 0; i < 3; i++) costs.push(await timed(settle));
  return median(costs);
}

async function batch(runner: Runner, starts: number): Promise<number> {
  const empty = await emptyRead(runner);
  const all = await timed(() => {
    for (let i = 0; i < starts; i++) runner.start();
    return runner.settle();
  });
  return Math.max(all - empty, 1e-3) / (starts * runner.calls);
}

/** Number of calls that take about as long as a batch should, found by doubling from one. */
async function startsOf(runner: Runner): Promise<number> {
  if (runner.about) return Math.max(1, Math.round(BATCH_MS / (runner.about * runner.calls)));
  await batch(runner, 1);
  for (let starts = 1;; starts *= 2) {
    const total = await batch(runner, starts) * starts * runner.calls;
    if (total >= BATCH_MS / 4) return Math.max(1, Math.round(starts * BATCH_MS / total));
  }
}

/**
 * Milliseconds per call of each runner, the minimum over its batches: other work on the machine can only add time. The
 * runners alternate, so that they meet the same noise.
 */
export async function measure(runners: readonly Runner[]): Promise<Timing[]> {
  const starts: number[] = [];
  for (const runner of runners) starts.push(await startsOf(runner));
  const taken = runners.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, runner] of runners.entries()) taken[i].push(await batch(runner, starts[i]));
  }
  return runners.map(({ name }, i) => ({ name, ms: Math.min(...taken[i]) }));
}

/** Depends on `[token, ...results]` and computes nothing: the results are computed, and their memory can be reused. */
const afterOp: Op<null> = {
  name: "after",
  infer: () => [{ shape: [1], dtype: "f32" }],
  lower: () => ({ dispatches: [] }),
  cpu: () => {},
  simd: () => ({ phases: [] }),
};

/** A graph of `times` equal calls, one after another, in one submit. `turn` counts them. */
export function repeated(call: (turn: number) => readonly Tensor[], times: number): Graph {
  let token: Tensor | undefined;
  for (let i = 0; i < times; i++) {
    const results = call(i);
    token = apply(afterOp, token ? [token, ...results] : results, null)[0];
  }
  return { outputs: { token: token! } };
}

/** A state of random normal numbers on a device, or of random integers below `below`. */
export function randomState(device: Device, name: string, spec: Spec, below = 2): Tensor {
  const rng = randomStream(1, name);
  const values = spec.dtype === "u32"
    ? Uint32Array.from({ length: sizeOf(spec) }, () => rng.below(below))
    : Float32Array.from({ length: sizeOf(spec) }, () => rng.normal());
  device.define(name, spec, values);
  return state(name, spec.shape, spec.dtype);
}

/** Tensors computed once and kept on the device as states, so that later calls can be timed alone. */
export async function stored(device: Device, name: string, tensors: readonly Tensor[]): Promise<Tensor[]> {
  using program = await device.compile({ outputs: Object.fromEntries(tensors.map((x, i) => [`x${i}`, x])) });
  program.run();
  const values = await program.read(tensors.map((_, i) => `x${i}`));
  return tensors.map((x, i) => {
    device.define(`${name} ${i}`, x, values[i]);
    return state(`${name} ${i}`, x.shape, x.dtype);
  });
}

/** A runner of a call's graph, with enough calls per submit to hide the cost of submitting. */
export async function callRunner(
  name: string,
  device: Device,
  call: (turn: number) => readonly Tensor[],
): Promise<Runner & { results(): Promise<Values[]> }> {
  const runnerOf = async (calls: number) => {
    const program = await device.compile(repeated(call, calls));
    return { name, calls, start: () => program.run(), settle: () => program.read(["token"]) };
  };
  const single = await runnerOf(1);
  let about = await batch(single, 1);
  // A fast call is measured again, warm, over several calls.
  if (about < BATCH_MS) {
    about = await batch(single, Math.max(1, Math.min(MOST_CALLS_A_SUBMIT, Math.round(BATCH_MS / 4 / about))));
  }
  const calls = device.kind !== "webgpu"
    ? 1
    : Math.max(1, Math.min(MOST_CALLS_A_SUBMIT, Math.round(BATCH_MS / 4 / about)));
  const results = async () => {
    const outputs = Object.fromEntries(call(0).map((y, i) => [`y${i}`, y]));
    using program = await device.compile({ outputs });
    program.run();
    return program.read(Object.keys(outputs));
  };
  return { ...await runnerOf(calls), about, results };
}

/** Fails unless two contenders computed the same: nothing is timed before it is correct. */
export function mustAgree(name: string, results: readonly Values[], expected: readonly Values[]): void {
  expected.forEach((y, k) => {
    let difference = 0;
    let norm = 0;
    for (let i = 0; i < y.length; i++) {
      difference += (results[k][i] - y[i]) ** 2;
      norm += y[i] ** 2;
    }
    // Float32 sums of up to a few thousand terms differ by less; a wrong kernel by far more.
    if (!(difference <= 1e-8 * norm)) throw new Error(`${name}: result ${k} is wrong.`);
  });
}

/** One row of a table: the call, its operations if counted, and the timings, heed's kernel first. */
export interface Row {
  readonly shape: string;
  readonly flops?: number;
  readonly timings: readonly Timing[];
}

const digits = (x: number): string => x.toFixed(x < 10 ? 2 : x < 100 ? 1 : 0);

/** Prints a Markdown table; numbers are right-aligned. */
export function printColumns(head: readonly string[], body: readonly (readonly string[])[]): void {
  const [headings, ...lines] = alignedRows([head, ...body], { left: (column) => column === 0, gap: " | " });
  const rule = headings.split(" | ").map((cell, i) => "-".repeat(cell.length - 1) + (i === 0 ? "-" : ":"));
  const bordered = [headings, rule.join(" | "), ...lines].map((line) => `| ${line} |`);
  console.log(["", ...bordered, ""].join("\n"));
}

/** Prints rows: milliseconds and GFLOP/s of every contender, and its time relative to the first. */
export function printTable(title: string, rows: readonly Row[]): void {
  const names = rows[0].timings.map(({ name }) => name);
  const counted = rows.some(({ flops }) => flops);
  const head = [title, ...names.map((name) => `${name} ms`)];
  if (counted) head.push(...names.map((name) => `${name} GFLOP/s`));
  head.push(...names.slice(1).map((name) => `${name} / ${names[0]}`));
  const body = rows.map(({ shape, flops, timings }) => [
    shape,
    ...timings.map(({ ms }) => digits(ms)),
    ...(counted ? timings.map(({ ms }) => digits(flops! / ms / 1e6)) : []),
    ...timings.slice(1).map(({ ms }) => digits(ms / timings[0].ms)),
  ]);
  printColumns(head, body);
}
