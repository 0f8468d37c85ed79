// Lion on the host.
import type { UpdateRule } from "../flat_update.ts";
import type { LionAttrs } from "./op.ts";

/** What a step makes of one parameter and its running mean. */
export function lionRule({ betas: [beta1, beta2], weightDecay, decayed }: LionAttrs, lr: number): UpdateRule {
  return (i, parameter, gradient, mean) => {
    const direction = Math.sign(beta1 * mean + (1 - beta1) * gradient);
    const decay = i < decayed ? 1 - lr * weightDecay : 1;
    return [parameter * decay - lr * direction, beta2 * mean + (1 - beta2) * gradient];
  };
}
