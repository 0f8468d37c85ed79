// Evaluation of a split on the device: every batch in order, the numbers read once a window.
import type { Device, Program } from "../device/device.ts";
import { evaluationGraph, rowsOf, type Table, WINDOW } from "./programs.ts";
import type { Experiment } from "./experiment.ts";

/** How long signals may go unheard where the device is this thread. */
const HEAR_EVERY_MS = 100;

/** What an evaluation found: means over the tokens that count. */
export interface Evaluated {
  /** Cross-entropy in nats a token. */
  readonly loss: number;
  /** e to the loss. */
  readonly perplexity: number;
  /** Share of tokens that the most likely one is. */
  readonly accuracy: number;
  /** Tokens that counted. */
  readonly tokens: number;
}

/** An evaluation made ready for a device. */
export interface Evaluator extends Disposable {
  /** Evaluates the split that the configuration names. */
  evaluate(): Promise<Evaluated>;
}

/** Compiles the evaluation of an experiment's split: all of its batches, or `eval.batches` of them, evenly spread. */
export async function evaluator(device: Device, experiment: Experiment): Promise<Evaluator> {
  const { config, architecture, layout, source } = experiment;
  const { graph, table } = evaluationGraph(architecture, layout, config.train.batch);
  const program = await device.compile(graph);
  const split = source.evaluation(config.eval.split);
  const count = config.eval.batches === 0 ? split.count : Math.min(config.eval.batches, split.count);
  const indices = Array.from({ length: count }, (_, i) => Math.floor(i * split.count / count));
  return {
    evaluate: () => run(device, program, table, (i) => split.batch(indices[i]), count),
    [Symbol.dispose]: () => program[Symbol.dispose](),
  };
}

async function run(
  device: Device,
  program: Program,
  table: Table,
  batch: (i: number) => { ids: Uint32Array; targets: Uint32Array },
  count: number,
): Promise<Evaluated> {
  let [loss, correct, tokens] = [0, 0, 0];
  let heard = performance.now();
  for (let first = 0; first < count; first += WINDOW) {
    const rows = Math.min(WINDOW, count - first);
    for (let slot = 0; slot < rows; slot++) {
      const { ids, targets } = batch(first + slot);
      program.run({ ids, targets, slot: Uint32Array.of(slot) });
      if (performance.now() - heard > HEAR_EVERY_MS) {
        await new Promise((resume) => setTimeout(resume, 0));
        heard = performance.now();
      }
    }
    const [values] = await device.read([table.name]);
    for (const row of rowsOf(table, values, rows)) {
      loss += row.loss * row.valid;
      correct += row.correct;
      tokens += row.valid;
    }
  }
  return { loss: loss / tokens, perplexity: Math.exp(loss / tokens), accuracy: correct / tokens, tokens };
}
