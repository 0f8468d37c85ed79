// How calls are timed on the CPU device: a program of many equal calls and a program of one take turns, with one thread and
// with two. Their difference is the time of the calls alone, without the cost of a run.
import { cpuDevice, type CpuProgram } from "../src/device/cpu/device.ts";
import type { Device } from "../src/device/device.ts";
import { referenceDevice } from "../src/device/reference.ts";
import type { Tensor, Values } from "../src/graph/tensor.ts";
import { mustAgree, repeated } from "./measure.ts";

const ROUNDS = 9;
const SAMPLE_MS = 50;
/** V8 optimises a function after some hundred calls. */
const WARM_MS = 500;

/** Numbers of threads that are timed. */
export const THREADS = [1, 2] as const;

/** A call on a device whose states it defines. */
export type CallOn = (device: Device) => () => readonly Tensor[];

/** Milliseconds per call: the median over the rounds, the minimum and the maximum. */
export interface CallTime {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Milliseconds per run. */
function timed(program: CpuProgram, runs: number): number {
  const began = performance.now();
  for (let run = 0; run < runs; run++) program.run();
  return (performance.now() - began) / runs;
}

async function resultsOf(device: Device, call: () => readonly Tensor[]): Promise<readonly Values[]> {
  const outputs = Object.fromEntries(call().map((y, i) => [`y${i}`, y]));
  using program = await device.compile({ outputs });
  program.run();
  return program.read(Object.keys(outputs));
}

/** Runs a program until it is fast; returns how many runs make a sample. */
function warmed(program: CpuProgram): number {
  let runs = 0;
  const began = performance.now();
  while (runs < 3 || performance.now() - began < WARM_MS) {
    program.run();
    runs++;
  }
  return Math.max(1, Math.round(SAMPLE_MS / timed(program, Math.ceil(runs / 10))));
}

/**
 * Times a call with each number of THREADS.
 *
 * @param name what it is, in errors
 * @param calls number of calls in the longer program, more than 1
 * @throws {Error} if its results differ from the reference device's, or part of it runs in TypeScript
 */
export async function callTimes(name: string, calls: number, callOn: CallOn): Promise<CallTime[]> {
  const reference = referenceDevice();
  const expected = await resultsOf(reference, callOn(reference));
  const contenders: { many: CpuProgram; one: CpuProgram; runs: readonly number[]; ms: number[][] }[] = [];
  using open = new DisposableStack();
  for (const threads of THREADS) {
    const device = open.use(cpuDevice({ threads }));
    const call = callOn(device);
    mustAgree(`${name}, ${threads} threads`, await resultsOf(device, call), expected);
    const [many, one] = [
      open.use(await device.compile(repeated(call, calls))),
      open.use(await device.compile(repeated(call, 1))),
    ];
    if (many.inTypeScript.length) throw new Error(`${name}: ${many.inTypeScript[0]} runs in TypeScript.`);
    contenders.push({ many, one, runs: [warmed(many), warmed(one)], ms: [[], []] });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const { many, one, runs, ms } of contenders) {
      ms[0].push(timed(many, runs[0]));
      ms[1].push(timed(one, runs[1]));
    }
  }
  return contenders.map(({ ms }) => {
    const [many, one] = ms.map((x) => x.toSorted((a, b) => a - b));
    const net = (x: number) => (x - one[ROUNDS >> 1]) / (calls - 1);
    return { median: net(many[ROUNDS >> 1]), min: net(many[0]), max: net(many[ROUNDS - 1]) };
  });
}
