// AdamW, and Adam with it, over flat parameter storage with clipping by the global norm: one kernel for the whole model, in
// place.
import { apply, float, line, mismatch, type Op, sizeOf, type Tensor } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/errors.ts";
import { adamwCpu } from "./cpu.ts";
import adamwWgsl from "./adamw.wgsl" with { type: "text" };

/** What stays the same through training. */
export interface AdamwOptions {
  /** Decay of the two moments, each in [0, 1). */
  readonly betas: readonly [number, number];
  /** Added to the denominator. */
  readonly eps: number;
  /** Weight decay: decoupled, a fraction of the learning rate, or `coupled`. */
  readonly weightDecay: number;
  /** The decay is a part of the gradient, as torch.optim.Adam has it: g + weightDecay p in the place of g. */
  readonly coupled?: boolean;
  /** Norm that the whole gradient is clipped to; 0 leaves it alone. */
  readonly clip: number;
  /** How many parameters, from the first, decay; the rest do not. */
  readonly decayed: number;
  /** Keep what the step adds to each parameter: `AdamwState.update`. */
  readonly keepUpdate?: boolean;
}

interface AdamwAttrs extends AdamwOptions {
  /** Input 6 says which parameters are trained. */
  readonly freezes: boolean;
}

/** The three tensors after a step, in the memory of those before it. */
export interface AdamwState {
  /** All parameters, [N]. */
  readonly parameter: Tensor;
  /** m, running mean of the gradient, [N]. */
  readonly expAvg: Tensor;
  /** v, running mean of its square, [N]. */
  readonly expAvgSq: Tensor;
  /** What the step added to the parameters, [N], where it was to be kept. */
  readonly update: Tensor | undefined;
}

/** The operation behind `adamw`: outputs 0, 1 and 2 lie where inputs 0, 2 and 3 were. */
export const adamwOp: Op<AdamwAttrs> = {
  name: "adamw",
  inplace: { 0: 0, 1: 2, 2: 3 },
  infer(inputs, { keepUpdate, freezes }) {
    const [parameter, , expAvg, expAvgSq, squaredNorm, hyper, trained = parameter] = inputs;
    const flat = [...inputs.slice(0, 4), trained].every((x) => sizeOf(x) === sizeOf(parameter));
    if (
      !flat || inputs.some((x) => x.dtype !== "f32") || inputs.length !== (freezes ? 7 : 6) ||
      sizeOf(squaredNorm) !== 1 || sizeOf(hyper) !== 4
    ) {
      mismatch(
        "adamw",
        "parameters, gradient and two moments of one size, a squared norm f32[1] and hyper f32[4]",
        inputs,
      );
    }
    const written = [parameter, expAvg, expAvgSq, ...(keepUpdate ? [parameter] : [])];
    return written.map(({ shape, dtype }) => ({ shape, dtype }));
  },
  lower({ outputs: [parameter], attrs }) {
    const { betas: [beta1, beta2], eps, weightDecay, clip, decayed } = attrs;
    const { keepUpdate = false, coupled = false, freezes } = attrs;
    const size = sizeOf(parameter);
    return {
      dispatches: [{
        label: "adamw",
        source: adamwWgsl,
        constants: {
          SIZE: size,
          DECAYED: decayed,
          CLIPPED: clip > 0,
          CLIP: float(clip),
          BETA1: float(beta1),
          ONE_MINUS_BETA1: float(1 - beta1),
          BETA2: float(beta2),
          ONE_MINUS_BETA2: float(1 - beta2),
          EPS: float(eps),
          WEIGHT_DECAY: float(weightDecay),
          COUPLED: coupled,
          UPDATED: keepUpdate,
          FREEZES: freezes,
        },
        bindings: {
          0: ["output", 0],
          1: ["output", 1],
          2: ["output", 2],
          3: ["input", 1],
          4: ["input", 5],
          5: ["input", 4],
          6: keepUpdate ? ["output", 3] : undefined,
          7: freezes ? ["input", 6] : undefined,
        },
        workgroups: line(size, 64),
      }],
    };
  },
  cpu: adamwCpu,
};

function checkOptions(size: number, { betas, eps, weightDecay, clip, decayed }: AdamwOptions): void {
  const fail = (name: string, found: unknown, expected: string): never => {
    throw new UserError(`adamw: ${name} is ${found}, expected ${expected}.`);
  };
  if (!betas.every((beta) => beta >= 0 && beta < 1)) {
    fail("betas", betas.join(" and "), "two numbers in [0, 1)");
  }
  for (const [name, value] of Object.entries({ eps, weightDecay, clip })) {
    if (!(value >= 0 && Number.isFinite(value))) fail(name, value, "a finite number of at least 0");
  }
  if (!Number.isInteger(decayed) || decayed < 0 || decayed > size) {
    fail("decayed", decayed, `a whole number of the ${size} parameters`);
  }
}

/**
 * One step of AdamW, in place, with the gradient clipped by its global norm first as
 * torch.nn.utils.clip_grad_norm_ does:
 *
 *     g <- g min(1, clip / (norm + 1e-6))                       unless clip is 0
 *     p <- p (1 - lr weightDecay)                               the first `decayed` elements
 *     m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2
 *     p <- p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *
 * With `coupled` it is Adam: the decay is added to the clipped gradient, g <- g + weightDecay p, and p is not shrunk.
 * A gradient that is not finite is not treated specially. Read the results through the tensors returned: the
 * plan refuses to read the old ones afterwards.
 *
 * Source: Loshchilov and Hutter 2019, in the order of torch.optim.AdamW; Kingma and Ba 2015, torch.optim.Adam.
 *
 * @param parameter all parameters, f32 [N]
 * @param gradient of the loss, f32 [N]
 * @param expAvg m, running mean of the gradient, f32 [N]
 * @param expAvgSq v, running mean of its square, f32 [N]
 * @param squaredNorm sum of squares of the whole gradient, f32 [1]; not read where clip is 0
 * @param hyper the step's own numbers, f32 [4], uploaded each step: see `adamwHyper`
 * @param options see `AdamwOptions`
 * @param trained f32 [N]: where it is 0 nothing of the parameter changes, moments and decay included; none: all are trained
 * @returns the three tensors after the step, in the memory of those before it
 * @throws {UserError} if sizes do not fit or an option is outside its range
 *
 * @example
 * ```ts
 * import { adamw, input, state, sumSquares } from "../../mod.ts";
 * const [p, m, v] = ["p", "m", "v"].map((name) => state(name, [128]));
 * const g = input("gradient", [128]);
 * const options = { betas: [0.9, 0.99], eps: 1e-8, weightDecay: 0.1, clip: 1, decayed: 64 } as const;
 * const { parameter } = adamw(p, g, m, v, sumSquares(g), input("hyper", [4]), options);
 * ```
 */
export function adamw(
  parameter: Tensor,
  gradient: Tensor,
  expAvg: Tensor,
  expAvgSq: Tensor,
  squaredNorm: Tensor,
  hyper: Tensor,
  options: AdamwOptions,
  trained?: Tensor,
): AdamwState {
  checkOptions(sizeOf(parameter), options);
  const inputs = [parameter, gradient, expAvg, expAvgSq, squaredNorm, hyper, ...(trained ? [trained] : [])];
  const [p, m, v, update] = apply(adamwOp, inputs, { ...options, freezes: trained !== undefined });
  return { parameter: p, expAvg: m, expAvgSq: v, update };
}

/**
 * The numbers to upload for a step: [lr, 1 - beta1^t, sqrt(1 - beta2^t), 0].
 *
 * @param lr learning rate of this step
 * @param step t, 1 for the first
 * @param betas as given to `adamw`
 *
 * @example
 * ```ts
 * import { adamwHyper } from "../../mod.ts";
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
