// When training diverges: which steps count, when the log warns of them, and when the run stops.
import type { NonFinite } from "../runs/run_state.ts";
import type { Config } from "../config/mod.ts";
import type { WarningRecord } from "../log/records.ts";

/** A run without such a step. */
export const ALL_FINITE: NonFinite = { streak: 0, warned: 0 };

/** Whether the log has warned in the interval between evaluations that a step belongs to. */
const isWarned = ({ warned }: NonFinite, step: number, every: number): boolean =>
  warned > 0 && Math.ceil(warned / every) === Math.ceil(step / every);

/**
 * Follows a step: it is not finite where its loss or its gradient norm is not, the two numbers that the log has of every
 * step. The log warns of the first such step of each interval between evaluations.
 */
export function followStep(
  before: NonFinite,
  { step, loss, norm }: { step: number; loss: number; norm: number },
  every: number,
): { after: NonFinite; warning?: WarningRecord } {
  if (Number.isFinite(loss) && Number.isFinite(norm)) return { after: { ...before, streak: 0 } };
  const streak = before.streak + 1;
  if (isWarned(before, step, every)) return { after: { ...before, streak } };
  const message =
    `The loss is ${loss} and the gradient norm ${norm}: lower optimizer.lr or set optimizer.clip.`;
  const warning: WarningRecord = { type: "warning", step, code: "non_finite", message, tap: null };
  return { after: { streak, warned: step }, warning };
}

/** Whether a run has made so many such steps in a row that it stops. */
export function hasDiverged({ streak }: NonFinite, { train: { stop_nonfinite } }: Config): boolean {
  return stop_nonfinite !== null && streak >= stop_nonfinite;
}

/** The warning with which a run stops. */
export function divergedWarning(step: number, { streak }: NonFinite, saved: number | null): WarningRecord {
  const message = `The loss or the gradient norm was not finite in ${streak} steps in a row ` +
    `(train.stop_nonfinite): the run stops; ${lastGood(saved)}.`;
  return { type: "warning", step, code: "diverged", message, tap: null };
}

/** The warning in place of a checkpoint whose parameters are not finite; undefined where the interval has one. */
export function unsavedWarning(
  step: number,
  before: NonFinite,
  saved: number | null,
  every: number,
): WarningRecord | undefined {
  if (isWarned(before, step, every)) return undefined;
  const message = `The parameters are not finite and make no checkpoint; ${lastGood(saved)}.`;
  return { type: "warning", step, code: "checkpoint_not_finite", message, tap: null };
}

/** Which checkpoint stands. */
const lastGood = (saved: number | null): string =>
  saved === null ? "there is no good checkpoint" : `the last good checkpoint is of step ${saved}`;

/**
 * What to do about a run that diverged: resumed, it would diverge again.
 *
 * @param path its folder; undefined where it has no checkpoint
 *
 * @example
 * ```ts
 * import { divergedRemedy } from "../../mod.ts";
 * divergedRemedy("runs/latest"); // "lower optimizer.lr; from its last good checkpoint: deno task train --from runs/latest"
 * ```
 * @category Training
 */
export const divergedRemedy = (path: string | undefined): string =>
  path === undefined
    ? "lower optimizer.lr and start anew"
    : `lower optimizer.lr; from its last good checkpoint: deno task train --from ${path}`;
