// What happens between two windows of steps: metrics, evaluations, checkpoints; and at which steps.
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
import { type LoopState, type Run, VALUES_A_RECORD, writeStatistics } from "./progress.ts";
import { saveCheckpoint } from "./save.ts";

/** The next step that is a multiple of one of some periods, or the last; a period of 0 has no steps. */
function nextOf(step: number, last: number, periods: readonly number[]): number {
  const after = (period: number) => period > 0 ? (Math.floor(step / period) + 1) * period : Infinity;
  return minimum(periods.map(after), last);
}

/** The next step at which the loop must stop and look (evaluation, checkpoint, metric, capture, the end), and what is due. */
export function nextStop({ experiment: { config, hooks }, state: { step } }: Run) {
  const { train: { steps }, output: { checkpoint_every }, eval: { every } } = config;
  const periods = [...hooks?.metrics ?? [], ...config.capture].map((own) => own.every);
  const stop = nextOf(step, steps, [every, checkpoint_every, ...periods]);
  return { stop, evaluates: stop % every === 0 || stop === steps, saves: recordsCheckpoint(stop, config) };
}

/** Whether a step ends with a checkpoint that has a record; those of an interrupted run have none. */
export function recordsCheckpoint(step: number, { train, eval: { every }, output }: Config): boolean {
  return step > 0 && nextOf(step - 1, train.steps, [every, output.checkpoint_every]) === step;
}

/** Evaluates, and records what was found. */
export async function evaluateNow(run: Run): Promise<void> {
  const { experiment: { config, source }, log, onEvaluation, evaluation, state } = run;
  const { loss, perplexity, accuracy, tokens, answer, sources } = await evaluation.evaluate();
  state.counter += VALUES_A_RECORD;
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
  sources?.forEach((own, i) => state.last![`source_${i}_loss`] = own);
  if (source.entropyFloor !== undefined && config.eval.split === "val") {
    state.last.entropy_floor = source.entropyFloor;
  }
  log.write(state.last);
  onEvaluation?.(state.last);
  const least = state.best?.val_loss ?? Infinity;
  state.stale = loss < least ? 0 : state.stale + 1;
  if (loss < least) state.best = { step: state.step, val_loss: loss };
  const { name, patience } = config.schedule;
  // torch lowers when more than `patience` in a row were no better, and counts from there again.
  if (SCHEDULES[name].reduced && state.stale > 0 && state.stale % (patience + 1) === 0) state.reductions++;
  if (stopsEarly(state, config) && state.step < config.train.steps) {
    const message = `No better loss in ${state.stale} evaluations: the run ends before train.steps.`;
    log.write({ type: "warning", step: state.step, code: "early_stop", message, tap: null });
  }
}

/** Whether a run has made its last step, stops early, or has diverged. */
export function isOver({ state, experiment: { config } }: Run): boolean {
  return hasDiverged(state.nonFinite, config) || state.step === config.train.steps ||
    stopsEarly(state, config);
}

/** Whether the last evaluations were too many without a better loss. */
function stopsEarly({ stale }: LoopState, { train: { stop } }: Config): boolean {
  return stop !== null && stale >= stop;
}

/** The numbers of a user's own metrics that are due. */
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

/** The step of the last checkpoint that stands. */
export const savedStep = ({ kept }: LoopState): number | null => kept.size > 0 ? maximum(kept) : null;

/**
 * Saves where the run stands, points "last" (and "best") at it, and removes what nothing points at any more. Parameters that
 * are not finite replace no checkpoint.
 */
export async function saveNow(run: Run, { recorded }: { recorded: boolean }): Promise<void> {
  const { experiment, folder, device, log, state } = run;
  const { step, tokens, counter, best, stale, reductions, last, nonFinite } = state;
  reportProgress({ what: "saving the checkpoint" });
  // Before the checkpoint stands: after a power cut its log has all that it was saved with.
  const seal = log.sync();
  const val_loss = last?.step === step && Number.isFinite(last.loss) ? last.loss : null;
  const sha256 = await saveCheckpoint(device, folder, experiment, {
    step,
    tokens,
    counter,
    best,
    val_loss,
    stale,
    reductions,
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

/** The record of a checkpoint; its path is relative to the run's folder, so that a folder can be moved. */
export function checkpointRecord(step: number, sha256: string, val_loss: number | null): LogRecord {
  return { type: "checkpoint", step, path: join("checkpoints", String(step)), sha256, val_loss };
}
