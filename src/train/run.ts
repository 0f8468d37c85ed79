// A training run: the training loop (loop.ts), then a last checkpoint, a sample, charts and the last record.
import { join } from "node:path";
import { fileError, UserError } from "../base/errors.ts";
import { runCharts } from "../chart/mod.ts";
import { generate } from "../generate/generate.ts";
import type { EvalRecord } from "../log/records.ts";
import { NotFiniteError } from "../model/finite.ts";
import { type Experiment, languageModelOf } from "../model/model.ts";
import { writeFileAtomic } from "../runs/run_folder.ts";
import type { Best } from "../runs/run_state.ts";
import { captureCharts } from "../track/capture_charts.ts";
import type { ReadyRun } from "./compile.ts";
import { divergedWarning, hasDiverged } from "./divergence.ts";
import { trainingLoop } from "./loop.ts";
import { begin, type Run, type RunOptions } from "./progress.ts";
import { isOver, savedStep, saveNow } from "./stops.ts";

/** How a run ended. */
export interface LoopResult {
  /** The last step. */
  readonly step: number;
  /** False if the signal stopped the run before its end. */
  readonly finished: boolean;
  /** True if the run stopped because of `train.stop_nonfinite`, or if its last parameters are not finite. */
  readonly diverged: boolean;
  /** The step of its last checkpoint; null if there is none. */
  readonly saved: number | null;
  /** The best evaluation; null if none had a finite loss. */
  readonly best: Best | null;
  /** The last evaluation since the run began or resumed; undefined if there was none. */
  readonly last: EvalRecord | undefined;
  /** The final sample; undefined if the run was stopped or `sample.tokens` is 0. */
  readonly sample: string | undefined;
  /** Failures at the end (sample, charts), one sentence per failure; the log has them as warnings. */
  readonly failures: readonly string[];
}

/**
 * Trains from the start or from a checkpoint until the last step, an early stop or divergence, or until the signal is aborted.
 * Writes the log, checkpoints ("best" and "last"), a sample and the loss chart into the run's folder.
 *
 * Runs are reproducible: the same configuration, seed and device give the same records (except times), even if the run is
 * stopped and resumed.
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
  const run: Run = { ...options, ...ready, experiment, state };
  await trainingLoop(run);
  const stopped = hasDiverged(state.nonFinite, config);
  if (stopped) stopDiverged(run);
  else if (!state.kept.has(state.step) && state.unsaved !== state.step) {
    await saveNow(run, { recorded: false });
  }
  const { step, best, last } = state;
  const over = isOver(run);
  const diverged = over && (stopped || state.unsaved === step);
  const end = endTasks(options.log, step);
  const samples = over && !diverged;
  const sample = samples ? await end.attempt("sample", () => sampleNow(run)) : undefined;
  // A sample that the signal interrupted is generated again after resuming.
  const finished = over && !signal?.aborted;
  if (finished) await finish(run, { end, text: sample, began, diverged });
  if (end.bugs.length > 0) throw end.bugs[0];
  const ended = { sample: finished ? sample : undefined, failures: end.failures };
  return { step, finished, diverged: finished && diverged, saved: savedStep(state), best, last, ...ended };
}

/** Logs the warning of a run that stops because it diverged. */
function stopDiverged({ log, onWarning, state }: Run): void {
  const warning = divergedWarning(state.step, state.nonFinite, savedStep(state));
  log.write(warning);
  onWarning?.(warning);
}

/**
 * Returns the list of failures, and a function `attempt` that performs one of the tasks at the end of a run. If a task fails, a warning is logged
 * and the other tasks still run.
 */
function endTasks(log: RunOptions["log"], step: number) {
  const bugs: unknown[] = [];
  const failures: string[] = [];
  return {
    /** Errors that are not user errors; the first one is thrown after everything else is written. */
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

/** Generates the configured sample. Returns undefined if `sample.tokens` is 0 or the model has diverged. */
async function sampleNow({ experiment, device, signal }: Run): Promise<string | undefined> {
  const { prompt, tokens, temperature, top_k: topK, seed } = experiment.config.sample;
  if (tokens === 0) return undefined;
  const options = { prompt, tokens, temperature, topK, seed, signal };
  try {
    return await generate(device, languageModelOf(experiment), options);
  } catch (error) {
    // The log already has the warning that training diverged.
    if (error instanceof NotFiniteError) return undefined;
    throw error;
  }
}

/** Writes a run's sample, charts and last record. */
async function finish(
  { experiment: { config }, folder, log, sampled, state: { step, best, kept } }: Run,
  { end, text, began, diverged }: {
    end: ReturnType<typeof endTasks>;
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
