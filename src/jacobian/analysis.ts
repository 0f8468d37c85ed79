// Measures the effect of the lateral sum in softmax's Jacobian on a model's gradients. The records have every quantity per
// layer and head, averaged over a few batches.
import { maximum } from "../base/extremes.ts";
import type { JacobianRecord } from "../log/records.ts";
import type { AttentionChoice } from "../../kernels/attention/activations.ts";
import { isApproximated } from "../../kernels/attention/sizes.ts";
import { type Batch, IGNORE } from "../data/mod.ts";
import type { Device, Program } from "../device/device.ts";
import type { Floats, Values } from "../graph/tensor.ts";
import { reportProgress } from "../base/progress.ts";
import { interval } from "../base/interval.ts";
import { type HeadMeasures, largestError, measureLayer, type Measures } from "./measures.ts";
import {
  backwardGraph,
  COMPARED,
  compareSurrogate,
  hasApproximated,
  methodOf,
  withBackpropagation,
  withBackward,
} from "./surrogates.ts";
import type { DifferentiatedModel, LayerNode } from "./surrogates.ts";

/** An analysis compiled for a device that holds the model's parameters. */
export interface JacobianAnalysis extends Disposable {
  /** Analyzes the current parameters; `step` goes into the records. */
  analyse(batches: readonly Batch[], step: number): Promise<JacobianRecord[]>;
}

/** The compiled backward passes of one method (see `methodOf`). */
interface Passes {
  readonly method: string;
  readonly layers: readonly LayerNode[];
  readonly exact: Program;
  /** Backward passes with a surrogate of softmax's Jacobian, keyed by name ("diag", "ste"); empty if no layer supports them. */
  readonly surrogates: Readonly<Record<string, Program>>;
}

/** Measures of one head on one batch; `reach` compares the surrogates' gradients with the exact ones. */
interface HeadResult extends HeadMeasures {
  readonly reach: Measures;
}

/** Measures of one layer on one batch. */
interface LayerResult {
  readonly heads: readonly HeadResult[];
  /** Error of dq and dk computed from `full` (see `largestError`). */
  readonly fullError: number;
}

async function passesOf(
  device: Device,
  { architecture, parameters }: DifferentiatedModel,
  rows: number,
  stack: DisposableStack,
): Promise<Passes> {
  const compile = async (backward: AttentionChoice<"backward">) => {
    const model = { architecture: withBackward(architecture, backward), parameters };
    const { outputs, layers } = backwardGraph(model, rows, { values: backward === "exact" });
    return { layers, program: stack.use(await device.compile({ outputs })) };
  };
  const { layers, program } = await compile("exact");
  const surrogates: Record<string, Program> = {};
  if (hasApproximated(architecture)) {
    for (const name of ["diag", "ste"] as const) surrogates[name] = (await compile(name)).program;
  }
  return { method: methodOf(architecture), layers, exact: program, surrogates };
}

/** Reads outputs of one layer by name. */
async function layerOutputs(
  program: Program,
  n: number,
  names: readonly string[],
): Promise<Record<string, Values>> {
  const values = await program.read(names.map((name) => `${n}.${name}`));
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

async function measureOnBatch(
  { exact, surrogates }: Passes,
  layer: LayerNode,
  counts: (b: number) => boolean,
): Promise<LayerResult> {
  const { n, attrs, sizes } = layer;
  const named = layer.tables.filter((table) => typeof table === "string");
  const outputs = await layerOutputs(exact, n, ["q", "k", "v", "dz", ...COMPARED, ...named]);
  const tables = layer.tables.map((table) => typeof table === "string" ? outputs[table] : table);
  const { q, k, v, dz } = outputs as Record<string, Floats>;
  const { heads, dq, dk } = measureLayer({ sizes, attrs, tables, q, k, v, dz }, counts);
  const others: [string, Record<string, Values>][] = [];
  if (isApproximated(attrs)) {
    for (const [name, program] of Object.entries(surrogates)) {
      others.push([name, await layerOutputs(program, n, COMPARED)]);
    }
  }
  return {
    heads: heads.map((head, h) => {
      const reach = others.map(([name, gradients]) => compareSurrogate(name, h, layer, gradients, outputs));
      return { ...head, reach: Object.assign({}, ...reach) };
    }),
    fullError: Math.max(largestError(dq, outputs.dq), largestError(dk, outputs.dk)),
  };
}

/**
 * Returns the means over batches, followed by the half widths of their 95% confidence intervals, in the order of a record's
 * fields.
 */
function overBatches(measured: readonly Measures[]): Record<string, number | null> {
  const intervals = Object.keys(measured[0]).map((name) => {
    return [name, interval(measured.map((one) => one[name]))] as const;
  });
  return Object.fromEntries([
    ...intervals.map(([name, { mean }]) => [name, mean]),
    ...intervals.map(([name, { ci95 }]) => [`${name}_ci95`, ci95]),
  ]);
}

/** Returns the mean over batches of the values in each bin of positions. */
function positionsOverBatches(measured: readonly HeadMeasures["byPosition"][]): HeadMeasures["byPosition"] {
  return Object.fromEntries(
    Object.entries(measured[0]).map(([name, first]) => {
      return [name, first.map((_, bin) => interval(measured.map((one) => one[name][bin])).mean)];
    }),
  );
}

function recordOf(
  where: { step: number; layer: number; head: number; activation: string; method: string },
  measured: readonly LayerResult[],
): JacobianRecord {
  const heads = measured.map((batch) => batch.heads[where.head]);
  const sum = (of: (head: HeadResult) => number) => heads.reduce((total, head) => total + of(head), 0);
  const rows = sum((head) => head.rows);
  const nonfinite = sum((head) => head.nonfinite);
  // The mean number of visible keys is undefined in a batch without remaining rows.
  const visible = sum((head) => head.rows === 0 ? 0 : head.visibleKeys * head.rows);
  return {
    type: "jacobian",
    ...where,
    rows,
    rows_zero: sum((head) => head.rowsZero),
    batches: measured.length,
    visible_keys: rows === 0 ? NaN : visible / rows,
    ...overBatches(heads.map(({ measures, reach }) => ({ ...measures, ...reach }))),
    full_error: maximum(measured.map(({ fullError }) => fullError)),
    ...positionsOverBatches(heads.map(({ byPosition }) => byPosition)),
    ...(nonfinite > 0 ? { nonfinite } : {}),
  };
}

/**
 * Returns a function that is true for samples with a target. The last batch of a split is padded with samples without a
 * target.
 */
function samplesOf({ targets }: Batch, context: number): (b: number) => boolean {
  return (b) => targets.subarray(b * context, (b + 1) * context).some((target) => target !== IGNORE);
}

/**
 * Compiles the analysis of a model's softmax Jacobians J = diag(a) - a a^T, one per row of each head, applied to the
 * gradient g = dL/da of the mean loss. (For other normalised activations J = diag(w) - w w^T / W, see `jacobianRow`.) With
 * full = J g = a * (g - a.g), diag = a * (1 - a) * g, lateral = full - diag and ste = g over the visible keys, a record has
 *
 * - `r_diag`, `r_lateral`, `r_cross`: |diag|^2, |lateral|^2 and 2 diag.lateral, each divided by |full|^2, where all of them
 *   are summed over rows and samples; they sum to 1. `cos_diag`, `cos_ste`: cosines with full over all entries of a sample,
 *   averaged over samples; `cos_diag_row`, `cos_ste_row`: cosines of single rows, averaged over rows. Rows with |full| = 0
 *   are excluded and counted.
 * - The same quantities with `_c`, computed from g - a.g instead of g, and with `_m`, from g - mean g. A constant added
 *   to a row of g does not change softmax's full, but it changes the raw diag and ste. It does change the full of softmax1,
 *   whose rows do not sum to 1: softmax1 has only the raw quantities.
 * - `entropy`, `entropy_ratio`, `trace`, `frobenius`, `lambda_max` (see `largestEigenvalue`): means over rows.
 * - `dq_cos_diag`, `dq_norm_diag`: cosine and norm ratio of the gradient dq if all blocks that support it use
 *   `backward: diag`, relative to the exact dq; also for dk, dv and the weights wq, wk, wv (of the whole layer), and for ste.
 * - `<name>_ci95`: half width of the 95% interval over batches. `full_error`: largest difference between the dq and dk that
 *   are computed from full and those of training's backward pass, divided by the largest value. `<name>_by_position`: the
 *   quantity in each of up to 8 bins of positions.
 *
 * The gradient is the exact one even if the model trains with a surrogate. If layers train by feedback alignment, there
 * are two records per head: one for the signal that feedback alignment propagates, and one for the true gradient ("bp"). An
 * element-wise activation has a diagonal Jacobian, full = diag: its records have `rowmass` and omit quantities that would
 * always be 1. Rows with a NaN score, or a weight or g that is not finite, are excluded from averages; `nonfinite`, if
 * present, is the number of non-finite weights and g. Memory is linear in the context.
 *
 * @param model a model whose parameters are views of states on the device
 * @param rows samples per batch
 *
 * @example
 * ```ts
 * import { languageModelOf, loadConfig, openDevice, prepare } from "../../mod.ts";
 * import { jacobianAnalysis } from "./mod.ts";
 * import { initialise } from "../model/mod.ts";
 * const model = ["model.dim=16", "model.layers=1", "model.heads=2", "model.context=8", "train.batch=2"];
 * const experiment = await prepare(await loadConfig("default", model));
 * using device = await openDevice("cpu");
 * await initialise(device, experiment.layout, 1);
 * using analysis = await jacobianAnalysis(device, languageModelOf(experiment), 2);
 * for (const { head, r_diag, cos_diag_c } of await analysis.analyse([experiment.source.train(0)], 0)) {
 *   console.log(head, r_diag, cos_diag_c);
 * }
 * ```
 */
export async function jacobianAnalysis(
  device: Device,
  model: DifferentiatedModel,
  rows: number,
): Promise<JacobianAnalysis> {
  using stack = new DisposableStack();
  const { architecture, parameters } = model;
  const methods = [await passesOf(device, model, rows, stack)];
  if (methods[0].method !== "bp") {
    const exact = { architecture: withBackpropagation(architecture), parameters };
    methods.push(await passesOf(device, exact, rows, stack));
  }
  const owned = stack.move();
  return {
    analyse: async (batches, step) => {
      const records: JacobianRecord[] = [];
      for (const passes of methods) {
        const measured: LayerResult[][] = passes.layers.map(() => []);
        const [what, total] = [`analyzing step ${step}`, batches.length * passes.layers.length];
        for (const [n, batch] of batches.entries()) {
          reportProgress({ what, done: n * passes.layers.length, total });
          const { ids, targets } = batch;
          for (const program of [passes.exact, ...Object.values(passes.surrogates)]) {
            program.run({ ids, targets });
          }
          const counts = samplesOf(batch, architecture.context);
          for (const [i, layer] of passes.layers.entries()) {
            reportProgress({ what, done: n * passes.layers.length + i, total });
            measured[i].push(await measureOnBatch(passes, layer, counts));
          }
        }
        const { method } = passes;
        passes.layers.forEach(({ n: layer, attrs: { activation }, sizes: { H } }, i) => {
          for (let head = 0; head < H; head++) {
            records.push(recordOf({ step, layer, head, activation, method }, measured[i]));
          }
        });
      }
      // Sorting is stable: of each head, the signal of feedback alignment comes before the true gradient.
      return records.sort((a, b) => a.layer - b.layer || a.head - b.head);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
