// A training run: its windows of steps, and what happens between them: evaluations, checkpoints, metrics, captures, and
// at the end a sample and the charts. Nothing the loop keeps grows with the steps.
import { maximum, minimum } from "../base/extremes.ts";
import { join } from "node:path";
import { generate } from "../generate/generate.ts";
import { NotFiniteError } from "../model/finite.ts";
import { runCharts } from "../chart/mod.ts";
import type { Config } from "../config/mod.ts";
import { fileError, UserError } from "../base/errors.ts";
import type { EvalRecord, LogRecord, StatRecord } from "../log/records.ts";
import { captureCharts } from "../track/capture_charts.ts";
import { saveCheckpoint } from "./save.ts";
import type { Best } from "../runs/run_state.ts";
import { divergedWarning, hasDiverged, unsavedWarning } from "./divergence.ts";
import { reportProgress } from "../base/progress.ts";
import type { Evaluator } from "./evaluate.ts";
import { type Experiment, generatorOf } from "../model/model.ts";
import { metricValues } from "../model/hook_calls.ts";
import { pointLatest } from "../runs/latest.ts";
import { readParameters } from "../model/layout.ts";
import { begin, type LoopState, type RunOptions, VALUES_A_RECORD, writeStatistics } from "./progress.ts";
import type { ReadyRun } from "./compile.ts";
import { pointTo, removeCheckpoint, writeFileAtomic } from "../runs/run_folder.ts";
import { stepsUntil } from "./windows.ts";

/** How a run ended. */
export interface LoopResult {
  /** Steps made. */
  readonly step: number;
  /** False where the signal ended it. */
  readonly finished: boolean;
  /** Whether it stopped at `train.stop_nonfinite`, or its last parameters are not finite. */
  readonly diverged: boolean;
  /** The step of its last checkpoint; null where there is none. */
  readonly saved: number | null;
  /** The best evaluation; null where there was none of a finite loss. */
  readonly best: Best | null;
  /** The last evaluation since the run began or went on. */
  readonly last: EvalRecord | undefined;
  /** The text it ended with; undefined where it was stopped, or no tokens were asked for. */
  readonly sample: string | undefined;
  /** What of its end (sample, charts) failed, a sentence each; the log has them as warnings. */
  readonly failures: readonly string[];
}

/** The next step that is a multiple of one of some periods, or the last; a period of 0 has no steps. */
function nextOf(step: number, last: number, periods: readonly number[]): number {
  const after = (period: number) => period > 0 ? (Math.floor(step / period) + 1) * period : Infinity;
  return minimum(periods.map(after), last);
}

/** The next step at which the loop must stop and look: an evaluation, a checkpoint, a metric, a capture, the end. */
function nextStop(step: number, { config, hooks }: Experiment): number {
  const periods = [...hooks?.metrics ?? [], ...config.capture].map(({ every }) => every);
  return nextOf(step, config.train.steps, [config.eval.every, config.output.checkpoint_every, ...periods]);
}

/** Whether a step ends with an evaluation. */
function evaluates(step: number, { train, eval: { every } }: Config): boolean {
  return step % every === 0 || step === train.steps;
}

/** Whether a step ends with a checkpoint that has a record; those of an interrupted run have none. */
export function recordsCheckpoint(step: number, { train, eval: { every }, output }: Config): boolean {
  return step > 0 && nextOf(step - 1, train.steps, [every, output.checkpoint_every]) === step;
}

/** Evaluates, and records what was found. */
async function evaluateNow(
  { config, source }: Experiment,
  { log, evaluated }: RunOptions,
  evaluation: Evaluator,
  state: LoopState,
): Promise<void> {
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
  evaluated?.(state.last);
  const least = state.best?.val_loss ?? Infinity;
  state.stale = loss < least ? 0 : state.stale + 1;
  if (loss < least) state.best = { step: state.step, val_loss: loss };
  const { name, patience } = config.schedule;
  // torch lowers when more than `patience` in a row were no better, and counts from there again.
  if (name === "plateau" && state.stale > 0 && state.stale % (patience + 1) === 0) state.reductions++;
  if (stopsEarly(state, config) && state.step < config.train.steps) {
    const message = `No better loss in ${state.stale} evaluations: the run ends before train.steps.`;
    log.write({ type: "warning", step: state.step, code: "early_stop", message, tap: null });
  }
}

/** Whether the last evaluations were too many without a better loss. */
function stopsEarly({ stale }: LoopState, { train: { stop } }: Config): boolean {
  return stop !== null && stale >= stop;
}

/** The numbers of a user's own metrics that are due. */
async function writeMetrics(
  { hooks, layout, architecture }: Experiment,
  options: RunOptions,
  state: LoopState,
): Promise<void> {
  const { step } = state;
  for (const metric of hooks?.metrics ?? []) {
    if (step % metric.every !== 0) continue;
    const values = await metricValues(hooks!, metric, {
      step,
      vocabulary: architecture.vocabulary,
      keys: hooks!.keys,
      parameters: () => readParameters(options.device, layout),
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
    writeStatistics([record], options, state);
  }
}

/** The step of the last checkpoint that stands. */
const savedStep = ({ kept }: LoopState): number | null => kept.size > 0 ? maximum(kept) : null;

/**
 * Saves where the run stands, points "last" (and "best") at it, and removes what nothing points at any more. Parameters that
 * are not finite replace no checkpoint.
 */
async function saveNow(
  experiment: Experiment,
  options: RunOptions,
  state: LoopState,
  recorded: boolean,
): Promise<void> {
  const { folder, device, log } = options;
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
    options.warn?.(warning);
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

/**
 * Trains: from the start, or from a checkpoint on, to the last step, an early stop, divergence or the signal. Writes the log, checkpoints
 * ("best" and "last"), a sample and the loss chart into the run's folder.
 *
 * A run repeats: one configuration, seed and device give the same records (times aside), also when the run was stopped
 * and went on.
 */
export async function trainRun(
  experiment: Experiment,
  ready: ReadyRun,
  options: RunOptions,
): Promise<LoopResult> {
  const { config } = experiment;
  const { folder, signal } = options;
  const began = performance.now();
  const state = await begin(folder, ready.from);
  const stopped = () => hasDiverged(state.nonFinite, config);
  const over = () => stopped() || state.step === config.train.steps || stopsEarly(state, config);
  while (!over() && !signal?.aborted) {
    const stop = nextStop(state.step, experiment);
    await stepsUntil(stop, experiment, options, ready, state);
    if (state.step < stop || stopped()) break;
    await writeMetrics(experiment, options, state);
    await ready.capture?.at(stop, folder);
    if (evaluates(stop, config)) await evaluateNow(experiment, options, ready.evaluation, state);
    if (recordsCheckpoint(stop, config)) await saveNow(experiment, options, state, true);
  }
  if (stopped()) stopDiverged(options, state);
  else if (!state.kept.has(state.step) && state.unsaved !== state.step) {
    await saveNow(experiment, options, state, false);
  }
  const { step, best, last } = state;
  const diverged = over() && (stopped() || state.unsaved === step);
  const end = ending(options.log, step);
  const samples = over() && !diverged;
  const sample = samples ? await end.attempt("sample", () => sampleNow(experiment, options)) : undefined;
  // A sample that the signal cut short is drawn anew when the run goes on.
  const finished = over() && !signal?.aborted;
  if (finished) await finish(experiment, options, state, { end, text: sample, began, diverged });
  if (end.bugs.length > 0) throw end.bugs[0];
  const ended = { sample: finished ? sample : undefined, failures: end.failures };
  return { step, finished, diverged: finished && diverged, saved: savedStep(state), best, last, ...ended };
}

/** Records that a run stops because it diverged. */
function stopDiverged({ log, warn }: RunOptions, state: LoopState): void {
  const warning = divergedWarning(state.step, state.nonFinite, savedStep(state));
  log.write(warning);
  warn?.(warning);
}

/** The parts of a run's end. One that fails is a warning in the log and keeps none of the others from being done. */
function ending(log: RunOptions["log"], step: number) {
  const bugs: unknown[] = [];
  const failures: string[] = [];
  return {
    /** What was no fault of the user's, to be thrown once everything is written. */
    bugs,
    failures,
    async attempt<T>(what: string, act: () => Promise<T>): Promise<T | undefined> {
      try {
        return await act();
      } catch (error) {
        if (!(error instanceof UserError)) bugs.push(error);
        const message = `The run's ${what} failed: ${(error as Error).message}`;
        failures.push(message);
        try {
          log.write({ type: "warning", step, code: "end_failed", message, tap: null });
        } catch {
          throw error;
        }
        return undefined;
      }
    },
  };
}

/** What the model writes as the configuration asks; undefined where it asks for nothing, or the model has diverged. */
async function sampleNow(
  experiment: Experiment,
  { device, signal }: RunOptions,
): Promise<string | undefined> {
  const { prompt, tokens, temperature, top_k: topK, seed } = experiment.config.sample;
  if (tokens === 0) return undefined;
  const options = { prompt, tokens, temperature, topK, seed, signal };
  try {
    return await generate(device, generatorOf(experiment), options);
  } catch (error) {
    // The log has told that the training diverged; the run ends all the same.
    if (error instanceof NotFiniteError) return undefined;
    throw error;
  }
}

/** The end of a run: its sample, its charts, the last record. */
async function finish(
  { config }: Experiment,
  { folder, log, sampled }: RunOptions,
  { step, best, kept }: LoopState,
  { end, text, began, diverged }: {
    end: ReturnType<typeof ending>;
    text: string | undefined;
    began: number;
    diverged: boolean;
  },
): Promise<void> {
  const { prompt, temperature, top_k, seed } = config.sample;
  const drawn = await end.attempt("charts", () => runCharts(folder.log));
  const captured = await end.attempt("charts of captures", () => captureCharts(folder));
  const charts: string[] = [];
  await end.attempt("folder of charts", async () => {
    await Deno.mkdir(folder.charts, { recursive: true }).catch((error) => {
      throw fileError(folder.charts, error);
    });
  });
  for (const [file, svg] of Object.entries({ ...drawn, ...captured })) {
    await end.attempt(`chart ${file}`, async () => {
      await writeFileAtomic(join(folder.charts, file), svg);
      charts.push(`charts/${file}`);
    });
  }
  if (text !== undefined && !sampled) {
    log.write({ type: "sample", step, prompt, text, temperature, top_k, top_p: null, seed });
  }
  const seconds = (performance.now() - began) / 1000;
  const files = ["config.yaml", "log.ndjson", ...charts.sort()];
  if (best) files.push("checkpoints/best");
  if (kept.size > 0) files.push("checkpoints/last");
  log.write({ type: "done", step, seconds, best, files, ...(diverged ? { diverged } : {}) });
  log.sync();
}
