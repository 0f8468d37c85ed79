// The memory of the CPU device: a single WebAssembly memory, in which the memory of all tensors, threads and programs is
// allocated.
import { UserError } from "../../base/errors.ts";
import { showBytes } from "../../base/units.ts";
import type { DType, Values } from "../../graph/tensor.ts";

const PAGE = 65536;
/** Maximum number of pages. They are 4 GiB, where the 32-bit addresses end. */
const MAX_PAGES = 65536;
/** Maximum size of a memory in bytes. The last page is left out, so that addresses past the end stay below 2^32. */
export const MAX_BYTES = (MAX_PAGES - 1) * PAGE;

/** The address of an output that is not computed. It lies outside the memory, so nothing can be written there. */
export const NOWHERE = 0xffffff00;

/**
 * Addresses of the words with which threads communicate (see list.ts and worker.ts). Each word that threads poll has its
 * own cache line.
 */
export const WORDS = {
  /**
   * Words of the barrier: the number of threads that have arrived, its generation, and the number of threads that sleep at
   * it.
   */
  arrived: 128,
  generation: 256,
  sleepers: 264,
  /** Index + 1 of the thread that failed, or 0 if no thread failed. */
  failed: 260,
  /**
   * Words of jobs: the word on which workers wait, the number of runs, the job (see `Pool`), and the number of workers that
   * are still busy with it.
   */
  wakes: 384,
  runs: 388,
  job: 392,
  busy: 512,
  /**
   * Each of these has one word per thread: the number of messages that the worker has not read yet, and the number of the
   * last run that the worker has ended.
   */
  messages: 1024,
  ended: 3072,
  /** Length and UTF-8 bytes of the error of the thread that failed. */
  error: 4096,
} as const;

/** The maximum number of threads: each has a word at `WORDS.messages` and a word at `WORDS.ended`. */
export const MAX_THREADS = 256;

const CONSTANTS = 8192;
const FIRST = PAGE;
const ALIGN = 256;

/** The memory and its allocation; addresses and sizes are in bytes. */
export interface Heap {
  /** The memory. */
  readonly memory: WebAssembly.Memory;
  /** Whether threads can share it. */
  readonly shared: boolean;
  /** Bytes in use. */
  readonly used: number;
  /** Allocates `size` bytes, filled with zeros, and returns their address. Throws a `UserError` if they do not fit. */
  allocate(size: number): number;
  /** Frees the memory at an address that `allocate` returned. */
  free(address: number): void;
  /** Returns an array over the `length` elements of four bytes at an address. The array is valid until the next allocation. */
  view(address: number, length: number, dtype: DType): Values;
  /** Returns the address of a constant vector, or undefined if the table of constants is full. */
  constant(lanes: Uint32Array): number | undefined;
}

/** Creates a list of free ranges in the order of their addresses. `take` uses the first range that is large enough. */
function freeList() {
  const free: { address: number; size: number }[] = [];
  return {
    take(size: number): number | undefined {
      const at = free.findIndex((range) => range.size >= size);
      if (at < 0) return undefined;
      const { address } = free[at];
      free[at].address += size;
      free[at].size -= size;
      if (free[at].size === 0) free.splice(at, 1);
      return address;
    },
    give(address: number, size: number): void {
      const after = free.findIndex((range) => range.address > address);
      const at = after < 0 ? free.length : after;
      free.splice(at, 0, { address, size });
      for (let i = Math.min(at + 1, free.length - 1); i >= Math.max(at, 1); i--) {
        if (free[i - 1].address + free[i - 1].size !== free[i].address) continue;
        free[i - 1].size += free[i].size;
        free.splice(i, 1);
      }
    },
  };
}

/** Creates a memory, which threads can share if `shared` is true. */
export function heap(shared: boolean): Heap {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: MAX_PAGES, shared });
  const free = freeList();
  free.give(FIRST, PAGE);
  const sizes = new Map<number, number>();
  const constants = new Map<string, number>();
  let [end, used] = [2 * PAGE, 0];
  const grow = (size: number): void => {
    const pages = Math.ceil(size / PAGE);
    if (end + pages * PAGE > MAX_BYTES) {
      throw new UserError(
        `The CPU device has at most ${showBytes(MAX_BYTES)} of memory, this needs ${
          showBytes(used + size)
        }: use ` +
          `smaller sizes, or --device reference.`,
      );
    }
    try {
      memory.grow(pages);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new UserError(
        `${showBytes(size)} of memory are more than the system provides: use smaller sizes.`,
      );
    }
    free.give(end, pages * PAGE);
    end += pages * PAGE;
  };
  return {
    memory,
    shared,
    get used() {
      return used;
    },
    allocate(bytes) {
      const size = Math.max(Math.ceil(bytes / ALIGN), 1) * ALIGN;
      let address = free.take(size);
      if (address === undefined) {
        grow(size);
        address = free.take(size)!;
      }
      sizes.set(address, size);
      used += size;
      new Uint8Array(memory.buffer, address, size).fill(0);
      return address;
    },
    free(address) {
      const size = sizes.get(address)!;
      sizes.delete(address);
      used -= size;
      free.give(address, size);
    },
    view(address, length, dtype) {
      return dtype === "u32"
        ? new Uint32Array(memory.buffer, address, length)
        : new Float32Array(memory.buffer, address, length);
    },
    constant(lanes) {
      const key = lanes.join();
      let address = constants.get(key);
      if (address === undefined) {
        address = CONSTANTS + 16 * constants.size;
        if (address + 16 > FIRST) return undefined;
        new Uint32Array(memory.buffer, address, 4).set(lanes);
        constants.set(key, address);
      }
      return address;
    },
  };
}
