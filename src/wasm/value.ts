// Values (code that leaves one number or vector on the stack), including constants and reads of memory.
import type { Bytes } from "./bytes.ts";

/** Types of values: integers, floats, and vectors of 16 bytes. */
export type Type = "i32" | "i64" | "f32" | "f64" | "v128";

/** Where code is written: the bytes, and the addresses of constant vectors if these are kept in memory. */
export interface Output {
  /** The code. */
  readonly bytes: Bytes;
  /** Returns the address of a constant vector of four 32-bit lanes, or undefined if the constant is written into the code. */
  readonly constant?: (lanes: Uint32Array) => number | undefined;
}

/** Code that yields a value of type `T`. */
export interface Value<T extends Type = Type> {
  /** Type of the value. */
  readonly type: T;
  /** Writes the code. */
  readonly write: (out: Output) => void;
}

/** A 32-bit integer. */
export type I32 = Value<"i32">;
/** A 64-bit integer. */
export type I64 = Value<"i64">;
/** A 32-bit float. */
export type F32 = Value<"f32">;
/** A 64-bit float. */
export type F64 = Value<"f64">;
/** A vector: four 32-bit lanes, or two 64-bit lanes. */
export type V128 = Value<"v128">;
/** An integer, or a number that stands for a constant. */
export type Int = I32 | number;
/** A float, or a number that stands for a constant. */
export type Float = F32 | number;
/** A vector, or a number that stands for a vector with this value in each lane. */
export type Vector = V128 | number;

/** Codes of two bytes begin with 0xfc (saturating conversions, memory), 0xfd (vectors) or 0xfe (atomics). */
export type Code = readonly [number] | readonly [prefix: 0xfc | 0xfd | 0xfe, number];

/** Writes an operation code. */
export function writeCode(out: Output, [first, second]: Code): void {
  out.bytes.push(first);
  if (second !== undefined) out.bytes.unsigned(second);
}

/** Returns a value whose code is the code of the operands, followed by the code of the operation. */
export function make<T extends Type>(type: T, code: Code, ...operands: readonly Value[]): Value<T> {
  return {
    type,
    write(out) {
      for (const operand of operands) operand.write(out);
      writeCode(out, code);
    },
  };
}

/** Maps each value that is a constant integer to its number. */
const constants = new WeakMap<Value, number>();

/** Returns an integer as a value. */
export function int(x: Int): I32 {
  if (typeof x !== "number") return x;
  const value: I32 = {
    type: "i32",
    write(out) {
      out.bytes.push(0x41);
      out.bytes.signed(x | 0);
    },
  };
  constants.set(value, x | 0);
  return value;
}

/** Returns the number of `x` if it is a constant, else undefined. */
export const constantOf = (x: Int): number | undefined => typeof x === "number" ? x | 0 : constants.get(x);

/** Returns a float as a value. */
export function float(x: Float): F32 {
  if (typeof x !== "number") return x;
  return {
    type: "f32",
    write(out) {
      out.bytes.push(0x43);
      out.bytes.float(x);
    },
  };
}

/** Returns a 64-bit float as a value. */
export function double(x: F64 | number): F64 {
  if (typeof x !== "number") return x;
  return {
    type: "f64",
    write(out) {
      out.bytes.push(0x44);
      out.bytes.double(x);
    },
  };
}

/** Returns a 64-bit integer as a value. */
export function long(x: I64 | bigint): I64 {
  if (typeof x !== "bigint") return x;
  return {
    type: "i64",
    write(out) {
      out.bytes.push(0x42);
      out.bytes.signed(x);
    },
  };
}

/**
 * Returns a constant vector, given as the bits of four 32-bit lanes. It is loaded from memory if it has an address there,
 * because this is faster: V8 rebuilds constants in the code at each use.
 */
export function lanes(bits: readonly [number, number, number, number]): V128 {
  const words = Uint32Array.from(bits, (x) => x >>> 0);
  return {
    type: "v128",
    write(out) {
      const address = out.constant?.(words);
      if (address !== undefined) return load("v128", address).write(out);
      writeCode(out, [0xfd, 0x0c]);
      out.bytes.append(new Uint8Array(words.buffer));
    },
  };
}

const LOADS: Readonly<Record<Type, Code>> = {
  i32: [0x28],
  i64: [0x29],
  f32: [0x2a],
  f64: [0x2b],
  v128: [0xfd, 0x00],
};

/** Writes an access's alignment, which is a hint, and its offset. */
export function writeAccess(out: Output, align: number, offset: number): void {
  out.bytes.unsigned(align);
  out.bytes.unsigned(offset);
}

/** Returns a value that is read from memory, or by an atomic access, at a constant offset from an address. */
export function access<T extends Type>(
  type: T,
  code: Code,
  align: number,
  offset: number,
  ...operands: Value[]
): Value<T> {
  const inner = make(type, code, ...operands);
  return {
    type,
    write(out) {
      inner.write(out);
      writeAccess(out, align, offset);
    },
  };
}

/** Returns the value at an address plus a constant offset, in bytes. */
export function load<T extends Type>(type: T, address: Int, offset = 0): Value<T> {
  return access(type, LOADS[type], 2, offset, int(address));
}

/** Loads one 32-bit value into all lanes. */
export const loadSplat = (address: Int, offset = 0): V128 =>
  access("v128", [0xfd, 0x09], 2, offset, int(address));

/** Loads one 32-bit value into lane 0; the other lanes are zeros. */
export const loadZero = (address: Int, offset = 0): V128 =>
  access("v128", [0xfd, 0x5c], 2, offset, int(address));

/** Loads two 32-bit values into lanes 0 and 1; the other lanes are zeros. */
export const loadTwo = (address: Int, offset = 0): V128 =>
  access("v128", [0xfd, 0x5d], 2, offset, int(address));
