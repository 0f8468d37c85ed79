// AdamW and Adam on the host.
import type { Floats, Values } from "../../src/graph/tensor.ts";
import type { UpdateRule } from "./flat_update.ts";
import type { AdamwAttrs } from "./adamw.ts";

/** What a step does to one parameter and its two moments. */
export function adamwRule(
  { betas: [beta1, beta2], eps, weightDecay, decayed, coupled }: AdamwAttrs,
  [lr, correction1, correction2]: Values,
  parameter: Floats,
  [expAvg, expAvgSq]: readonly Floats[],
): UpdateRule {
  const decay = coupled ? 1 : 1 - lr * weightDecay;
  const inGradient = coupled ? weightDecay : 0;
  const rate = lr / correction1;
  return (i, gradient) => {
    const before = parameter[i];
    const g = gradient + (i < decayed ? inGradient * before : 0);
    const m = beta1 * expAvg[i] + (1 - beta1) * g;
    const v = beta2 * expAvgSq[i] + (1 - beta2) * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    parameter[i] = (i < decayed ? before * decay : before) - rate * m / (Math.sqrt(v) / correction2 + eps);
  };
}
