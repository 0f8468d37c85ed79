// AdamW and Adam on the host.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import type { AdamwOptions } from "./op.ts";

/** One step in place: the parameters and both moments are inputs and outputs in the same memory. */
export function adamwCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  { attrs }: Call<AdamwOptions>,
): void {
  const [parameter, expAvg, expAvgSq, update] = outputs as readonly [Floats, Floats, Floats, Floats?];
  const [, gradient, , , [squaredNorm], [lr, correction1, correction2], trained] = inputs;
  const { betas: [beta1, beta2], eps, weightDecay, clip, decayed, coupled } = attrs;
  const factor = clip > 0 ? Math.min(1, clip / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
  const decay = coupled ? 1 : 1 - lr * weightDecay;
  const inGradient = coupled ? weightDecay : 0;
  const rate = lr / correction1;
  for (let i = 0; i < parameter.length; i++) {
    if (trained?.[i] === 0) {
      if (update) update[i] = 0;
      continue;
    }
    const before = parameter[i];
    const g = gradient[i] * factor + (i < decayed ? inGradient * before : 0);
    const m = beta1 * expAvg[i] + (1 - beta1) * g;
    const v = beta2 * expAvgSq[i] + (1 - beta2) * g * g;
    expAvg[i] = m;
    expAvgSq[i] = v;
    parameter[i] = (i < decayed ? before * decay : before) - rate * m / (Math.sqrt(v) / correction2 + eps);
    if (update) update[i] = parameter[i] - before;
  }
}
