// AdamW and Adam over flat parameter storage. One kernel clips the gradient by its global norm and updates all parameters of
// the model in place.
import { wgslFloat } from "../../src/graph/tensor.ts";
import { f32, f32x4, v128 } from "../../src/wasm/mod.ts";
import { flushed } from "./simd.ts";
import { flatOptimizer, type FlatUpdateOptions, type Updated, type UpdateTensors } from "./flat_update.ts";
import adamwWgsl from "./adamw.wgsl" with { type: "text" };

/** Options that do not change between steps. Unless `coupled` is set, weight decay multiplies p by 1 - lr weightDecay. */
export interface AdamwOptions extends FlatUpdateOptions {
  /** Decay rates of the first and second moment, each in [0, 1). */
  readonly betas: readonly [number, number];
  /** Added to the denominator for numerical stability. */
  readonly eps: number;
  /** Whether weight decay is added to the gradient, as in torch.optim.Adam: g + weightDecay p instead of g. */
  readonly coupled?: boolean;
}

const step = flatOptimizer<AdamwOptions>({
  name: "adamw",
  states: ["exp_avg", "exp_avg_sq"],
  hyper: 4,
  step: adamwWgsl,
  fractions: ({ betas: [beta1, beta2] }) => ({ beta1, beta2 }),
  sizes: ({ eps }) => ({ eps }),
  constants: ({ betas: [beta1, beta2], eps, coupled = false }) => ({
    BETA1: wgslFloat(beta1),
    ONE_MINUS_BETA1: wgslFloat(1 - beta1),
    BETA2: wgslFloat(beta2),
    ONE_MINUS_BETA2: wgslFloat(1 - beta2),
    EPS: wgslFloat(eps),
    COUPLED: coupled,
  }),
  rule(
    { betas: [beta1, beta2], eps, weightDecay, decayedCount, coupled },
    [lr, correction1, correction2],
    parameter,
    [expAvg, expAvgSq],
  ) {
    const decay = coupled ? 1 : 1 - lr * weightDecay;
    const rate = lr / correction1;
    return (i, gradient) => {
      const before = parameter[i];
      const g = gradient + (coupled && i < decayedCount ? weightDecay * before : 0);
      const m = beta1 * expAvg[i] + (1 - beta1) * g;
      const v = beta2 * expAvgSq[i] + (1 - beta2) * g * g;
      expAvg[i] = m;
      expAvgSq[i] = v;
      parameter[i] = (i < decayedCount ? before * decay : before) -
        rate * m / (Math.sqrt(v) / correction2 + eps);
    };
  },
  vectorRule({ betas: [beta1, beta2], eps, weightDecay, coupled }, f, hyper) {
    const { add, div, madd, mul, nmadd, sqrt, splat } = f32x4;
    const decay = f.let(splat(f32.sub(1, f32.mul(hyper(0), weightDecay))));
    const rate = f.let(splat(f32.div(hyper(0), hyper(1))));
    const scale = f.let(splat(f32.div(1, hyper(2))));
    return ({ parameter, gradient, states: [expAvg, expAvgSq], decayed }) => {
      const g = coupled ? f.let(add(gradient, v128.and(decayed, mul(parameter, weightDecay)))) : gradient;
      // Without this, the moments of a gradient that stays 0 would stay subnormal for ever: 0.99 times 50 units in the last
      // place is rounded to 50 units.
      const m = f.let(flushed(f.let(madd(expAvg, splat(beta1), mul(g, 1 - beta1)))));
      const v = f.let(flushed(f.let(madd(expAvgSq, splat(beta2), mul(mul(g, 1 - beta2), g)))));
      const kept = coupled ? parameter : v128.select(decayed, mul(parameter, decay), parameter);
      const direction = div(m, madd(sqrt(v), scale, splat(eps)));
      return { parameter: nmadd(direction, rate, kept), states: [m, v] };
    };
  },
});

/**
 * Performs one step of AdamW in place. The gradient is first clipped by its global norm, as in torch.nn.utils.clip_grad_norm_:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     p <- p (1 - lr weightDecay)                               the first `decayedCount` elements
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     p <- p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * With `coupled` the optimizer is Adam: the decay is added to the clipped gradient, g <- g + weightDecay p, and p is not
 * scaled. Non-finite gradients get no special treatment, and a device may set subnormal moments to 0. Read the results
 * through the returned tensors: compiling a graph that reads the old tensors after the step throws an error.
 *
 * Sources: Loshchilov and Hutter 2019, with the operations in the order of torch.optim.AdamW; Kingma and Ba 2015, in the form
 * of torch.optim.Adam.
 *
 * @param tensors see `UpdateTensors`; the states are exp_avg (m, the running mean of the gradient) and exp_avg_sq (v, the
 * running mean of its square)
 * @param options see `AdamwOptions`
 * @returns the updated parameters and states, in place
 * @throws {UserError} if the sizes do not match or an option is outside its range
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { adamw, sumSquares } from "../mod.ts";
 * const [parameter, exp_avg, exp_avg_sq] = ["p", "m", "v"].map((name) => state(name, [128]));
 * const gradient = input("gradient", [128]);
 * const options = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1, clip: 1, decayedCount: 64 } as const;
 * const tensors = { parameter, gradient, states: { exp_avg, exp_avg_sq }, squaredNorm: sumSquares(gradient), hyper: input("hyper", [4]) };
 * const after = adamw(tensors, options); // after.parameter replaces parameter
 * ```
 */
export function adamw(tensors: UpdateTensors, options: AdamwOptions): Updated {
  return step(tensors, options);
}

/**
 * Returns the values of `hyper` to upload for a step: [lr, 1 - beta1^t, sqrt(1 - beta2^t), 0].
 *
 * @param lr learning rate of this step
 * @param step t, from 1
 * @param betas as in `adamw`
 *
 * @example
 * ```ts
 * import { adamwHyper } from "../mod.ts";
 * adamwHyper(1e-3, 1, [0.9, 0.99]); // [0.001, 0.1, 0.1, 0]
 * ```
 */
export function adamwHyper(
  lr: number,
  step: number,
  [beta1, beta2]: readonly [number, number],
): Float64Array {
  return Float64Array.of(lr, 1 - beta1 ** step, Math.sqrt(1 - beta2 ** step), 0);
}
