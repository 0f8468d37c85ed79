// Layout of the parameters. All parameters are in one flat state, and each optimizer state has the same size, so that one
// kernel updates all parameters. Parameters with weight decay come first; parameters with the same initialisation are
// adjacent.
import { randomNormal, randomUniform } from "../../kernels/random/op.ts";
import type { Device } from "../device/device.ts";
import type { Graph } from "../device/plan.ts";
import { ALIGN, assign, constant, pack, state, view } from "../graph/structure.ts";
import { sizeOf, type Tensor, type Values } from "../graph/tensor.ts";
import { UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import type { Parameter, Parameters } from "../nn/decoder.ts";

/** A parameter and its range of elements in flat storage. */
export interface Slot extends Parameter {
  /** Index of its first element. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
}

/** Flat storage of parameters. */
export interface Layout {
  /** The parameters, in storage order. */
  readonly slots: readonly Slot[];
  /** Total number of elements, including padding between parameters. */
  readonly size: number;
  /** Number of elements at the start of the storage to which weight decay applies. */
  readonly decayed: number;
}

/** Names of the flat states: parameters, running means of the gradient and of its square, momentum. */
export const STATES = {
  parameters: "parameters",
  expAvg: "exp_avg",
  expAvgSq: "exp_avg_sq",
  momentum: "momentum",
} as const;

/**
 * Lays out parameters. Those with weight decay come first, those with the same initialisation are adjacent, and each begins
 * at a multiple of 256 bytes.
 */
export function layout(parameters: readonly Parameter[]): Layout {
  const order = [...parameters].sort((a, b) => {
    return Number(b.decayed) - Number(a.decayed) || b.std - a.std || b.mean - a.mean;
  });
  const slots: Slot[] = [];
  let size = 0;
  let decayed = 0;
  for (const parameter of order) {
    const slot = { ...parameter, offset: size, size: sizeOf(parameter.shape) };
    size += Math.ceil(slot.size / ALIGN) * ALIGN;
    if (parameter.decayed) decayed = size;
    slots.push(slot);
  }
  return { slots, size, decayed };
}

/** Returns the flat state `name` as a tensor. */
export function flat({ size }: Layout, name: string = STATES.parameters): Tensor {
  return state(name, [size]);
}

/** Returns the parameters, keyed by name, as views of a flat tensor. */
export function parameterViews({ slots }: Layout, flat: Tensor): Parameters {
  return Object.fromEntries(slots.map(({ name, shape, offset }) => [name, view(flat, shape, offset)]));
}

/** Packs gradients, given in the order of `slots`, into the layout of the parameters. */
export function packGradients({ slots, size }: Layout, gradients: readonly Tensor[]): Tensor {
  return pack(gradients, slots.map((slot) => slot.offset), size);
}

/** Bound of the truncated normal distribution, in standard deviations on either side of the mean. */
const WITHIN = 2;

/** Returns the initial values of adjacent parameters that share an initialisation; `shape` covers all of these parameters. */
function initialValues(shape: readonly number[], { name, mean, std, distribution }: Slot, seed: number) {
  if (std === 0) return constant(mean, shape);
  const purpose = `init ${name}`;
  const end = std * Math.sqrt(3);
  if (distribution === "uniform") {
    return randomUniform(shape, { seed, purpose, low: mean - end, high: mean + end });
  }
  const within = distribution === "truncated_normal" ? WITHIN : Infinity;
  return randomNormal(shape, { seed, purpose, mean, std, within });
}

/** Returns the graph that initialises every parameter from the seed. */
export function initialGraph({ slots, size }: Pick<Layout, "slots" | "size">, seed: number): Graph {
  let values = state(STATES.parameters, [size]);
  for (let i = 0; i < slots.length;) {
    const { mean, std, distribution, offset } = slots[i];
    const alike = (slot: Slot) =>
      slot.mean === mean && slot.std === std && (std === 0 || slot.distribution === distribution);
    let end = i;
    while (end < slots.length && alike(slots[end])) end++;
    const shape = [(slots[end]?.offset ?? size) - offset];
    values = assign(values, initialValues(shape, slots[i], seed), offset);
    i = end;
  }
  return { effects: [values] };
}

/**
 * Initialises every parameter on the device from the seed, and the optimizer's states to zero.
 *
 * @param states names of the optimizer's flat states (see `optimizerStates`). Default: AdamW's.
 */
export async function initialise(
  device: Device,
  layout: Layout,
  seed: number,
  states: readonly string[] = [STATES.expAvg, STATES.expAvgSq],
): Promise<void> {
  for (const name of [STATES.parameters, ...states]) {
    device.define(name, { shape: [layout.size], dtype: "f32" });
  }
  using program = await device.compile(initialGraph(layout, seed));
  reportProgress({ what: "initialising the parameters" });
  program.run();
}

/** Reads a flat state and splits it into tensors, keyed by parameter name. */
export async function readParameters(
  device: Device,
  { slots }: Pick<Layout, "slots">,
  name: string = STATES.parameters,
): Promise<Record<string, { shape: readonly number[]; data: Float32Array }>> {
  const [values] = await device.read([name]);
  return Object.fromEntries(slots.map(({ name, shape, offset, size }) => {
    return [name, { shape, data: Float32Array.from(values.subarray(offset, offset + size)) }];
  }));
}

/**
 * Writes tensors, keyed by parameter name, into a flat state.
 *
 * @param place where the tensors come from, for error messages
 * @throws {UserError} if a tensor is missing, is not in the model, or has another shape
 */
export function writeParameters(
  device: Pick<Device, "define">,
  { slots, size }: Pick<Layout, "slots" | "size">,
  tensors: ReadonlyMap<string, { shape: readonly number[]; data: Values }>,
  place: string,
  name: string = STATES.parameters,
): void {
  const known = new Set(slots.map((slot) => slot.name));
  const extra = [...tensors.keys()].find((key) => !known.has(key));
  if (extra !== undefined) throw new UserError(`${place}: tensor ${extra} does not belong to this model.`);
  const values = new Float32Array(size);
  for (const slot of slots) {
    const tensor = tensors.get(slot.name);
    const expected = `[${slot.shape.join(", ")}]`;
    if (!tensor) throw new UserError(`${place}: tensor ${slot.name} ${expected} is missing.`);
    if (`[${tensor.shape.join(", ")}]` !== expected) {
      throw new UserError(
        `${place}: tensor ${slot.name} is [${tensor.shape.join(", ")}], expected ${expected}.`,
      );
    }
    values.set(tensor.data, slot.offset);
  }
  device.define(name, { shape: [size], dtype: "f32" }, values);
}

/** A flat state of an optimizer, and the parameters that use it. */
export interface OptimizerState {
  /**
   * The state's name on the device and in checkpoints, such as `exp_avg`. A tap's name is a parameter's name followed by this
   * name.
   */
  readonly name: string;
  /** The parameters that use it, in storage order. */
  readonly slots: readonly Slot[];
}
