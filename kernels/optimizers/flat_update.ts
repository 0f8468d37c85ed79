// All optimizers share one kernel, which clips the gradient by its global norm and updates the flat parameters and the
// optimizer's states in place. Options select weight decay, frozen parameters and whether the update is also returned.
import { apply, mismatch, sizeOf, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import type { Dispatch, Floats, Op, Ref, Tensor, Values } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import type { F32, Func } from "../../src/wasm/mod.ts";
import { flatPhase, type VectorRule } from "./simd.ts";
import flatUpdateWgsl from "./flat_update.wgsl" with { type: "text" };

/** Options of every optimizer. */
export interface FlatUpdateOptions {
  /** Weight decay, which applies to the first `decayedCount` elements. */
  readonly weightDecay: number;
  /** Maximum global norm of the gradient: a larger gradient is scaled down to this norm. If 0, the gradient is not clipped. */
  readonly clip: number;
  /** Number of elements, from the start of the flat parameters, to which weight decay applies. */
  readonly decayedCount: number;
  /** Whether to also return `update`, the change of each parameter in this step. */
  readonly keepUpdate?: boolean;
}

/** Inputs of an optimizer's step. */
export interface UpdateTensors {
  /** All parameters, f32 [N]. */
  readonly parameter: Tensor;
  /** Gradient of the loss, f32 [N]. */
  readonly gradient: Tensor;
  /** The optimizer's states, keyed by name, f32 [N] each; zero before the first step. */
  readonly states: Readonly<Record<string, Tensor>>;
  /** Sum of the squares of the gradient's elements, f32 [1]. It is not read if clip is 0. */
  readonly squaredNorm: Tensor;
  /** Hyperparameters that are uploaded for each step, f32 [1] or longer; the first is the learning rate. See `adamwHyper`. */
  readonly hyper: Tensor;
  /** Mask f32 [N]: where it is 0, neither the parameter nor its states change. Default: all parameters are trainable. */
  readonly trainable?: Tensor;
}

/** Results of a step, which overwrite the parameters and states in place. */
export interface Updated {
  /** All parameters, [N]. */
  readonly parameter: Tensor;
  /** The states, keyed by name, [N] each. */
  readonly states: Readonly<Record<string, Tensor>>;
  /** The change of the parameters in this step, [N]; undefined without `keepUpdate`. */
  readonly update: Tensor | undefined;
}

/** Returns the factor by which clipping multiplies a gradient with this squared norm, as in torch.nn.utils.clip_grad_norm_. */
export function clipFactor(clip: number, squaredNorm: number): number {
  return clip > 0 ? Math.min(1, clip / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
}

/** Updates parameter `i` and its states, given the clipped gradient. */
export type UpdateRule = (i: number, gradient: number) => void;

/** Definition of an optimizer. */
export interface FlatUpdate<O> {
  /** Name of the operation. */
  readonly name: string;
  /** Names of the states in the order of inputs and outputs; `step` uses the same names. */
  readonly states: readonly string[];
  /** Number of elements of `hyper` that the optimizer reads. */
  readonly hyper: number;
  /** WGSL for one element, which computes `after` from `before` and `g`; see flat_update.wgsl. */
  readonly step: string;
  /** Options, keyed by name, that must be in [0, 1) (`fractions`) or at least 0 (`sizes`). */
  fractions?(options: O): Readonly<Record<string, number>>;
  sizes?(options: O): Readonly<Record<string, number>>;
  /** Constants used in `step`, in addition to SIZE, DECAYED and WEIGHT_DECAY. */
  constants?(options: O): Record<string, number | boolean | string>;
  /** Returns a function that updates one element, for the implementation in TypeScript. */
  rule(options: O, hyper: Values, parameter: Floats, states: readonly Floats[]): UpdateRule;
  /**
   * Writes the WebAssembly code that is common to all elements, and returns a function that writes the update of four
   * elements. `hyper` returns the hyperparameter with the given index.
   */
  vectorRule(options: O, f: Func, hyper: (index: number) => F32): VectorRule;
}

/** Attributes of the operation. If `freezes`, the last input is the mask of the trainable parameters. */
type Attrs<O> = O & { readonly freezes: boolean };

/**
 * Creates the operation of an optimizer. Its inputs are the parameters, the gradient, the states, the squared norm, hyper and,
 * if `freezes`, the mask of the trainable parameters. Its outputs are the parameters and the states, both in place, and, if
 * `keepUpdate`, the update.
 */
function flatUpdateOp<O extends FlatUpdateOptions>(optimizer: FlatUpdate<O>): Op<Attrs<O>> {
  const { name, states, hyper: numbers, rule, vectorRule } = optimizer;
  const count = states.length;
  return {
    name,
    inplace: Object.fromEntries([[0, 0], ...states.map((_, k) => [k + 1, k + 2])]),
    infer(inputs, { keepUpdate }) {
      const [parameter, gradient, ...rest] = inputs;
      const held = rest.slice(0, count);
      const [squaredNorm, hyper, trainable = parameter] = rest.slice(count);
      const flat = [gradient, ...held, trainable].every((x) => sizeOf(x) === sizeOf(parameter));
      const given = sizeOf(squaredNorm) === 1 && sizeOf(hyper) >= numbers;
      if (!flat || !given || inputs.some((x) => x.dtype !== "f32")) {
        const expected = `parameters, gradient and ${count} states of one size, a squared norm f32[1] and ` +
          `a rate f32[${numbers}]`;
        mismatch(name, expected, inputs);
      }
      const written = [parameter, ...held, ...(keepUpdate ? [parameter] : [])];
      return written.map(({ shape, dtype }) => ({ shape, dtype }));
    },
    lower: ({ outputs: [parameter], attrs }) => ({
      dispatches: [dispatchOf(optimizer, sizeOf(parameter), attrs)],
    }),
    simd({ outputs: [parameter], attrs, needed }) {
      const { clip, decayedCount, freezes } = attrs;
      const shared = { label: name, size: sizeOf(parameter), states: count, clip, decayedCount, freezes };
      const keepsUpdate = needed[count + 1] === true;
      return {
        phases: [flatPhase({ ...shared, keepsUpdate, rule: (f, at) => vectorRule(attrs, f, at) })],
      };
    },
    cpu(inputs, outputs, { attrs }) {
      const gradient = inputs[1];
      const [[squaredNorm], hyper, trainable] = inputs.slice(count + 2);
      const [parameter, ...held] = outputs.slice(0, count + 1) as Floats[];
      const update = outputs[count + 1];
      const factor = clipFactor(attrs.clip, squaredNorm);
      const updateOne = rule(attrs, hyper, parameter, held);
      for (let i = 0; i < parameter.length; i++) {
        const before = parameter[i];
        if (trainable?.[i] !== 0) updateOne(i, gradient[i] * factor);
        if (update) update[i] = parameter[i] - before;
      }
    },
  };
}

function dispatchOf<O extends FlatUpdateOptions>(
  { name, states, step, constants }: FlatUpdate<O>,
  size: number,
  attrs: Attrs<O>,
): Dispatch {
  const { weightDecay, clip, decayedCount, keepUpdate = false, freezes } = attrs;
  const count = states.length;
  const declared = states.map((state, k) =>
    `@group(0) @binding(${k + 6}) var<storage, read_write> ${state}: array<f32>;`
  );
  return {
    label: name,
    source: flatUpdateWgsl,
    constants: {
      SIZE: size,
      DECAYED: decayedCount,
      CLIPPED: clip > 0,
      CLIP: wgslFloat(clip),
      WEIGHT_DECAY: wgslFloat(weightDecay),
      UPDATED: keepUpdate,
      FREEZES: freezes,
      ...constants?.(attrs),
    },
    code: { STATES: declared.join("\n"), STEP: step },
    bindings: {
      0: ["output", 0],
      1: ["input", 1],
      2: ["input", count + 3],
      3: clip > 0 ? ["input", count + 2] : undefined,
      4: freezes ? ["input", count + 4] : undefined,
      5: keepUpdate ? ["output", count + 1] : undefined,
      ...Object.fromEntries(states.map((_, k): [number, Ref] => [k + 6, ["output", k + 1]])),
    },
    workgroups: workgroups1d(size, 64),
  };
}

/** Returns the states in the order of `names`. Throws a `UserError` if a state is missing. */
export function statesOf(
  optimizer: string,
  names: readonly string[],
  states: UpdateTensors["states"],
): Tensor[] {
  return names.map((name) => {
    if (states[name]) return states[name];
    throw new UserError(`${optimizer}: expected states ${names.join(" and ")}, found no ${name}.`);
  });
}

/** Creates the step function of an optimizer, which checks options and states and applies the operation. */
export function flatOptimizer<O extends FlatUpdateOptions>(
  optimizer: FlatUpdate<O>,
): (tensors: UpdateTensors, options: O) => Updated {
  const { name, states: names, fractions, sizes } = optimizer;
  const op = flatUpdateOp(optimizer);
  return ({ parameter, gradient, states, squaredNorm, hyper, trainable }, options) => {
    checkUpdateOptions(name, parameter, options, fractions?.(options), sizes?.(options));
    const held = statesOf(name, names, states);
    const inputs = [parameter, gradient, ...held, squaredNorm, hyper, ...(trainable ? [trainable] : [])];
    const [after, ...rest] = apply(op, inputs, { ...options, freezes: trainable !== undefined });
    return {
      parameter: after,
      states: Object.fromEntries(names.map((state, k) => [state, rest[k]])),
      update: rest[names.length],
    };
  };
}

/**
 * Throws a `UserError` if an option is outside its range: `fractions` must be in [0, 1); `sizes`, weightDecay and clip must
 * be at least 0.
 */
export function checkUpdateOptions(
  op: string,
  parameter: Tensor,
  { weightDecay, clip, decayedCount }: FlatUpdateOptions,
  fractions: Readonly<Record<string, number>> = {},
  sizes: Readonly<Record<string, number>> = {},
): void {
  const fail = (name: string, value: number, expected: string): never => {
    throw new UserError(`${op}: ${name} is ${value}, expected ${expected}.`);
  };
  for (const [name, value] of Object.entries(fractions)) {
    if (!(value >= 0 && value < 1)) fail(name, value, "a number in [0, 1)");
  }
  for (const [name, value] of Object.entries({ weightDecay, clip, ...sizes })) {
    if (!(value >= 0 && Number.isFinite(value))) fail(name, value, "a finite number of at least 0");
  }
  const size = sizeOf(parameter);
  if (!Number.isInteger(decayedCount) || decayedCount < 0 || decayedCount > size) {
    fail("decayedCount", decayedCount, `an integer from 0 to ${size}, the number of parameters`);
  }
}
