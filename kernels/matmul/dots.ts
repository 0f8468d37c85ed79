// Products of a few rows and a transposed b, computed as dot products: nothing is packed, and each row of b is read once.
import type { Phase, Simd } from "../../src/graph/simd.ts";
import {
  f32x4,
  type Func,
  type FunctionRef,
  i32,
  type Int,
  int,
  type Local,
  type Module,
  type V128,
} from "../../src/wasm/mod.ts";
import { acrossLanes, smaller } from "../simd/rows.ts";
import { activate } from "./activate.ts";
import { BLOCK, divided, labelOf, operandsOf, type Product } from "./product.ts";
import { loadPart } from "../simd/vectors.ts";
import { PARAMS, storePart } from "./tiles.ts";

/** Returns the phase that multiplies a few rows by a transposed b. */
export function dots(p: Product): Simd {
  const { batch, M, N, K } = p;
  const width = M === 1 ? 8 : 4;
  const strips = Math.ceil(N / width);
  const perBlock = Math.min(strips, Math.max(1, Math.round(BLOCK / (M * K * width))));
  const groups = Math.ceil(strips / perBlock);
  const full = Math.floor(N / width);
  const part = { rows: { first: 0, size: M }, columns: { first: 0, size: N }, k: { first: 0, size: K } };
  const kernel: Phase["kernel"] = (f, block, at) => {
    const [matrix, group] = divided(f, block, batch === 1 ? undefined : groups);
    const o = operandsOf(f, p, part, at, matrix);
    const first = f.let(i32.mul(group, perBlock));
    const count = f.let(smaller(i32.sub(full, first), perBlock));
    const run = (columns: number, strip: Int, count: Int): void => {
      const column = i32.mul(strip, 4 * width);
      f.call(
        rowsOfDots(f.module, { rows: M, columns, K, bias: p.bias, addend: p.addend && !p.activation }),
        ...[o.a, i32.add(o.b, i32.mul(strip, 4 * width * K))],
        ...[i32.add(o.bias, column), i32.add(o.addend, column), i32.add(o.y, column)],
        ...[int(4 * N), count],
      );
    };
    const last = i32.eq(group, groups - 1);
    if (full) run(width, first, count);
    if (N % width) f.if(last, () => run(N % width, full, int(1)));
    activate(f, p, o, i32.mul(first, 4 * width), M, { width, rest: N % width, count, last });
  };
  return { phases: [{ label: labelOf(p), blocks: batch * groups, kernel }] };
}

/** Describes the dot products of all rows of a with some rows of b. */
interface Dots {
  /** Number of rows of a. */
  readonly rows: number;
  /** Number of rows of b (columns of the product) that are processed at once, at most 8. */
  readonly columns: number;
  readonly K: number;
  readonly bias: boolean;
  readonly addend: boolean;
}

/**
 * Returns the function (a, b, bias, addend, y, row, strips) that computes y = a b^T + bias + addend for a few rows of a. A row
 * of a or b holds its values along k, and each row of b is read from memory once.
 */
function rowsOfDots(module: Module, dots: Dots): FunctionRef {
  const { rows, columns, K, bias: hasBias, addend: hasAddend } = dots;
  const pairs = Array.from({ length: Math.ceil(rows / 2) }, (_, i) => Math.min(2, rows - 2 * i));
  return module.func({ params: PARAMS }, (f, a, b, bias, addend, y, row, strips) => {
    f.loop(0, strips, 1, () => {
      const at = f.let(int(0));
      pairs.forEach((count, pair) => {
        const sums = dotProducts(f, dots, a, b, 8 * pair * K, count);
        sums.forEach((vectors) => {
          for (let j = 0; 4 * j < columns; j++) {
            const [offset, lanes] = [16 * j, columns - 4 * j];
            let sum: V128 = acrossLanes(f, vectors.slice(4 * j, 4 * j + 4));
            if (hasBias) sum = f32x4.add(sum, loadPart(bias, offset, lanes));
            if (hasAddend) sum = f32x4.add(sum, loadPart(i32.add(addend, at), offset, lanes));
            storePart(f, i32.add(y, at), sum, offset, lanes);
          }
          f.set(at, i32.add(at, row));
        });
      });
      f.set(b, i32.add(b, 4 * columns * K));
      for (const address of [bias, addend, y]) f.set(address, i32.add(address, 4 * columns));
    });
  });
}

/** Returns vectors whose lanes add up to the dot products of `count` rows of a, from byte `first` on, with the rows of b. */
function dotProducts(
  f: Func,
  { columns, K }: Dots,
  a: Local<"i32">,
  b: Local<"i32">,
  first: number,
  count: number,
) {
  const sums = Array.from({ length: count }, () =>
    Array.from({ length: 4 * Math.ceil(columns / 4) }, () => {
      const sum = f.local("v128");
      f.set(sum, f32x4.splat(0));
      return sum;
    }));
  const [p, q] = [f.let(a), f.let(b)];
  const step = (lanes: number): void => {
    const rows = sums.map((_, i) => f.let(loadPart(p, first + 4 * i * K, lanes)));
    for (let j = 0; j < columns; j++) {
      const w = f.let(loadPart(q, 4 * j * K, lanes));
      rows.forEach((x, i) => f.set(sums[i][j], f32x4.madd(x, w, sums[i][j])));
    }
  };
  f.loop(0, K - K % 4, 4, () => {
    step(4);
    for (const address of [p, q]) f.set(address, i32.add(address, 16));
  });
  if (K % 4) step(K % 4);
  return sums;
}
