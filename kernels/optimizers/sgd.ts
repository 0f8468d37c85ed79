// Stochastic gradient descent with momentum over flat parameter storage, in place: one kernel for the whole model.
import { type Op, type Tensor, wgslFloat } from "../../src/graph/tensor.ts";
import {
  checkUpdateOptions,
  flatUpdate,
  type FlatUpdateAttrs,
  flatUpdateOp,
  type FlatUpdateOptions,
} from "./flat_update.ts";
import sgdWgsl from "./sgd.wgsl" with { type: "text" };

/** What stays the same through training. */
export interface SgdOptions extends FlatUpdateOptions {
  /** Share of the last direction that a step keeps, in [0, 1). */
  readonly momentum: number;
  /** Step along g + momentum m, where the momentum will be, in the place of m. */
  readonly nesterov?: boolean;
}

/** Attributes of `sgd`. */
export interface SgdAttrs extends SgdOptions, FlatUpdateAttrs {}

/** The tensors after a step, in the memory of those before it. */
export interface SgdState {
  /** All parameters, [N]. */
  readonly parameter: Tensor;
  /** m, the sum of gradients, each step's times `momentum` at the next, [N]. */
  readonly momentum: Tensor;
  /** What the step added to the parameters, [N], where it was to be kept. */
  readonly update: Tensor | undefined;
}

/** The operation behind `sgd`: outputs 0 and 1 lie where inputs 0 and 2 were. */
export const sgdOp: Op<SgdAttrs> = flatUpdateOp<SgdAttrs>({
  name: "sgd",
  states: ["momentum"],
  hyper: 1,
  step: sgdWgsl,
  constants: ({ momentum, nesterov = false }) => ({ MOMENTUM: wgslFloat(momentum), NESTEROV: nesterov }),
  rule({ momentum, nesterov, weightDecay, decayed }, [lr], parameter, [mean]) {
    return (i, gradient) => {
      const g = gradient + (i < decayed ? weightDecay * parameter[i] : 0);
      const m = momentum * mean[i] + g;
      mean[i] = m;
      parameter[i] -= lr * (nesterov ? g + momentum * m : m);
    };
  },
});

/**
 * One step of stochastic gradient descent, in place, with the gradient clipped by its global norm first:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     g <- g + weightDecay p                                    the first `decayed` elements
 *     m <- momentum m + g
 *     p <- p - lr m,  with nesterov p - lr (g + momentum m)
 *
 * The decay is a part of the gradient, and the momentum has no dampening, as torch.optim.SGD has it by default. Read the
 * results through the tensors returned.
 *
 * Source: Sutskever et al. 2013, in the form of torch.optim.SGD.
 *
 * @param parameter all parameters, f32 [N]
 * @param gradient of the loss, f32 [N]
 * @param momentum m, f32 [N]; zero before the first step
 * @param squaredNorm sum of squares of the whole gradient, f32 [1]; not read where clip is 0
 * @param lr the step's learning rate, f32 [1]
 * @param options see `SgdOptions`
 * @param trained f32 [N]: where it is 0 nothing of the parameter changes, momentum and decay included; none: all are trained
 * @returns the tensors after the step, in the memory of those before it
 * @throws {UserError} if sizes do not fit or an option is outside its range
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { sgd, sumSquares } from "../mod.ts";
 * const [p, m] = ["p", "m"].map((name) => state(name, [128]));
 * const g = input("gradient", [128]);
 * const options = { momentum: 0.9, nesterov: true, weightDecay: 0, clip: 1, decayed: 64 };
 * const { parameter } = sgd(p, g, m, sumSquares(g), input("lr", [1]), options);
 * ```
 */
export function sgd(
  parameter: Tensor,
  gradient: Tensor,
  momentum: Tensor,
  squaredNorm: Tensor,
  lr: Tensor,
  options: SgdOptions,
  trained?: Tensor,
): SgdState {
  checkUpdateOptions("sgd", parameter, options, { momentum: options.momentum });
  const inputs = { parameter, gradient, states: [momentum], squaredNorm, hyper: lr, trained };
  const [p, m, update] = flatUpdate(sgdOp, inputs, options);
  return { parameter: p, momentum: m, update };
}
