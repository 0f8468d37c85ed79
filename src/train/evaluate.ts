// Evaluates a split on the device, batch by batch in order; the metrics of several batches are read at once.
import { type Device, DEVICES, type Program } from "../device/device.ts";
import type { Config } from "../config/mod.ts";
import { type Batch, type Evaluation, IGNORE, type Source, spread } from "../data/mod.ts";
import type { Values } from "../graph/tensor.ts";
import { periodicYield } from "../base/hear.ts";
import { reportProgress } from "../base/progress.ts";
import { evaluationGraph, rowsOf, type Table, TABLE_ROWS } from "./step_graph.ts";
import type { Experiment } from "../model/model.ts";

/**
 * The approximate time in milliseconds between two reads of metrics from the device. On a GPU, the reported progress advances
 * only at these reads.
 */
const READ_EVERY_MS = 1000;

/** The result of an evaluation: means over the valid targets. */
export interface Evaluated {
  /** Cross-entropy in nats per token. */
  readonly loss: number;
  /** exp(loss). */
  readonly perplexity: number;
  /** Share of targets, from 0 to 1, to which the model gives the highest probability. */
  readonly accuracy: number;
  /** Number of valid targets. */
  readonly tokens: number;
  /** Scores of the answers; only for synthetic tasks. */
  readonly answer?: AnswerScore;
  /** Only for mixtures: mean cross-entropy of each source in nats per token; NaN if none of its batches was evaluated. */
  readonly sources?: readonly number[];
  /** The targets of highest and lowest cross-entropy, if the option `extremes` is set. */
  readonly extremes?: { readonly max: TargetLoss; readonly min: TargetLoss };
}

/** A target and its cross-entropy.
 * @category Training */
export interface TargetLoss {
  /** Index of the target's row among all rows of the split, from 0. */
  readonly row: number;
  /** Position in the row whose logits predict the target, from 0. */
  readonly position: number;
  /** Token id of the input at that position. */
  readonly before: number;
  /** Token id of the target. */
  readonly id: number;
  /** Cross-entropy of the target in nats: -ln p. */
  readonly nats: number;
}

/** Scores of answers under teacher forcing. `exact` nevertheless equals the exact-match rate of greedy generation. */
export interface AnswerScore {
  /** Cross-entropy of the answers' tokens in nats per token. */
  readonly loss: number;
  /** Share of the answers' tokens, from 0 to 1, to which the model gives the highest probability. */
  readonly accuracy: number;
  /** Share of answers, from 0 to 1, in which the model gives every token the highest probability. */
  readonly exact: number;
}

/** An evaluation compiled for a device. */
export interface Evaluator extends Disposable {
  /** Evaluates the model on the split `eval.split`. */
  evaluate(): Promise<Evaluated>;
}

/** Returns true if an evaluation also scores answers. */
export function scoresAnswers(source: Source, { eval: { split } }: Config): boolean {
  return source.evaluation(split).answers === true;
}

/**
 * Returns the indices of the batches to evaluate: about `limit` evenly spaced batches (all batches if `limit` is 0), with at
 * least one batch from each source of a mixture.
 */
function chosenBatches({ count, parts = [count] }: Evaluation, limit: number): number[] {
  let first = 0;
  return parts.flatMap((batches) => {
    const share = limit === 0 || parts.length === 1
      ? limit
      : Math.max(1, Math.round(limit * batches / count));
    const start = first;
    first += batches;
    return spread(batches, share).map((index) => start + index);
  });
}

/** Returns the number of batches that one evaluation runs. */
export function evaluatedBatches({ source, config: { eval: { split, batches } } }: Experiment): number {
  return chosenBatches(source.evaluation(split), batches).length;
}

/**
 * Compiles an evaluation on the split `eval.split`. It runs `eval.batches` evenly spaced batches, or all batches if that key
 * is 0.
 *
 * @param options `extremes`: also return the targets of highest and lowest cross-entropy; default: false
 * @category Training
 */
export async function evaluator(
  device: Device,
  experiment: Experiment,
  { extremes = false }: { extremes?: boolean } = {},
): Promise<Evaluator> {
  const { config, architecture, layout, source } = experiment;
  const split = source.evaluation(config.eval.split);
  const tokens = extremes || scoresAnswers(source, config);
  const { graph, table } = evaluationGraph(architecture, layout, config.train.batch, { tokens });
  const program = await device.compile(graph);
  const indices = chosenBatches(split, config.eval.batches);
  const pace = { ms: 0 };
  const { context } = architecture;
  return {
    evaluate() {
      const search = extremes ? extremeTargets(context, (i) => indices[i] * config.train.batch) : undefined;
      const pass = { split, indices, context, sources: source.sources?.length ?? 0, search, pace };
      return run(device, program, table, pass);
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}

/** Accumulates the scores of answers. A row of `context` tokens has at most one answer. */
function scorer(context: number) {
  let [loss, tokens, right, samples, exact] = [0, 0, 0, 0, 0];
  return {
    add(answers: Uint8Array, losses: Values, hits: Values): void {
      for (let row = 0; row < answers.length; row += context) {
        let [all, correct] = [0, 0];
        for (let i = row; i < row + context; i++) {
          all += answers[i];
          correct += answers[i] * hits[i];
          loss += answers[i] * losses[i];
        }
        tokens += all;
        right += correct;
        if (all === 0) continue;
        samples++;
        if (correct === all) exact++;
      }
    },
    score: (): AnswerScore => ({ loss: loss / tokens, accuracy: right / tokens, exact: exact / samples }),
  };
}

/**
 * Tracks the targets of highest and lowest cross-entropy. `firstRow` maps a batch's index in the evaluation to the row of the
 * split at which that batch starts.
 */
function extremeTargets(context: number, firstRow: (batch: number) => number) {
  let [max, min]: (TargetLoss | undefined)[] = [];
  return {
    add(batch: number, { ids, targets }: Batch, losses: Values): void {
      targets.forEach((id, i) => {
        const nats = losses[i];
        if (id === IGNORE || (max && min && nats <= max.nats && nats >= min.nats)) return;
        const row = firstRow(batch) + Math.floor(i / context);
        const target = { row, position: i % context, before: ids[i], id, nats };
        if (!max || nats > max.nats) max = target;
        if (!min || nats < min.nats) min = target;
      });
    },
    extremes: () => max && min && { max, min },
  };
}

async function run(
  device: Device,
  program: Program,
  table: Table,
  { split, indices, context, sources, search, pace }: {
    readonly split: Evaluation;
    readonly indices: readonly number[];
    readonly context: number;
    /** Number of sources of a mixture; 0 otherwise. */
    readonly sources: number;
    readonly search: ReturnType<typeof extremeTargets> | undefined;
    /** Milliseconds per batch; 0 until measured. */
    readonly pace: { ms: number };
  },
): Promise<Evaluated> {
  const count = indices.length;
  let [loss, correct, tokens] = [0, 0, 0];
  const mixed = Array.from({ length: sources }, () => ({ loss: 0, tokens: 0 }));
  let answers: ReturnType<typeof scorer> | undefined;
  const yieldToEvents = periodicYield();
  for (let first = 0, size = 0; first < count; first += size) {
    size = Math.min(pace.ms === 0 ? 1 : Math.ceil(READ_EVERY_MS / pace.ms), TABLE_ROWS, count - first);
    const began = performance.now();
    const batches = indices.slice(first, first + size).map((index) => split.batch(index));
    for (const [slot, { ids, targets }] of batches.entries()) {
      // A GPU may not have finished the batches submitted since the last read, so they do not count as done.
      const done = DEVICES[device.kind].asynchronous ? first : first + slot;
      reportProgress({ what: "evaluating", done, total: count });
      program.run({ ids, targets, slot: Uint32Array.of(slot) });
      await yieldToEvents();
    }
    const [values] = await device.read([table.name]);
    pace.ms = (performance.now() - began) / size;
    rowsOf(table, values, batches.length).forEach((row, slot) => {
      loss += row.loss * row.valid;
      correct += row.correct;
      tokens += row.valid;
      // All rows of an evaluation batch are from the same source.
      const sums = mixed[batches[slot].sources?.[0] ?? -1];
      if (sums) [sums.loss, sums.tokens] = [sums.loss + row.loss * row.valid, sums.tokens + row.valid];
      const { answers: marks, targets } = batches[slot];
      const vector = (name: string) => {
        const at = slot * table.width + table.columns[name];
        return values.subarray(at, at + targets.length);
      };
      search?.add(first + slot, batches[slot], vector("losses"));
      if (!marks) return;
      answers ??= scorer(context);
      answers.add(marks, vector("losses"), vector("hits"));
    });
  }
  const mean = loss / tokens;
  const answer = answers?.score();
  const accuracy = correct / tokens;
  const evaluated = {
    loss: mean,
    perplexity: Math.exp(mean),
    accuracy,
    tokens,
    answer,
    ...(sources > 0 ? { sources: mixed.map(({ loss, tokens }) => loss / tokens) } : {}),
  };
  return search ? { ...evaluated, extremes: search.extremes() } : evaluated;
}
