// Vectors of four elements in kernels of WebAssembly: loads from indices, and loops over elements whose number four does not divide.
import { element, f32x4, i32x4, type Int, load, loadZero, type V128 } from "../../src/wasm/mod.ts";

/** The elements of four bytes at four indices; `index` is written four times. */
export function gather(base: Int, index: V128): V128 {
  const at = (lane: number) => element(base, i32x4.lane(index, lane));
  return [1, 2, 3].reduce<V128>(
    (vector, lane) => f32x4.replace(vector, lane, load("f32", at(lane))),
    loadZero(at(0)),
  );
}
