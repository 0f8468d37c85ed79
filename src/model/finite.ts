// What nothing can be asked of: a model whose numbers are NaN or infinite.
import { UserError } from "../base/errors.ts";

/** A model that has gone astray says nothing: a number that it holds or computes is NaN or infinite. */
export class NotFiniteError extends UserError {}

/** Throws NotFiniteError, "WHAT are not finite", at the first of a model's numbers that is NaN or infinite, not `allowed`. */
export function checkFinite(values: ArrayLike<number>, what: string, allowed?: number): void {
  for (let n = 0; n < values.length; n++) {
    if (Number.isFinite(values[n]) || values[n] === allowed) continue;
    const found = `number ${n} is ${values[n]}: the model says nothing`;
    throw new NotFiniteError(`${what} are not finite, ${found}; has its training diverged?`);
  }
}

/** Throws where logits are NaN or infinite; a hook may rule a token out by -Infinity. */
export function checkLogits(logits: ArrayLike<number>): void {
  for (let id = 0; id < logits.length; id++) {
    if (logits[id] < Infinity) continue;
    const found = `that of token ${id} is ${logits[id]}: nothing follows`;
    throw new NotFiniteError(`The model's logits are not finite, ${found}; has its training diverged?`);
  }
}

/**
 * Throws where losses are NaN; that of a token that a hook rules out is Infinity.
 *
 * @throws {NotFiniteError} with the first that is NaN
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
