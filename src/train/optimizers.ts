// The optimizers by name: which flat states each keeps, and what a step does. Checkpoints, tracking and the memory plan
// know them only by what stands here.
import { adamw } from "../../kernels/optimizers/adamw.ts";
import { add, multiply } from "../../kernels/elementwise/op.ts";
import { lion } from "../../kernels/optimizers/lion.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { muon } from "../../kernels/optimizers/muon.ts";
import { sgd } from "../../kernels/optimizers/sgd.ts";
import type { Config } from "../config/mod.ts";
import { ALIGN, constant, literal, reshape, view } from "../graph/structure.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import {
  flat,
  type Layout,
  type OptimizerState,
  rowsOfSlots,
  type Slot,
  STATES,
  type Stepped,
} from "../model/layout.ts";

type Settings = Config["optimizer"];

/** What a step is made from. */
export interface Stepping {
  /** `optimizer` of the configuration. */
  readonly settings: Settings;
  /** Where the parameters lie. */
  readonly layout: Layout;
  /** All parameters, [N]. */
  readonly parameters: Tensor;
  /** Of all parameters, [N], before it is clipped. */
  readonly gradient: Tensor;
  /** Sum of its squares, [1]. */
  readonly squaredNorm: Tensor;
  /** The step's own numbers, [4]: see `adamwHyper`. */
  readonly hyper: Tensor;
  /** Where some parameters stand still: 1 for every `ALIGN` elements that are trained, else 0. */
  readonly trained?: Tensor;
  /** Keep what the step adds to each parameter. */
  readonly keepUpdate: boolean;
}

/** A number for each `ALIGN` elements of flat storage, repeated for every one of them. */
export function elementsOf(rows: Tensor): Tensor {
  const count = sizeOf(rows);
  return reshape(matmul(reshape(rows, [count, 1]), constant(1, [1, ALIGN])), [count * ALIGN]);
}

/** The parameters that Muon moves, as Jordan et al. have it: matrices of the blocks, not embeddings and not the head. */
const isHidden = ({ name, shape, decayed }: Slot): boolean =>
  decayed && shape.length === 2 && name.startsWith("blocks.");

function commonOf({ settings: { weight_decay, clip }, layout, keepUpdate }: Stepping) {
  return { weightDecay: weight_decay, clip, decayed: layout.decayed, keepUpdate };
}

const learningRateOf = ({ hyper }: Stepping): Tensor => view(hyper, [1]);
const trainedOf = ({ trained }: Stepping): Tensor | undefined => trained && elementsOf(trained);

function stepAdam(stepping: Stepping, coupled: boolean, trained = trainedOf(stepping)): Stepped {
  const { settings: { betas, eps }, layout, parameters, gradient, squaredNorm, hyper } = stepping;
  const [m, v] = [flat(layout, STATES.expAvg), flat(layout, STATES.expAvgSq)];
  const options = { ...commonOf(stepping), betas, eps, coupled };
  const after = adamw(parameters, gradient, m, v, squaredNorm, hyper, options, trained);
  const states = { [STATES.expAvg]: after.expAvg, [STATES.expAvgSq]: after.expAvgSq };
  return { parameter: after.parameter, states, update: after.update };
}

function stepSgd(stepping: Stepping): Stepped {
  const { settings: { momentum, nesterov }, layout, parameters, gradient, squaredNorm } = stepping;
  const options = { ...commonOf(stepping), momentum: momentum ?? 0.9, nesterov: nesterov ?? false };
  const m = flat(layout, STATES.momentum);
  const lr = learningRateOf(stepping);
  const after = sgd(parameters, gradient, m, squaredNorm, lr, options, trainedOf(stepping));
  return { parameter: after.parameter, states: { [STATES.momentum]: after.momentum }, update: after.update };
}

function stepLion(stepping: Stepping): Stepped {
  const { settings: { betas }, layout, parameters, gradient, squaredNorm } = stepping;
  const m = flat(layout, STATES.expAvg);
  const options = { ...commonOf(stepping), betas };
  const lr = learningRateOf(stepping);
  const after = lion(parameters, gradient, m, squaredNorm, lr, options, trainedOf(stepping));
  return { parameter: after.parameter, states: { [STATES.expAvg]: after.expAvg }, update: after.update };
}

/** AdamW for everything but the hidden matrices, then Muon for these, each leaving the other's alone. */
function stepMuon(stepping: Stepping): Stepped {
  const { settings: { momentum, nesterov }, layout, gradient, squaredNorm, trained } = stepping;
  const hidden = layout.slots.filter(isHidden);
  const mask = rowsOfSlots(layout, hidden);
  const chosen = (rows: Float32Array) => {
    const own = literal(rows, [rows.length]);
    return elementsOf(trained ? multiply(own, trained) : own);
  };
  const rest = stepAdam(stepping, false, chosen(mask.map((x) => 1 - x)));
  const options = { ...commonOf(stepping), momentum: momentum ?? 0.95, nesterov: nesterov ?? true };
  const after = muon(
    rest.parameter,
    gradient,
    flat(layout, STATES.momentum),
    squaredNorm,
    learningRateOf(stepping),
    chosen(mask),
    hidden,
    options,
  );
  return {
    parameter: after.parameter,
    states: { ...rest.states, [STATES.momentum]: after.momentum },
    update: rest.update && after.update && add(rest.update, after.update),
  };
}

interface Optimizer {
  states(layout: Layout): readonly OptimizerState[];
  step(stepping: Stepping): Stepped;
}

const whole = (...names: string[]) => ({ slots }: Layout): OptimizerState[] =>
  names.map((name) => ({ name, slots }));

const OPTIMIZERS: Readonly<Record<Settings["name"], Optimizer>> = {
  adamw: {
    states: whole(STATES.expAvg, STATES.expAvgSq),
    step: (stepping) => stepAdam(stepping, false),
  },
  adam: {
    states: whole(STATES.expAvg, STATES.expAvgSq),
    step: (stepping) => stepAdam(stepping, true),
  },
  sgd: { states: whole(STATES.momentum), step: stepSgd },
  lion: { states: whole(STATES.expAvg), step: stepLion },
  muon: {
    states({ slots }) {
      const [hidden, rest] = [slots.filter(isHidden), slots.filter((slot) => !isHidden(slot))];
      return [
        { name: STATES.expAvg, slots: rest },
        { name: STATES.expAvgSq, slots: rest },
        { name: STATES.momentum, slots: hidden },
      ];
    },
    step: stepMuon,
  },
};

/**
 * The flat states that an optimizer keeps beside the parameters, each as long as they are: adamw and adam exp_avg and
 * exp_avg_sq, lion exp_avg, sgd momentum, muon momentum for its matrices and AdamW's two for the rest.
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
export function optimizerStates(
  { name }: Config["optimizer"],
  layout: Layout,
): readonly OptimizerState[] {
  return OPTIMIZERS[name].states(layout);
}

/** One step of the optimizer that the configuration names, in place. */
export function optimizerStep(stepping: Stepping): Stepped {
  return OPTIMIZERS[stepping.settings.name].step(stepping);
}
