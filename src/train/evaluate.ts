// Evaluation of a split on the device: every batch in order, the numbers read once a window.
import { type Device, DEVICES, type Program } from "../device/device.ts";
import type { Config } from "../config/mod.ts";
import { type Batch, type Evaluation, IGNORE, type Source, spread } from "../data/mod.ts";
import type { Values } from "../graph/tensor.ts";
import { hearing } from "../base/hear.ts";
import { reportProgress } from "../base/progress.ts";
import { evaluationGraph, rowsOf, type Table, TABLE_ROWS } from "./step_graph.ts";
import type { Experiment } from "../model/model.ts";

/** Work between two readings of the device, which is how far it is known to be. */
const READ_EVERY_MS = 1000;

/** What an evaluation found: means over the tokens that count. */
export interface Evaluated {
  /** Cross-entropy in nats per token. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
  /** Share of tokens that the most likely one is. */
  readonly accuracy: number;
  /** Tokens that counted. */
  readonly tokens: number;
  /** Of a synthetic task. */
  readonly answer?: AnswerScore;
  /** Of a mixture: the mean cross-entropy over the tokens of each source; NaN where none of its batches was read. */
  readonly sources?: readonly number[];
  /** The targets of highest and lowest cross-entropy, where they are asked for. */
  readonly extremes?: { readonly max: TargetLoss; readonly min: TargetLoss };
}

/** A target and its cross-entropy.
 * @category Training */
export interface TargetLoss {
  /** Row of the split, from 0 in the order of its evaluation. */
  readonly row: number;
  /** Position in the row of what predicts it, from 0. */
  readonly position: number;
  /** The id at that position. */
  readonly before: number;
  /** The target's id. */
  readonly id: number;
  /** -ln p. */
  readonly nats: number;
}

/** How well answers were found, each token from all that is right before it: what greedy generation would write. */
export interface AnswerScore {
  /** Cross-entropy of the answers' tokens in nats per token. */
  readonly loss: number;
  /** Share of the answers' tokens that the most likely one is. */
  readonly accuracy: number;
  /** Share of answers all of whose tokens are. */
  readonly exact: number;
}

/** An evaluation made ready for a device. */
export interface Evaluator extends Disposable {
  /** Evaluates the split that the configuration names. */
  evaluate(): Promise<Evaluated>;
}

/** Whether an evaluation also looks at which answers were found. */
export function scoresAnswers(source: Source, { eval: { split } }: Config): boolean {
  return source.evaluation(split).answers === true;
}

/** Which batches of a pass are read: all, or `most` of them evenly spread, of a mixture one of each source at least. */
function chosenBatches({ count, parts = [count] }: Evaluation, most: number): number[] {
  let first = 0;
  return parts.flatMap((own) => {
    const share = most === 0 || parts.length === 1 ? most : Math.max(1, Math.round(most * own / count));
    const start = first;
    first += own;
    return spread(own, share).map((index) => start + index);
  });
}

/** Batches of one evaluation. */
export function evaluatedBatches({ source, config: { eval: { split, batches } } }: Experiment): number {
  return chosenBatches(source.evaluation(split), batches).length;
}

/**
 * Compiles the evaluation of an experiment's split: all of its batches, or `eval.batches` of them, evenly spread.
 *
 * @param options `extremes`: whether the targets of highest and lowest cross-entropy are looked for
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
      const found = extremes ? extremeTargets(context, (i) => indices[i] * config.train.batch) : undefined;
      const pass = { split, indices, context, sources: source.sources?.length ?? 0, found, pace };
      return run(device, program, table, pass);
    },
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}

/** Adds up answers, a row of `context` tokens each. */
function scorer(context: number) {
  let [loss, tokens, right, samples, exact] = [0, 0, 0, 0, 0];
  return {
    add(answers: Uint8Array, losses: Values, hits: Values): void {
      for (let row = 0; row < answers.length; row += context) {
        let [all, found] = [0, 0];
        for (let i = row; i < row + context; i++) {
          all += answers[i];
          found += answers[i] * hits[i];
          loss += answers[i] * losses[i];
        }
        tokens += all;
        right += found;
        if (all === 0) continue;
        samples++;
        if (found === all) exact++;
      }
    },
    score: (): AnswerScore => ({ loss: loss / tokens, accuracy: right / tokens, exact: exact / samples }),
  };
}

/** Looks for the targets of highest and lowest cross-entropy; `firstRow` is the row that a batch starts with. */
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
    found: () => max && min && { max, min },
  };
}

async function run(
  device: Device,
  program: Program,
  table: Table,
  { split, indices, context, sources, found, pace }: {
    readonly split: Evaluation;
    readonly indices: readonly number[];
    readonly context: number;
    /** Of a mixture: how many. */
    readonly sources: number;
    readonly found: ReturnType<typeof extremeTargets> | undefined;
    /** Milliseconds of a batch, as far as they are known. */
    readonly pace: { ms: number };
  },
): Promise<Evaluated> {
  const count = indices.length;
  let [loss, correct, tokens] = [0, 0, 0];
  const mixed = Array.from({ length: sources }, () => ({ loss: 0, tokens: 0 }));
  let answers: ReturnType<typeof scorer> | undefined;
  const heard = hearing();
  for (let first = 0, size = 0; first < count; first += size) {
    size = Math.min(pace.ms === 0 ? 1 : Math.ceil(READ_EVERY_MS / pace.ms), TABLE_ROWS, count - first);
    const began = performance.now();
    const batches = indices.slice(first, first + size).map((index) => split.batch(index));
    for (const [slot, { ids, targets }] of batches.entries()) {
      // What a GPU was given it has not done.
      const done = DEVICES[device.kind].asynchronous ? first : first + slot;
      reportProgress({ what: "evaluating", done, total: count });
      program.run({ ids, targets, slot: Uint32Array.of(slot) });
      await heard();
    }
    const [values] = await device.read([table.name]);
    pace.ms = (performance.now() - began) / size;
    rowsOf(table, values, batches.length).forEach((row, slot) => {
      loss += row.loss * row.valid;
      correct += row.correct;
      tokens += row.valid;
      // No batch of an evaluation has rows of two sources.
      const own = mixed[batches[slot].sources?.[0] ?? -1];
      if (own) [own.loss, own.tokens] = [own.loss + row.loss * row.valid, own.tokens + row.valid];
      const { answers: marks, targets } = batches[slot];
      const vector = (name: string) => {
        const at = slot * table.width + table.columns[name];
        return values.subarray(at, at + targets.length);
      };
      found?.add(first + slot, batches[slot], vector("losses"));
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
  return found ? { ...evaluated, extremes: found.found() } : evaluated;
}
