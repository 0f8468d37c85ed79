// Vectors of four elements in kernels of WebAssembly: loads from indices.
import { element, f32x4, i32x4, type Int, load, loadZero, type V128 } from "../../src/wasm/mod.ts";

/** The 4-byte elements at four indices; the code of `index` is written four times. */
export const gather = (base: Int, index: V128): V128 => gatherLanes(base, (lane) => i32x4.lane(index, lane));

/** The 4-byte elements at the index in each lane. */
export function gatherLanes(base: Int, index: (lane: number) => Int): V128 {
  return [1, 2, 3].reduce<V128>(
    (vector, lane) => f32x4.replace(vector, lane, load("f32", element(base, index(lane)))),
    loadZero(element(base, index(0))),
  );
}
