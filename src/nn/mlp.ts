// The feed-forward half of a block: act(x W1^T) W2^T, or with a gate (act(x Wg^T) * (x W1^T)) W2^T.
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import { elementwise, multiply } from "../../kernels/elementwise/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { blockOf } from "./architecture.ts";
import type { Forward } from "./forward.ts";
import { METHODS } from "./model_keys.ts";

/**
 * The hidden values of block n's MLP, [B, T, F], from x [B, T, D] already normalised. The taps `mlp.pre` and `mlp.post`
 * stand before the activation and, with the gate's product, behind it.
 */
export function mlpValues(n: number, x: Tensor, forward: Forward): Tensor {
  const { taps } = forward;
  const { activation, gated, method } = blockOf(forward.architecture, n).mlp;
  const path = `blocks.${n}.mlp`;
  const matrix = `${path}.${gated ? "gate" : "fc"}`;
  let inner: Tensor;
  if (!METHODS[method].exact || taps.wants(`${path}.pre`)) {
    const pre = taps.tap(`${path}.pre`, forward.project(matrix, x, { method }));
    inner = elementwise(ACTIVATIONS[activation], { x: pre }, activation);
  } else {
    inner = forward.project(matrix, x, { activation });
  }
  if (gated) inner = multiply(inner, forward.project(`${path}.fc`, x, { method }));
  return taps.tap(`${path}.post`, inner);
}
