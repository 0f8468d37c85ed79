// Element-wise operations, column sums and sums of all elements in WebAssembly.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import { type Call, sizeOf } from "../../src/graph/tensor.ts";
import { element, f32, f32x4, i32, load, loadSplat, sumLanes } from "../../src/wasm/mod.ts";
import type { F32, Func, I32, Local, V128 } from "../../src/wasm/mod.ts";
import { toWasm } from "../expression/wasm.ts";
import { blocksOf, eachFour } from "../simd/blocks.ts";
import { columnSums } from "../simd/columns.ts";
import { smaller } from "../simd/rows.ts";
import { gatherLanes } from "../simd/vectors.ts";
import { type ElementwiseAttrs, operandKind, type ReduceAttrs } from "./operands.ts";

/** Number of elements per block. A block of additions takes about 2 microseconds, a block of exact GELUs about 25. */
const LENGTH = 8192;

/** y_i = f(x0_i, x1_i, ...). */
export function elementwiseSimd({ inputs, outputs: [out], attrs }: Call<ElementwiseAttrs>): Simd {
  const split = { size: sizeOf(out), length: LENGTH };
  const row = out.shape.at(-1) ?? 1;
  /**
   * Returns a function that loads the four values of an operand that belong to four results, given the index of the first
   * result.
   */
  const reader = (f: Func, base: I32, kind: ReturnType<typeof operandKind>): (index: I32) => V128 => {
    if (kind === "full") return (index) => load("v128", element(base, index));
    if (kind === "scalar") {
      const number = f.let(loadSplat(base));
      return () => number;
    }
    if (row % 4 === 0) return (index) => load("v128", element(base, i32.remU(index, row)));
    return (index) => gatherLanes(base, (lane) => i32.remU(i32.add(index, lane), row));
  };
  return {
    phases: [{
      label: attrs.name,
      blocks: blocksOf(split),
      kernel(f, block, at) {
        const readers = inputs.map((x, k) => reader(f, at.inputs[k], operandKind(x, out)));
        eachFour(f, block, split, (index, store) => {
          const variables = Object.fromEntries(attrs.names.map((name, k) => [name, readers[k](index)]));
          store(element(at.outputs[0], index), toWasm(attrs.expression, f, variables));
        });
      },
    }],
  };
}

/** Sums the columns of x [rows, columns], or the squares of their elements. */
export function reduceSimd(
  { inputs: [{ shape: [rows, columns] }], attrs: { square } }: Call<ReduceAttrs>,
): Simd {
  if (columns === 1) return sumSimd(rows, square);
  return columnSums({
    label: "reduce",
    rows,
    columns,
    outputs: [0],
    row(f, row, column, { inputs: [x] }) {
      const from = f.let(i32.add(element(x, i32.mul(row, columns)), column));
      return ([sum], offset) => addTo(f, sum, load("v128", from, offset), square);
    },
  });
}

/** Adds a vector, or the squares of its elements, to a sum. */
function addTo(f: Func, sum: Local<"v128">, x: V128, square: boolean): void {
  if (!square) return f.set(sum, f32x4.add(sum, x));
  const vector = f.let(x);
  f.set(sum, f32x4.madd(vector, vector, sum));
}

/** Computes the sum of all elements: a first phase sums each block, and a second phase adds these sums. */
function sumSimd(size: number, square: boolean): Simd {
  const length = Math.max(LENGTH, 32 * Math.ceil(Math.sqrt(size) / 32));
  const blocks = Math.ceil(size / length);
  const phase = (count: number, square: boolean, places: (at: Addresses) => readonly [I32, I32]): Phase => ({
    label: "reduce",
    blocks: Math.ceil(count / length),
    kernel(f, block, at) {
      const [x, y] = places(at);
      const first = f.let(i32.mul(block, length));
      const end = f.let(smaller(i32.add(first, length), count));
      const last = element(x, end);
      f.store(element(y, block), sumBetween(f, f.let(element(x, first)), f.let(last), count, square));
    },
  });
  if (blocks === 1) return { phases: [phase(size, square, (at) => [at.inputs[0], at.outputs[0]])] };
  return {
    scratch: [blocks],
    phases: [
      phase(size, square, (at) => [at.inputs[0], at.scratch[0]]),
      phase(blocks, false, (at) => [at.scratch[0], at.outputs[0]]),
    ],
  };
}

/** Number of accumulators. An addition takes several cycles; additions to different accumulators overlap. */
const VECTORS = 8;

/**
 * Returns the sum of the elements between two addresses. The number of elements is a multiple of 32, or equal to `count`
 * modulo 32.
 */
function sumBetween(f: Func, from: I32, end: I32, count: number, square: boolean): F32 {
  const sums = Array.from({ length: VECTORS }, () => f.let(f32x4.splat(0)));
  const whole = (bytes: number): I32 => f.let(i32.add(from, i32.and(i32.sub(end, from), -bytes)));
  const [strips, vectors] = [whole(16 * VECTORS), whole(16)];
  f.loop(from, strips, 16 * VECTORS, (at) => {
    sums.forEach((sum, k) => addTo(f, sum, load("v128", at, 16 * k), square));
  });
  if (count % (4 * VECTORS)) {
    f.loop(strips, vectors, 16, (at) => addTo(f, sums[0], load("v128", at), square));
  }
  for (let half = VECTORS / 2; half >= 1; half /= 2) {
    for (let k = 0; k < half; k++) f.set(sums[k], f32x4.add(sums[k], sums[k + half]));
  }
  const total = f.let(sumLanes(sums[0]));
  if (count % 4) {
    f.loop(vectors, end, 4, (at) => {
      const x = f.let(load("f32", at));
      f.set(total, f32.add(total, square ? f32.mul(x, x) : x));
    });
  }
  return total;
}
