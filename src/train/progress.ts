// What a run is given besides its experiment, and everything about it that changes while it goes: the windows of steps
// and what comes between them share both.
import type { Config } from "../config/mod.ts";
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

/** How far a run is.
 * @category Training */
export interface Progress {
  /** Steps made. */
  readonly step: number;
  /** Steps in all. */
  readonly steps: number;
  /** Of the last step, in nats per token. */
  readonly loss: number;
  /** Over the last window of steps. */
  readonly tokensPerSecond: number;
  /** Estimated from the last window of steps. */
  readonly secondsLeft: number;
}

/** Options of training besides its configuration.
 * @category Training */
export interface TrainOptions {
  /** A second place for every record, standard output for example. */
  readonly records?: Pick<LogWriter, "write">;
  /** Aborted: the run saves where it stands and ends. */
  readonly signal?: AbortSignal;
  /** Called after each window of steps. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called with each warning of a run that diverges, as it is logged. */
  readonly onWarning?: (warning: WarningRecord) => void;
  /** Called with the record of each evaluation as it comes. */
  readonly onEvaluation?: (record: EvalRecord) => void;
  /** Called once, before the first step: the memory plan, the device and why it was chosen. */
  readonly onStart?: (lines: readonly string[]) => void;
  /** Ends after the announcement. */
  readonly dryRun?: boolean;
  /** A run goes on although its data or code has changed, and its log has a warning. */
  readonly acceptChanges?: boolean;
}

/** What a run is given besides its experiment. */
export interface RunOptions
  extends Pick<TrainOptions, "signal" | "onProgress" | "onWarning" | "onEvaluation"> {
  /** Where it computes. */
  readonly device: Device;
  /** Where it writes. */
  readonly folder: RunFolder;
  /** Takes every record, in order. */
  readonly log: Pick<RunLog, "write" | "sync">;
  /** Whether the log has a sample of the end already: the run was stopped between it and the last record. */
  readonly sampled?: boolean;
}

/** A run as its loop has it: its model and data, where it computes and writes, its programs, and where it stands. */
export interface Run extends RunOptions, Omit<ReadyRun, typeof Symbol.dispose> {
  readonly experiment: Experiment;
  readonly state: LoopState;
}

/** Everything about a run that changes while it goes. */
export interface LoopState {
  step: number;
  /** Targets learned from. */
  tokens: number;
  counter: number;
  best: Best | null;
  /** Evaluations since the best one. */
  stale: number;
  /** Times that a plateau has lowered the learning rate. */
  reductions: number;
  last: EvalRecord | undefined;
  /** Its steps that were not finite. */
  nonFinite: NonFinite;
  /** Steps that hold a checkpoint of this run. */
  kept: Set<number>;
  /** The last step whose parameters were not finite and made no checkpoint. */
  unsaved?: number;
  /** Milliseconds a step, of the last two windows. */
  ms: number;
  /** When the numbers of the last windows came, and how many steps each had. */
  marks: readonly { at: number; count: number }[];
}

/** Numbers that each record adds to the counter: loss, lr, grad_norm; loss, perplexity, accuracy. */
export const VALUES_A_RECORD = 3;

const START: Omit<RunState, "val_loss" | "device" | "files"> = { step: 0, counter: 0, best: null };

/** Positions of a step, those without a valid target too. */
const positionsOf = ({ train, model }: Config): number => train.batch * train.accumulate * model.context;

/** Where a run stands as it begins. One that was killed may have left "best" behind, and checkpoints to be removed. */
export async function begin(folder: RunFolder, from: Checkpoint | undefined): Promise<LoopState> {
  const { step, counter, best, stale = 0, reductions = 0 } = from?.state ?? START;
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
    stale,
    reductions,
    last: undefined,
    nonFinite,
    kept,
    ms: 0,
    marks: [],
  };
}

/** As many records as a call of the log takes: an argument each, of which a stack holds some 100,000. */
const RECORDS_A_WRITE = 10_000;

/** Records of tensors, in as few writes as may be. */
export function writeStatistics(
  { log, state }: Pick<Run, "log" | "state">,
  records: readonly StatRecord[],
): void {
  for (const record of records) state.counter += statisticsOf(record).length;
  for (let first = 0; first < records.length; first += RECORDS_A_WRITE) {
    log.write(...records.slice(first, first + RECORDS_A_WRITE));
  }
}
