// What SGD and Lion have in common: one kernel that updates flat parameter storage and one running mean in place, behind
// the clip by the global norm, with the same choices of decay, of what is trained and of what is kept.
import { float, line, mismatch, type Op, sizeOf, type Tensor, type Values } from "../src/graph/tensor.ts";
import type { Call, Floats } from "../src/graph/tensor.ts";
import { UserError } from "../src/errors.ts";

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

/** One element: its number, its parameter, its clipped gradient and its running mean; what they become. */
export type UpdateRule = (
  i: number,
  parameter: number,
  gradient: number,
  mean: number,
) => readonly [parameter: number, mean: number];

/**
 * The operation of an optimizer with one running mean. Inputs: parameters, gradient, mean, squared norm, learning rate,
 * and what is trained where it freezes; outputs: parameters and mean in their own memory, and the update where it is kept.
 *
 * @param name of the operation
 * @param source a template with bindings 0 to 6: parameter, mean, gradient, lr, squared_norm, update, trained
 * @param constants of the template, beside those that all have
 * @param rule the same on the host, given the options and the learning rate
 */
export function flatUpdateOp<A extends FlatUpdateAttrs>(
  name: string,
  source: string,
  constants: (attrs: A) => Record<string, number | boolean | string>,
  rule: (attrs: A, lr: number) => UpdateRule,
): Op<A> {
  return {
    name,
    inplace: { 0: 0, 1: 2 },
    infer(inputs, { keepUpdate, freezes }) {
      const [parameter, , mean, squaredNorm, lr, trained = parameter] = inputs;
      const flat = [...inputs.slice(0, 3), trained].every((x) => sizeOf(x) === sizeOf(parameter));
      const single = sizeOf(squaredNorm) === 1 && sizeOf(lr) === 1;
      const count = freezes ? 6 : 5;
      if (!flat || !single || inputs.length !== count || inputs.some((x) => x.dtype !== "f32")) {
        const wanted =
          "parameters, gradient and running mean of one size, a squared norm f32[1] and a rate f32[1]";
        mismatch(name, wanted, inputs);
      }
      const written = [parameter, mean, ...(keepUpdate ? [parameter] : [])];
      return written.map(({ shape, dtype }) => ({ shape, dtype }));
    },
    lower({ outputs: [parameter], attrs }) {
      const { weightDecay, clip, decayed, keepUpdate = false, freezes } = attrs;
      const size = sizeOf(parameter);
      const common = {
        SIZE: size,
        DECAYED: decayed,
        CLIPPED: clip > 0,
        CLIP: float(clip),
        WEIGHT_DECAY: float(weightDecay),
        UPDATED: keepUpdate,
        FREEZES: freezes,
      };
      return {
        dispatches: [{
          label: name,
          source,
          constants: { ...common, ...constants(attrs) },
          bindings: {
            0: ["output", 0],
            1: ["output", 1],
            2: ["input", 1],
            3: ["input", 4],
            4: clip > 0 ? ["input", 3] : undefined,
            5: keepUpdate ? ["output", 2] : undefined,
            6: freezes ? ["input", 5] : undefined,
          },
          workgroups: line(size, 64),
        }],
      };
    },
    cpu: (inputs, outputs, call) => onHost(inputs, outputs, call, rule(call.attrs, inputs[4][0])),
  };
}

function onHost(
  [, gradient, , [squaredNorm], , trained]: readonly Values[],
  outputs: readonly Values[],
  { attrs }: Call<FlatUpdateAttrs>,
  rule: UpdateRule,
): void {
  const [parameter, mean, update] = outputs as readonly [Floats, Floats, Floats?];
  const factor = clipFactor(attrs.clip, squaredNorm);
  for (let i = 0; i < parameter.length; i++) {
    const before = parameter[i];
    if (trained?.[i] !== 0) {
      [parameter[i], mean[i]] = rule(i, before, gradient[i] * factor, mean[i]);
    }
    if (update) update[i] = parameter[i] - before;
  }
}

/** Throws a `UserError` at an option that is outside its range; `fractions` are to be in [0, 1). */
export function checkUpdateOptions(
  op: string,
  parameter: Tensor,
  { weightDecay, clip, decayed }: FlatUpdateOptions,
  fractions: Readonly<Record<string, number>>,
): void {
  const fail = (name: string, found: number, expected: string): never => {
    throw new UserError(`${op}: ${name} is ${found}, expected ${expected}.`);
  };
  for (const [name, value] of Object.entries(fractions)) {
    if (!(value >= 0 && value < 1)) fail(name, value, "a number in [0, 1)");
  }
  for (const [name, value] of Object.entries({ weightDecay, clip })) {
    if (!(value >= 0 && Number.isFinite(value))) fail(name, value, "a finite number of at least 0");
  }
  const size = sizeOf(parameter);
  if (!Number.isInteger(decayed) || decayed < 0 || decayed > size) {
    fail("decayed", decayed, `a whole number of the ${size} parameters`);
  }
}
