// Stochastic gradient descent on the host.
import type { Floats, Values } from "../../src/graph/tensor.ts";
import type { UpdateRule } from "./flat_update.ts";
import type { SgdAttrs } from "./sgd.ts";

/** What a step does to one parameter and its momentum. */
export function sgdRule(
  { momentum, nesterov, weightDecay, decayed }: SgdAttrs,
  [lr]: Values,
  parameter: Floats,
  [mean]: readonly Floats[],
): UpdateRule {
  return (i, gradient) => {
    const g = gradient + (i < decayed ? weightDecay * parameter[i] : 0);
    const m = momentum * mean[i] + g;
    mean[i] = m;
    parameter[i] -= lr * (nesterov ? g + momentum * m : m);
  };
}
