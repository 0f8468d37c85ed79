// The options and the mutable state of a run. The functions that run windows of steps use them, and so do those that run
// between two windows.
import type { Config } from "../config/mod.ts";
import type { Blas } from "../device/cpu/blas.ts";
import type { Device } from "../device/device.ts";
import type { LogWriter } from "../log/log_file.ts";
import type { EvalRecord, StatRecord, WarningRecord } from "../log/records.ts";
import type { RunLog } from "../log/run_log.ts";
import { statisticsOf } from "../log/stat_rows.ts";
import type { Checkpoint } from "../model/checkpoint.ts";
import type { Best, NonFinite, RunState } from "../runs/run_state.ts";
import { ALL_FINITE } from "./divergence.ts";
import { checkpointSteps, pointTo, type RunFolder } from "../runs/run_folder.ts";
import type { Experiment } from "../model/model.ts";
import type { ReadyRun } from "./compile.ts";

/** The progress of a run.
 * @category Training */
export interface Progress {
  /** The last completed step, from 1. */
  readonly step: number;
  /** Number of steps of the whole run. */
  readonly steps: number;
  /** Loss of the last step in nats per token. */
  readonly loss: number;
  /** Valid targets per second, measured over the last two windows of steps. */
  readonly tokensPerSecond: number;
  /** Estimated remaining seconds of training. */
  readonly secondsLeft: number;
}

/** Options of training besides its configuration.
 * @category Training */
export interface TrainOptions {
  /** A second writer that also receives every record of the log, for example a writer to standard output. */
  readonly records?: Pick<LogWriter, "write">;
  /** When aborted, the run saves a checkpoint and ends. */
  readonly signal?: AbortSignal;
  /** Called after each window of steps. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called with each divergence warning when it is logged. */
  readonly onWarning?: (warning: WarningRecord) => void;
  /** Called with the record of each evaluation. */
  readonly onEvaluation?: (record: EvalRecord) => void;
  /** Called before the first step with lines that describe the memory plan, the device and the reason for choosing it. */
  readonly onStart?: (lines: readonly string[]) => void;
  /** Ends after `onStart`, without training. Default: false. */
  readonly dryRun?: boolean;
  /** Resumes even if data or code has changed, and logs a warning. Default: false. */
  readonly acceptChanges?: boolean;
  /** The device. Default: `device` of the configuration; a run that resumes with "auto" keeps the device that was chosen. */
  readonly device?: string;
  /** Threads of the CPU device. Default: `train.threads` of the configuration. */
  readonly threads?: number;
  /** The BLAS library that computes the matrix products of the CPU device (see `findBlas`). Default: the device computes them. */
  readonly blas?: Blas;
}

/** The options of a run besides its experiment. */
export interface RunOptions
  extends Pick<TrainOptions, "signal" | "onProgress" | "onWarning" | "onEvaluation"> {
  /** The device it runs on. */
  readonly device: Device;
  /** The folder it writes to. */
  readonly folder: RunFolder;
  /** Receives every record, in order. */
  readonly log: Pick<RunLog, "write" | "sync">;
  /**
   * True if the log already has the final sample, because the run was stopped after writing the sample and before writing its
   * last record.
   */
  readonly sampled?: boolean;
}

/** A run inside its loop: its model, data, device, outputs, programs and state. */
export interface Run extends RunOptions, Omit<ReadyRun, typeof Symbol.dispose> {
  readonly experiment: Experiment;
  readonly state: LoopState;
}

/** The mutable state of a run. */
export interface LoopState {
  step: number;
  /** Number of valid targets trained on so far. */
  tokens: number;
  /** Number of values logged so far in the records of steps, evaluations and statistics. */
  counter: number;
  best: Best | null;
  /** Number of evaluations since the best one. */
  evalsSinceBest: number;
  /** Number of times that a plateau has reduced the learning rate. */
  lrReductions: number;
  last: EvalRecord | undefined;
  /** Count of non-finite steps. */
  nonFinite: NonFinite;
  /** Steps whose checkpoint is in the run's folder. */
  kept: Set<number>;
  /** The last step at which no checkpoint was saved because parameters were not finite. */
  unsaved?: number;
  /** Milliseconds per step over the last two windows. */
  ms: number;
  /** For each of the last two windows: when its metrics arrived (performance.now()), and its number of steps. */
  marks: readonly { at: number; count: number }[];
}

/**
 * The number of values that a record adds to `counter`: loss, lr and grad_norm of a step, or loss, perplexity and accuracy of
 * an evaluation.
 */
export const VALUES_PER_RECORD = 3;

const START: Omit<RunState, "val_loss" | "device" | "files"> = { step: 0, counter: 0, best: null };

/** Returns the number of positions per step, including positions without a valid target. */
const positionsOf = ({ train, model }: Config): number => train.batch * train.accumulate * model.context;

/**
 * Returns the initial state of a run, or its state at the checkpoint `from`. If the run was killed, its "best" link may be
 * stale and is set again; checkpoints that are no longer needed are removed when the next one is saved.
 */
export async function begin(folder: RunFolder, from: Checkpoint | undefined): Promise<LoopState> {
  const { step, counter, best, stale: evalsSinceBest = 0, reductions: lrReductions = 0 } = from?.state ??
    START;
  const steps = from ? await checkpointSteps(folder) : [];
  if (best && steps.includes(best.step)) await pointTo(folder, "best", best.step);
  const kept = new Set(steps.filter((old) => old <= step));
  const tokens = from?.state.tokens ?? step * (from ? positionsOf(from.config) : 0);
  const nonFinite = from?.state.non_finite ?? ALL_FINITE;
  return {
    step,
    tokens,
    counter,
    best,
    evalsSinceBest,
    lrReductions,
    last: undefined,
    nonFinite,
    kept,
    ms: 0,
    marks: [],
  };
}

/**
 * Maximum number of records per call of `log.write`: each record is an argument of the call, and the call stack holds about
 * 100,000 arguments.
 */
const RECORDS_PER_WRITE = 10_000;

/** Writes records of statistics to the log in as few calls as possible. */
export function writeStatistics(
  { log, state }: Pick<Run, "log" | "state">,
  records: readonly StatRecord[],
): void {
  for (const record of records) state.counter += statisticsOf(record).length;
  for (let first = 0; first < records.length; first += RECORDS_PER_WRITE) {
    log.write(...records.slice(first, first + RECORDS_PER_WRITE));
  }
}
