// Checks for NaN and infinity in parameters, logits and losses.
import { UserError } from "../base/errors.ts";

/** The error that is thrown if a parameter, logit or loss of a model is NaN or infinite. */
export class NotFiniteError extends UserError {}

/** Throws NotFiniteError ("WHAT are not finite") if a value is neither finite nor equal to `allowed`. */
export function checkFinite(values: ArrayLike<number>, what: string, allowed?: number): void {
  for (let n = 0; n < values.length; n++) {
    if (Number.isFinite(values[n]) || values[n] === allowed) continue;
    const reason = `element ${n} is ${values[n]}: the model is unusable`;
    throw new NotFiniteError(`${what} are not finite, ${reason}; has its training diverged?`);
  }
}

/** Throws NotFiniteError if a logit is NaN or +Infinity; a hook may mask a token with -Infinity. */
export function checkLogits(logits: ArrayLike<number>): void {
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] < Infinity) continue;
    const reason = `the logit of token ${id} is ${logits[id]}: no token can be predicted`;
    throw new NotFiniteError(`The model's logits are not finite, ${reason}; has its training diverged?`);
  }
}

/**
 * Throws if a loss is NaN or -Infinity. Infinity is allowed: it is the loss of a target token that a hook masks.
 *
 * @throws {NotFiniteError} naming the first such loss
 *
 * @example
 * ```ts
 * import { checkLosses } from "./mod.ts";
 * checkLosses([1.5, Infinity]);
 * ```
 * @category Models
 */
export function checkLosses(losses: ArrayLike<number>): void {
  checkFinite(losses, "The model's losses", Infinity);
}
