// Handles windows of steps on the host: requests the metrics of the steps that were submitted to the device, and writes their
// records.
import { reportProgress } from "../base/progress.ts";
import type { Values } from "../graph/tensor.ts";
import type { StepRecord } from "../log/records.ts";
import type { Experiment } from "../model/model.ts";
import { statRecords } from "../track/stat_records.ts";
import { type StatisticsTable, WINDOW } from "../track/step_statistics.ts";
import { followStep, hasDiverged } from "./divergence.ts";
import { type LoopState, type Run, VALUES_PER_RECORD, writeStatistics } from "./progress.ts";
import { scheduledRate } from "../../kernels/optimizers/schedules.ts";
import { rowsOf } from "./step_graph.ts";

/**
 * Returns the number of steps in the next window: as many as take about a quarter of a second, so that progress and Ctrl-C
 * stay responsive.
 */
export function windowSize({ ms }: LoopState): number {
  return ms === 0 ? 1 : Math.max(1, Math.min(WINDOW, Math.round(250 / ms)));
}

/** A step that was submitted to the device. */
interface StartedStep {
  /** Number of valid targets of its batches. */
  readonly targets: number;
  /** The table of its statistics, if any. */
  readonly looked: StatisticsTable | undefined;
  /** Indices of the blocks that are probed for induction heads after this step. */
  readonly probed: readonly number[];
}

/** A pending window: its steps have been submitted, but their metrics have not been read yet. */
export interface Window {
  /** Index of its first step, from 0. */
  readonly first: number;
  readonly steps: readonly StartedStep[];
  /**
   * The rows of the window's metrics, its tables of statistics keyed by name, and `at`, the time in milliseconds
   * (performance.now()) at which these values arrived.
   */
  readonly values: Promise<{ rows: Values; statistics: ReadonlyMap<string, Values>; at: number }>;
}

/** Restarts the time measurement and reports the run's progress. */
export function beginWindows({ experiment: { config }, state }: Run): void {
  state.marks = [{ at: performance.now(), count: 0 }];
  reportProgress({ what: "step", done: state.step, total: config.train.steps });
}

/** Requests the metrics of submitted steps. Their rows are copied before the next window's steps run. */
export function readWindow(
  { device, table, probe }: Run,
  first: number,
  steps: readonly StartedStep[],
): Window {
  const tables = [...new Set(steps.flatMap(({ looked }) => looked ? [looked.name] : []))];
  if (steps.some(({ probed }) => probed.length > 0)) tables.push(probe!.table);
  const values = device.read([table.name, ...tables]).then(([rows, ...tableValues]) => ({
    rows,
    statistics: new Map(tables.map((name, i) => [name, tableValues[i]])),
    at: performance.now(),
  }));
  // If the previous window fails, nothing awaits this promise; a rejection is then ignored.
  values.catch(() => {});
  return { first, steps, values };
}

/** Returns the record of a step. `state` must already include the step's tokens and values. */
function stepRecord(
  { config, source }: Experiment,
  { tokens, counter, lrReductions, ms }: LoopState,
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
    lr: scheduledRate(config, step - 1, lrReductions),
    grad_norm: norm,
    clipped: clip > 0 && norm > clip,
    ms,
    tokens_per_s: tokensPerSecond,
  };
}

/** Writes the records of a window once its metrics have arrived. */
export async function recordWindow(run: Run, window: Window): Promise<void> {
  const { experiment, experiment: { config }, log, onProgress, onWarning, table, probe, state } = run;
  const { rows, statistics, at } = await window.values;
  // Time is measured over two windows, because WebGPU reports the first of two windows as done only when both are done.
  const [before, last = before] = state.marks;
  state.ms = (at - before.at) / (window.steps.length + (last === before ? 0 : last.count));
  state.marks = [last, { at, count: window.steps.length }];
  const learned = window.steps.reduce((sum, { targets }) => sum + targets, 0);
  const tokensPerSecond = 1000 * learned / window.steps.length / state.ms;
  for (const [i, { loss, squared_norm }] of rowsOf(table, rows, window.steps.length).entries()) {
    const { targets, looked, probed } = window.steps[i];
    const step = window.first + i + 1;
    const norm = Math.sqrt(squared_norm);
    state.counter += VALUES_PER_RECORD;
    state.tokens += targets;
    const { after, warning } = followStep(state.nonFinite, { step, loss, norm }, config.eval.every);
    state.nonFinite = after;
    if (warning) {
      log.write(warning);
      onWarning?.(warning);
    }
    log.write(stepRecord(experiment, state, { step, loss, norm, tokensPerSecond }));
    if (looked) {
      const row = statistics.get(looked.name)!.subarray(i * looked.width, (i + 1) * looked.width);
      writeStatistics(run, statRecords(looked, row, step));
    }
    if (probed.length > 0) {
      writeStatistics(run, probe!.records(step, probed, i, statistics.get(probe!.table)!));
    }
    state.step = step;
    if (i === window.steps.length - 1) {
      const { steps } = config.train;
      onProgress?.({ step, steps, loss, tokensPerSecond, secondsLeft: (steps - step) * state.ms / 1000 });
    }
    // Steps that the device ran after the run diverged are not recorded, because their number depends on timing.
    if (hasDiverged(state.nonFinite, config)) return;
  }
}
