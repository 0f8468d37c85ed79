// The steps between two stops of a run, in windows: the numbers of one are read back while the device works on the next.
import type { Config } from "../config/mod.ts";
import type { Values } from "../graph/tensor.ts";
import type { StepRecord } from "../log/records.ts";
import { dueAt } from "../track/selectors.ts";
import { followStep, hasDiverged } from "./divergence.ts";
import { reportProgress } from "../base/progress.ts";
import type { Experiment } from "../model/model.ts";
import { freezeFeeds } from "./freeze.ts";
import { applyBatchHook } from "../model/hook_calls.ts";
import { type LoopState, type RunOptions, VALUES_A_RECORD, writeStatistics } from "./progress.ts";
import { countTargets, rowsOf, stepFeeds } from "./step_graph.ts";
import type { ReadyRun } from "./compile.ts";
import { learningRate, type Schedule } from "./schedule.ts";
import { statRecords } from "../track/stat_records.ts";
import { STATISTICS_ROWS, type StatisticsTable } from "../track/step_statistics.ts";

/** Steps that one window may take: about a quarter of a second of them, to keep progress and Ctrl-C lively. */
function windowSize(ms: number): number {
  return ms === 0 ? 1 : Math.max(1, Math.min(STATISTICS_ROWS, Math.round(250 / ms)));
}

function scheduleOf({ optimizer, schedule, train }: Config, reductions: number): Schedule {
  return { ...schedule, lr: optimizer.lr, steps: schedule.steps ?? train.steps, reductions };
}

/** A window of steps on its way: the device has them, the numbers have not been read. */
interface Window {
  readonly first: number;
  readonly count: number;
  /** Valid targets of each of its steps. */
  readonly targets: readonly number[];
  /** What each of its steps looks at, if anything. */
  readonly looked: readonly (StatisticsTable | undefined)[];
  /** Blocks that are probed for induction after each of its steps. */
  readonly probed: readonly (readonly number[])[];
  /** Its numbers, those of each table of statistics by name, and when they came: milliseconds of performance.now(). */
  readonly values: Promise<{ rows: Values; statistics: ReadonlyMap<string, Values>; at: number }>;
}

/** Starts the steps of one window. The copy of its rows is ordered before the next window overwrites them. */
function startWindow(
  experiment: Experiment,
  { device }: RunOptions,
  { steps, table, probe }: ReadyRun,
  { reductions }: LoopState,
  first: number,
  count: number,
): Window {
  const { config, source, hooks, architecture: { vocabulary } } = experiment;
  const run = { seed: config.seed, vocabulary };
  const schedule = scheduleOf(config, reductions);
  const { accumulate } = config.train;
  const looked: (StatisticsTable | undefined)[] = [];
  const probed: (readonly number[])[] = [];
  const targets: number[] = [];
  for (let i = 0; i < count; i++) {
    const step = first + i;
    const own = Array.from({ length: accumulate }, (_, k) => source.train(step * accumulate + k));
    const batches = applyBatchHook(hooks, run, step + 1, own);
    const feeds = stepFeeds(config, batches, { step, lr: learningRate(schedule, step), slot: i });
    const { program, statistics } = steps.get(dueAt(config.track, step + 1).join())!;
    program.run({ ...feeds, ...freezeFeeds(experiment, step + 1) });
    looked.push(statistics);
    const layers = probe?.due(step + 1) ?? [];
    if (layers.length > 0) probe!.run(i);
    probed.push(layers);
    targets.push(batches.reduce((sum, batch) => sum + countTargets(batch), 0));
  }
  const tables = [...new Set(looked.flatMap((look) => look ? [look.name] : []))];
  if (probed.some((layers) => layers.length > 0)) tables.push(probe!.table);
  const values = device.read([table.name, ...tables]).then(([rows, ...found]) => ({
    rows,
    statistics: new Map(tables.map((name, i) => [name, found[i]])),
    at: performance.now(),
  }));
  // Where the window before it fails, nobody comes back for this one.
  values.catch(() => {});
  return { first, count, targets, looked, probed, values };
}

/** The record of a step; `state` has counted it. */
function stepRecord(
  { config, source }: Experiment,
  { tokens, counter, reductions, ms }: LoopState,
  { step, loss, norm, tokensPerSecond }: {
    step: number;
    loss: number;
    norm: number;
    tokensPerSecond: number;
  },
): StepRecord {
  const { train, model: { context }, optimizer: { clip } } = config;
  const samples = step * train.batch * train.accumulate;
  return {
    type: "step",
    step,
    samples,
    tokens,
    counter,
    epoch: source.rows ? samples / source.rows : samples * context / source.splits.train,
    loss,
    lr: learningRate(scheduleOf(config, reductions), step - 1),
    grad_norm: norm,
    clipped: clip > 0 && norm > clip,
    ms,
    tokens_per_s: tokensPerSecond,
  };
}

/** Writes the records of a window whose numbers have come. */
async function finishWindow(
  experiment: Experiment,
  options: RunOptions,
  { table, probe }: ReadyRun,
  window: Window,
  state: LoopState,
): Promise<void> {
  const { config, config: { train } } = experiment;
  const { log, progress, warn } = options;
  const { rows, statistics, at } = await window.values;
  // Over two windows: WebGPU says that the first of two is done only when both are.
  const [before, last = before] = state.marks;
  state.ms = (at - before.at) / (window.count + (last === before ? 0 : last.count));
  state.marks = [last, { at, count: window.count }];
  const targets = window.targets.reduce((sum, own) => sum + own, 0);
  const tokensPerSecond = 1000 * targets / window.count / state.ms;
  for (const [i, { loss, squared_norm }] of rowsOf(table, rows, window.count).entries()) {
    const step = window.first + i + 1;
    const norm = Math.sqrt(squared_norm);
    state.counter += VALUES_A_RECORD;
    state.tokens += window.targets[i];
    const { after, warning } = followStep(state.nonFinite, { step, loss, norm }, config.eval.every);
    state.nonFinite = after;
    if (warning) {
      log.write(warning);
      warn?.(warning);
    }
    log.write(stepRecord(experiment, state, { step, loss, norm, tokensPerSecond }));
    const looked = window.looked[i];
    if (looked) {
      const row = statistics.get(looked.name)!.subarray(i * looked.width, (i + 1) * looked.width);
      writeStatistics(statRecords(looked, row, step), options, state);
    }
    const layers = window.probed[i];
    if (layers.length > 0) {
      writeStatistics(probe!.records(step, layers, i, statistics.get(probe!.table)!), options, state);
    }
    state.step = step;
    const secondsLeft = (train.steps - step) * state.ms / 1000;
    if (i === window.count - 1) progress?.({ step, steps: train.steps, loss, tokensPerSecond, secondsLeft });
    // Steps that the device made behind this one are not recorded: how many there are is a matter of time.
    if (hasDiverged(state.nonFinite, config)) return;
  }
}

/** The steps from where the run stands to the next stop, in overlapped windows. Returns when all are recorded, or it diverged. */
export async function stepsUntil(
  stop: number,
  experiment: Experiment,
  options: RunOptions,
  ready: ReadyRun,
  state: LoopState,
): Promise<void> {
  // A processor has nothing to overlap with: its window is finished before the next one starts.
  const overlapped = options.device.kind === "webgpu";
  state.marks = [{ at: performance.now(), count: 0 }];
  reportProgress({ what: "step", done: state.step, total: experiment.config.train.steps });
  let started = state.step;
  let pending: Window | undefined;
  while (pending || (started < stop && !options.signal?.aborted)) {
    let next: Window | undefined;
    if (started < stop && !options.signal?.aborted && (overlapped || !pending)) {
      const count = Math.min(windowSize(state.ms), stop - started);
      next = startWindow(experiment, options, ready, state, started, count);
      started += count;
    }
    if (pending) await finishWindow(experiment, options, ready, pending, state);
    if (hasDiverged(state.nonFinite, experiment.config)) return;
    pending = next;
    // Lets signals be heard where the device is this thread.
    await new Promise((resume) => setTimeout(resume, 0));
  }
}
