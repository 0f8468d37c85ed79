// Stochastic gradient descent on the host.
import type { UpdateRule } from "../flat_update.ts";
import type { SgdAttrs } from "./op.ts";

/** What a step makes of one parameter and its momentum. */
export function sgdRule({ momentum, nesterov, weightDecay, decayed }: SgdAttrs, lr: number): UpdateRule {
  return (i, parameter, gradient, mean) => {
    const g = gradient + (i < decayed ? weightDecay * parameter : 0);
    const m = momentum * mean + g;
    return [parameter - lr * (nesterov ? g + momentum * m : m), m];
  };
}
