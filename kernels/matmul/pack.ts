// Packing: an operand of a product copied into strips of a few columns, k by k, which a tile reads from front to back.
import { type Func, type FunctionRef, i32, load, type Local, type Module, v128 } from "../../src/wasm/mod.ts";

/** Strips of a matrix: `width` columns (or rows of its transpose) by K values. */
export interface Strips {
  /** Columns of a strip. */
  readonly width: number;
  /** Columns that the strip has room for in memory. */
  readonly room: number;
  /** Values along k. */
  readonly K: number;
  /** Bytes between rows of the matrix. */
  readonly row: number;
}

/** Writes code that copies `count` contiguous values. */
function copyValues(f: Func, to: Local<"i32">, from: Local<"i32">, count: number): void {
  let at = 0;
  for (const [type, size] of [["v128", 4], ["i64", 2], ["i32", 1]] as const) {
    for (; count - at >= size; at += size) f.store(to, load(type, from, 4 * at), 4 * at);
  }
}

/**
 * The function (from, to, count) that packs `count` neighbouring strips of a matrix [K, columns]. It takes all strips of a row
 * before the next row, so that it reads whole cache lines.
 */
export function packColumns(module: Module, { width, room, K, row }: Strips): FunctionRef {
  return module.func({ params: ["i32", "i32", "i32"] }, (f, from, to, count) => {
    const end = f.let(i32.add(from, K * row));
    const [source, target] = [f.local("i32"), f.local("i32")];
    f.repeat((again) => {
      f.set(source, from);
      f.set(target, to);
      f.loop(0, count, 1, () => {
        copyValues(f, target, source, width);
        f.set(source, i32.add(source, 4 * width));
        f.set(target, i32.add(target, 4 * room * K));
      });
      f.set(from, i32.add(from, row));
      f.set(to, i32.add(to, 4 * room));
      again(i32.ne(from, end));
    });
  });
}

/** Writes code that stores the columns of four vectors as rows, `row` bytes apart. */
function transpose(
  f: Func,
  r: readonly Local<"v128">[],
  to: Local<"i32">,
  offset: number,
  row: number,
): void {
  const low = [f.let(v128.shuffle(r[0], r[1], [0, 4, 1, 5])), f.let(v128.shuffle(r[2], r[3], [0, 4, 1, 5]))];
  f.store(to, v128.shuffle(low[0], low[1], [0, 1, 4, 5]), offset);
  f.store(to, v128.shuffle(low[0], low[1], [2, 3, 6, 7]), offset + row);
  const high = [f.let(v128.shuffle(r[0], r[1], [2, 6, 3, 7])), f.let(v128.shuffle(r[2], r[3], [2, 6, 3, 7]))];
  f.store(to, v128.shuffle(high[0], high[1], [0, 1, 4, 5]), offset + 2 * row);
  f.store(to, v128.shuffle(high[0], high[1], [2, 3, 6, 7]), offset + 3 * row);
}

/** The function (from, to, count) that packs `count` neighbouring strips of the transpose of a matrix [columns, K]. */
export function packRows(module: Module, { width, room, K, row }: Strips): FunctionRef {
  const whole = K - K % 4;
  return module.func({ params: ["i32", "i32", "i32"] }, (f, from, to, count) => {
    f.loop(0, count, 1, () => {
      const [source, target] = [f.let(from), f.let(to)];
      f.loop(0, whole, 4, () => {
        for (let first = 0; first < width; first += 4) {
          // A strip with fewer rows repeats its last one.
          const rows = [0, 1, 2, 3].map((i) =>
            f.let(load("v128", source, row * Math.min(first + i, width - 1)))
          );
          transpose(f, rows, target, 4 * first, 4 * room);
        }
        f.set(source, i32.add(source, 16));
        f.set(target, i32.add(target, 16 * room));
      });
      for (let k = 0; k < K - whole; k++) {
        for (let i = 0; i < width; i++) {
          f.store(target, load("i32", source, row * i + 4 * k), 4 * (room * k + i));
        }
      }
      f.set(from, i32.add(from, row * width));
      f.set(to, i32.add(to, 4 * room * K));
    });
  });
}
