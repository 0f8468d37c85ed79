// Whether the log beside a checkpoint is the one that it was saved with. A power cut, a full disk or a hand may have taken
// records from it, and a run that went on would leave a hole there.
import { basename, dirname } from "node:path";
import { UserError } from "../base/errors.ts";
import { sealedFields, sealer } from "../log/log_seal.ts";
import { linesIn, type LogStart, objectOf } from "../log/run_log.ts";
import { readState } from "../model/checkpoint.ts";
import type { RunState } from "../runs/run_state.ts";
import { divergedRemedy } from "./divergence.ts";
import { checkpointSteps, type RunFolder, runFolder, stat, SWEEP_FOLDER } from "../runs/run_folder.ts";

/** What a run's log holds, as far as its lines are records. */
export interface LogScan {
  /** Its path. */
  readonly path: string;
  /** Records from the first line on. */
  readonly records: number;
  /** SHA-256 of the first so many, for the counts that were asked for. */
  readonly sha256: ReadonlyMap<number, string>;
  /** Steps 1 to this one have their records, in order. */
  readonly steps: number;
  /** The step of the first record that does not follow the one before. */
  readonly stray?: number;
  /** The number of the first line that is no record. */
  readonly broken?: number;
  /** The step of the last record, where the run has ended. */
  readonly ended?: number;
  /** Whether it ended because it diverged. */
  readonly diverged?: boolean;
  /** Steps that have the record of a checkpoint. */
  readonly recorded: ReadonlySet<number>;
  /** The step after which the sample of the end was drawn. */
  readonly sampled?: number;
}

/** Reads a log up to the first line that is no record; `counts` are numbers of records whose hash is wanted. */
export async function scanLog(path: string, counts: readonly number[]): Promise<LogScan> {
  const wanted = new Set(counts);
  const [seal, sha256, recorded] = [sealer(), new Map<number, string>(), new Set<number>()];
  const found: { -readonly [K in keyof LogScan]: LogScan[K] } = {
    path,
    records: 0,
    sha256,
    steps: 0,
    recorded,
  };
  if (await stat(path) === null) return found;
  for (const { bytes, number, torn } of linesIn(path)) {
    const record = objectOf(bytes);
    if (!record) {
      if (!torn) found.broken = number;
      break;
    }
    const { type, step } = record;
    seal.add(sealedFields(record));
    found.records = number;
    if (wanted.has(number)) sha256.set(number, seal.seal().sha256);
    if (type === "step" && step === found.steps + 1) found.steps = step;
    else if (type === "step") found.stray ??= step;
    else if (type === "checkpoint") recorded.add(step!);
    else if (type === "sample") found.sampled = step;
    else if (type === "done") [found.ended, found.diverged] = [step, record.diverged === true];
  }
  return found;
}

/** What is wrong with a log for a checkpoint, without a full stop; undefined where it has all that belongs to it. */
export function logFault(scan: LogScan, { step, log }: LogStart): string | undefined {
  const { path, records, sha256, steps, stray, broken } = scan;
  const saved = `the checkpoint of step ${step} was saved with`;
  const after = broken === undefined ? "" : `, line ${broken} is not a record`;
  const hole = stray === undefined ? "" : `, step ${stray} stands where ${steps + 1} should`;
  if (!log) {
    // Older checkpoints do not say; every step has a record.
    return steps >= step ? undefined : `${path}: has the records of ${steps} of ${step} steps${hole}${after}`;
  }
  if (records < log.records) {
    return `${path}: has ${records} of the ${log.records} records that ${saved}${hole}${after}`;
  }
  if (sha256.get(log.records) === log.sha256) return undefined;
  return steps < step
    ? `${path}: lacks records that ${saved}${hole}`
    : `${path}: its first ${log.records} records are not those that ${saved}: some are missing or changed, or it is another run's`;
}

/** The folder of the run that a checkpoint belongs to; undefined where it stands alone. */
export function runOfCheckpoint(path: string): RunFolder | undefined {
  return basename(dirname(path)) === "checkpoints" ? runFolder(dirname(dirname(path))) : undefined;
}

/** The checkpoint of the highest step below another whose log is whole; undefined where there is none. */
async function earlier(run: RunFolder, step: number): Promise<string | undefined> {
  const states: [string, RunState][] = [];
  for (const own of (await checkpointSteps(run)).filter((own) => own < step).reverse()) {
    const path = `${run.checkpoints}/${own}`;
    const state = await readState(path).catch(() => undefined);
    if (state) states.push([path, state]);
  }
  const scan = await scanLog(run.log, states.flatMap(([, { log }]) => log ? [log.records] : []));
  return states.find(([, state]) => logFault(scan, state) === undefined)?.[0];
}

/**
 * Reads the log of a run that is to go on from a checkpoint.
 *
 * @throws {UserError} where the run has ended, or records are missing, changed or another run's, with the way on: from an
 * earlier checkpoint whose log is whole, or anew
 */
export async function checkedLog(run: RunFolder, state: LogStart): Promise<LogScan> {
  const scan = await scanLog(run.log, state.log ? [state.log.records] : []);
  if (scan.ended !== undefined) {
    throw new UserError(
      scan.diverged
        ? `${run.path}: the run diverged and has ended at step ${scan.ended}; ${divergedRemedy(run.path)}`
        : `${run.path}: the run has ended at step ${scan.ended}; there is nothing to go on with.`,
    );
  }
  const fault = logFault(scan, state);
  if (fault === undefined) return scan;
  const path = await earlier(run, state.step);
  if (path !== undefined) {
    throw new UserError(
      `${fault}; go on from an earlier checkpoint: deno task train --resume ${path}`,
    );
  }
  // The command of a sweep finds what stands there, and would be refused again.
  const anew = SWEEP_FOLDER.test(dirname(dirname(run.path)))
    ? `remove ${run.path} and give the sweep's command again`
    : `start anew: deno task train ${run.config}`;
  throw new UserError(`${fault}; ${anew}`);
}
