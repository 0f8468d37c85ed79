// Every instruction of the assembler, one by one, against JavaScript's arithmetic.
import assert from "node:assert/strict";
import * as w from "../../src/wasm/mod.ts";
import { f32, f32x4, f64, f64x2, i32, i32x4, load, v128 } from "../../src/wasm/mod.ts";

const LIMITS = { initial: 1, maximum: 1, shared: false };
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const floats = new Float32Array(memory.buffer);
const doubles = new Float64Array(memory.buffer);
const words = new Uint32Array(memory.buffer);

/** Stores a value at 256, and returns its bits as words. */
function bitsOf(value: w.Value): number[] {
  const module = w.wasmModule({ memory: LIMITS });
  module.export("run", module.func({ params: [] }, (f) => f.store(256, value)));
  words.fill(0, 64, 68);
  const { run } =
    new WebAssembly.Instance(new WebAssembly.Module(module.binary()), { env: { memory } }).exports;
  (run as () => void)();
  return [...words.subarray(64, { i32: 65, f32: 65, i64: 66, f64: 66, v128: 68 }[value.type])];
}

const asFloats = (bits: number[]): number[] => [...new Float32Array(Uint32Array.from(bits).buffer)];
const asDoubles = (bits: number[]): number[] => [...new Float64Array(Uint32Array.from(bits).buffer)];

const INTEGERS = [0, 1, 2, 7, 31, 33, 100, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff9, 0x12345678];
const FLOATS = [0, -0, 1, -1, 0.5, -2.5, 3.7, 1e10, -3e-40, 16777217, Infinity, -Infinity, NaN];
const { fround } = Math;
const rotate = (a: number, n: number): number =>
  (a << (n & 31)) | (a >>> (32 - (n & 31)) % 32 & (n & 31 ? -1 : 0));
const yes = (condition: boolean): number => Number(condition);

const INT_BINARY: Record<string, (a: number, b: number) => number> = {
  eq: (a, b) => yes(a === b),
  ne: (a, b) => yes(a !== b),
  ltS: (a, b) => yes((a | 0) < (b | 0)),
  ltU: (a, b) => yes(a < b),
  gtS: (a, b) => yes((a | 0) > (b | 0)),
  gtU: (a, b) => yes(a > b),
  leS: (a, b) => yes((a | 0) <= (b | 0)),
  leU: (a, b) => yes(a <= b),
  geS: (a, b) => yes((a | 0) >= (b | 0)),
  geU: (a, b) => yes(a >= b),
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => Math.imul(a, b),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shrS: (a, b) => (a | 0) >> b,
  shrU: (a, b) => a >>> b,
  rotl: rotate,
  rotr: (a, b) => rotate(a, 32 - (b & 31)),
  divU: (a, b) => Math.floor(a / b),
  remU: (a, b) => a % b,
  divS: (a, b) => Math.trunc((a | 0) / (b | 0)),
  remS: (a, b) => (a | 0) % (b | 0),
};

Deno.test("integer operators compute what JavaScript's do, with constants and with values from memory", () => {
  for (const [name, expected] of Object.entries(INT_BINARY)) {
    const operator = i32[name as "add"];
    for (const a of INTEGERS) {
      for (const b of INTEGERS) {
        if (/^(div|rem)/.test(name) && (b === 0 || (a === 0x80000000 && b === 0xffffffff))) continue;
        words.set([a, b], 8);
        for (const value of [operator(a, b), operator(load("i32", 32), load("i32", 32, 4))]) {
          assert.deepEqual(bitsOf(value), [expected(a, b) >>> 0], `i32.${name}(${a}, ${b})`);
        }
      }
    }
  }
  for (const a of INTEGERS) {
    const unary = { eqz: yes(a === 0), clz: Math.clz32(a), ctz: a === 0 ? 32 : 31 - Math.clz32(a & -a) };
    for (
      const [name, expected] of Object.entries({ ...unary, popcnt: a.toString(2).replaceAll("0", "").length })
    ) {
      assert.deepEqual(bitsOf(i32[name as "clz"](a)), [expected], `i32.${name}(${a})`);
    }
    assert.deepEqual(asFloats(bitsOf(f32.fromS(a))), [fround(a | 0)]);
    assert.deepEqual(asFloats(bitsOf(f32.fromU(a))), [fround(a)]);
    assert.deepEqual(asDoubles(bitsOf(f64.fromS(a))), [a | 0]);
    assert.deepEqual(asDoubles(bitsOf(f64.fromU(a))), [a]);
    assert.deepEqual(bitsOf(i32.bits(f32.ofBits(a & 0x7f7fffff))), [(a & 0x7f7fffff) >>> 0]);
  }
});

const nearest = (x: number): number => {
  const low = Math.floor(x);
  const even = x - low === 0.5 ? low + (low % 2 !== 0 ? 1 : 0) : Math.round(x);
  return even === 0 && (x < 0 || Object.is(x, -0)) ? -0 : even;
};
const FLOAT_UNARY: Record<string, (x: number) => number> = {
  abs: Math.abs,
  neg: (x) => -x,
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest,
  sqrt: Math.sqrt,
};
const FLOAT_BINARY: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
};
const COMPARISONS: Record<string, (a: number, b: number) => boolean> = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};

Deno.test("float operators, scalar and on vectors, compute what JavaScript's do, NaN, infinities and -0 included", () => {
  for (const b of FLOATS.map(fround)) {
    const vector = v128.select(w.lanes([-1, 0, -1, 0]), f32x4.splat(b), 3);
    const both = [b, 3, b, 3];
    for (const [name, f] of Object.entries(FLOAT_UNARY)) {
      assert.deepEqual(asFloats(bitsOf(f32[name as "abs"](b))), [fround(f(b))], `f32.${name}(${b})`);
      assert.deepEqual(asDoubles(bitsOf(f64[name as "abs"](b))), [f(b)], `f64.${name}(${b})`);
      assert.deepEqual(asFloats(bitsOf(f32x4[name as "abs"](vector))), both.map((x) => fround(f(x))), name);
    }
    for (const a of FLOATS.map(fround)) {
      for (const [name, f] of Object.entries(FLOAT_BINARY)) {
        assert.deepEqual(
          asFloats(bitsOf(f32[name as "add"](a, b))),
          [fround(f(a, b))],
          `f32.${name}(${a}, ${b})`,
        );
        assert.deepEqual(asDoubles(bitsOf(f64[name as "add"](a, b))), [f(a, b)], `f64.${name}(${a}, ${b})`);
        const actual = asFloats(bitsOf(f32x4[name as "add"](f32x4.splat(a), vector)));
        assert.deepEqual(actual, both.map((x) => fround(f(a, x))), `f32x4.${name}(${a}, ${b})`);
        if (!["add", "sub", "mul", "div", "min", "max"].includes(name)) continue;
        const two = asDoubles(bitsOf(f64x2[name as "add"](f64x2.splat(a), f64x2.splat(b))));
        assert.deepEqual(two, [f(a, b), f(a, b)], `f64x2.${name}(${a}, ${b})`);
      }
      for (const [name, f] of Object.entries(COMPARISONS)) {
        assert.deepEqual(bitsOf(f32[name as "eq"](a, b)), [yes(f(a, b))], `f32.${name}(${a}, ${b})`);
        assert.deepEqual(bitsOf(f64[name as "eq"](a, b)), [yes(f(a, b))], `f64.${name}(${a}, ${b})`);
        const masks = bitsOf(f32x4[name as "eq"](f32x4.splat(a), vector));
        assert.deepEqual(masks, both.map((x) => f(a, x) ? 0xffffffff : 0), `f32x4.${name}(${a}, ${b})`);
      }
      const pseudo = { pmin: b < a ? b : a, pmax: a < b ? b : a };
      for (const [name, expected] of Object.entries(pseudo)) {
        assert.deepEqual(
          asFloats(bitsOf(f32x4[name as "pmin"](f32x4.splat(a), f32x4.splat(b))))[0],
          expected,
        );
      }
      const copied = Math.abs(a) * (b < 0 || Object.is(b, -0) ? -1 : 1);
      if (!Number.isNaN(b)) assert.deepEqual(asFloats(bitsOf(f32.copysign(a, b))), [copied]);
    }
  }
});

Deno.test("conversions saturate, and NaN becomes 0", () => {
  for (const x of [...FLOATS, 2 ** 31, -(2 ** 31), 2 ** 32, 3e9, -0.9].map(fround)) {
    const signed = Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1) >>> 0;
    const unsigned = Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), 0), 2 ** 32 - 1);
    assert.deepEqual(bitsOf(i32.truncS(x)), [signed]);
    assert.deepEqual(bitsOf(i32.truncU(x)), [unsigned]);
    assert.deepEqual(bitsOf(i32x4.truncS(f32x4.splat(x))), [signed, signed, signed, signed]);
    assert.deepEqual(bitsOf(i32x4.truncU(f32x4.splat(x))), [unsigned, unsigned, unsigned, unsigned]);
    assert.deepEqual(asDoubles(bitsOf(f64.promote(x))), [x]);
    assert.deepEqual(asFloats(bitsOf(f32.demote(w.double(x + 1e-20)))), [fround(x + 1e-20)]);
    const promoted = f64x2.promote(f32x4.splat(x));
    assert.deepEqual(asDoubles(bitsOf(promoted)), [x, x]);
    assert.deepEqual(asFloats(bitsOf(f32x4.demote(promoted))), [x, x, 0, 0]);
  }
  for (const n of INTEGERS) {
    assert.deepEqual(asFloats(bitsOf(f32x4.fromS(i32x4.splat(n))))[2], fround(n | 0));
    assert.deepEqual(asFloats(bitsOf(f32x4.fromU(i32x4.splat(n))))[3], fround(n));
  }
});

Deno.test("operators on vectors of integers and of bits compute lane by lane", () => {
  const four = (f: (x: number) => number, xs: readonly number[]): number[] => xs.map((x) => f(x) >>> 0);
  const a = INTEGERS.slice(4, 8), b = INTEGERS.slice(8, 12);
  const [x, y] = [a, b].map((list) => w.lanes(list as [number, number, number, number]));
  const pairs = (f: (p: number, q: number) => number) => a.map((p, i) => f(p, b[i]) >>> 0);
  const cases: [w.V128, number[]][] = [
    [i32x4.add(x, y), pairs((p, q) => p + q)],
    [i32x4.sub(x, y), pairs((p, q) => p - q)],
    [i32x4.mul(x, y), pairs(Math.imul)],
    [i32x4.eq(x, x), pairs(() => -1)],
    [i32x4.ne(x, y), pairs((p, q) => p !== q ? -1 : 0)],
    [i32x4.ltS(x, y), pairs((p, q) => (p | 0) < (q | 0) ? -1 : 0)],
    [i32x4.ltU(x, y), pairs((p, q) => p < q ? -1 : 0)],
    [i32x4.gtS(x, y), pairs((p, q) => (p | 0) > (q | 0) ? -1 : 0)],
    [i32x4.gtU(x, y), pairs((p, q) => p > q ? -1 : 0)],
    [i32x4.leS(x, y), pairs((p, q) => (p | 0) <= (q | 0) ? -1 : 0)],
    [i32x4.leU(x, y), pairs((p, q) => p <= q ? -1 : 0)],
    [i32x4.geS(x, y), pairs((p, q) => (p | 0) >= (q | 0) ? -1 : 0)],
    [i32x4.geU(x, y), pairs((p, q) => p >= q ? -1 : 0)],
    [i32x4.minS(x, y), pairs((p, q) => Math.min(p | 0, q | 0))],
    [i32x4.minU(x, y), pairs(Math.min)],
    [i32x4.maxS(x, y), pairs((p, q) => Math.max(p | 0, q | 0))],
    [i32x4.maxU(x, y), pairs(Math.max)],
    [i32x4.abs(y), four((q) => Math.abs(q | 0), b)],
    [i32x4.neg(x), four((p) => -p, a)],
    [i32x4.shl(x, 3), four((p) => p << 3, a)],
    [i32x4.shrS(y, 3), four((q) => (q | 0) >> 3, b)],
    [i32x4.shrU(y, 3), four((q) => q >>> 3, b)],
    [i32x4.replace(x, 2, 5), [a[0], a[1], 5, a[3]]],
    [f32x4.replace(x, 1, 1), [a[0], 0x3f800000, a[2], a[3]]],
    [v128.not(x), four((p) => ~p, a)],
    [v128.and(x, y), pairs((p, q) => p & q)],
    [v128.andnot(x, y), pairs((p, q) => p & ~q)],
    [v128.or(x, y), pairs((p, q) => p | q)],
    [v128.xor(x, y), pairs((p, q) => p ^ q)],
    [
      v128.select(w.lanes([-1, 0, 0xffff, 0]), x, y),
      [a[0], b[1], a[2] & 0xffff | b[2] & ~0xffff, b[3]].map((n) => n >>> 0),
    ],
    [v128.shuffle(x, y, [3, 4, 0, 6]), [a[3], b[0], a[0], b[2]]],
  ];
  for (const [value, expected] of cases) assert.deepEqual(bitsOf(value), expected);
  assert.deepEqual(bitsOf(i32x4.lane(x, 3)), [a[3]]);
  assert.deepEqual(bitsOf(f32x4.lane(x, 3)), [a[3]]);
  assert.deepEqual(bitsOf(i32x4.bitmask(y)), [b.reduce((mask, q, i) => mask | (q >>> 31) << i, 0)]);
  assert.deepEqual([x, w.lanes([1, 0, 1, 1])].map((v) => bitsOf(i32x4.allTrue(v))[0]), [1, 0]);
  assert.deepEqual([x, w.lanes([0, 0, 0, 0])].map((v) => bitsOf(v128.anyTrue(v))[0]), [1, 0]);
  assert.deepEqual(asDoubles(bitsOf(f64x2.lane(f64x2.splat(7.5), 1))), [7.5]);
});

Deno.test("multiply-adds, sums of lanes, select, loads and stores", () => {
  const [a, b, c] = [2, 3, 4].map((x) => f32x4.splat(x));
  assert.deepEqual(asFloats(bitsOf(f32x4.madd(a, b, c))), [10, 10, 10, 10]);
  assert.deepEqual(asFloats(bitsOf(f32x4.nmadd(a, b, c))), [-2, -2, -2, -2]);
  floats.set([1, 2, 4, 8, 16, 32], 4);
  assert.deepEqual(asFloats(bitsOf(w.sumLanes(load("v128", 16)))), [15]);
  assert.deepEqual(asFloats(bitsOf(load("v128", 20))), [2, 4, 8, 16]);
  assert.deepEqual(asFloats(bitsOf(w.loadSplat(16, 8))), [4, 4, 4, 4]);
  assert.deepEqual(asFloats(bitsOf(w.loadZero(16, 8))), [4, 0, 0, 0]);
  assert.deepEqual(asFloats(bitsOf(w.loadTwo(16, 8))), [4, 8, 0, 0]);
  assert.deepEqual(asFloats(bitsOf(w.select(1, w.float(5), w.float(6)))), [5]);
  assert.deepEqual(asFloats(bitsOf(w.select(load("i32", 1024), a, b))), [3, 3, 3, 3]);
  doubles[4] = 0.1;
  assert.deepEqual(asDoubles(bitsOf(load("f64", 32))), [0.1]);
  assert.deepEqual(bitsOf(w.long(-5n)), [0xfffffffb, 0xffffffff]);
  assert.deepEqual(bitsOf(load("i64", 16)), [0x3f800000, 0x40000000]);
});
