// Packing: an operand of a product is copied into strips of a few columns, so that a tile reads memory in order. In a strip,
// the values of all its columns for one k follow those for the previous k.
import { element, type Func, type FunctionRef, type I32, i32 } from "../../src/wasm/mod.ts";
import { type Int, int, load, type Local, type Module, v128 } from "../../src/wasm/mod.ts";
import { smaller } from "../simd/rows.ts";

/** The layout of a packed operand: one strip of columns of b (or of rows of a) after the other. */
export interface Strips {
  /** Groups of `count` neighbouring strips of equal `width`, in order. A strip has room for `room` columns. */
  readonly groups: readonly { readonly width: number; readonly room: number; readonly count: number }[];
  /** Number of values along k. */
  readonly K: number;
  /** Stride between the rows of the operand as it is stored, in bytes. */
  readonly row: number;
  /** True if the operand is stored as [columns, K], false if it is stored as [K, columns]. */
  readonly alongK: boolean;
}

/** Packs an operand in blocks, which are distributed over the threads. */
export interface Packer {
  /** Number of blocks. */
  readonly blocks: number;
  /** Number of values in the packed operand, including the gaps between strips. */
  readonly size: number;
  /** Writes code that packs one block, or the entire operand if `block` is undefined. */
  readonly write: (f: Func, from: I32, to: I32, block?: I32) => void;
}

/** Approximate number of values that a block packs. */
const BLOCK = 2 ** 14;

/**
 * Number of unused values between strips. Without this gap, strips that are a multiple of 4096 bytes apart would share L1
 * cache sets.
 */
export const GAP = 16;

/** Returns the packer of an operand. */
export const packer = (strips: Strips): Packer => strips.alongK ? rowsPacker(strips) : columnsPacker(strips);

const sizeOf = ({ groups, K }: Strips): number =>
  groups.reduce((sum, { room, count }) => sum + (room * K + GAP) * count, 0);

/**
 * Returns a packer for an operand that is stored as [K, columns]. A block packs some rows of all strips, so that the operand
 * is read in order.
 */
function columnsPacker(strips: Strips): Packer {
  const { groups, K, row } = strips;
  const size = sizeOf(strips);
  const perBlock = Math.max(1, Math.round(BLOCK * K / size));
  return {
    size,
    blocks: Math.ceil(K / perBlock),
    write(f, from, to, block) {
      const k = block ? f.let(i32.mul(block, perBlock)) : int(0);
      const steps = block ? smaller(i32.sub(K, k), perBlock) : int(K);
      let [column, strip] = [0, 0];
      for (const { width, room, count } of groups) {
        const source = i32.add(from, i32.add(i32.mul(k, row), 4 * column));
        const target = element(to, i32.add(i32.mul(k, room), column * K + strip * GAP));
        f.call(packColumns(f.module, { width, room, K, row }), source, target, int(count), steps);
        column += width * count;
        strip += count;
      }
    },
  };
}

/** Returns a packer for an operand that is stored as [columns, K]. A block packs some strips. */
function rowsPacker(strips: Strips): Packer {
  const { groups, K, row } = strips;
  const [{ width, room, count }, ...rest] = groups;
  const size = sizeOf(strips);
  const perBlock = Math.max(1, Math.round(BLOCK / (room * K)));
  const blocks = Math.ceil(count / perBlock);
  return {
    size,
    blocks,
    write(f, from, to, block) {
      const pack = (width: number, strip: Int, count: Int): void => {
        const [source, target] = [i32.mul(strip, row * room), i32.mul(strip, room * K + GAP)];
        f.call(
          packRows(f.module, { width, room, K, row }),
          i32.add(from, source),
          element(to, target),
          int(count),
        );
      };
      const first = block ? f.let(i32.mul(block, perBlock)) : int(0);
      pack(width, first, block ? smaller(i32.sub(count, first), perBlock) : count);
      // If there is a narrow last strip, it is a group of its own.
      for (const last of rest) {
        const packLast = () => pack(last.width, count, 1);
        block ? f.if(i32.eq(block, blocks - 1), packLast) : packLast();
      }
    },
  };
}

interface Strip {
  readonly width: number;
  readonly room: number;
  readonly K: number;
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
 * Returns the function (from, to, count, steps) that packs `steps` rows of `count` neighbouring strips of a matrix [K,
 * columns].
 */
function packColumns(module: Module, { width, room, K, row }: Strip): FunctionRef {
  return module.func({ params: ["i32", "i32", "i32", "i32"] }, (f, from, to, count, steps) => {
    const end = f.let(i32.add(from, i32.mul(steps, row)));
    const [source, target] = [f.local("i32"), f.local("i32")];
    f.repeat((again) => {
      f.set(source, from);
      f.set(target, to);
      f.loop(0, count, 1, () => {
        copyValues(f, target, source, width);
        f.set(source, i32.add(source, 4 * width));
        f.set(target, i32.add(target, 4 * (room * K + GAP)));
      });
      f.set(from, i32.add(from, row));
      f.set(to, i32.add(to, 4 * room));
      again(i32.ne(from, end));
    });
  });
}

/** Writes code that transposes four vectors: it stores their columns as rows, `row` bytes apart. */
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

/** Returns the function (from, to, count) that packs `count` neighbouring strips of the transpose of a matrix [columns, K]. */
function packRows(module: Module, { width, room, K, row }: Strip): FunctionRef {
  const whole = K - K % 4;
  return module.func({ params: ["i32", "i32", "i32"] }, (f, from, to, count) => {
    f.loop(0, count, 1, () => {
      const [source, target] = [f.let(from), f.let(to)];
      f.loop(0, whole, 4, () => {
        for (let first = 0; first < width; first += 4) {
          // If the width of the strip is not a multiple of four, its last row is repeated.
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
      f.set(to, i32.add(to, 4 * (room * K + GAP)));
    });
  });
}
