// One step of the configured optimizer over a model's flat parameters.
import type { Updated } from "../../kernels/optimizers/flat_update.ts";
import { type Optimizer, OPTIMIZERS } from "../../kernels/optimizers/table.ts";
import type { Config } from "../config/mod.ts";
import type { Tensor } from "../graph/tensor.ts";
import { flat, type Layout, type OptimizerState, type Slot } from "../model/layout.ts";

/** The inputs of an optimizer step. */
export interface Stepping {
  /** The configuration's `optimizer`. */
  readonly settings: Config["optimizer"];
  /** The layout of the flat parameters. */
  readonly layout: Layout;
  /** All parameters, [N]. */
  readonly parameters: Tensor;
  /** Gradient of all parameters, [N], before clipping. */
  readonly gradient: Tensor;
  /** Sum of squares of the gradient, [1]. */
  readonly squaredNorm: Tensor;
  /** Hyperparameters of the step, [4]: see `adamwHyper`. */
  readonly hyper: Tensor;
  /** Only if some parameters are frozen: one value per `ALIGN` elements of the parameters, 1 if trained and 0 if frozen. */
  readonly trainable?: Tensor;
  /** Whether the update of each parameter is also returned. */
  readonly keepUpdate: boolean;
}

/**
 * Returns true if Muon updates a parameter. As in Jordan et al., it updates the matrices of the blocks, but not the
 * embeddings and the head.
 */
const isHidden = ({ name, shape, decayed }: Slot): boolean =>
  decayed && shape.length === 2 && name.startsWith("blocks.");

/**
 * Returns the flat states that an optimizer keeps, each as large as the flat parameters: `exp_avg` and `exp_avg_sq` for adamw
 * and adam, `exp_avg` for lion, `momentum` for sgd. Muon keeps `momentum` for the matrices that it updates, and adamw's
 * states for all other parameters.
 *
 * @param settings `optimizer` of a configuration
 *
 * @example
 * ```ts
 * import { charTokenizer, loadConfig } from "../../mod.ts";
 * import { modelOf } from "../model/mod.ts";
 * import { optimizerStates } from "./mod.ts";
 * const { config, layout } = modelOf(await loadConfig("copy", ["optimizer.name=lion"]), charTokenizer("abc"));
 * optimizerStates(config.optimizer, layout).map(({ name }) => name); // ["exp_avg"]
 * ```
 */
export function optimizerStates({ name }: Config["optimizer"], { slots }: Layout): readonly OptimizerState[] {
  const { states }: Optimizer = OPTIMIZERS[name];
  return Object.entries(states).map(([name, of]) => ({
    name,
    slots: of === "all" ? slots : slots.filter((slot) => isHidden(slot) === (of === "matrices")),
  }));
}

/** Builds the graph of one optimizer step, which updates the parameters and states in place. */
export function optimizerStep(stepping: Stepping): Updated {
  const { settings, layout, parameters, keepUpdate, ...tensors } = stepping;
  const { name, weight_decay: weightDecay, ...rest } = settings;
  const optimizer: Optimizer = OPTIMIZERS[name];
  const states = Object.fromEntries(Object.keys(optimizer.states).map((name) => [name, flat(layout, name)]));
  const matrices = layout.slots.filter(isHidden);
  const options = { ...rest, weightDecay, decayedCount: layout.decayed, keepUpdate, matrices };
  return optimizer.step({ ...tensors, parameter: parameters, states }, options);
}
