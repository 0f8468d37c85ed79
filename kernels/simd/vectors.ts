// Vectors of four elements in WebAssembly kernels: loads of four elements by index, and loads of fewer than four elements.
import {
  element,
  f32x4,
  type I32,
  i32x4,
  type Int,
  load,
  loadTwo,
  loadZero,
  type V128,
} from "../../src/wasm/mod.ts";

/** Loads the 4-byte elements at the indices in four lanes. The code of `index` is generated four times. */
export const gather = (base: Int, index: V128): V128 => gatherLanes(base, (lane) => i32x4.lane(index, lane));

/** Loads four 4-byte elements; `index` returns the index for each lane. */
export function gatherLanes(base: Int, index: (lane: number) => Int): V128 {
  return [1, 2, 3].reduce<V128>(
    (vector, lane) => f32x4.replace(vector, lane, load("f32", element(base, index(lane)))),
    loadZero(element(base, index(0))),
  );
}

/**
 * Loads `count` values (four if `count` exceeds 4), and sets the remaining lanes to zero. Memory past these values is not
 * read.
 */
export function loadPart(address: I32, offset: number, count: number): V128 {
  if (count >= 4) return load("v128", address, offset);
  if (count === 1) return loadZero(address, offset);
  const two = loadTwo(address, offset);
  return count === 2 ? two : f32x4.replace(two, 2, load("f32", address, offset + 8));
}
