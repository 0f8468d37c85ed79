// Elementary functions of four floats at once, in WebAssembly. They use polynomials, with errors below 2 units in the last
// place. For NaN, infinities, overflow and underflow, they return what JavaScript returns, whether or not multiply-adds are
// fused.
import { f32x4, type Func, i32x4, type Local, type V128, v128 } from "../../src/wasm/mod.ts";

/** Writes code that applies a function to each lane of a vector. */
export type VectorFunction = (f: Func, x: V128) => V128;

/** Returns the value of a polynomial at x. The coefficients are listed from the highest power down to the constant. */
const polynomial = (x: Local<"v128">, [first, ...rest]: readonly number[]): V128 =>
  rest.reduce<V128>((sum, c) => f32x4.madd(sum, x, c), f32x4.splat(first));

/** Adding this to a number below 2^22 rounds the number to an integer, which is then in the low bits of the sum. */
const ROUND = 1.5 * 2 ** 23;
const ROUND_BITS = 0x4b400000;
/**
 * Two numbers whose sum is ln 2. Products of small integers with the first number are exact; the second number is the
 * remainder.
 */
const LN2 = [0.693359375, -2.12194440e-4] as const;
/**
 * Coefficients of a polynomial for e^r with |r| <= ln(2) / 2. tests/kernels/fit_polynomials.ts fits this polynomial, the next
 * one and those of `erf`.
 */
const EXP = [0.00138146023, 0.00836871564, 0.0416683890, 0.166665211, 0.499999940, 1, 1];
/** Coefficients of a polynomial for 2^r with |r| <= 1/2. */
const EXP2 = [0.000153211542, 0.00133901613, 0.00961852632, 0.0555036217, 0.240226477, Math.LN2, 1];

/**
 * Splits e^x into m 2^n. The integer n is in the low bits of the returned float. x must be between -126 and 126, or NaN; if x
 * is NaN, m is NaN.
 */
function expParts(f: Func, x: Local<"v128">): { m: V128; n: Local<"v128"> } {
  const n = f.let(f32x4.madd(x, Math.LOG2E, ROUND));
  const whole = f.let(f32x4.sub(n, ROUND));
  const r = f.let(f32x4.nmadd(whole, LN2[1], f32x4.nmadd(whole, LN2[0], x)));
  return { m: polynomial(r, EXP), n };
}

/** Returns 2^n for integers n from -126 to 127. */
const powerOfTwo = (n: V128): V128 => i32x4.shl(i32x4.add(n, 127), 23);

/** Returns e^x, accurately even if the result is denormal. */
export function exp(f: Func, x: V128): V128 {
  // pmin and pmax with a constant on the right keep NaN. The power of two is a product of two factors, because its exponent
  // may lie outside the range of normal numbers.
  const { m, n } = expParts(f, f.let(f32x4.pmax(f32x4.pmin(x, 89), -105)));
  const whole = f.let(i32x4.sub(n, ROUND_BITS));
  const half = f.let(i32x4.shrS(whole, 1));
  return f32x4.mul(f32x4.mul(m, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

/** Returns e^x for x <= 88. This function is faster than `exp`, but results below 2^-126.5 become 0. */
export function expOfNegative(f: Func, x: V128): V128 {
  const { m, n } = expParts(f, f.let(f32x4.pmax(x, -88)));
  return f32x4.mul(m, powerOfTwo(n));
}

/** Splits 2^x into m 2^n in the same form as `expParts` splits e^x. This is faster, because the remainder x - n is exact. */
function exp2Parts(f: Func, x: Local<"v128">): { m: V128; n: Local<"v128"> } {
  const n = f.let(f32x4.add(x, ROUND));
  const r = f.let(f32x4.sub(x, f32x4.sub(n, ROUND)));
  return { m: polynomial(r, EXP2), n };
}

/** Returns 2^x for x between -126 and 127. The result for NaN is an arbitrary number. */
function exp2Inside(f: Func, x: V128): V128 {
  const { m, n } = exp2Parts(f, f.let(x));
  return i32x4.add(m, i32x4.shl(n, 23));
}

const SQRT_HALF_BITS = 0x3f3504f3;
const LEAST_NORMAL = 2 ** -126;

/**
 * Returns the natural logarithm. Source: FreeBSD e_logf.c (Sun Microsystems, 1993), with x = 2^n (1 + y) and s = y / (2 + y).
 */
export function log(f: Func, x: V128): V128 {
  x = f.let(x);
  const tiny = f.let(f32x4.lt(x, LEAST_NORMAL));
  const shifted = f.let(
    i32x4.sub(v128.select(tiny, f32x4.mul(x, 2 ** 25), x), SQRT_HALF_BITS),
  );
  const n = f.let(f32x4.sub(f32x4.fromS(i32x4.shrS(shifted, 23)), v128.and(tiny, f32x4.splat(25))));
  const mantissa = i32x4.add(v128.and(shifted, i32x4.splat(0x7fffff)), SQRT_HALF_BITS);
  const y = f.let(f32x4.sub(mantissa, 1));
  const s = f.let(f32x4.div(y, f32x4.add(y, 2)));
  const z = f.let(f32x4.mul(s, s));
  const series = f32x4.mul(z, polynomial(z, [0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693]));
  const half = f.let(f32x4.mul(f32x4.mul(y, y), 0.5));
  const low = f32x4.madd(s, f32x4.add(half, series), f32x4.mul(n, 9.0580006145e-6));
  const result = f32x4.madd(n, 6.9313812256e-1, f32x4.add(f32x4.sub(low, half), y));
  const special = v128.select(f32x4.eq(x, 0), -Infinity, NaN);
  return v128.select(
    f32x4.gt(x, 0),
    v128.select(f32x4.lt(x, Infinity), result, x),
    special,
  );
}

const SIGN = 0x80000000;
const signOf = (x: V128): V128 => v128.and(x, i32x4.splat(SIGN));

/** Returns the hyperbolic tangent. Source of the polynomial near 0: Cephes tanhf. */
export function tanh(f: Func, x: V128): V128 {
  x = f.let(x);
  const a = f.let(f32x4.abs(x));
  const square = f.let(f32x4.mul(a, a));
  const near = f.let(f32x4.madd(
    f32x4.mul(
      polynomial(square, [
        -5.70498872745e-3,
        2.06390887954e-2,
        -5.37397155531e-2,
        1.33314422036e-1,
        -3.33332819422e-1,
      ]),
      square,
    ),
    a,
    a,
  ));
  const grown = exp2Inside(f, f32x4.mul(f32x4.pmin(a, 10), 2 * Math.LOG2E));
  const far = f32x4.sub(1, f32x4.div(2, f32x4.add(grown, 1)));
  return v128.or(v128.select(f32x4.ge(a, 0.625), far, near), signOf(x));
}

/** Returns 1 / (1 + e^-x), accurately even if the result is denormal. */
export function sigmoid(f: Func, x: V128): V128 {
  x = f.let(x);
  const e = f.let(exp(f, v128.or(x, i32x4.splat(SIGN))));
  const y = f.let(f32x4.div(e, f32x4.add(e, 1)));
  // For x < 0 the result is y = e / (1 + e) = e (1 - y). In the latter form, rounding errors of y matter less.
  return v128.select(f32x4.ge(x, 0), f32x4.sub(1, y), f32x4.nmadd(e, y, e));
}

/**
 * Returns the error function of x. With a = |x|, erf(a) is computed as a + a P(a^2) for small a and as 1 - 2^(a Q(a)) for
 * larger a, where P and Q are polynomials. The result gets the sign of x.
 */
export function erf(f: Func, x: V128): V128 {
  x = f.let(x);
  const a = f.let(f32x4.abs(x));
  const square = f.let(f32x4.mul(a, a));
  const near = f.let(f32x4.madd(
    polynomial(square, [
      -0.000618075312,
      0.00502824271,
      -0.0267890748,
      0.112823971,
      -0.376125455,
      0.128379151,
    ]),
    a,
    a,
  ));
  // From 3.92 on, erf is 1 in float32.
  const c = f.let(f32x4.pmin(a, 4));
  const power = polynomial(c, [
    -0.0000143673797,
    0.000447356259,
    -0.00518046739,
    0.0341241919,
    -0.153085366,
    -0.916439354,
    -1.62826872,
  ]);
  const far = f32x4.sub(1, exp2Inside(f, f32x4.mul(power, c)));
  return v128.or(v128.select(f32x4.gt(a, 0.88), far, near), signOf(x));
}

/**
 * Returns 1 + erf(x), which GELU uses. It is computed from 1 - erf(a) = 2^(a Q(a)) with a = |x| and a polynomial Q, which is
 * faster than a call of `erf`. The absolute error is at most 1.5e-7.
 */
export function onePlusErf(f: Func, x: V128): V128 {
  x = f.let(x);
  const a = f.let(f32x4.abs(x));
  const power = polynomial(a, [
    -0.0000453586035,
    0.000445507729,
    -0.00148944196,
    -0.000774629007,
    0.0282536801,
    -0.148481607,
    -0.918416381,
    -1.62790859,
  ]);
  const { m, n } = exp2Parts(f, f.let(f32x4.pmax(f32x4.mul(power, a), -127)));
  const rest = f.let(f32x4.mul(m, powerOfTwo(n)));
  return v128.select(f32x4.lt(x, 0), rest, f32x4.sub(2, rest));
}
