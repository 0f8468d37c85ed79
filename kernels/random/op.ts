// Random numbers inside a graph: dropout, normal and uniform draws. They depend only on a seed and a counter, so that the
// backward pass regenerates a dropout mask instead of storing it, and a resumed run draws the same numbers as an
// uninterrupted one.
import { apply, mismatch, sizeOf, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import type { Op, Tensor } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { hash32, randomStream, threefry2x32 } from "../../src/base/random.ts";
import { dropoutPhase, normalPhase, uniformPhase } from "./simd.ts";
import dropoutWgsl from "./dropout.wgsl" with { type: "text" };
import normalWgsl from "./normal.wgsl" with { type: "text" };
import uniformWgsl from "./uniform.wgsl" with { type: "text" };
import threefryWgsl from "./threefry.wgsl" with { type: "text" };

/** WGSL text of `fn threefry(key: vec2u, counter: vec2u) -> vec2u`. Other kernels include it by `//! insert`. */
export const THREEFRY_WGSL: string = threefryWgsl;

/** Options of `dropout`. */
export interface DropoutAttrs {
  /** Probability that an element becomes 0, in [0, 1). */
  readonly p: number;
  /**
   * Index of the dropout layer, from 0 to 2^32 - 1. It must be unique in the model, because layers with the same site have the
   * same mask.
   */
  readonly site: number;
}

/** Returns floor(p 2^32). An element is dropped if its 32 random bits, read as an unsigned integer, are below this value. */
const thresholdOf = (p: number): number => Math.floor(p * 2 ** 32);

/** The operation that `dropout` applies if p is above 0. */
export const dropoutOp: Op<DropoutAttrs> = {
  name: "dropout",
  infer(inputs) {
    const [x, seed] = inputs;
    if (x.dtype !== "f32" || seed.dtype !== "u32" || sizeOf(seed) !== 2) {
      mismatch("dropout", "x of f32 and a seed u32[2]", inputs);
    }
    return [{ shape: x.shape, dtype: "f32" }];
  },
  lower: ({ inputs: [x], attrs: { p, site } }) => ({
    dispatches: [{
      label: "dropout",
      source: dropoutWgsl,
      constants: { SIZE: sizeOf(x), SITE: site, THRESHOLD: thresholdOf(p), SCALE: wgslFloat(1 / (1 - p)) },
      code: { THREEFRY: THREEFRY_WGSL },
      bindings: { 0: ["output", 0], 1: ["input", 0], 2: ["input", 1] },
      workgroups: workgroups1d(Math.ceil(sizeOf(x) / 2), 64),
    }],
  }),
  simd: ({ inputs: [x], attrs: { p, site } }) => ({
    phases: [dropoutPhase(sizeOf(x), { site, threshold: thresholdOf(p), factor: 1 / (1 - p) })],
  }),
  cpu([x, seed], [y], { attrs: { p, site } }) {
    const threshold = thresholdOf(p);
    const factor = 1 / (1 - p);
    for (let i = 0; i < y.length; i += 2) {
      const bits = threefry2x32(seed[0], site, i >>> 1, seed[1]);
      y[i] = bits[0] >= threshold ? x[i] * factor : 0;
      if (i + 1 < y.length) y[i + 1] = bits[1] >= threshold ? x[i + 1] * factor : 0;
    }
  },
  vjp: (node, [g]) => [apply(dropoutOp, [g!, node.inputs[1]], node.attrs as DropoutAttrs)[0], undefined],
};

/**
 * Dropout: y_i = x_i k_i / (1 - p), where k_i is 1 if the element's 32 random bits are at least floor(p
 * 2^32), else 0. The bits are threefry(key (seed[0], site), counter (floor(i / 2), seed[1]))[i mod 2]. The
 * gradient dx is the same operation applied to dy: the mask is regenerated, not stored.
 *
 * Source: Srivastava et al. 2014, in the form of inverted dropout, which needs no scaling at evaluation.
 *
 * @param x f32 of any shape
 * @param seed u32 [2]: the run's seed and a counter of steps, uploaded before each step
 * @returns a tensor of x's shape; `x` itself if p is 0
 * @throws {UserError} if p is outside [0, 1), `site` is not an unsigned 32-bit integer, or a dtype or the size of `seed` is
 * wrong
 *
 * @example
 * ```ts
 * import { input } from "../../mod.ts";
 * import { dropout } from "../mod.ts";
 * const x = input("x", [4, 8]);
 * const y = dropout(x, input("seed", [2], "u32"), { p: 0.1, site: 3 });
 * ```
 */
export function dropout(x: Tensor, seed: Tensor, { p, site }: DropoutAttrs): Tensor {
  if (!(p >= 0 && p < 1)) throw new UserError(`dropout: p is ${p}, expected a probability in [0, 1).`);
  if (site !== site >>> 0) {
    throw new UserError(`dropout: site is ${site}, expected an integer from 0 to 2^32 - 1.`);
  }
  return p === 0 ? x : apply(dropoutOp, [x, seed], { p, site })[0];
}

/** Options of `randomNormal`. */
export interface NormalOptions {
  /** Any integer; its low 32 bits are used. */
  readonly seed: number;
  /** Name of the stream; different names give independent numbers. */
  readonly purpose: string;
  /** Standard deviation. */
  readonly std: number;
  /** Mean. Default: 0. */
  readonly mean?: number;
  /**
   * A value that is more than this number of standard deviations from the mean is drawn again. The number must be at least
   * 1.5. Default: Infinity.
   */
  readonly within?: number;
}

/** Attributes of `randomNormal`: its options and the shape. */
export interface NormalAttrs extends Required<NormalOptions> {
  /** Shape of the result. */
  readonly shape: readonly number[];
}

/** Maximum number of draws per value. With `within` = 2, fewer than one value in 10^18 needs all of these draws. */
const ATTEMPTS = 16;

/** The operation that `randomNormal` applies. */
export const normalOp: Op<NormalAttrs> = {
  name: "randomNormal",
  infer: (_, { shape }) => [{ shape, dtype: "f32" }],
  lower: ({ outputs: [y], attrs: { seed, purpose, std, mean, within } }) => ({
    dispatches: [{
      label: `randomNormal ${purpose}`,
      source: normalWgsl,
      constants: {
        SIZE: sizeOf(y),
        SEED: seed >>> 0,
        PURPOSE: hash32(purpose),
        STD: wgslFloat(std),
        MEAN: wgslFloat(mean),
        TRUNCATED: within < Infinity,
        ...(within < Infinity ? { WITHIN: wgslFloat(within), ATTEMPTS } : {}),
      },
      code: { THREEFRY: THREEFRY_WGSL },
      bindings: { 0: ["output", 0] },
      workgroups: workgroups1d(sizeOf(y), 64),
    }],
  }),
  simd: ({ outputs: [y], attrs }) => ({ phases: [normalPhase(sizeOf(y), { ...attrs, attempts: ATTEMPTS })] }),
  cpu(_, [y], { attrs: { seed, purpose, mean, std, within } }) {
    const stream = randomStream(seed, purpose);
    for (let i = 0; i < y.length; i++) {
      let n = stream.normal();
      for (let attempt = 1; Math.abs(n) > within && attempt < ATTEMPTS; attempt++) {
        // Attempt k reads the stream 2^32 k draws after the position of attempt 0.
        stream.position = 2 * i + 2 ** 32 * attempt;
        n = stream.normal();
      }
      stream.position = 2 * (i + 1);
      y[i] = mean + std * n;
    }
  },
};

/**
 * Normal random numbers: y_i = mean + std n_i with n_i = sqrt(-2 log(1 - u_2i)) cos(2 pi u_2i+1), where the u are
 * the 53-bit uniforms of threefry with the key (seed, FNV-1a of purpose). The n_i are the values of
 * `randomStream(seed, purpose).normal()` in order: exactly on the reference device, and up to float32 rounding (a relative
 * error of about 1e-6, also in the tails) on other devices. Every run of the program draws the same numbers. No gradient
 * flows into them. With `within` the normal is truncated, and its standard deviation is smaller than std: 0.8796 std if
 * `within` is 2.
 *
 * Source: Box and Muller 1958; Salmon et al. 2011 for threefry2x32.
 *
 * @param shape shape of the result, with fewer than 2^31 elements
 * @returns f32 of that shape
 * @throws {UserError} if std is negative, std or mean is not finite, or `within` is below 1.5
 *
 * @example
 * ```ts
 * import { randomNormal } from "../mod.ts";
 * const weight = randomNormal([64, 128], { seed: 1337, purpose: "init wq", std: 0.02 });
 * ```
 */
export function randomNormal(
  shape: readonly number[],
  { seed, purpose, std, mean = 0, within = Infinity }: NormalOptions,
): Tensor {
  if (!(std >= 0 && Number.isFinite(std) && Number.isFinite(mean))) {
    throw new UserError(
      `randomNormal "${purpose}": found std ${std} and mean ${mean}, expected finite numbers, std at least 0.`,
    );
  }
  // If `within` were below 1.5, 16 attempts would not be enough.
  if (!(within >= 1.5)) {
    throw new UserError(`randomNormal "${purpose}": within is ${within}, expected at least 1.5 deviations.`);
  }
  return apply(normalOp, [], { shape, seed, purpose, std, mean, within })[0];
}

/** Options of `randomUniform`. */
export interface UniformOptions {
  /** Any integer; its low 32 bits are used. */
  readonly seed: number;
  /** Name of the stream; different names give independent numbers. */
  readonly purpose: string;
  /** Lower bound, inclusive. */
  readonly low: number;
  /** Upper bound. */
  readonly high: number;
}

/** Attributes of `randomUniform`: its options and the shape. */
export interface UniformAttrs extends UniformOptions {
  /** Shape of the result. */
  readonly shape: readonly number[];
}

/** The operation that `randomUniform` applies. */
export const uniformOp: Op<UniformAttrs> = {
  name: "randomUniform",
  infer: (_, { shape }) => [{ shape, dtype: "f32" }],
  lower: ({ outputs: [y], attrs: { seed, purpose, low, high } }) => ({
    dispatches: [{
      label: `randomUniform ${purpose}`,
      source: uniformWgsl,
      constants: {
        SIZE: sizeOf(y),
        SEED: seed >>> 0,
        PURPOSE: hash32(purpose),
        LOW: wgslFloat(low),
        WIDTH: wgslFloat(high - low),
      },
      code: { THREEFRY: THREEFRY_WGSL },
      bindings: { 0: ["output", 0] },
      workgroups: workgroups1d(sizeOf(y), 64),
    }],
  }),
  simd: ({ outputs: [y], attrs: { seed, purpose, low, high } }) => ({
    phases: [uniformPhase(sizeOf(y), { seed, purpose, low, width: high - low })],
  }),
  cpu(_, [y], { attrs: { seed, purpose, low, high } }) {
    const stream = randomStream(seed, purpose);
    for (let i = 0; i < y.length; i++) y[i] = low + (high - low) * stream.uniform();
  },
};

/**
 * Uniform random numbers: y_i = low + (high - low) u_i, where the u_i are the 53-bit uniforms of
 * `randomStream(seed, purpose)` in order. They are equal on all devices up to float32 rounding. No gradient flows into them.
 *
 * @param shape shape of the result, with fewer than 2^32 elements
 * @returns f32 of that shape
 * @throws {UserError} if low or high is not finite, or high is below low
 *
 * @example
 * ```ts
 * import { randomUniform } from "../mod.ts";
 * const end = Math.sqrt(6 / (64 + 128)); // Xavier
 * const weight = randomUniform([64, 128], { seed: 1337, purpose: "init wq", low: -end, high: end });
 * ```
 */
export function randomUniform(
  shape: readonly number[],
  { seed, purpose, low, high }: UniformOptions,
): Tensor {
  if (!(Number.isFinite(low) && Number.isFinite(high) && high >= low)) {
    throw new UserError(
      `randomUniform "${purpose}": found ${low} to ${high}, expected two finite numbers in order.`,
    );
  }
  return apply(uniformOp, [], { shape, seed, purpose, low, high })[0];
}
