// The code of a program: the entries of its list with their addresses, the module, and the calls into TypeScript.
import type { Phase, Simd } from "../../graph/simd.ts";
import type { BufferSlice, Plan, Step } from "../plan.ts";
import type { Heap } from "./heap.ts";
import { isWorthCalling, productPhase, type Sgemm } from "./blas.ts";
import { countersOf, type Entry, listModule } from "./list.ts";

/** The time that one part of an operation took. */
export interface Timing {
  /** Name of the phase, or of an operation that runs in TypeScript. */
  readonly label: string;
  /** The scopes in which the operation was created, joined by dots. */
  readonly path: string;
  /** Milliseconds from the end of the previous part to the end of this part on all threads. */
  readonly ms: number;
}

/**
 * Number of seconds after which a thread that does not reach a barrier counts as dead. No block or operation in TypeScript
 * takes so long.
 */
const SILENCE = 600;

/** The code of a program, and the functions that the main thread calls. */
export interface Code {
  /** The module, for the other threads. */
  readonly module: WebAssembly.Module;
  /** Number of threads that run the program; 1 if no phase has more than one block. */
  readonly threads: number;
  /** Names of the operations that run in TypeScript. */
  readonly inTypeScript: readonly string[];
  /** Prepares the counters of blocks for a run. */
  readonly reset: () => void;
  /** The main thread's part of a run (`run`), and of a run that is measured (`profile`). */
  readonly run: () => void;
  readonly profile: () => void;
  /** The timings, which `profile` appends. */
  readonly timings: Timing[];
  /** Frees the memory of the counters and of the threads. */
  readonly free: () => void;
}

/** Returns a function that runs the TypeScript implementation of an operation on the device's memory. */
function hostCall(
  heap: Heap,
  { node, call, inputs, outputs }: Step,
  of: (place: BufferSlice) => number,
): () => void {
  const arrays = () => {
    const array = (place: BufferSlice, { dtype }: { dtype: "f32" | "u32" }) =>
      heap.view(of(place), place.size, dtype);
    return {
      from: inputs.map((place, i) => array(place, node.inputs[i])),
      to: outputs.map((place, i) => array(place, node.outputs[i])),
    };
  };
  let known = arrays();
  return () => {
    // Memory that is not shared moves when it grows.
    if (!heap.shared) known = arrays();
    node.op.cpu(known.from, known.to, call);
  };
}

/** How a plan is compiled. */
interface CodeOptions {
  readonly threads: number;
  /** Number of times that a thread polls a barrier before it sleeps. */
  readonly spins: number;
  /** The function of a library that computes matrix products; undefined if the device computes them itself. */
  readonly sgemm: Sgemm | undefined;
}

/** Returns the phases of a call. If the call is a matrix product for which a BLAS is faster, the BLAS computes the product. */
const phasesOf = ({ phases, product }: Simd, sgemm: Sgemm | undefined): readonly Phase[] =>
  sgemm && product && isWorthCalling(product) ? [productPhase(product), ...product.then] : phases;

/** Compiles a plan; `of` returns the address of a slice of memory. */
export function programCode(
  heap: Heap,
  { steps }: Plan,
  of: (place: BufferSlice) => number,
  { threads: wanted, spins, sgemm }: CodeOptions,
): Code {
  const hosts: (() => void)[] = [];
  const inTypeScript: string[] = [];
  const entries: Entry[] = [];
  const names: Omit<Timing, "ms">[] = [];
  let own = 0;
  for (const step of steps) {
    const { node: { op, path }, simd, inputs, outputs, scratch } = step;
    if (!simd) {
      entries.push({ host: hosts.length });
      names.push({ label: op.name, path });
      hosts.push(hostCall(heap, step, of));
      inTypeScript.push(op.name);
      continue;
    }
    own = Math.max(own, simd.own ?? 0);
    for (const phase of phasesOf(simd, sgemm)) {
      entries.push({ phase, inputs: inputs.map(of), outputs: outputs.map(of), scratch: scratch.map(of) });
      names.push({ label: phase.label, path });
    }
  }
  const threads = entries.some((entry) => "phase" in entry && entry.phase.blocks > 1) ? wanted : 1;
  const initial = countersOf(entries, threads);
  const counters = heap.allocate(initial.byteLength);
  // The additional 256 bytes make the low bits of the threads' addresses differ: equal ones would share the sets of a cache.
  const size = 256 * (Math.ceil(own / 64) + 1);
  const address = heap.allocate(threads * size);
  const module = listModule(heap, {
    entries,
    threads,
    spins,
    silence: SILENCE,
    counters,
    own: { address, size },
  });
  const timings: Timing[] = [];
  let last = 0;
  const env = {
    memory: heap.memory,
    host: (k: number) => hosts[k](),
    sgemm: sgemm ?? (() => {}),
    mark: (k: number) => {
      const now = performance.now();
      timings.push({ ...names[k], ms: now - last });
      last = now;
    },
  };
  const { run, profile } = new WebAssembly.Instance(module, { env }).exports as Record<
    string,
    (thread: number) => void
  >;
  return {
    module,
    threads,
    inTypeScript,
    timings,
    reset: () => heap.view(counters, initial.length, "u32").set(initial),
    run: () => run(0),
    profile: () => {
      last = performance.now();
      profile(0);
    },
    free: () => {
      heap.free(counters);
      heap.free(address);
    },
  };
}
