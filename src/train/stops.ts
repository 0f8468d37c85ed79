// Metrics, evaluations and checkpoints between windows of steps, and the steps at which they are due.
import { SCHEDULES } from "../../kernels/optimizers/schedules.ts";
import { join } from "node:path";
import { maximum, minimum } from "../base/extremes.ts";
import { reportProgress } from "../base/progress.ts";
import type { Config } from "../config/mod.ts";
import type { LogRecord, StatRecord } from "../log/records.ts";
import { metricValues } from "../model/hook_calls.ts";
import { readParameters } from "../model/layout.ts";
import { pointLatest } from "../runs/latest.ts";
import { pointTo, removeCheckpoint } from "../runs/run_folder.ts";
import { hasDiverged, unsavedWarning } from "./divergence.ts";
import { type LoopState, type Run, VALUES_PER_RECORD, writeStatistics } from "./progress.ts";
import { saveCheckpoint } from "./save.ts";

/**
 * Returns the first step after `step` that is a multiple of at least one period, or `last` if that comes earlier. Periods of
 * 0 are ignored.
 */
function nextOf(step: number, last: number, periods: readonly number[]): number {
  const after = (period: number) => period > 0 ? (Math.floor(step / period) + 1) * period : Infinity;
  return minimum(periods.map(after), last);
}

/** Returns the next step at which the loop stops (evaluation, checkpoint, metric, capture, end), and what is due at that step. */
export function nextStop({ experiment: { config, hooks }, state: { step } }: Run) {
  const { train: { steps }, output: { checkpoint_every }, eval: { every } } = config;
  const periods = [...hooks?.metrics ?? [], ...config.capture].map((periodic) => periodic.every);
  const stop = nextOf(step, steps, [every, checkpoint_every, ...periods]);
  return { stop, evaluates: stop % every === 0 || stop === steps, saves: recordsCheckpoint(stop, config) };
}

/**
 * Returns true if the log records the checkpoint of a step. A checkpoint that is saved because of an interruption is not
 * recorded.
 */
export function recordsCheckpoint(step: number, { train, eval: { every }, output }: Config): boolean {
  return step > 0 && nextOf(step - 1, train.steps, [every, output.checkpoint_every]) === step;
}

/** Evaluates and logs the result. */
export async function evaluateNow(run: Run): Promise<void> {
  const { experiment: { config, source }, log, onEvaluation, evaluation, state } = run;
  const { loss, perplexity, accuracy, tokens, answer, sources } = await evaluation.evaluate();
  state.counter += VALUES_PER_RECORD;
  state.last = {
    type: "eval",
    step: state.step,
    split: config.eval.split,
    loss,
    perplexity,
    accuracy,
    tokens,
  };
  if (answer) {
    const { loss: answer_loss, accuracy: answer_accuracy, exact: exact_match } = answer;
    Object.assign(state.last, { answer_loss, answer_accuracy, exact_match });
  }
  sources?.forEach((sourceLoss, i) => state.last![`source_${i}_loss`] = sourceLoss);
  if (source.entropyFloor !== undefined && config.eval.split === "val") {
    state.last.entropy_floor = source.entropyFloor;
  }
  log.write(state.last);
  onEvaluation?.(state.last);
  const bestLoss = state.best?.val_loss ?? Infinity;
  state.evalsSinceBest = loss < bestLoss ? 0 : state.evalsSinceBest + 1;
  if (loss < bestLoss) state.best = { step: state.step, val_loss: loss };
  const { name, patience } = config.schedule;
  // As in PyTorch: the rate is reduced after more than `patience` evaluations without improvement; then counting starts again.
  if (SCHEDULES[name].reduced && state.evalsSinceBest > 0 && state.evalsSinceBest % (patience + 1) === 0) {
    state.lrReductions++;
  }
  if (stopsEarly(state, config) && state.step < config.train.steps) {
    const message = `No better loss in ${state.evalsSinceBest} evaluations: the run ends before train.steps.`;
    log.write({ type: "warning", step: state.step, code: "early_stop", message, tap: null });
  }
}

/** Whether a run has reached its last step, stops early, or has diverged. */
export function isOver({ state, experiment: { config } }: Run): boolean {
  return hasDiverged(state.nonFinite, config) || state.step === config.train.steps ||
    stopsEarly(state, config);
}

/** Returns true if none of the last `train.stop` evaluations improved on the best loss. */
function stopsEarly({ evalsSinceBest }: LoopState, { train: { stop } }: Config): boolean {
  return stop !== null && evalsSinceBest >= stop;
}

/** Logs the user-defined metrics that are due. */
export async function writeMetrics(run: Run): Promise<void> {
  const { experiment: { hooks, layout, architecture }, device, state: { step } } = run;
  for (const metric of hooks?.metrics ?? []) {
    if (step % metric.every !== 0) continue;
    const values = await metricValues(hooks!, metric, {
      step,
      vocabulary: architecture.vocabulary,
      keys: hooks!.keys,
      parameters: () => readParameters(device, layout),
    });
    const record: StatRecord = {
      type: "stat",
      step,
      kind: "metric",
      tap: metric.name,
      layer: null,
      head: null,
      ...values,
    };
    writeStatistics(run, [record]);
  }
}

/** Returns the step of the last saved checkpoint; null if there is none. */
export const savedStep = ({ kept }: LoopState): number | null => kept.size > 0 ? maximum(kept) : null;

/**
 * Saves a checkpoint, points the link "last" at it (and "best", if its evaluation is the best so far), and removes
 * checkpoints that are no longer needed. Parameters that are not finite are not saved.
 */
export async function saveNow(run: Run, { recorded }: { recorded: boolean }): Promise<void> {
  const { experiment, folder, device, log, state } = run;
  const { step, tokens, counter, best, evalsSinceBest, lrReductions, last, nonFinite } = state;
  reportProgress({ what: "saving the checkpoint" });
  // The log is synced before the checkpoint is written, so that it is complete even after a power cut.
  const seal = log.sync();
  const val_loss = last?.step === step && Number.isFinite(last.loss) ? last.loss : null;
  const sha256 = await saveCheckpoint(device, folder, experiment, {
    step,
    tokens,
    counter,
    best,
    val_loss,
    stale: evalsSinceBest,
    reductions: lrReductions,
    ...(nonFinite.warned > 0 ? { non_finite: nonFinite } : {}),
    data: experiment.dataSha256,
    log: seal,
  });
  if (sha256 === undefined) {
    const warning = unsavedWarning(step, nonFinite, savedStep(state), experiment.config.eval.every);
    state.unsaved = step;
    if (!warning) return;
    state.nonFinite = { ...nonFinite, warned: step };
    log.write(warning);
    run.onWarning?.(warning);
    return;
  }
  await pointTo(folder, "last", step);
  await pointLatest(folder);
  if (best?.step === step) await pointTo(folder, "best", step);
  if (recorded) log.write(checkpointRecord(step, sha256, val_loss));
  state.kept.add(step);
  const every = experiment.config.output.checkpoint_every;
  for (const old of state.kept) {
    if (old === step || old === best?.step || (every > 0 && old > 0 && old % every === 0)) continue;
    await removeCheckpoint(folder, old);
    state.kept.delete(old);
  }
}

/** The record of a checkpoint; its path is relative to the run's folder, so that the folder can be moved. */
export function checkpointRecord(step: number, sha256: string, val_loss: number | null): LogRecord {
  return { type: "checkpoint", step, path: join("checkpoints", String(step)), sha256, val_loss };
}
