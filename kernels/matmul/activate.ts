// Applies the activation to the sums of a product while they are still in the cache.
import {
  f32x4,
  type Func,
  type FunctionRef,
  type I32,
  i32,
  type Int,
  int,
  type Module,
} from "../../src/wasm/mod.ts";
import { type Activation, ACTIVATIONS } from "../expression/activation.ts";
import { toWasm } from "../expression/wasm.ts";
import type { Operands, Product } from "./product.ts";
import { loadPart } from "../simd/vectors.ts";
import { storePart } from "./tiles.ts";

/** Describes how rows of sums are activated. */
interface Activated {
  readonly activation: Activation;
  /** Whether the sums are also stored in the second output. */
  readonly savesPre: boolean;
  readonly addend: boolean;
  /** Number of values at the end of a row of the matrix that do not fill a vector. */
  readonly rest: number;
}

/**
 * Returns the function (y, pre, addend, row, rows, vectors, last) that replaces sums in y by act(sum) + addend. It processes
 * `vectors` vectors in each of `rows` rows and, if `last` is not 0, also the `rest` values at the end of each row.
 */
function activatedRows(module: Module, of: Activated): FunctionRef {
  return module.func(
    { params: ["i32", "i32", "i32", "i32", "i32", "i32", "i32"] },
    (f, y, pre, addend, row, rows, vectors, last) => {
      const [atY, atPre, atAddend] = [f.local("i32"), f.local("i32"), f.local("i32")];
      const places = [
        [atY, y],
        ...(of.savesPre ? [[atPre, pre]] : []),
        ...(of.addend ? [[atAddend, addend]] : []),
      ];
      const compute = (count: number): void => {
        const x = f.let(loadPart(atY, 0, count));
        if (of.savesPre) storePart(f, atPre, x, 0, count);
        const value = toWasm(ACTIVATIONS[of.activation], f, { x });
        storePart(f, atY, of.addend ? f32x4.add(value, loadPart(atAddend, 0, count)) : value, 0, count);
      };
      f.loop(0, rows, 1, () => {
        for (const [at, start] of places) f.set(at, start);
        f.loop(0, vectors, 1, () => {
          compute(4);
          for (const [at] of places) f.set(at, i32.add(at, 16));
        });
        if (of.rest) f.if(last, () => compute(of.rest));
        for (const [, start] of places) f.set(start, i32.add(start, row));
      });
    },
  );
}

/** The columns that a block has computed: `count` strips of `width` columns and, if `last` is not 0, `rest` more columns. */
export interface Done {
  readonly width: number;
  readonly rest: number;
  readonly count: Int;
  readonly last: Int;
}

/** Writes code that activates rows, starting `corner` bytes after the first value of a part. */
export function activate(
  f: Func,
  p: Product,
  at: Operands,
  corner: I32,
  rows: number,
  { width, rest, count, last }: Done,
): void {
  const { N, activation, savesPre, addend } = p;
  if (!activation) return;
  const vectors = i32.add(i32.mul(count, width / 4), i32.mul(last, Math.floor(rest / 4)));
  f.call(
    activatedRows(f.module, { activation, savesPre, addend, rest: rest % 4 }),
    ...[at.y, at.pre, at.addend].map((base) => i32.add(base, corner)),
    ...[int(4 * N), int(rows), vectors, int(last)],
  );
}
