// How an operation runs in WebAssembly: in phases, each split into blocks that are distributed over the threads.
import type { Func, I32 } from "../wasm/mod.ts";

/** Addresses of a call's memory, in bytes. Tensors begin at multiples of 256 bytes; up to 16 bytes past their end may be read. */
export interface Addresses {
  /** The inputs. */
  readonly inputs: readonly I32[];
  /** The outputs. An output that is not needed has an address outside the memory. */
  readonly outputs: readonly I32[];
  /** The scratch buffers, which all phases and threads share. */
  readonly scratch: readonly I32[];
  /** Memory of the thread that runs the block; the next block on that thread overwrites it. */
  readonly own: I32;
}

/**
 * A part of an operation, split into blocks that may run in any order, each on one thread. All blocks of a phase have ended when
 * the next phase begins. The result of a block must not depend on the thread that runs it, so that the results of a program are
 * the same bytes for any number of threads.
 */
export interface Phase {
  /** Name in errors and profiles. */
  readonly label: string;
  /** Number of blocks; a block should take about 5 to 50 microseconds. */
  readonly blocks: number;
  /** Writes the function that computes one block. V8 optimises functions that are called often, not long loops. */
  readonly kernel: (f: Func, block: I32, at: Addresses) => void;
}

/**
 * A matrix product that a BLAS can compute: output 0 is `batch` products op(a) op(b) of matrices [M, K] and [K, N], where a
 * is input 0 and b is input 1.
 */
export interface PlainProduct {
  /** Number of products. */
  readonly batch: number;
  /** Number of rows of the result. */
  readonly M: number;
  /** Number of columns of the result. */
  readonly N: number;
  /** Number of terms of each sum. */
  readonly K: number;
  /** Whether a is stored transposed, [K, M]. */
  readonly transA: boolean;
  /** Whether b is stored transposed, [N, K]. */
  readonly transB: boolean;
  /** The phases that run after the product, such as one that adds a bias. */
  readonly then: readonly Phase[];
}

/** How a call runs on the CPU device: its phases and their memory. */
export interface Simd {
  /** The phases in execution order. They are read once, when the program is compiled. */
  readonly phases: readonly Phase[];
  /** Sizes of the scratch buffers, in elements of four bytes. */
  readonly scratch?: readonly number[];
  /** Size of the memory `own` of each thread, in elements of four bytes. Default: 0. */
  readonly own?: number;
  /** The product that the phases compute, if they compute one; a device with a BLAS may run it instead of the phases. */
  readonly product?: PlainProduct;
}
