// Muon's two kernels on the host; what lies between them is made of products.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { clipFactor, type FlatUpdateAttrs, type UpdateRule } from "./flat_update.ts";
import type { DirectionAttrs } from "./muon.ts";

/** The momentum in place, and the direction: 0 where an element is not chosen. */
export function directionCpu(
  [gradient, , [squaredNorm], chosen]: readonly Values[],
  outputs: readonly Values[],
  { attrs: { momentum, nesterov, clip } }: Call<DirectionAttrs>,
): void {
  const [mean, direction] = outputs as readonly Floats[];
  const factor = clipFactor(clip, squaredNorm);
  for (let i = 0; i < mean.length; i++) {
    direction[i] = 0;
    if (chosen[i] === 0) continue;
    const g = gradient[i] * factor;
    const m = momentum * mean[i] + (1 - momentum) * g;
    mean[i] = m;
    direction[i] = nesterov ? momentum * m + (1 - momentum) * g : m;
  }
}

/** A step along the direction, which stands in the gradient's place. */
export function stepRule({ weightDecay }: FlatUpdateAttrs, [lr]: Values, parameter: Floats): UpdateRule {
  const decay = 1 - lr * weightDecay;
  return (i, direction) => {
    parameter[i] = parameter[i] * decay - lr * direction;
  };
}
