// Stochastic gradient descent with momentum over flat parameter storage. One kernel updates all parameters of the model in
// place.
import { wgslFloat } from "../../src/graph/tensor.ts";
import { f32x4, v128 } from "../../src/wasm/mod.ts";
import { flatOptimizer, type FlatUpdateOptions, type Updated, type UpdateTensors } from "./flat_update.ts";
import sgdWgsl from "./sgd.wgsl" with { type: "text" };

/** Options that do not change between steps. */
export interface SgdOptions extends FlatUpdateOptions {
  /** Decay rate of the momentum, in [0, 1). */
  readonly momentum: number;
  /** Whether to use Nesterov momentum: the step's direction is g + momentum m instead of m. */
  readonly nesterov?: boolean;
}

const step = flatOptimizer<SgdOptions>({
  name: "sgd",
  states: ["momentum"],
  hyper: 1,
  step: sgdWgsl,
  fractions: ({ momentum }) => ({ momentum }),
  constants: ({ momentum, nesterov = false }) => ({ MOMENTUM: wgslFloat(momentum), NESTEROV: nesterov }),
  rule({ momentum, nesterov, weightDecay, decayedCount }, [lr], parameter, [mean]) {
    return (i, gradient) => {
      const g = gradient + (i < decayedCount ? weightDecay * parameter[i] : 0);
      const m = momentum * mean[i] + g;
      mean[i] = m;
      parameter[i] -= lr * (nesterov ? g + momentum * m : m);
    };
  },
  vectorRule({ momentum, nesterov, weightDecay }, f, hyper) {
    const { add, madd, mul, nmadd, splat } = f32x4;
    const lr = f.let(splat(hyper(0)));
    return ({ parameter, gradient, states: [mean], decayed }) => {
      const g = f.let(add(gradient, v128.and(decayed, mul(parameter, weightDecay))));
      const m = f.let(madd(mean, splat(momentum), g));
      return { parameter: nmadd(nesterov ? madd(m, splat(momentum), g) : m, lr, parameter), states: [m] };
    };
  },
});

/**
 * Performs one step of stochastic gradient descent in place. The gradient is first clipped by its global norm:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     g <- g + weightDecay p                                    the first `decayedCount` elements
 *     m <- momentum m + g
 *     p <- p - lr m,  or with `nesterov` p <- p - lr (g + momentum m)
 *
 * As in torch.optim.SGD by default, weight decay is added to the gradient and the momentum has no dampening. Read the
 * results through the returned tensors.
 *
 * Source: Sutskever et al. 2013, in the form of torch.optim.SGD.
 *
 * @param tensors see `UpdateTensors`; the state is momentum (m, the decaying sum of gradients)
 * @param options see `SgdOptions`
 * @returns the updated parameters and states, in place
 * @throws {UserError} if the sizes do not match or an option is outside its range
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { sgd, sumSquares } from "../mod.ts";
 * const [parameter, momentum] = ["p", "m"].map((name) => state(name, [128]));
 * const gradient = input("gradient", [128]);
 * const options = { momentum: 0.9, nesterov: true, weightDecay: 0, clip: 1, decayedCount: 64 };
 * const tensors = { parameter, gradient, states: { momentum }, squaredNorm: sumSquares(gradient), hyper: input("hyper", [1]) };
 * const after = sgd(tensors, options); // after.parameter replaces parameter
 * ```
 */
export function sgd(tensors: UpdateTensors, options: SgdOptions): Updated {
  return step(tensors, options);
}
