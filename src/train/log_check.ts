// Checks that a run's log still has the records that its checkpoint was saved with. A power cut, a full disk or an edit may
// have removed some of them; resuming would then leave a gap in the log.
import { basename, dirname } from "node:path";
import { UserError } from "../base/errors.ts";
import { sealedFields, sealer } from "../log/log_seal.ts";
import { linesIn, type LogStart, objectOf } from "../log/run_log.ts";
import { readState } from "../model/checkpoint.ts";
import type { RunState } from "../runs/run_state.ts";
import { divergedRemedy } from "./divergence.ts";
import { checkpointSteps, type RunFolder, runFolder, stat, SWEEP_FOLDER } from "../runs/run_folder.ts";

/** The contents of a run's log, up to the first line that is not a record. */
export interface LogScan {
  /** Path of the log. */
  readonly path: string;
  /** Number of records. */
  readonly records: number;
  /** SHA-256 of the first n records, for each requested n. */
  readonly sha256: ReadonlyMap<number, string>;
  /** The last step n such that steps 1 to n are recorded in order; 0 if there is none. */
  readonly steps: number;
  /** Step of the first step record that is out of order, if any. */
  readonly stray?: number;
  /** Line number, from 1, of the first line that is not a record, if any. */
  readonly broken?: number;
  /** Step at which the run ended, if it has ended. */
  readonly ended?: number;
  /** Whether the run ended because it diverged. */
  readonly diverged?: boolean;
  /** The steps for which the log has a checkpoint record. */
  readonly recorded: ReadonlySet<number>;
  /** Step of the final sample, if there is one. */
  readonly sampled?: number;
}

/** Reads a log up to the first line that is not a record. For each n in `counts` it hashes the first n records. */
export async function scanLog(path: string, counts: readonly number[]): Promise<LogScan> {
  const hashed = new Set(counts);
  const [seal, sha256, recorded] = [sealer(), new Map<number, string>(), new Set<number>()];
  const scan: { -readonly [K in keyof LogScan]: LogScan[K] } = {
    path,
    records: 0,
    sha256,
    steps: 0,
    recorded,
  };
  if (await stat(path) === null) return scan;
  for (const { bytes, number, torn } of linesIn(path)) {
    const record = objectOf(bytes);
    if (!record) {
      if (!torn) scan.broken = number;
      break;
    }
    const { type, step } = record;
    seal.add(sealedFields(record));
    scan.records = number;
    if (hashed.has(number)) sha256.set(number, seal.seal().sha256);
    if (type === "step" && step === scan.steps + 1) scan.steps = step;
    else if (type === "step") scan.stray ??= step;
    else if (type === "checkpoint") recorded.add(step!);
    else if (type === "sample") scan.sampled = step;
    else if (type === "done") [scan.ended, scan.diverged] = [step, record.diverged === true];
  }
  return scan;
}

/**
 * Returns a message (without a full stop) if the log lacks records that a checkpoint was saved with, or has others instead;
 * undefined if all are there.
 */
export function logFault(scan: LogScan, { step, log }: LogStart): string | undefined {
  const { path, records, sha256, steps, stray, broken } = scan;
  const saved = `the checkpoint of step ${step} was saved with`;
  const after = broken === undefined ? "" : `, line ${broken} is not a record`;
  const hole = stray === undefined ? "" : `, found step ${stray}, expected step ${steps + 1}`;
  if (!log) {
    // Older checkpoints have no hash of the log. Every step has a record, so the recorded steps are counted instead.
    return steps >= step ? undefined : `${path}: has the records of ${steps} of ${step} steps${hole}${after}`;
  }
  if (records < log.records) {
    return `${path}: has ${records} of the ${log.records} records that ${saved}${hole}${after}`;
  }
  if (sha256.get(log.records) === log.sha256) return undefined;
  return steps < step
    ? `${path}: lacks records that ${saved}${hole}`
    : `${path}: its first ${log.records} records are not those that ${saved}: some are missing or changed, or the log is from another run`;
}

/** The folder of the run that a checkpoint belongs to; undefined for a checkpoint outside a run. */
export function runOfCheckpoint(path: string): RunFolder | undefined {
  return basename(dirname(path)) === "checkpoints" ? runFolder(dirname(dirname(path))) : undefined;
}

/** Returns the path of the last checkpoint before `step` whose records are all in the log; undefined if there is none. */
async function earlier(run: RunFolder, step: number): Promise<string | undefined> {
  const states: [string, RunState][] = [];
  for (const earlierStep of (await checkpointSteps(run)).filter((saved) => saved < step).reverse()) {
    const path = `${run.checkpoints}/${earlierStep}`;
    const state = await readState(path).catch(() => undefined);
    if (state) states.push([path, state]);
  }
  const scan = await scanLog(run.log, states.flatMap(([, { log }]) => log ? [log.records] : []));
  return states.find(([, state]) => logFault(scan, state) === undefined)?.[0];
}

/**
 * Reads the log of a run that is about to resume from a checkpoint.
 *
 * @throws {UserError} if the run has ended, or records are missing, changed or from another run; the message names the
 * remedy: an earlier checkpoint whose records are all in the log, or a new run
 */
export async function checkedLog(run: RunFolder, state: LogStart): Promise<LogScan> {
  const scan = await scanLog(run.log, state.log ? [state.log.records] : []);
  if (scan.ended !== undefined) {
    throw new UserError(
      scan.diverged
        ? `${run.path}: the run diverged and has ended at step ${scan.ended}; ${divergedRemedy(run.path)}`
        : `${run.path}: the run has ended at step ${scan.ended}; there is nothing to resume.`,
    );
  }
  const fault = logFault(scan, state);
  if (fault === undefined) return scan;
  const path = await earlier(run, state.step);
  if (path !== undefined) {
    throw new UserError(
      `${fault}; resume from an earlier checkpoint: deno task train --resume ${path}`,
    );
  }
  // If this run's folder stayed, the sweep's command would find the run and fail again.
  const remedy = SWEEP_FOLDER.test(dirname(dirname(run.path)))
    ? `remove ${run.path} and run the sweep's command again`
    : `start again: deno task train ${run.config}`;
  throw new UserError(`${fault}; ${remedy}`);
}
