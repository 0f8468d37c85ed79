// The optimizers, keyed by name. An entry has the optimizer's flat states, each with the parameters that have it, and the
// function that performs a step. The configuration, checkpoints, tracking and the memory plan use only this table.
import type { Keys, KeyValues } from "../../src/base/keys.ts";
import { ALIGN, constant, literal, reshape } from "../../src/graph/structure.ts";
import { sizeOf, type Tensor } from "../../src/graph/tensor.ts";
import { add, multiply } from "../elementwise/op.ts";
import { matmul } from "../matmul/op.ts";
import { adamw } from "./adamw.ts";
import type { FlatUpdateOptions, Updated, UpdateTensors } from "./flat_update.ts";
import { lion } from "./lion.ts";
import { type MatrixSlot, muon } from "./muon.ts";
import { sgd } from "./sgd.ts";

const SETTINGS = {
  lr: { is: "positive", default: 1e-3, doc: "Peak learning rate, reached after warmup." },
  betas: {
    pair: "fraction",
    default: [0.9, 0.99],
    expected: "a list of two numbers of at least 0 and below 1",
    doc: "Decay rates of the first and second moment; not used by sgd.",
  },
  eps: { is: "positive", default: 1e-8, doc: "Added to the square root of the second moment." },
  momentum: {
    is: "fraction",
    default: null,
    doc: "Momentum of sgd and muon; null: 0.9 for sgd, 0.95 for muon.",
  },
  nesterov: { is: "flag", default: null, doc: "Nesterov momentum in sgd and muon; null: in muon only." },
  weight_decay: {
    is: "amount",
    default: 0.1,
    doc: "Weight decay: decoupled, times the learning rate; for adam and sgd added to the gradient (L2).",
  },
  clip: { is: "amount", default: 1, doc: "Clips the gradient to this global norm; 0: no clipping." },
} as const satisfies Keys;

/**
 * Options of all optimizers (see {@link OPTIMIZER_KEYS}). Each optimizer reads some of them and replaces null by its own
 * default.
 */
export interface OptimizerOptions
  extends FlatUpdateOptions, Omit<KeyValues<typeof SETTINGS>, "lr" | "weight_decay" | "clip"> {
  /** The hidden matrices, which some optimizers treat differently. */
  readonly matrices: readonly MatrixSlot[];
}

/** An optimizer. */
export interface Optimizer {
  /**
   * The flat states, keyed by name. The value tells which parameters have the state: all parameters, the matrices of the
   * blocks, or all other parameters.
   */
  readonly states: Readonly<Record<string, "all" | "matrices" | "rest">>;
  /** Performs one step in place. Here `trainable` is [N / ALIGN]: it has one value for every `ALIGN` elements. */
  step(tensors: UpdateTensors, options: OptimizerOptions): Updated;
}

/** Repeats each value for `ALIGN` elements of flat storage. */
export function elementsOf(rows: Tensor): Tensor {
  const count = sizeOf(rows);
  return reshape(matmul(reshape(rows, [count, 1]), constant(1, [1, ALIGN])), [count * ALIGN]);
}

/** Returns one value for every `ALIGN` elements of flat storage: 1 inside the slots, 0 elsewhere. */
export function rowsOfSlots(size: number, slots: readonly MatrixSlot[]): Float32Array {
  const rows = new Float32Array(size / ALIGN);
  for (const { offset, shape } of slots) {
    rows.fill(1, offset / ALIGN, Math.ceil((offset + sizeOf(shape)) / ALIGN));
  }
  return rows;
}

const withElementMask = ({ trainable, ...tensors }: UpdateTensors): UpdateTensors => ({
  ...tensors,
  trainable: trainable && elementsOf(trainable),
});

/**
 * Performs a step of AdamW for all parameters except the hidden matrices, then a step of Muon for those matrices. Neither step
 * changes the parameters of the other.
 */
function stepMuon(tensors: UpdateTensors, options: OptimizerOptions): Updated {
  const { momentum, nesterov, ...common } = options;
  const mask = rowsOfSlots(sizeOf(tensors.parameter), options.matrices);
  const chosen = (rows: Float32Array) => {
    const selected = literal(rows, [rows.length]);
    return elementsOf(tensors.trainable ? multiply(selected, tensors.trainable) : selected);
  };
  const rest = adamw({ ...tensors, trainable: chosen(mask.map((x) => 1 - x)) }, options);
  const after = muon(
    { ...tensors, parameter: rest.parameter, trainable: chosen(mask) },
    { ...common, momentum: momentum ?? 0.95, nesterov: nesterov ?? true },
  );
  return {
    parameter: after.parameter,
    states: { ...rest.states, ...after.states },
    update: rest.update && after.update && add(rest.update, after.update),
  };
}

/** The optimizers, keyed by name. */
export const OPTIMIZERS = {
  adamw: {
    states: { exp_avg: "all", exp_avg_sq: "all" },
    step: (tensors, options) => adamw(withElementMask(tensors), options),
  } as Optimizer,
  adam: {
    states: { exp_avg: "all", exp_avg_sq: "all" },
    step: (tensors, options) => adamw(withElementMask(tensors), { ...options, coupled: true }),
  } as Optimizer,
  sgd: {
    states: { momentum: "all" },
    step: (tensors, { momentum, nesterov, ...options }) =>
      sgd(withElementMask(tensors), { ...options, momentum: momentum ?? 0.9, nesterov: nesterov ?? false }),
  } as Optimizer,
  lion: {
    states: { exp_avg: "all" },
    step: (tensors, options) => lion(withElementMask(tensors), options),
  } as Optimizer,
  muon: {
    states: { exp_avg: "rest", exp_avg_sq: "rest", momentum: "matrices" },
    step: stepMuon,
  } as Optimizer,
} as const;

/** The keys of `optimizer` in a configuration. */
export const OPTIMIZER_KEYS = {
  name: {
    oneOf: OPTIMIZERS,
    default: "adamw",
    doc:
      "Optimizer; muon uses Muon for the matrices of the blocks and AdamW for the rest. Weight decay applies only to matrices.",
  },
  ...SETTINGS,
} as const satisfies Keys;
