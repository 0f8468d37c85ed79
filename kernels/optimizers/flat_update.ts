// What the optimizers have in common: one kernel that updates flat parameter storage and the optimizer's states in place,
// behind the clip by the global norm, with the same choices of decay, of what is trained and of what is kept.
import {
  apply,
  type Call,
  type Dispatch,
  type Floats,
  mismatch,
  type Op,
  type Ref,
  sizeOf,
  type Tensor,
  type Values,
  wgslFloat,
  workgroups1d,
} from "../../src/graph/tensor.ts";
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

/** The same as attributes of an operation. */
export interface FlatUpdateAttrs extends FlatUpdateOptions {
  /** The last input says which parameters are trained. */
  readonly freezes: boolean;
}

/** Factor of a gradient of this squared norm, as torch.nn.utils.clip_grad_norm_ has it. */
export function clipFactor(clip: number, squaredNorm: number): number {
  return clip > 0 ? Math.min(1, clip / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
}

/** Renews one parameter and its states, given its number and its clipped gradient. */
export type UpdateRule = (i: number, gradient: number) => void;

/** What an optimizer is, beside what all have in common. */
export interface FlatUpdate<A> {
  /** Of the operation. */
  readonly name: string;
  /** Names of its states in `step`, in the order of inputs and outputs. */
  readonly states: readonly string[];
  /** How many numbers the host gives each step, `hyper`: the learning rate first. */
  readonly hyper: number;
  /** WGSL for one element: makes `after` of `before` and `g`; see flat_update.wgsl. */
  readonly step: string;
  /** Constants of `step`, beside SIZE, DECAYED and WEIGHT_DECAY. */
  constants?(attrs: A): Record<string, number | boolean | string>;
  /** The same on the host. */
  rule(attrs: A, hyper: Values, parameter: Floats, states: readonly Floats[]): UpdateRule;
}

/**
 * The operation of an optimizer. Inputs: parameters, gradient, its states, squared norm, hyper, and what is trained where
 * it freezes; outputs: parameters and states in their own memory, and the update where it is kept.
 */
export function flatUpdateOp<A extends FlatUpdateAttrs>(optimizer: FlatUpdate<A>): Op<A> {
  const { name, states, hyper: numbers } = optimizer;
  const count = states.length;
  return {
    name,
    inplace: Object.fromEntries([[0, 0], ...states.map((_, k) => [k + 1, k + 2])]),
    infer(inputs, { keepUpdate, freezes }) {
      const [parameter, , ...rest] = inputs;
      const [squaredNorm, hyper, trained = parameter] = rest.slice(count);
      const own = rest.slice(0, count);
      const flat = [inputs[1], ...own, trained].every((x) => sizeOf(x) === sizeOf(parameter));
      const given = inputs.length === count + (freezes ? 5 : 4) && sizeOf(squaredNorm) === 1 &&
        sizeOf(hyper) === numbers;
      if (!flat || !given || inputs.some((x) => x.dtype !== "f32")) {
        const wanted = `parameters, gradient and ${count} states of one size, a squared norm f32[1] and ` +
          `a rate f32[${numbers}]`;
        mismatch(name, wanted, inputs);
      }
      const written = [parameter, ...own, ...(keepUpdate ? [parameter] : [])];
      return written.map(({ shape, dtype }) => ({ shape, dtype }));
    },
    lower: ({ outputs: [parameter], attrs }) => ({
      dispatches: [dispatchOf(optimizer, sizeOf(parameter), attrs)],
    }),
    cpu: (inputs, outputs, call) => onHost(optimizer, inputs, outputs, call),
  };
}

function dispatchOf<A extends FlatUpdateAttrs>(
  { name, states, step, constants }: FlatUpdate<A>,
  size: number,
  attrs: A,
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

function onHost<A extends FlatUpdateAttrs>(
  { states, rule }: FlatUpdate<A>,
  inputs: readonly Values[],
  outputs: readonly Values[],
  { attrs }: Call<A>,
): void {
  const count = states.length;
  const gradient = inputs[1];
  const [[squaredNorm], hyper, trained] = inputs.slice(count + 2);
  const [parameter, ...own] = outputs.slice(0, count + 1) as Floats[];
  const update = outputs[count + 1] as Floats | undefined;
  const factor = clipFactor(attrs.clip, squaredNorm);
  const renew = rule(attrs, hyper, parameter, own);
  for (let i = 0; i < parameter.length; i++) {
    const before = parameter[i];
    if (trained?.[i] !== 0) renew(i, gradient[i] * factor);
    if (update) update[i] = parameter[i] - before;
  }
}

/** What a step takes. */
export interface FlatUpdateInputs {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly states: readonly Tensor[];
  readonly squaredNorm: Tensor;
  readonly hyper: Tensor;
  readonly trained: Tensor | undefined;
}

/** Applies the operation of an optimizer: parameters and states after the step, then the update where it is kept. */
export function flatUpdate<O extends FlatUpdateOptions>(
  op: Op<O & FlatUpdateAttrs>,
  { parameter, gradient, states, squaredNorm, hyper, trained }: FlatUpdateInputs,
  options: O,
): readonly Tensor[] {
  const inputs = [parameter, gradient, ...states, squaredNorm, hyper, ...(trained ? [trained] : [])];
  return apply(op, inputs, { ...options, freezes: trained !== undefined });
}

/**
 * Throws a `UserError` at an option that is outside its range: `fractions` are to be in [0, 1), `sizes`, weightDecay and
 * clip at least 0.
 */
export function checkUpdateOptions(
  op: string,
  parameter: Tensor,
  { weightDecay, clip, decayed }: FlatUpdateOptions,
  fractions: Readonly<Record<string, number>>,
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
