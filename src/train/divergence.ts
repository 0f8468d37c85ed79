// Divergence: which steps count as not finite, when the log warns of them, and when the run stops.
import type { NonFinite } from "../runs/run_state.ts";
import type { Config } from "../config/mod.ts";
import type { WarningRecord } from "../log/records.ts";

/** The state of a run without non-finite steps. */
export const ALL_FINITE: NonFinite = { streak: 0, warned: 0 };

/**
 * Returns true if the log already has a warning for the evaluation interval (the `every` steps up to an evaluation) that
 * contains the step.
 */
const isWarned = ({ warned }: NonFinite, step: number, every: number): boolean =>
  warned > 0 && Math.ceil(warned / every) === Math.ceil(step / every);

/**
 * Updates the count of consecutive non-finite steps. A step is non-finite if its loss or gradient norm is not finite. Returns
 * a warning for the first such step of each evaluation interval.
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

/** Whether a run stops because `train.stop_nonfinite` steps in a row were not finite. */
export function hasDiverged({ streak }: NonFinite, { train: { stop_nonfinite } }: Config): boolean {
  return stop_nonfinite !== null && streak >= stop_nonfinite;
}

/** The warning logged when a run stops because it diverged. */
export function divergedWarning(step: number, { streak }: NonFinite, saved: number | null): WarningRecord {
  const message = `The loss or the gradient norm was not finite in ${streak} steps in a row ` +
    `(train.stop_nonfinite): the run stops; ${lastGood(saved)}.`;
  return { type: "warning", step, code: "diverged", message, tap: null };
}

/**
 * Returns the warning that is logged when non-finite parameters are not saved as a checkpoint; undefined if the log already
 * has a warning for this evaluation interval (see `isWarned`).
 */
export function unsavedWarning(
  step: number,
  before: NonFinite,
  saved: number | null,
  every: number,
): WarningRecord | undefined {
  if (isWarned(before, step, every)) return undefined;
  const message = `The parameters are not finite and are not saved; ${lastGood(saved)}.`;
  return { type: "warning", step, code: "checkpoint_not_finite", message, tap: null };
}

/** Says which step the last saved checkpoint is from, for use in warnings. */
const lastGood = (saved: number | null): string =>
  saved === null ? "there is no good checkpoint" : `the last good checkpoint is from step ${saved}`;

/**
 * Suggests what to do after a run has diverged; if it were resumed unchanged, it would diverge again.
 *
 * @param path the run's folder; undefined if it has no checkpoint
 *
 * @example
 * ```ts
 * import { divergedRemedy } from "../../mod.ts";
 * divergedRemedy("runs/latest"); // "lower optimizer.lr and start from the last good checkpoint: deno task train --from runs/latest"
 * ```
 * @category Training
 */
export const divergedRemedy = (path: string | undefined): string =>
  path === undefined
    ? "lower optimizer.lr and start again"
    : `lower optimizer.lr and start from the last good checkpoint: deno task train --from ${path}`;
