// The training loop: it draws batches, runs steps, reads their metrics, evaluates and saves checkpoints. All mutable state is
// in `run.state` and on the device; its size does not grow with the number of steps.
import { yieldToEvents } from "../base/hear.ts";
import { DEVICES, type Program } from "../device/device.ts";
import { applyBatchHook } from "../model/hook_calls.ts";
import type { Experiment } from "../model/model.ts";
import { dueAt } from "../track/selectors.ts";
import { hasDiverged } from "./divergence.ts";
import { freezeFeeds } from "./freeze.ts";
import type { Run } from "./progress.ts";
import { scheduledRate } from "../../kernels/optimizers/schedules.ts";
import { countTargets, stepFeeds } from "./step_graph.ts";
import { evaluateNow, isOver, nextStop, saveNow, writeMetrics } from "./stops.ts";
import { beginWindows, readWindow, recordWindow, type Window, windowSize } from "./windows.ts";

/** Trains until the last step, an early stop or divergence, or until the signal is aborted. */
export async function trainingLoop(run: Run): Promise<void> {
  const { signal, capture, folder } = run;
  while (!isOver(run) && !signal?.aborted) {
    const { stop, evaluates, saves } = nextStop(run);
    if (!await stepsUntil(stop, run)) return;
    await writeMetrics(run);
    await capture?.at(stop, folder);
    if (evaluates) await evaluateNow(run);
    if (saves) await saveNow(run, { recorded: true });
  }
}

/**
 * Runs the steps up to `stop` in windows; the metrics of a window are read after its steps. Returns true if the run reached
 * `stop`.
 */
async function stepsUntil(stop: number, run: Run): Promise<boolean> {
  const { experiment: { config }, device, state, signal } = run;
  beginWindows(run);
  let [started, pending]: [number, Window | undefined] = [state.step, undefined];
  const goesOn = () => started < stop && !signal?.aborted;
  while (pending || goesOn()) {
    // A GPU runs one window while the metrics of the previous one are read; on a CPU there is nothing to overlap.
    const starts = goesOn() && (DEVICES[device.kind].asynchronous || !pending);
    const count: number = starts ? Math.min(windowSize(state), stop - started) : 0;
    const next = count > 0 ? startWindow(run, started, count) : undefined;
    started += count;
    if (pending) await recordWindow(run, pending);
    if (hasDiverged(state.nonFinite, config)) return false;
    pending = next;
    await yieldToEvents();
  }
  return state.step === stop;
}

/** Submits the steps of a window to the device and requests their metrics. */
function startWindow(run: Run, first: number, count: number): Window {
  const { experiment, steps, probe, state: { lrReductions } } = run;
  const started = Array.from({ length: count }, (_, slot) => {
    const step = first + slot;
    const { program, statistics } = steps.get(dueAt(experiment.config.track, step + 1).join())!;
    const targets = runStep(experiment, program, { step, slot, lrReductions });
    return { targets, looked: statistics, probed: probe?.run(step + 1, slot) ?? [] };
  });
  return readWindow(run, first, started);
}

/**
 * Runs one step (0-based), which writes its metrics into row `slot` of the metrics table. Returns the number of valid targets
 * in the step's batches.
 */
export function runStep(
  experiment: Experiment,
  program: Program,
  { step, slot, lrReductions }: { step: number; slot: number; lrReductions?: number },
): number {
  const { config, source, hooks, architecture: { vocabulary } } = experiment;
  const { train: { accumulate }, seed } = config;
  const drawn = Array.from({ length: accumulate }, (_, k) => source.train(step * accumulate + k));
  const batches = applyBatchHook(hooks, { seed, vocabulary }, step + 1, drawn);
  const feeds = stepFeeds(config, batches, { step, slot, lr: scheduledRate(config, step, lrReductions) });
  program.run({ ...feeds, ...freezeFeeds(experiment, step + 1) });
  return batches.reduce((sum, batch) => sum + countTargets(batch), 0);
}
