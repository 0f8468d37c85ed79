// WebAssembly's instructions as typed functions. They compute nothing: they return values, which write code when a statement
// uses them. A value that is used twice is written and computed twice; `Func.let` computes it once and keeps it in a local.
import { access, type Code, constantOf, double, float, int, lanes, long, make } from "./value.ts";
import type { F32, F64, Float, I32, Int, Type, V128, Value, Vector } from "./value.ts";

const bitsOf = (x: number): number => new Uint32Array(Float32Array.of(x).buffer)[0];

const floats = (x: Vector): V128 => {
  if (typeof x !== "number") return x;
  const bits = bitsOf(x);
  return lanes([bits, bits, bits, bits]);
};
const ints = (x: Vector): V128 => typeof x === "number" ? lanes([x, x, x, x]) : x;

/** Operators, keyed by name, that take operands of type `A` and return values of type `R`. */
export type Operators<A, R extends Type, N extends string> = {
  readonly [K in N]: (...operands: A[]) => Value<R>;
};

/** Comparisons of floats. */
export type Comparison = "eq" | "ne" | "lt" | "gt" | "le" | "ge";
/** Functions of one float. */
export type FloatFunction = "abs" | "neg" | "ceil" | "floor" | "trunc" | "nearest" | "sqrt";
/** Functions of two floats. */
export type FloatArithmetic = "add" | "sub" | "mul" | "div" | "min" | "max";
/** Comparisons of integers; the suffix S means signed, and U means unsigned. */
export type IntComparison = "eq" | "ne" | "ltS" | "ltU" | "gtS" | "gtU" | "leS" | "leU" | "geS" | "geU";
/** Functions of one or two integers. */
export type IntFunction =
  | ("eqz" | "clz" | "ctz" | "popcnt" | "add" | "sub" | "mul" | "divS" | "divU" | "remS" | "remU")
  | ("and" | "or" | "xor" | "shl" | "shrS" | "shrU" | "rotl" | "rotr");

/** Returns the operators with the given codes, keyed by name; `wrap` converts each operand to a value. */
function family<A, R extends Type, C extends Readonly<Record<string, Code>>>(
  wrap: (x: A) => Value,
  type: R,
  codes: C,
): Operators<A, R, keyof C & string> {
  return Object.fromEntries(
    Object.entries(codes).map(([name, code]) => [name, (...xs: A[]) => make(type, code, ...xs.map(wrap))]),
  ) as Operators<A, R, keyof C & string>;
}

/** Maps names to consecutive operator codes, which begin at `first`. */
function inOrder<const N extends string>(
  first: number,
  names: readonly N[],
  vector = false,
): Record<N, Code> {
  return Object.fromEntries(
    names.map((name, i) => [name, vector ? [0xfd, first + i] : [first + i]] as [N, Code]),
  ) as Record<N, Code>;
}

const intOperators = family(
  int,
  "i32",
  {
    ...inOrder(0x45, ["eqz", "eq", "ne", "ltS", "ltU", "gtS", "gtU", "leS", "leU", "geS", "geU"]),
    ...inOrder(0x67, ["clz", "ctz", "popcnt", "add", "sub", "mul", "divS", "divU", "remS", "remU", "and"]),
    ...inOrder(0x72, ["or", "xor", "shl", "shrS", "shrU", "rotl", "rotr"]),
  } as const,
);

/**
 * Returns an operator that computes its result at once if both operands are constants, so that known sizes cost nothing at
 * run time.
 */
function folded(name: "add" | "sub" | "mul", of: (a: number, b: number) => number) {
  return (a: Int, b: Int): I32 => {
    const [x, y] = [constantOf(a), constantOf(b)];
    if (x !== undefined && y !== undefined) return int(of(x, y));
    if (y === 0 && name !== "mul") return int(a);
    if (x === 0 && name === "add") return int(b);
    if (y === 1 && name === "mul") return int(a);
    return intOperators[name](a, b);
  };
}

/** Operators of 32-bit integers; comparisons give 1 or 0. */
export const i32: Operators<Int, "i32", IntComparison | IntFunction> & {
  readonly truncS: (x: Float) => I32;
  readonly truncU: (x: Float) => I32;
  readonly bits: (x: Float) => I32;
} = {
  ...intOperators,
  add: folded("add", (a, b) => a + b),
  sub: folded("sub", (a, b) => a - b),
  mul: folded("mul", Math.imul),
  /** Converts a float to an integer; both functions round towards zero and saturate, and NaN becomes 0. */
  truncS: (x: Float): I32 => make("i32", [0xfc, 0], float(x)),
  truncU: (x: Float): I32 => make("i32", [0xfc, 1], float(x)),
  /** The bits of a float. */
  bits: (x: Float): I32 => make("i32", [0xbc], float(x)),
};

const floatComparisons = ["eq", "ne", "lt", "gt", "le", "ge"] as const;
const floatFunctions = ["abs", "neg", "ceil", "floor", "trunc", "nearest", "sqrt"] as const;
const floatArithmetic = ["add", "sub", "mul", "div", "min", "max", "copysign"] as const;

/** Operators of 32-bit floats. */
export const f32:
  & Operators<Float, "i32", Comparison>
  & Operators<Float, "f32", FloatFunction | FloatArithmetic | "copysign">
  & {
    readonly fromS: (x: Int) => F32;
    readonly fromU: (x: Int) => F32;
    readonly demote: (x: F64) => F32;
    readonly ofBits: (x: Int) => F32;
  } = {
    ...family(float, "i32", inOrder(0x5b, floatComparisons)),
    ...family(float, "f32", inOrder(0x8b, [...floatFunctions, ...floatArithmetic])),
    fromS: (x: Int): F32 => make("f32", [0xb2], int(x)),
    fromU: (x: Int): F32 => make("f32", [0xb3], int(x)),
    demote: (x: F64): F32 => make("f32", [0xb6], x),
    ofBits: (x: Int): F32 => make("f32", [0xbe], int(x)),
  };

/** Operators of 64-bit floats. */
export const f64:
  & Operators<F64 | number, "i32", Comparison>
  & Operators<F64 | number, "f64", FloatFunction | FloatArithmetic | "copysign">
  & {
    readonly promote: (x: Float) => F64;
    readonly fromS: (x: Int) => F64;
    readonly fromU: (x: Int) => F64;
  } = {
    ...family(double, "i32", inOrder(0x61, floatComparisons)),
    ...family(double, "f64", inOrder(0x99, [...floatFunctions, ...floatArithmetic])),
    promote: (x: Float): F64 => make("f64", [0xbb], float(x)),
    fromS: (x: Int): F64 => make("f64", [0xb7], int(x)),
    fromU: (x: Int): F64 => make("f64", [0xb8], int(x)),
  };

/** Returns a value whose code ends with an immediate byte, which is the index of a lane. */
function withLane<T extends Type>(type: T, code: Code, lane: number, ...operands: Value[]): Value<T> {
  const inner = make(type, code, ...operands);
  return {
    type,
    write(out) {
      inner.write(out);
      out.bytes.push(lane);
    },
  };
}

/** Operators on four 32-bit floats; a comparison sets all bits of a lane to 1 if it is true there, and to 0 if not. */
export const f32x4:
  & Operators<
    Vector,
    "v128",
    Comparison | FloatFunction | FloatArithmetic | "pmin" | "pmax" | "madd" | "nmadd"
  >
  & {
    readonly splat: (x: Float) => V128;
    readonly lane: (x: Vector, lane: number) => F32;
    readonly replace: (x: Vector, lane: number, by: Float) => V128;
    readonly fromS: (x: Vector) => V128;
    readonly fromU: (x: Vector) => V128;
    readonly demote: (x: V128) => V128;
  } = {
    ...family(floats, "v128", inOrder(0x41, floatComparisons, true)),
    ...family(
      floats,
      "v128",
      {
        ...{ ceil: [0xfd, 0x67], floor: [0xfd, 0x68], trunc: [0xfd, 0x69], nearest: [0xfd, 0x6a] },
        ...{ abs: [0xfd, 0xe0], neg: [0xfd, 0xe1], sqrt: [0xfd, 0xe3] },
        ...inOrder(0xe4, ["add", "sub", "mul", "div", "min", "max", "pmin", "pmax"], true),
        /** madd(a, b, c) is a b + c, and nmadd(a, b, c) is -a b + c; a processor that fuses multiply-adds rounds once. */
        ...{ madd: [0xfd, 0x105], nmadd: [0xfd, 0x106] },
      } as const,
    ),
    /** Returns a vector with the same float in each lane. */
    splat: (x: Float): V128 => typeof x === "number" ? floats(x) : make("v128", [0xfd, 0x13], x),
    lane: (x: Vector, lane: number): F32 => withLane("f32", [0xfd, 0x1f], lane, floats(x)),
    replace: (x: Vector, lane: number, by: Float): V128 =>
      withLane("v128", [0xfd, 0x20], lane, floats(x), float(by)),
    fromS: (x: Vector): V128 => make("v128", [0xfd, 0xfa], ints(x)),
    fromU: (x: Vector): V128 => make("v128", [0xfd, 0xfb], ints(x)),
    /** Converts two doubles to floats in lanes 0 and 1; lanes 2 and 3 are zeros. */
    demote: (x: V128): V128 => make("v128", [0xfd, 0x5e], x),
  };

/** Operators on four 32-bit integers. */
export const i32x4:
  & Operators<Vector, "v128", IntComparison | "abs" | "neg" | "add" | "sub" | "mul">
  & Operators<Vector, "v128", "minS" | "minU" | "maxS" | "maxU">
  & {
    readonly splat: (x: Int) => V128;
    readonly lane: (x: Vector, lane: number) => I32;
    readonly replace: (x: Vector, lane: number, by: Int) => V128;
    readonly shl: (x: Vector, by: Int) => V128;
    readonly shrS: (x: Vector, by: Int) => V128;
    readonly shrU: (x: Vector, by: Int) => V128;
    readonly truncS: (x: Vector) => V128;
    readonly truncU: (x: Vector) => V128;
    readonly allTrue: (x: Vector) => I32;
    readonly bitmask: (x: Vector) => I32;
  } = {
    ...family(
      ints,
      "v128",
      {
        ...inOrder(0x37, ["eq", "ne", "ltS", "ltU", "gtS", "gtU", "leS", "leU", "geS", "geU"], true),
        ...{ abs: [0xfd, 0xa0], neg: [0xfd, 0xa1], add: [0xfd, 0xae], sub: [0xfd, 0xb1], mul: [0xfd, 0xb5] },
        ...inOrder(0xb6, ["minS", "minU", "maxS", "maxU"], true),
      } as const,
    ),
    /** Returns a vector with the same integer in each lane. */
    splat: (x: Int): V128 => typeof x === "number" ? ints(x) : make("v128", [0xfd, 0x11], x),
    lane: (x: Vector, lane: number): I32 => withLane("i32", [0xfd, 0x1b], lane, ints(x)),
    replace: (x: Vector, lane: number, by: Int): V128 =>
      withLane("v128", [0xfd, 0x1c], lane, ints(x), int(by)),
    shl: (x: Vector, by: Int): V128 => make("v128", [0xfd, 0xab], ints(x), int(by)),
    shrS: (x: Vector, by: Int): V128 => make("v128", [0xfd, 0xac], ints(x), int(by)),
    shrU: (x: Vector, by: Int): V128 => make("v128", [0xfd, 0xad], ints(x), int(by)),
    /** Converts four floats to integers; both functions round towards zero and saturate, and NaN becomes 0. */
    truncS: (x: Vector): V128 => make("v128", [0xfd, 0xf8], floats(x)),
    truncU: (x: Vector): V128 => make("v128", [0xfd, 0xf9], floats(x)),
    /** Returns 1 if no lane is 0, else 0. */
    allTrue: (x: Vector): I32 => make("i32", [0xfd, 0xa3], ints(x)),
    /** Returns the sign bits of the lanes as an integer; bit i is that of lane i. */
    bitmask: (x: Vector): I32 => make("i32", [0xfd, 0xa4], ints(x)),
  };

/** Operators on two 64-bit floats. */
export const f64x2: Operators<V128, "v128", "abs" | "neg" | "sqrt" | FloatArithmetic> & {
  readonly splat: (x: F64 | number) => V128;
  readonly lane: (x: V128, lane: number) => F64;
  readonly promote: (x: V128) => V128;
} = {
  ...family(
    (x: V128) => x,
    "v128",
    {
      abs: [0xfd, 0xec],
      neg: [0xfd, 0xed],
      sqrt: [0xfd, 0xef],
      ...inOrder(0xf0, ["add", "sub", "mul", "div", "min", "max"], true),
    } as const,
  ),
  splat: (x: F64 | number): V128 => make("v128", [0xfd, 0x14], double(x)),
  lane: (x: V128, lane: number): F64 => withLane("f64", [0xfd, 0x21], lane, x),
  /** Converts the floats in lanes 0 and 1 to doubles. */
  promote: (x: V128): V128 => make("v128", [0xfd, 0x5f], x),
};

/** Operators on the 128 bits of a vector. */
export const v128: Operators<V128, "v128", "not" | "and" | "andnot" | "or" | "xor"> & {
  readonly select: (mask: V128, a: Vector, b: Vector) => V128;
  readonly anyTrue: (x: V128) => I32;
  readonly shuffle: (a: V128, b: V128, order: readonly [number, number, number, number]) => V128;
} = {
  ...family(
    (x: V128) => x,
    "v128",
    { not: [0xfd, 0x4d], ...inOrder(0x4e, ["and", "andnot", "or", "xor"], true) } as const,
  ),
  /** Returns the bits of `a` at positions where `mask` is 1, and the bits of `b` elsewhere. */
  select: (mask: V128, a: Vector, b: Vector): V128 => make("v128", [0xfd, 0x52], floats(a), floats(b), mask),
  /** Returns 1 if any bit is set, else 0. */
  anyTrue: (x: V128): I32 => make("i32", [0xfd, 0x53], x),
  /** Returns the four 32-bit lanes that `order` lists: 0 to 3 are the lanes of `a`, and 4 to 7 are the lanes of `b`. */
  shuffle(a: V128, b: V128, order: readonly [number, number, number, number]): V128 {
    const inner = make("v128", [0xfd, 0x0d], a, b);
    return {
      type: "v128",
      write(out) {
        inner.write(out);
        for (const lane of order) for (let byte = 0; byte < 4; byte++) out.bytes.push(4 * lane + byte);
      },
    };
  },
};

/**
 * Returns the sum of the four lanes of `x`, in the order (0 + 2) + (1 + 3). `x` must be cheap to compute, because its code
 * is written twice.
 */
export function sumLanes(x: V128): F32 {
  const pairs = f32x4.add(x, v128.shuffle(x, x, [2, 3, 2, 3]));
  return f32.add(f32x4.lane(pairs, 0), f32x4.lane(pairs, 1));
}

/** Returns `a` if the condition is not 0, else `b`; both are computed. */
export function select<T extends Type>(condition: Int, a: Value<T>, b: Value<T>): Value<T> {
  return {
    type: a.type,
    write(out) {
      a.write(out);
      b.write(out);
      int(condition).write(out);
      if (a.type === "v128") out.bytes.push(0x1c, 1, 0x7b);
      else out.bytes.push(0x1b);
    },
  };
}

/** Atomic accesses to 32-bit integers, sequentially consistent. */
export const atomic: {
  readonly load: (address: Int, offset?: number) => I32;
  readonly add: (address: Int, by: Int, offset?: number) => I32;
  readonly wait: (address: Int, expected: Int, nanoseconds: bigint, offset?: number) => I32;
  readonly notify: (address: Int, count: Int, offset?: number) => I32;
} = {
  load: (address: Int, offset = 0): I32 => access("i32", [0xfe, 0x10], 2, offset, int(address)),
  /** Adds `by` to the value at the address, and returns the value before the addition. */
  add: (address: Int, by: Int, offset = 0): I32 =>
    access("i32", [0xfe, 0x1e], 2, offset, int(address), int(by)),
  /**
   * If the value at the address is `expected`, waits at most `nanoseconds` until another thread wakes this one. Returns 0
   * if it was woken, 1 if the value differs, and 2 if the time ran out.
   */
  wait: (address: Int, expected: Int, nanoseconds: bigint, offset = 0): I32 =>
    access("i32", [0xfe, 0x01], 2, offset, int(address), int(expected), long(nanoseconds)),
  /** Wakes up to `count` threads that wait at the address; returns the number of threads that it woke. */
  notify: (address: Int, count: Int, offset = 0): I32 =>
    access("i32", [0xfe, 0x00], 2, offset, int(address), int(count)),
};
