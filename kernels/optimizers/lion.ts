// Lion over flat parameter storage, in place: one kernel for the whole model.
import { type Op, type Tensor, wgslFloat } from "../../src/graph/tensor.ts";
import {
  checkUpdateOptions,
  flatUpdate,
  type FlatUpdateAttrs,
  flatUpdateOp,
  type FlatUpdateOptions,
} from "./flat_update.ts";
import lionWgsl from "./lion.wgsl" with { type: "text" };

/** What stays the same through training. */
export interface LionOptions extends FlatUpdateOptions {
  /** Share of the running mean in the direction of a step, and in the next mean, each in [0, 1). */
  readonly betas: readonly [number, number];
}

/** Attributes of `lion`. */
export interface LionAttrs extends LionOptions, FlatUpdateAttrs {}

/** The tensors after a step, in the memory of those before it. */
export interface LionState {
  /** All parameters, [N]. */
  readonly parameter: Tensor;
  /** m, running mean of the gradient, [N]. */
  readonly expAvg: Tensor;
  /** What the step added to the parameters, [N], where it was to be kept. */
  readonly update: Tensor | undefined;
}

/** The operation behind `lion`: outputs 0 and 1 lie where inputs 0 and 2 were. */
export const lionOp: Op<LionAttrs> = flatUpdateOp<LionAttrs>({
  name: "lion",
  states: ["exp_avg"],
  hyper: 1,
  step: lionWgsl,
  constants: ({ betas: [beta1, beta2] }) => ({
    BETA1: wgslFloat(beta1),
    ONE_MINUS_BETA1: wgslFloat(1 - beta1),
    BETA2: wgslFloat(beta2),
    ONE_MINUS_BETA2: wgslFloat(1 - beta2),
  }),
  rule({ betas: [beta1, beta2], weightDecay, decayed }, [lr], parameter, [mean]) {
    return (i, gradient) => {
      const direction = Math.sign(beta1 * mean[i] + (1 - beta1) * gradient);
      const decay = i < decayed ? 1 - lr * weightDecay : 1;
      parameter[i] = parameter[i] * decay - lr * direction;
      mean[i] = beta2 * mean[i] + (1 - beta2) * gradient;
    };
  },
});

/**
 * One step of Lion, in place, with the gradient clipped by its global norm first:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     p <- p (1 - lr weightDecay)                               the first `decayed` elements
 *     p <- p - lr sign(beta1 m + (1 - beta1) g)
 *     m <- beta2 m + (1 - beta2) g
 *
 * The sign of 0 is 0. Every parameter moves by lr: a third to a tenth of AdamW's rate, with three to ten times its decay,
 * is what the paper recommends. Read the results through the tensors returned.
 *
 * Source: Chen et al. 2023, Symbolic Discovery of Optimization Algorithms.
 *
 * @param parameter all parameters, f32 [N]
 * @param gradient of the loss, f32 [N]
 * @param expAvg m, running mean of the gradient, f32 [N]
 * @param squaredNorm sum of squares of the whole gradient, f32 [1]; not read where clip is 0
 * @param lr the step's learning rate, f32 [1]
 * @param options see `LionOptions`
 * @param trained f32 [N]: where it is 0 nothing of the parameter changes, mean and decay included; none: all are trained
 * @returns the tensors after the step, in the memory of those before it
 * @throws {UserError} if sizes do not fit or an option is outside its range
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { lion, sumSquares } from "../mod.ts";
 * const [p, m] = ["p", "m"].map((name) => state(name, [128]));
 * const g = input("gradient", [128]);
 * const options = { betas: [0.9, 0.99], weightDecay: 1, clip: 1, decayed: 64 } as const;
 * const { parameter } = lion(p, g, m, sumSquares(g), input("lr", [1]), options);
 * ```
 */
export function lion(
  parameter: Tensor,
  gradient: Tensor,
  expAvg: Tensor,
  squaredNorm: Tensor,
  lr: Tensor,
  options: LionOptions,
  trained?: Tensor,
): LionState {
  const [beta1, beta2] = options.betas;
  checkUpdateOptions("lion", parameter, options, { beta1, beta2 });
  const inputs = { parameter, gradient, states: [expAvg], squaredNorm, hyper: lr, trained };
  const [p, m, update] = flatUpdate(lionOp, inputs, options);
  return { parameter: p, expAvg: m, update };
}
