// Threefry-2x32 in WebAssembly, four counters at once, bitwise equal to threefry2x32() on the host.
import { type Func, i32x4, type Local, type V128, v128, type Vector } from "../../src/wasm/mod.ts";

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]] as const;

/** Two 32-bit words for each of four lanes. */
export type Words = readonly [V128, V128];

/** A key that is prepared for threefry: local variables that hold its two words and a third word derived from them. */
export type Key = readonly [Local<"v128">, Local<"v128">, Local<"v128">];

/** Prepares a key of two words, which may be numbers. Call it outside of loops. */
export function threefryKey(f: Func, first: Vector, second: Vector): Key {
  const [a, b] = [first, second].map((x) => f.let(i32x4.add(x, 0)));
  return [a, b, f.let(v128.xor(v128.xor(a, b), i32x4.splat(0x1bd11bda)))];
}

/** Returns 64 random bits for each of four counters. */
export function threefry(f: Func, key: Key, [low, high]: Words): Words {
  const x = f.let(i32x4.add(low, key[0]));
  const y = f.let(i32x4.add(high, key[1]));
  for (let group = 0; group < 5; group++) {
    for (const r of ROTATIONS[group % 2]) {
      f.set(x, i32x4.add(x, y));
      f.set(y, v128.xor(v128.or(i32x4.shl(y, r), i32x4.shrU(y, 32 - r)), x));
    }
    f.set(x, i32x4.add(x, key[(group + 1) % 3]));
    f.set(y, i32x4.add(y, i32x4.add(key[(group + 2) % 3], group + 1)));
  }
  return [x, y];
}
