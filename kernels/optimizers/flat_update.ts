// What the optimizers have in common: one kernel that updates flat parameter storage and the optimizer's states in place,
// behind the clip by the global norm, with the same choices of decay, of what is trained and of what is kept.
import { apply, mismatch, sizeOf, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import type { Dispatch, Floats, Op, Ref, Tensor, Values } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import flatUpdateWgsl from "./flat_update.wgsl" with { type: "text" };

/** What every optimizer is told. */
export interface FlatUpdateOptions {
  /** Weight decay of the first `decayed` parameters. */
  readonly weightDecay: number;
  /** Norm that the whole gradient is clipped to; 0 leaves it alone. */
  readonly clip: number;
  /** How many parameters, from the first, decay; the rest do not. */
  readonly decayed: number;
  /** Keep what the step adds to each parameter: `update` of its results. */
  readonly keepUpdate?: boolean;
}

/** What a step of an optimizer takes. */
export interface UpdateTensors {
  /** All parameters, f32 [N]. */
  readonly parameter: Tensor;
  /** Of the loss, f32 [N]. */
  readonly gradient: Tensor;
  /** The optimizer's states by name, f32 [N] each; zero before the first step. */
  readonly states: Readonly<Record<string, Tensor>>;
  /** Sum of squares of the whole gradient, f32 [1]; not read where clip is 0. */
  readonly squaredNorm: Tensor;
  /** The step's own numbers, uploaded each step, the learning rate first: f32 [1] or more; of adamw see `adamwHyper`. */
  readonly hyper: Tensor;
  /** f32 [N]: where it is 0 nothing of the parameter changes, states and decay included. Default: all are trained. */
  readonly trained?: Tensor;
}

/** What a step leaves, in the memory of what was before it. */
export interface Updated {
  /** All parameters, [N]. */
  readonly parameter: Tensor;
  /** The states by name, [N] each. */
  readonly states: Readonly<Record<string, Tensor>>;
  /** What the step added to the parameters, [N], where it was to be kept. */
  readonly update: Tensor | undefined;
}

/** Factor of a gradient of this squared norm, as torch.nn.utils.clip_grad_norm_ has it. */
export function clipFactor(clip: number, squaredNorm: number): number {
  return clip > 0 ? Math.min(1, clip / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
}

/** Renews one parameter and its states, given its number and its clipped gradient. */
export type UpdateRule = (i: number, gradient: number) => void;

/** What an optimizer is, beside what all have in common. */
export interface FlatUpdate<O> {
  /** Of the operation. */
  readonly name: string;
  /** Names of its states, also in `step`, in the order of inputs and outputs. */
  readonly states: readonly string[];
  /** How many numbers of `hyper` it reads. */
  readonly hyper: number;
  /** WGSL for one element: makes `after` of `before` and `g`; see flat_update.wgsl. */
  readonly step: string;
  /** Options that are to be in [0, 1), by name, and those that are to be at least 0. */
  fractions?(options: O): Readonly<Record<string, number>>;
  sizes?(options: O): Readonly<Record<string, number>>;
  /** Constants of `step`, beside SIZE, DECAYED and WEIGHT_DECAY. */
  constants?(options: O): Record<string, number | boolean | string>;
  /** The same on the host. */
  rule(options: O, hyper: Values, parameter: Floats, states: readonly Floats[]): UpdateRule;
}

/** Attributes of the operation: whether the last input says which parameters are trained. */
type Attrs<O> = O & { readonly freezes: boolean };

/**
 * The operation of an optimizer. Inputs: parameters, gradient, its states, squared norm, hyper, and what is trained where
 * it freezes; outputs: parameters and states in their own memory, and the update where it is kept.
 */
function flatUpdateOp<O extends FlatUpdateOptions>(optimizer: FlatUpdate<O>): Op<Attrs<O>> {
  const { name, states, hyper: numbers, rule } = optimizer;
  const count = states.length;
  return {
    name,
    inplace: Object.fromEntries([[0, 0], ...states.map((_, k) => [k + 1, k + 2])]),
    infer(inputs, { keepUpdate }) {
      const [parameter, gradient, ...rest] = inputs;
      const own = rest.slice(0, count);
      const [squaredNorm, hyper, trained = parameter] = rest.slice(count);
      const flat = [gradient, ...own, trained].every((x) => sizeOf(x) === sizeOf(parameter));
      const given = sizeOf(squaredNorm) === 1 && sizeOf(hyper) >= numbers;
      if (!flat || !given || inputs.some((x) => x.dtype !== "f32")) {
        const expected = `parameters, gradient and ${count} states of one size, a squared norm f32[1] and ` +
          `a rate f32[${numbers}]`;
        mismatch(name, expected, inputs);
      }
      const written = [parameter, ...own, ...(keepUpdate ? [parameter] : [])];
      return written.map(({ shape, dtype }) => ({ shape, dtype }));
    },
    lower: ({ outputs: [parameter], attrs }) => ({
      dispatches: [dispatchOf(optimizer, sizeOf(parameter), attrs)],
    }),
    cpu(inputs, outputs, { attrs }) {
      const gradient = inputs[1];
      const [[squaredNorm], hyper, trained] = inputs.slice(count + 2);
      const [parameter, ...own] = outputs.slice(0, count + 1) as Floats[];
      const update = outputs[count + 1];
      const factor = clipFactor(attrs.clip, squaredNorm);
      const renew = rule(attrs, hyper, parameter, own);
      for (let i = 0; i < parameter.length; i++) {
        const before = parameter[i];
        if (trained?.[i] !== 0) renew(i, gradient[i] * factor);
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
  const { weightDecay, clip, decayed, keepUpdate = false, freezes } = attrs;
  const count = states.length;
  const declared = states.map((state, k) =>
    `@group(0) @binding(${k + 6}) var<storage, read_write> ${state}: array<f32>;`
  );
  return {
    label: name,
    source: flatUpdateWgsl,
    constants: {
      SIZE: size,
      DECAYED: decayed,
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

/** The states in the order of their names; throws a `UserError` at one that is missing. */
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

/** The step of an optimizer, as a function: checks options and states, and applies the operation. */
export function flatOptimizer<O extends FlatUpdateOptions>(
  optimizer: FlatUpdate<O>,
): (tensors: UpdateTensors, options: O) => Updated {
  const { name, states: names, fractions, sizes } = optimizer;
  const op = flatUpdateOp(optimizer);
  return ({ parameter, gradient, states, squaredNorm, hyper, trained }, options) => {
    checkUpdateOptions(name, parameter, options, fractions?.(options), sizes?.(options));
    const own = statesOf(name, names, states);
    const inputs = [parameter, gradient, ...own, squaredNorm, hyper, ...(trained ? [trained] : [])];
    const [after, ...rest] = apply(op, inputs, { ...options, freezes: trained !== undefined });
    return {
      parameter: after,
      states: Object.fromEntries(names.map((state, k) => [state, rest[k]])),
      update: rest[names.length],
    };
  };
}

/**
 * Throws a `UserError` at an option that is outside its range: `fractions` are to be in [0, 1), `sizes`, weightDecay and
 * clip at least 0.
 */
export function checkUpdateOptions(
  op: string,
  parameter: Tensor,
  { weightDecay, clip, decayed }: FlatUpdateOptions,
  fractions: Readonly<Record<string, number>> = {},
  sizes: Readonly<Record<string, number>> = {},
): void {
  const fail = (name: string, found: number, expected: string): never => {
    throw new UserError(`${op}: ${name} is ${found}, expected ${expected}.`);
  };
  for (const [name, value] of Object.entries(fractions)) {
    if (!(value >= 0 && value < 1)) fail(name, value, "a number in [0, 1)");
  }
  for (const [name, value] of Object.entries({ weightDecay, clip, ...sizes })) {
    if (!(value >= 0 && Number.isFinite(value))) fail(name, value, "a finite number of at least 0");
  }
  const size = sizeOf(parameter);
  if (!Number.isInteger(decayed) || decayed < 0 || decayed > size) {
    fail("decayed", decayed, `a whole number of the ${size} parameters`);
  }
}
