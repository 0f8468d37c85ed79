// The CPU device: programs are compiled to WebAssembly (see list.ts) and run on all cores. An operation without a WebAssembly
// implementation runs its TypeScript implementation on the same memory.
import { sizeOf, type Spec, type Values } from "../../graph/tensor.ts";
import { UserError } from "../../base/errors.ts";
import { showBytes } from "../../base/units.ts";
import { UNALLOCATED } from "../allocation.ts";
import { checkFeeds, checkLength, checkState, entryOf } from "../checks.ts";
import type { Device, Program } from "../device.ts";
import { checkMemory, thisMachine } from "../machine.ts";
import { type BufferSlice, type Graph, type Plan, plan } from "../plan.ts";
import { type Blas, openSgemm, type Sgemm } from "./blas.ts";
import { type HostFeatures, hostFeatures, isFused } from "./features.ts";
import { type Heap, heap, MAX_BYTES, MAX_THREADS, NOWHERE } from "./heap.ts";
import { type Pool, pool } from "./pool.ts";
import { type Code, programCode, type Timing } from "./program.ts";

export type { Timing };

/** The name of this device in messages; its `adapter` also says how the processor rounds multiply-adds. */
export const CPU_NAME = "CPU (WebAssembly)";

/** Options of the CPU device. */
export interface CpuOptions {
  /** Number of threads. Default: one per core; programs that are too small to be shared run on one thread. */
  readonly threads?: number;
  /** Maximum memory for states and programs, in bytes. Default: the machine's memory, or no limit if heed may not query it. */
  readonly memory?: number;
  /** A library for matrix products, see `findBlas`. Default: none. */
  readonly blas?: Blas;
  /** The features of the host; tests replace them. Default: the features of this host. */
  readonly features?: HostFeatures;
}

/** A program of the CPU device. */
export interface CpuProgram extends Program {
  /** Names of the operations that run in TypeScript, in execution order. */
  readonly inTypeScript: readonly string[];
  /**
   * Runs the program once, as `run` does, and measures the time of each part. All threads wait for each other after every
   * part.
   */
  profile(feeds?: Readonly<Record<string, Values>>): readonly Timing[];
}

/** The CPU device. */
export interface CpuDevice extends Device {
  /** Number of threads. */
  readonly threads: number;
  /** Returns the number of bytes of the device's memory that states and programs use. */
  memory(): number;
  /** Plans a graph and compiles it to WebAssembly; creates missing states, zeroed. */
  compile(graph: Graph): Promise<CpuProgram>;
}

interface State {
  readonly spec: Spec;
  readonly address: number;
}

interface Cpu {
  readonly heap: Heap;
  readonly memory: number;
  readonly threads: number;
  /** True if small programs use all threads as well, because the number of threads was requested. */
  readonly always: boolean;
  readonly cores: number;
  readonly states: Map<string, State>;
  readonly blas: Blas | undefined;
  /** The function of `blas` that computes matrix products, opened on the main thread. */
  readonly sgemm: Sgemm | undefined;
  pool: Pool | undefined;
  programs: number;
}

/**
 * Returns the size in bytes of a buffer of `size` elements, padded as in the plan. `shift` adds multiples of 256 bytes,
 * which spread the buffers over the sets of a cache.
 */
const paddedBytes = (size: number, shift = 0): number => 256 * (Math.ceil(Math.max(size, 1) / 64) + shift);

function define(cpu: Cpu, name: string, spec: Spec, values?: Values): State {
  if (values) checkLength(`State ${name}`, values, spec);
  let state = cpu.states.get(name);
  if (state) checkState(name, state.spec, spec);
  else {
    const shift = 1 + cpu.states.size % 7;
    cpu.states.set(name, state = { spec, address: cpu.heap.allocate(paddedBytes(sizeOf(spec), shift)) });
  }
  const view = cpu.heap.view(state.address, sizeOf(spec), spec.dtype);
  if (values) view.set(values);
  else view.fill(0);
  return state;
}

/** Returns the number of bytes that the existing states and the programs need if they are on the device at the same time. */
function bytesOf(plans: readonly Plan[], states: Cpu["states"] = new Map()): number {
  const held = new Map([...states].map(([name, { spec }]) => [name, paddedBytes(sizeOf(spec), 7)]));
  let bytes = 0;
  for (const { kind, name, size } of plans.flatMap(({ buffers }) => buffers)) {
    if (kind === "state") held.set(name, paddedBytes(size, 7));
    else bytes += paddedBytes(size, 7);
  }
  for (const size of held.values()) bytes += size;
  return bytes;
}

/** True if the programs together fit into the memory of a CPU device, which has at most 4 GiB. */
export const fitsCpu = (plans: readonly Plan[]): boolean => bytesOf(plans) <= MAX_BYTES;

/** Throws if the existing states and the programs together need more memory than the machine or the CPU device has. */
function check({ states, memory }: Cpu, plans: readonly Plan[]): void {
  const bytes = bytesOf(plans, states);
  const what = plans.length === 1 ? "a program on the CPU" : "the run on the CPU";
  checkMemory(what, bytes, { memory });
  if (bytes > MAX_BYTES) {
    throw new UserError(
      `${
        showBytes(bytes)
      } of memory for ${what}, the CPU device has at most 4 GiB: use a smaller batch, context or model, or ` +
        `--device reference, which is slower.`,
    );
  }
}

/**
 * Allocates a plan's buffers in one range of memory. Returns the address of the range, and a function that maps a slice to
 * its address.
 */
function place(cpu: Cpu, { buffers }: Plan): { address: number; of: (place: BufferSlice) => number } {
  const offsets = new Map<unknown, number>();
  let size = 0;
  buffers.forEach((buffer, i) => {
    if (buffer.kind === "state") return;
    offsets.set(buffer, size);
    size += paddedBytes(buffer.size, 1 + i % 7);
  });
  const address = cpu.heap.allocate(size);
  const addresses = new Map(buffers.map((buffer) => {
    const { kind, name, spec } = buffer;
    if (kind === "state") return [buffer, (cpu.states.get(name) ?? define(cpu, name, spec)).address];
    return [buffer, address + offsets.get(buffer)!];
  }));
  for (const buffer of buffers) {
    const view = cpu.heap.view(addresses.get(buffer)!, buffer.size, buffer.spec.dtype);
    if (buffer.data) view.set(buffer.data);
    if (buffer.value) view.fill(buffer.value);
  }
  const of = (slice: BufferSlice): number =>
    slice === UNALLOCATED ? NOWHERE : addresses.get(slice.buffer)! + 4 * slice.offset;
  return { address, of };
}

/**
 * True if a program is large enough for several threads. Waking the threads and waiting at barriers costs about 50
 * microseconds.
 */
function isLarge({ steps, flops }: Plan): boolean {
  const elements = steps.flatMap(({ node }) => node.outputs).reduce((sum, y) => sum + sizeOf(y), 0);
  return flops / 16 + elements > 50_000;
}

async function compile(cpu: Cpu, graph: Graph): Promise<CpuProgram> {
  const planned = plan(graph, "simd");
  check(cpu, [planned]);
  for (const { kind, name, spec } of planned.buffers) {
    const held = kind === "state" ? cpu.states.get(name) : undefined;
    if (held) checkState(name, held.spec, spec);
  }
  const threads = cpu.always || isLarge(planned) ? cpu.threads : 1;
  const places = place(cpu, planned);
  const code = programCode(cpu.heap, planned, places.of, {
    threads,
    spins: threads > cpu.cores ? 100 : 200_000,
    sgemm: cpu.sgemm,
  });
  const id = ++cpu.programs;
  if (code.threads > 1) {
    cpu.pool ??= pool(cpu.heap, cpu.threads, cpu.blas);
    await cpu.pool.load(id, code.module);
  }
  return programOf(cpu, graph, { planned, code, id, ...places });
}

/** A compiled program and its memory. */
interface Compiled {
  readonly planned: Plan;
  readonly code: Code;
  readonly id: number;
  readonly address: number;
  readonly of: (place: BufferSlice) => number;
}

function programOf(cpu: Cpu, graph: Graph, { planned, code, id, address, of }: Compiled): CpuProgram {
  const inputs = planned.buffers.filter((b) => b.kind === "input").map((buffer) => ({
    ...buffer,
    address: of({ buffer, offset: 0, size: buffer.size }),
  }));
  const readable = new Map(
    Object.entries(planned.outputs).map((
      [name, place],
    ) => [name, { spec: graph.outputs![name], address: of(place) }]),
  );
  let closed = false;
  const checkOpen = (): void => {
    if (closed) throw new Error("This program is closed.");
  };
  const start = (feeds: Readonly<Record<string, Values>>, profile: boolean): void => {
    checkOpen();
    checkFeeds(inputs, feeds);
    for (const { name, spec, address } of inputs) {
      cpu.heap.view(address, sizeOf(spec), spec.dtype).set(feeds[name]);
    }
    code.reset();
    const run = profile ? code.profile : code.run;
    if (code.threads > 1) cpu.pool!.run(2 * id + Number(profile), run);
    else run();
  };
  return {
    plan: planned,
    inTypeScript: code.inTypeScript,
    run: (feeds = {}) => start(feeds, false),
    profile(feeds = {}) {
      code.timings.length = 0;
      start(feeds, true);
      return [...code.timings];
    },
    // The function is async so that an unknown name rejects the promise; the values are copied before the function returns.
    // deno-lint-ignore require-await
    async read(names) {
      checkOpen();
      return names.map((name) => {
        const { spec, address } = entryOf("output of this program", readable, name);
        return cpu.heap.view(address, sizeOf(spec), spec.dtype).slice();
      });
    },
    [Symbol.dispose]() {
      if (closed) return;
      closed = true;
      code.free();
      cpu.heap.free(address);
      if (code.threads > 1) cpu.pool?.unload(id);
    },
  };
}

/**
 * Opens the CPU device. Results are the same bytes for any number of threads.
 *
 * @throws {UserError} if the host's WebAssembly has no vectors
 *
 * @example
 * ```ts
 * import { cpuDevice } from "./device.ts";
 * using device = cpuDevice({ threads: 2 });
 * device.define("x", { shape: [2], dtype: "f32" }, Float32Array.of(1, 2));
 * ```
 * @category Devices
 */
export function cpuDevice(options: CpuOptions = {}): CpuDevice {
  const { memory = thisMachine().memory, features = hostFeatures() } = options;
  if (!features.simd) {
    throw new UserError(`device: this host's WebAssembly has no vectors (SIMD), use --device reference.`);
  }
  const threads = features.shared ? Math.min(options.threads ?? features.cores, MAX_THREADS) : 1;
  const memoryOf = heap(features.shared);
  // A library gets pointers into the memory, so the memory must not move. Shared memory never moves.
  const blas = features.shared ? options.blas : undefined;
  const cpu: Cpu = {
    heap: memoryOf,
    blas,
    sgemm: blas && openSgemm(blas, memoryOf.memory),
    memory,
    threads,
    always: options.threads !== undefined,
    cores: features.cores,
    states: new Map(),
    pool: undefined,
    programs: 0,
  };
  return {
    kind: "cpu",
    adapter: `CPU (WebAssembly, ${isFused() ? "fused" : "separate"} multiply-add${
      blas ? `, ${blas.name}` : ""
    })`,
    ...(blas ? { blas: blas.build } : {}),
    software: true,
    target: undefined,
    threads,
    memory: () => cpu.heap.used,
    define: (name, spec, values) => void define(cpu, name, spec, values),
    // deno-lint-ignore require-await
    read: async (names) =>
      names.map((name) => {
        const { spec, address } = entryOf("state", cpu.states, name);
        return cpu.heap.view(address, sizeOf(spec), spec.dtype).slice();
      }),
    plan: (graph) => plan(graph, "simd"),
    check: (plans) => check(cpu, plans),
    compile: (graph) => compile(cpu, graph),
    [Symbol.dispose]() {
      cpu.pool?.[Symbol.dispose]();
      cpu.states.clear();
    },
  };
}
