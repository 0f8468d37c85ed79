// Estimates the remaining work of a run, by which its device is chosen: steps, evaluations, probes, captures and the final
// sample.
import type { Graph } from "../device/plan.ts";
import { maximum } from "../base/extremes.ts";
import type { Workload } from "../device/probe.ts";
import { generationWork } from "../generate/next_logits.ts";
import { dueAt } from "../track/selectors.ts";
import { captureGraph } from "../track/capture.ts";
import { stepGraphs } from "./compile.ts";
import { evaluatedBatches, scoresAnswers } from "./evaluate.ts";
import { type Experiment, languageModelOf, type Model } from "../model/model.ts";
import { probeGraph } from "../track/induction_probe.ts";
import { evaluationGraph, TABLE_ROWS } from "./step_graph.ts";

/** Maximum number of steps whose programs are counted one by one; for longer runs, the counts are extrapolated. */
const COUNTED = 10_000;

/** Returns the number of multiples of `period` among the steps `done` + 1 to `last`. */
const multiples = (period: number, done: number, last: number): number =>
  Math.floor(last / period) - Math.floor(done / period);

/**
 * Returns the graphs that a run compiles besides those of its steps and evaluations (for the probe, the captures and the
 * final sample), and how often each graph runs.
 */
export function otherWork(experiment: Experiment, done = 0): Workload[] {
  const { config: { capture, sample, train: { steps } }, tokenizer } = experiment;
  const probe = probeGraph(experiment);
  const captured = capture.length > 0 ? captureGraph(experiment) : undefined;
  const length = sample.tokens > 0 ? tokenizer.encode(sample.prompt).length : 0;
  const most = (periods: readonly { every: number }[]) =>
    maximum(periods.map(({ every }) => multiples(every, done, steps)), 0);
  return [
    ...(probe ? [{ graph: probe.graph, runs: most(probe.watched) }] : []),
    ...(captured
      ? [{ graph: { outputs: captured.outputs }, runs: most(capture), reads: most(capture) }]
      : []),
    ...(length > 0 ? generationWork(languageModelOf(experiment), 1, length, sample.tokens) : []),
  ];
}

/** The graphs of a run: one per set of `track` entries that are due at the same step, and one for an evaluation batch. */
export interface RunGraphs {
  /** The graphs of the steps, with the keys and in the order of `stepGraphs`. */
  readonly steps: ReadonlyMap<string, Graph>;
  /** The graph of one evaluation batch. */
  readonly evaluation: Graph;
}

/** Builds the graphs of a run, which can then be planned for any target. */
export function graphsOf(model: Model & Partial<Experiment>): RunGraphs {
  const { architecture, layout, config, source } = model;
  const tokens = source !== undefined && scoresAnswers(source, config);
  const { graph: evaluation } = evaluationGraph(architecture, layout, config.train.batch, { tokens });
  return { steps: new Map([...stepGraphs(model)].map(([due, { graph }]) => [due, graph])), evaluation };
}

/** Returns the work of a run that remains after `done` steps. */
export function runWork(experiment: Experiment, done: number, graphs: RunGraphs): Workload[] {
  const { config: { track, train: { steps }, eval: { every } } } = experiment;
  const counted = Math.min(COUNTED, steps - done);
  const runs = new Map<string, number>();
  for (let step = done + 1; step <= done + counted; step++) {
    const due = dueAt(track, step).join();
    runs.set(due, (runs.get(due) ?? 0) + 1);
  }
  const evaluations = multiples(every, done, steps) + (steps % every === 0 ? 0 : 1);
  const batches = evaluatedBatches(experiment);
  return [
    ...[...graphs.steps].map(([due, graph]) => {
      return { graph, runs: (runs.get(due) ?? 0) * (steps - done) / counted };
    }),
    {
      graph: graphs.evaluation,
      runs: evaluations * batches,
      reads: evaluations * Math.ceil(batches / TABLE_ROWS),
    },
    ...otherWork(experiment, done),
  ];
}
