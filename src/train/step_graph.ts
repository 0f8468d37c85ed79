// The two graphs of training: a step (forward, backward, clip, update, record) and an evaluation batch.
import { adamwHyper } from "../../kernels/optimizers/adamw.ts";
import { elementsOf } from "../../kernels/optimizers/table.ts";
import { crossEntropy, IGNORE } from "../../kernels/cross_entropy/op.ts";
import { add, elementwise, multiply, scale, sumSquares } from "../../kernels/elementwise/op.ts";
import { plus, variable } from "../../kernels/expression/expression.ts";
import { gradientOf } from "../../kernels/gradient.ts";
import type { Config } from "../config/mod.ts";
import type { Graph } from "../device/plan.ts";
import { ALIGN, assign, input, literal, pack, record, reshape, state } from "../graph/structure.ts";
import { sizeOf, type Tensor, type Values } from "../graph/tensor.ts";
import type { Batch } from "../data/mod.ts";
import { type Architecture, decoder, type ForwardOptions, stepState, usesDropout } from "../nn/mod.ts";
import { optimizerStates, optimizerStep } from "./optimizers.ts";
import { flat, type Layout, packGradients, parameterViews } from "../model/layout.ts";
import { activationCache } from "../model/taps.ts";
import { statisticsAfter, statisticsBefore, statisticsRow, WINDOW } from "../track/step_statistics.ts";
import type { StatisticsPlan, StatisticsTable } from "../track/step_statistics.ts";

/** Number of rows of the tables that steps and evaluation batches write to; also the maximum number of batches per read. */
export const TABLE_ROWS = 2 * WINDOW;

/** A table on the device with one row per step or batch, and its columns. */
export interface Table {
  /** Name of the device state that holds it. */
  readonly name: string;
  /** Number of float32 values per row. */
  readonly width: number;
  /** Offset of each column in a row, keyed by the column's name. */
  readonly columns: Readonly<Record<string, number>>;
}

/** Packs scalars and vectors into a row of a table, at aligned offsets, so that kernels write into it directly. */
function recordRow(name: string, parts: Readonly<Record<string, Tensor>>): { effect: Tensor; table: Table } {
  const columns: Record<string, number> = {};
  let width = 0;
  for (const [key, part] of Object.entries(parts)) {
    columns[key] = width;
    width += Math.ceil(sizeOf(part) / ALIGN) * ALIGN;
  }
  const row = pack(Object.values(parts), Object.values(columns), width);
  const effect = record(state(name, [TABLE_ROWS, width]), row, input("slot", [1], "u32"));
  return { effect, table: { name, width, columns } };
}

/**
 * Returns the first `count` rows of a table that was read from the device. A row has one value per column, keyed by the
 * column's name; for a column that holds a vector, it is the vector's first element.
 */
export function rowsOf({ width, columns }: Table, values: Values, count: number): Record<string, number>[] {
  return Array.from({ length: count }, (_, row) => {
    return Object.fromEntries(
      Object.entries(columns).map(([name, column]) => [name, values[row * width + column]]),
    );
  });
}

function lossOf(
  architecture: Architecture,
  ids: Tensor,
  targets: Tensor,
  parameters: Tensor,
  layout: Layout,
  options: ForwardOptions = {},
) {
  const views = parameterViews(layout, parameters);
  const logits = decoder(architecture, views, ids, options);
  const { vocabulary } = architecture;
  const result = crossEntropy(reshape(logits, [sizeOf(logits) / vocabulary, vocabulary]), targets);
  return { ...result, views, logits };
}

/** The graph of a step, and the table it writes a row to. */
export interface StepGraph {
  /** The graph to compile. */
  readonly graph: Graph;
  /** The table of its metrics: loss and squared gradient norm. */
  readonly table: Table;
  /** The table of its tensor statistics, if any. */
  readonly statistics?: StatisticsTable;
}

/** Options of a step. */
export interface StepOptions {
  /** The statistics to record. Default: none. */
  readonly look?: StatisticsPlan;
  /** Whether the graph has an input `trained` that freezes parameters (see `trainedFeed`). Default: false. */
  readonly freezes?: boolean;
}

/**
 * Returns the graph of one step and the tables that it writes to. The graph computes the mean loss over the valid targets of
 * all `accumulate` batches, the gradient of this loss and the squared global norm of the gradient, updates the parameters and
 * optimizer states in place, and writes a row of the table "steps" (loss and squared gradient norm). The output `gradient` is
 * the flat gradient before clipping. The inputs (see `stepFeeds`) are `hyper` and `slot`, and for each batch, numbered from
 * 0, `ids0` and `targets0`. With dropout, each batch also has the input `seed0`; if there are several batches, each also has
 * `weight0`.
 *
 * @example
 * ```ts
 * import { charTokenizer, referenceDevice, resolveConfig } from "../../mod.ts";
 * import { initialise, modelOf } from "../model/mod.ts";
 * import { rowsOf, stepFeeds, stepGraph } from "./mod.ts";
 * const config = resolveConfig({ model: { dim: 8, context: 4 }, train: { batch: 1 } }, { place: "", name: "tiny" });
 * const { architecture, layout } = modelOf(config, charTokenizer("abc"));
 * const { graph, table } = stepGraph(architecture, layout, config);
 * using device = referenceDevice();
 * await initialise(device, layout, config.seed);
 * using program = await device.compile(graph);
 * const batch = { ids: Uint32Array.of(0, 1, 2, 0), targets: Uint32Array.of(1, 2, 0, 1) };
 * program.run(stepFeeds(config, [batch], { step: 0, lr: 1e-3, slot: 0 }));
 * console.log(rowsOf(table, (await device.read([table.name]))[0], 1)); // loss near ln 3
 * ```
 */
export function stepGraph(
  architecture: Architecture,
  layout: Layout,
  config: Config,
  { look, freezes = false }: StepOptions = {},
): StepGraph {
  const { batch, accumulate } = config.train;
  const parameters = flat(layout);
  const step = architecture.hooks ? input("step", [1]) : undefined;
  let taps = activationCache();
  let of: (x: Tensor) => Tensor | undefined = () => undefined;
  let total: { loss: Tensor; gradient: Tensor } | undefined;
  for (let i = 0; i < accumulate; i++) {
    const ids = input(`ids${i}`, [batch, architecture.context], "u32");
    const targets = input(`targets${i}`, [batch * architecture.context], "u32");
    // One seed per batch, so that the rows of two batches do not share dropout masks.
    const seed = usesDropout(architecture) ? input(`seed${i}`, [2], "u32") : undefined;
    // Statistics describe the last batch only.
    taps = activationCache((name) =>
      i === accumulate - 1 && !!look && (["act", "grad"] as const).some((kind) => look.chosen({ kind, name }))
    );
    const { loss, views } = lossOf(architecture, ids, targets, parameters, layout, {
      seed,
      taps,
      step,
    });
    // A batch is weighted by its number of valid targets, because a mean of the batches' means would give the targets of
    // short batches a larger weight.
    const weight = accumulate > 1 ? input(`weight${i}`, [1]) : undefined;
    const share = weight && scale(weight, 1 / accumulate);
    of = gradientOf(loss, layout.slots.map(({ name }) => views[name]), share);
    const gradients = layout.slots.map(({ name }) => {
      const g = of(views[name]);
      if (!g) throw new Error(`The loss does not depend on ${name}.`);
      return g;
    });
    const weighted = weight ? scale(multiply(loss, weight), 1 / accumulate) : loss;
    const part = { loss: weighted, gradient: packGradients(layout, gradients) };
    total = total ? { loss: add(total.loss, part.loss), gradient: add(total.gradient, part.gradient) } : part;
  }
  const { loss } = total!;
  const trainable = freezes ? input("trained", [layout.size / ALIGN]) : undefined;
  const gradient = trainable ? multiply(total!.gradient, elementsOf(trainable)) : total!.gradient;
  const squaredNorm = sumSquares(gradient);
  const { effect, table } = recordRow("steps", { loss, squared_norm: squaredNorm });
  const hyper = input("hyper", [4]);
  const keepUpdate = !!look && layout.slots.some(({ name }) => look.chosen({ kind: "update", name }));
  const before = look
    ? statisticsBefore(look, architecture, layout, { taps, gradientOf: of, gradient, parameters })
    : [];
  const after = optimizerStep({
    settings: config.optimizer,
    layout,
    parameters,
    gradient,
    squaredNorm,
    hyper,
    trainable,
    keepUpdate,
  });
  const effects = [effect, after.parameter];
  if (step) effects.push(assign(stepState(), elementwise(plus(variable("x"), 1), { x: step }, "step")));
  if (!look) return { graph: { effects, outputs: { gradient } }, table };
  const row = statisticsRow(look, [
    ...before,
    ...statisticsAfter(look, optimizerStates(config.optimizer, layout), layout, after),
  ]);
  return {
    graph: { effects: [...effects, row.effect], outputs: { gradient } },
    table,
    statistics: { ...row.table, passes: accumulate },
  };
}

/** Number of valid targets of a batch: those that are not IGNORE. */
export const countTargets = ({ targets }: Batch): number =>
  targets.reduce((count, target) => target === IGNORE ? count : count + 1, 0);

/**
 * Returns the inputs of a step: its batches, the seeds of their dropout masks (the run's seed, and the index of the batch in
 * the run), the weight of each batch (its number of valid targets divided by the mean over the batches), the optimizer's
 * hyperparameters, and the row of the table that the step writes.
 *
 * @param batches `train.accumulate` batches
 * @param step the number of the step, from 0
 */
export function stepFeeds(
  config: Config,
  batches: readonly Batch[],
  { step, lr, slot }: { step: number; lr: number; slot: number },
): Record<string, Values> {
  const feeds: Record<string, Values> = {
    hyper: adamwHyper(lr, step + 1, config.optimizer.betas),
    slot: Uint32Array.of(slot),
    step: Float32Array.of(step),
  };
  const counts = batches.map(countTargets);
  const mean = counts.reduce((sum, count) => sum + count, 0) / batches.length;
  batches.forEach(({ ids, targets }, i) => {
    if (batches.length > 1) feeds[`weight${i}`] = Float32Array.of(counts[i] / (mean || 1));
    feeds[`ids${i}`] = ids;
    feeds[`targets${i}`] = targets;
    feeds[`seed${i}`] = Uint32Array.of(config.seed >>> 0, step * batches.length + i);
  });
  return feeds;
}

/**
 * Returns the graph of one evaluation batch and its table. The graph writes a row of the table "evaluation": the mean loss,
 * the number of valid targets and how many of them were predicted correctly. If `tokens` is true, the row also has the loss
 * of each target, and whether it was predicted correctly, in the columns that start at `losses` and `hits`.
 */
export function evaluationGraph(
  architecture: Architecture,
  layout: Layout,
  batch: number,
  { tokens = false }: { tokens?: boolean } = {},
): StepGraph {
  const ids = input("ids", [batch, architecture.context], "u32");
  const targets = input("targets", [batch * architecture.context], "u32");
  const { loss, valid, correct, losses, hits } = lossOf(architecture, ids, targets, flat(layout), layout);
  const { effect, table } = recordRow("evaluation", {
    loss,
    valid,
    correct,
    ...(tokens ? { losses, hits } : {}),
  });
  return { graph: { effects: [effect] }, table };
}

/**
 * Returns the graph of a forward pass, with the input `ids`, u32 [rows, length], and the output `logits`, [rows, positions,
 * V], where V is the vocabulary size.
 *
 * @param positions number of positions at the end of each row whose logits are returned. Default: all
 */
export function logitsGraph(
  architecture: Architecture,
  layout: Layout,
  rows: number,
  length: number,
  positions: number = length,
): Graph {
  const ids = input("ids", [rows, length], "u32");
  const last = (n: number) => Math.floor(n / positions) * length + length - positions + n % positions;
  const kept = positions === length
    ? undefined
    : literal(Uint32Array.from({ length: rows * positions }, (_, n) => last(n)), [rows * positions], "u32");
  const views = parameterViews(layout, flat(layout));
  return { outputs: { logits: decoder(architecture, views, ids, { logitRows: kept }) } };
}
