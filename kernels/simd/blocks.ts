// Blocks of consecutive elements, for WebAssembly kernels that compute elements independently. Their loops process four
// elements at a time and never write past the end of a tensor.
import { type Func, type I32, i32, type Int, int, type V128 } from "../../src/wasm/mod.ts";

/**
 * Consecutive elements that are split into blocks of `length` elements, where `length` is a multiple of 4. The last block may
 * be shorter.
 */
export interface Split {
  /** Number of elements. */
  readonly size: number;
  /** Number of elements per block. */
  readonly length: number;
}

/** Number of blocks. */
export const blocksOf = ({ size, length }: Split): number => Math.max(1, Math.ceil(size / length));

/** Stores four elements; at the end of the tensor, only the one to three elements that remain. */
export type Store = (address: Int, value: V128) => void;

/**
 * Writes a loop over the elements of a block, four at a time. `body` gets the index of the first of the four elements, and a
 * function that stores results. The code of `body` is generated twice if the number of elements is not a multiple of 4.
 */
export function eachFour(
  f: Func,
  block: I32,
  { size, length }: Split,
  body: (index: I32, store: Store) => void,
): void {
  const first = f.let(i32.mul(block, length));
  const whole = size - size % 4;
  const end = f.let(i32.add(first, length));
  f.if(i32.gtU(end, whole), () => f.set(end, int(whole)));
  f.loop(first, end, 4, (index) => body(index, (address, value) => f.store(address, value)));
  if (whole === size) return;
  f.if(i32.eq(block, blocksOf({ size, length }) - 1), () => {
    const index = f.let(int(whole));
    body(index, (address, value) => {
      const kept = f.let(value);
      for (let lane = 0; lane < size - whole; lane++) f.storeLane(address, kept, lane, 4 * lane);
    });
  });
}
