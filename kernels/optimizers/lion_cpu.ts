// Lion on the host.
import type { Floats, Values } from "../../src/graph/tensor.ts";
import type { UpdateRule } from "./flat_update.ts";
import type { LionAttrs } from "./lion.ts";

/** What a step does to one parameter and its running mean. */
export function lionRule(
  { betas: [beta1, beta2], weightDecay, decayed }: LionAttrs,
  [lr]: Values,
  parameter: Floats,
  [mean]: readonly Floats[],
): UpdateRule {
  return (i, gradient) => {
    const direction = Math.sign(beta1 * mean[i] + (1 - beta1) * gradient);
    const decay = i < decayed ? 1 - lr * weightDecay : 1;
    parameter[i] = parameter[i] * decay - lr * direction;
    mean[i] = beta2 * mean[i] + (1 - beta2) * gradient;
  };
}
