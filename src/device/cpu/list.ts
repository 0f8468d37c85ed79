// Compiles a program to one list of calls. Each thread runs the same list, and all threads meet at a barrier between
// phases. A thread first takes the blocks of its own range, where its cache still holds the rows that it wrote in earlier
// phases, then blocks that other threads have not yet started, so that nobody waits for a slow core. No result depends on
// which thread runs a block.
import { atomic, i32, int, wasmModule } from "../../wasm/mod.ts";
import type { Func, FunctionRef, Int, Local, Module } from "../../wasm/mod.ts";
import type { Phase } from "../../graph/simd.ts";
import { SGEMM } from "./blas.ts";
import { type Heap, MAX_BYTES, WORDS } from "./heap.ts";

/** One entry of a list: a phase with the addresses of its memory, or an operation that runs in TypeScript on thread 0. */
export type Entry = PhaseEntry | { readonly host: number };

/** A phase with the addresses of its memory. */
interface PhaseEntry {
  readonly phase: Phase;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly scratch: readonly number[];
}

/** A list to compile. */
export interface List {
  /** Entries in execution order. */
  readonly entries: readonly Entry[];
  /** Number of threads that run it. */
  readonly threads: number;
  /** Number of times that a thread polls a barrier before it sleeps. */
  readonly spins: number;
  /** Number of seconds after which a thread that waits at a barrier fails, because another thread has not arrived. */
  readonly silence: number;
  /** Address of the counters of blocks (see `countersOf`). */
  readonly counters: number;
  /** Address and size in bytes of each thread's own memory. */
  readonly own: { readonly address: number; readonly size: number };
}

/** Number of bytes between the counters of two threads, which is the size of a cache line. */
const LINE = 64;

const isPhase = (entry: Entry): entry is PhaseEntry => "phase" in entry;

/** True if a single thread runs the entry, because the entry has one block or runs in TypeScript. */
const isSolo = (entry: Entry): boolean => !isPhase(entry) || entry.phase.blocks === 1;

/**
 * Returns the values of the counters before a run. In each phase that threads share, every thread has a range of blocks and
 * two counters: the next block of the range, and the end of the range.
 */
export function countersOf(entries: readonly Entry[], threads: number): Uint32Array {
  const shared = threads === 1 ? [] : entries.filter((entry) => !isSolo(entry));
  const counters = new Uint32Array(shared.length * threads * LINE / 4);
  shared.forEach((entry, k) => {
    const { blocks } = (entry as PhaseEntry).phase;
    for (let t = 0; t < threads; t++) {
      const at = (k * threads + t) * LINE / 4;
      counters[at] = Math.floor(blocks * t / threads);
      counters[at + 1] = Math.floor(blocks * (t + 1) / threads);
    }
  });
  return counters;
}

/** Writes the function that waits for all threads. The function traps if a thread has failed or does not arrive. */
function barrier(module: Module, { threads, spins, silence }: List): FunctionRef {
  const generation = atomic.load(WORDS.generation);
  return module.func({ params: [] }, (f) => {
    const g = f.let(generation);
    f.if(i32.eq(atomic.add(WORDS.arrived, 1), threads - 1), () => {
      f.storeAtomic(WORDS.arrived, 0);
      f.storeAtomic(WORDS.generation, i32.add(g, 1));
      f.if(atomic.load(WORDS.sleepers), () => f.drop(atomic.notify(WORDS.generation, -1)));
      f.return();
    });
    f.loop(0, spins, 1, () => f.if(i32.ne(generation, g), () => f.return()));
    f.drop(atomic.add(WORDS.sleepers, 1));
    const seconds = f.local("i32");
    f.while(() => i32.eq(generation, g), () => {
      const result = atomic.wait(WORDS.generation, g, 1_000_000_000n);
      f.if(i32.eq(result, 2), () => f.set(seconds, i32.add(seconds, 1)));
      f.if(i32.or(atomic.load(WORDS.failed), i32.geU(seconds, silence)), () => f.trap());
    });
    f.drop(atomic.add(WORDS.sleepers, -1));
  });
}

/** Returns the function that computes one block of a phase. */
function kernelOf(module: Module, { phase, inputs, outputs, scratch }: PhaseEntry) {
  const count = 2 + inputs.length + outputs.length + scratch.length;
  return module.func(
    { params: Array.from({ length: count }, () => "i32" as const) },
    (f, block, own, ...rest) => {
      phase.kernel(f, block, {
        own,
        inputs: rest.slice(0, inputs.length),
        outputs: rest.slice(inputs.length, inputs.length + outputs.length),
        scratch: rest.slice(inputs.length + outputs.length),
      });
    },
  );
}

/** Variables of the function that runs the list. All phases use the same variables. */
interface Variables {
  readonly thread: Local<"i32">;
  readonly block: Local<"i32">;
  readonly at: Local<"i32">;
  readonly ranges: Local<"i32">;
}

/**
 * Writes the loop over the blocks that this thread takes; `run` writes the call for one block. `counters` is the address of
 * the phase's counters.
 */
function takeBlocks(
  f: Func,
  { thread, block, at, ranges }: Variables,
  threads: number,
  counters: number,
  run: (block: Int) => void,
): void {
  f.set(at, i32.add(i32.mul(thread, LINE), counters));
  f.set(ranges, int(threads));
  f.repeat((again) => {
    f.while(() => {
      f.set(block, atomic.add(at, 1));
      return i32.ltU(block, atomic.load(at, 4));
    }, () => run(block));
    f.set(at, i32.add(at, LINE));
    f.if(i32.eq(at, counters + threads * LINE), () => f.set(at, int(counters)));
    f.set(ranges, i32.sub(ranges, 1));
    again(ranges);
  });
}

/** Compiles a list to a WebAssembly module that exports `run` and `profile`, and imports `host`, `mark` and `sgemm`. */
export function listModule(heap: Heap, list: List): WebAssembly.Module {
  const module = wasmModule({
    memory: { initial: 2, maximum: MAX_BYTES / 65536 + 1, shared: heap.shared },
    imports: { host: { params: ["i32"] }, mark: { params: ["i32"] }, sgemm: SGEMM },
    constant: heap.constant,
  });
  const wait = list.threads > 1 ? barrier(module, list) : undefined;
  const kernels = list.entries.map((entry) => isPhase(entry) ? kernelOf(module, entry) : undefined);
  module.export("run", listFunction(module, list, kernels, wait));
  module.export("profile", listFunction(module, list, kernels, wait, module.imported.mark));
  return new WebAssembly.Module(module.binary());
}

function listFunction(
  module: Module,
  list: List,
  kernels: readonly (FunctionRef | undefined)[],
  wait: FunctionRef | undefined,
  mark?: FunctionRef,
): FunctionRef {
  const { entries, threads, own, counters } = list;
  return module.func({ params: ["i32"] }, (f, thread) => {
    const mine = f.let(i32.add(i32.mul(thread, own.size), own.address));
    const variables = { thread, block: f.local("i32"), at: f.local("i32"), ranges: f.local("i32") };
    const { block } = variables;
    let shared = 0;
    entries.forEach((entry, k) => {
      const run = (block: Int): void => {
        if (!isPhase(entry)) f.call(module.imported.host, entry.host);
        else f.call(kernels[k]!, block, mine, ...entry.inputs, ...entry.outputs, ...entry.scratch);
      };
      const solo = isSolo(entry);
      if (solo) wait ? f.if(i32.eqz(thread), () => run(0)) : run(0);
      else if (wait) takeBlocks(f, variables, threads, counters + LINE * threads * shared++, run);
      else {
        f.set(block, int(0));
        f.repeat((again) => {
          run(block);
          f.set(block, i32.add(block, 1));
          again(i32.ltU(block, (entry as PhaseEntry).phase.blocks));
        });
      }
      // Entries that thread 0 runs one after the other need no barrier between them.
      const next = entries[k + 1];
      if (wait && (mark || !next || !solo || !isSolo(next))) f.call(wait);
      if (mark) f.if(i32.eqz(thread), () => f.call(mark, k));
    });
  });
}
