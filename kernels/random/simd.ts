// Random numbers in WebAssembly: dropout, uniforms and normals from the bits of threefry, computed as in the WGSL kernels.
import type { Phase } from "../../src/graph/simd.ts";
import { hash32 } from "../../src/base/random.ts";
import { element, f32x4, i32, i32x4, int, lanes, load, loadSplat, v128 } from "../../src/wasm/mod.ts";
import type { Func, I32, V128 } from "../../src/wasm/mod.ts";
import { blocksOf, eachFour, type Split } from "../simd/blocks.ts";
import { end, smaller, WHOLE } from "../simd/rows.ts";
import { type Key, threefry, threefryKey, type Words } from "./threefry_simd.ts";

/**
 * The seed and the purpose of a random stream. The first word of the stream's key is the seed, and the second word is a hash
 * of the purpose.
 */
export interface StreamOptions {
  readonly seed: number;
  readonly purpose: string;
}

const keyOf = (f: Func, { seed, purpose }: StreamOptions): Key =>
  threefryKey(f, seed | 0, hash32(purpose) | 0);

/** The indices of four consecutive elements, starting at `index`. */
const indices = (index: I32): V128 => i32x4.add(i32x4.splat(index), lanes([0, 1, 2, 3]));

/**
 * y_i = x_i factor if the element's bits are at least `threshold`, else 0. One draw of 64 bits serves two elements, so the
 * four draws in the lanes of a vector serve eight elements.
 */
export function dropoutPhase(
  size: number,
  { site, threshold, factor }: { readonly site: number; readonly threshold: number; readonly factor: number },
): Phase {
  const length = 8192;
  return {
    label: "dropout",
    blocks: blocksOf({ size, length }),
    kernel(f, block, { inputs: [x, seed], outputs: [y] }) {
      const key = threefryKey(f, loadSplat(seed), site | 0);
      const step = f.let(loadSplat(seed, 4));
      const eight = (index: I32, count: number): void => {
        const [a, b] = threefry(f, key, [indices(i32.shrU(index, 1)), step]);
        [[0, 4, 1, 5] as const, [2, 6, 3, 7] as const].forEach((order, half) => {
          const part = count >= 4 * half + 4 ? WHOLE : end(count - 4 * half);
          if (part.count <= 0) return;
          const kept = i32x4.geU(v128.shuffle(a, b, order), threshold | 0);
          const value = f32x4.mul(load("v128", element(x, index), 16 * half), factor);
          part.store(f, element(y, index), v128.and(kept, value), 16 * half);
        });
      };
      const whole = size - size % 8;
      const first = f.let(i32.mul(block, length));
      f.loop(first, f.let(smaller(i32.add(first, length), whole)), 8, (index) => eight(index, 8));
      if (size % 8) {
        const last = blocksOf({ size, length }) - 1;
        f.if(i32.eq(block, last), () => eight(f.let(i32.add(first, whole - last * length)), size % 8));
      }
    },
  };
}

/** y_i = low + width u_i, where u_i is the i-th uniform of a stream. */
export function uniformPhase(
  size: number,
  { low, width, ...stream }: StreamOptions & { readonly low: number; readonly width: number },
): Phase {
  const split: Split = { size, length: 4096 };
  return {
    label: `randomUniform ${stream.purpose}`,
    blocks: blocksOf(split),
    kernel(f, block, { outputs: [y] }) {
      const key = keyOf(f, stream);
      eachFour(f, block, split, (index, store) => {
        const u = fractionOf(uniformBits(f, key, [indices(index), i32x4.splat(0)]));
        store(element(y, index), f32x4.madd(u, width, f32x4.splat(low)));
      });
    },
  };
}

/** The 53 bits of a uniform u = (high 2^26 + low) / 2^53: high has 27 bits, and low has 26. */
interface Bits {
  readonly high: V128;
  readonly low: V128;
}

function uniformBits(f: Func, key: Key, counter: Words): Bits {
  const [a, b] = threefry(f, key, counter);
  return { high: f.let(i32x4.shrU(a, 5)), low: f.let(i32x4.shrU(b, 6)) };
}

const fractionOf = ({ high, low }: Bits): V128 =>
  f32x4.madd(f32x4.fromS(high), 2 ** -27, f32x4.mul(f32x4.fromS(low), 2 ** -53));

/**
 * y_i = mean + std n_i, where n_i is the i-th normal of a stream. A normal is drawn again while |n_i| > `within`, up to
 * `attempts` draws in total.
 */
export function normalPhase(
  size: number,
  { std, mean, within, attempts, ...stream }: StreamOptions & {
    readonly std: number;
    readonly mean: number;
    readonly within: number;
    readonly attempts: number;
  },
): Phase {
  const split: Split = { size, length: 2048 };
  return {
    label: `randomNormal ${stream.purpose}`,
    blocks: blocksOf(split),
    kernel(f, block, { outputs: [y] }) {
      const key = keyOf(f, stream);
      eachFour(f, block, split, (index, store) => {
        const draw = f.let(i32x4.shl(indices(index), 1));
        const n = f.local("v128");
        if (within === Infinity) f.set(n, normal(f, key, draw, i32x4.splat(0)));
        else {
          const attempt = f.let(int(0));
          const outside = f.let(i32x4.splat(-1));
          f.repeat((again) => {
            f.set(n, v128.select(outside, normal(f, key, draw, i32x4.splat(attempt)), n));
            f.set(outside, f32x4.gt(f32x4.abs(n), within));
            f.set(attempt, i32.add(attempt, 1));
            again(i32.and(v128.anyTrue(outside), i32.ltU(attempt, attempts)));
          });
        }
        store(element(y, index), f32x4.madd(n, std, f32x4.splat(mean)));
      });
    },
  };
}

/** Returns four normals, which the Box-Muller transform computes from the draws `draw` and `draw` + 1 of an attempt. */
function normal(f: Func, key: Key, draw: V128, attempt: V128): V128 {
  const logarithm = negativeLogComplement(f, uniformBits(f, key, [draw, attempt]));
  const radius = f.let(f32x4.sqrt(f32x4.mul(logarithm, 2)));
  return f32x4.mul(radius, cosineOfTurns(f, uniformBits(f, key, [i32x4.add(draw, 1), attempt])));
}

/** Returns the value at x of the polynomial in which c[k] is the coefficient of x^k. */
const series = (x: V128, c: readonly number[]): V128 =>
  c.slice(0, -1).reduceRight<V128>((sum, c) => f32x4.madd(sum, x, f32x4.splat(c)), f32x4.splat(c.at(-1)!));

const SQRT_HALF_BITS = 0x3f3504f3;

/** Returns -log(1 - u) with a small relative error for every u. The result is at most 53 log 2. See normal.wgsl. */
export function negativeLogComplement(f: Func, bits: Bits): V128 {
  const { high, low } = bits;
  // 1 - u is split into a mantissa in [sqrt(1/2), sqrt(2)) and a power of two. If u < 1 - sqrt(1/2), the logarithm is computed
  // from u itself.
  const small = f.let(i32x4.ltS(high, 39311462));
  const u = f.let(fractionOf(bits));
  const rest = f.let(i32x4.sub(2 ** 27, high));
  // If all bits of high are 1, 1 - u depends only on low. Converted to a float, low could round up to 2^26, so integers are
  // subtracted.
  const v = f.let(
    v128.select(
      i32x4.eq(rest, 1),
      f32x4.fromS(i32x4.sub(2 ** 26, low)),
      f32x4.sub(f32x4.mul(f32x4.fromS(rest), 2 ** 26), f32x4.fromS(low)),
    ),
  );
  const exponent = f.let(i32x4.shrU(i32x4.sub(v, SQRT_HALF_BITS), 23));
  const mantissa = f.let(i32x4.sub(v, i32x4.shl(exponent, 23)));
  const s = f.let(f32x4.div(
    v128.select(small, u, f32x4.sub(mantissa, 1)),
    v128.select(small, f32x4.sub(2, u), f32x4.add(mantissa, 1)),
  ));
  // log((1 + s) / (1 - s)) for |s| <= 0.172. The first omitted term of the series is 2e-9 times the sum.
  const square = f.let(f32x4.mul(s, s));
  const twice = f.let(f32x4.mul(f32x4.add(s, s), series(square, [1, 1 / 3, 0.2, 1 / 7, 1 / 9])));
  const powers = f32x4.mul(f32x4.fromS(i32x4.sub(53, exponent)), Math.LN2);
  return v128.select(small, twice, f32x4.sub(powers, twice));
}

/**
 * Returns cos(2 pi u). In each octant of the circle, t is the angle to the nearest zero or extremum of the cosine. See
 * normal.wgsl.
 */
export function cosineOfTurns(f: Func, { high, low }: Bits): V128 {
  const octant = f.let(i32x4.shrU(high, 24));
  const part = f.let(v128.and(high, i32x4.splat(0xffffff)));
  const fraction = f.let(f32x4.mul(f32x4.fromS(low), 2 ** -26));
  const is = (x: V128, bit: number): V128 => i32x4.ne(v128.and(x, i32x4.splat(bit)), 0);
  const near = v128.select(
    is(octant, 1),
    f32x4.sub(f32x4.fromS(i32x4.sub(2 ** 24, part)), fraction),
    f32x4.add(f32x4.fromS(part), fraction),
  );
  const t = f.let(f32x4.mul(near, 0.7853982 * 2 ** -24));
  const z = f.let(f32x4.mul(t, t));
  const sine = f32x4.mul(t, series(z, [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880]));
  const cosine = series(z, [1, -0.5, 1 / 24, -1 / 720, 1 / 40320]);
  const value = v128.select(is(i32x4.add(octant, 1), 2), sine, cosine);
  // The cosine is negative in octants 2 to 5.
  return v128.xor(value, i32x4.shl(v128.and(i32x4.add(octant, 2), i32x4.splat(4)), 29));
}
