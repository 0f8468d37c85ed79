// Lion over flat parameter storage. One kernel updates all parameters of the model in place.
import { wgslFloat } from "../../src/graph/tensor.ts";
import { f32, f32x4, v128 } from "../../src/wasm/mod.ts";
import { flatOptimizer, type FlatUpdateOptions, type Updated, type UpdateTensors } from "./flat_update.ts";
import lionWgsl from "./lion.wgsl" with { type: "text" };

/** Options that do not change between steps. */
export interface LionOptions extends FlatUpdateOptions {
  /**
   * beta1 and beta2, each in [0, 1). beta1 is the weight of the running mean m in the direction of the step, and beta2 is its
   * weight in the new m.
   */
  readonly betas: readonly [number, number];
}

const step = flatOptimizer<LionOptions>({
  name: "lion",
  states: ["exp_avg"],
  hyper: 1,
  step: lionWgsl,
  fractions: ({ betas: [beta1, beta2] }) => ({ beta1, beta2 }),
  constants: ({ betas: [beta1, beta2] }) => ({
    BETA1: wgslFloat(beta1),
    ONE_MINUS_BETA1: wgslFloat(1 - beta1),
    BETA2: wgslFloat(beta2),
    ONE_MINUS_BETA2: wgslFloat(1 - beta2),
  }),
  rule({ betas: [beta1, beta2], weightDecay, decayedCount }, [lr], parameter, [mean]) {
    return (i, gradient) => {
      const direction = Math.sign(beta1 * mean[i] + (1 - beta1) * gradient);
      const decay = i < decayedCount ? 1 - lr * weightDecay : 1;
      parameter[i] = parameter[i] * decay - lr * direction;
      mean[i] = beta2 * mean[i] + (1 - beta2) * gradient;
    };
  },
  vectorRule({ betas: [beta1, beta2], weightDecay }, f, hyper) {
    const { gt, lt, madd, mul, nmadd, splat } = f32x4;
    const decay = f.let(splat(f32.sub(1, f32.mul(hyper(0), weightDecay))));
    const lr = f.let(splat(hyper(0)));
    return ({ parameter, gradient, states: [m], decayed }) => {
      const mixed = f.let(madd(m, splat(beta1), mul(gradient, 1 - beta1)));
      // The sign of 0 is 0, and that of NaN is NaN.
      const sign = v128.select(gt(mixed, 0), 1, v128.select(lt(mixed, 0), -1, mixed));
      const kept = v128.select(decayed, mul(parameter, decay), parameter);
      return {
        parameter: nmadd(sign, lr, kept),
        states: [madd(m, splat(beta2), mul(gradient, 1 - beta2))],
      };
    };
  },
});

/**
 * Performs one step of Lion in place. The gradient is first clipped by its global norm:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     p <- p (1 - lr weightDecay)                               the first `decayedCount` elements
 *     p <- p - lr sign(beta1 m + (1 - beta1) g)
 *     m <- beta2 m + (1 - beta2) g
 *
 * The sign of 0 is 0. Apart from the decay, every parameter changes by lr. The paper recommends a learning rate 3 to 10 times
 * smaller than AdamW's and a weight decay 3 to 10 times larger. Read the results through the returned tensors.
 *
 * Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms.
 *
 * @param tensors see `UpdateTensors`; the state is exp_avg (m, the running mean of the gradient)
 * @param options see `LionOptions`
 * @returns the updated parameters and states, in place
 * @throws {UserError} if the sizes do not match or an option is outside its range
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { lion, sumSquares } from "../mod.ts";
 * const [parameter, exp_avg] = ["p", "m"].map((name) => state(name, [128]));
 * const gradient = input("gradient", [128]);
 * const options = { betas: [0.9, 0.99], weightDecay: 1, clip: 1, decayedCount: 64 } as const;
 * const tensors = { parameter, gradient, states: { exp_avg }, squaredNorm: sumSquares(gradient), hyper: input("hyper", [1]) };
 * const after = lion(tensors, options); // after.parameter replaces parameter
 * ```
 */
export function lion(tensors: UpdateTensors, options: LionOptions): Updated {
  return step(tensors, options);
}
