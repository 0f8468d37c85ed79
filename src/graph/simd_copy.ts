// Memory copies in WebAssembly, split into blocks that are distributed over the threads.
import { type Func, type I32, i32, type Int, int, select } from "../wasm/mod.ts";
import type { Addresses, Phase } from "./simd.ts";

/** Elements per block. Copying a block, 128 KiB, takes about 1 microsecond if it is in the cache, and 10 if it is not. */
const ELEMENTS = 32768;

/** A phase that processes `size` elements block by block; `run` gets the byte offset of a block and its length in bytes. */
export function bytePhase(
  label: string,
  size: number,
  run: (f: Func, first: I32, bytes: Int, at: Addresses) => void,
): Phase {
  const blocks = Math.ceil(size / ELEMENTS);
  const whole = 4 * ELEMENTS;
  const rest = 4 * size - (blocks - 1) * whole;
  return {
    label,
    blocks,
    kernel(f, block, at) {
      const bytes = blocks === 1 ? rest : f.let(select(i32.eq(block, blocks - 1), int(rest), int(whole)));
      run(f, f.let(i32.mul(block, whole)), bytes, at);
    },
  };
}

/** A phase that copies `size` elements; `places` returns the addresses of destination and source. */
export function copyPhase(
  label: string,
  size: number,
  places: (at: Addresses) => { readonly to: I32; readonly from: I32 },
): Phase {
  return bytePhase(label, size, (f, first, bytes, at) => {
    const { to, from } = places(at);
    f.copy(i32.add(to, first), i32.add(from, first), bytes);
  });
}
