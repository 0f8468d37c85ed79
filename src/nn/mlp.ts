// The feed-forward layer of a block: act(x W1^T) W2^T, or with a gate (act(x Wg^T) * (x W1^T)) W2^T.
import { ACTIVATIONS } from "../../kernels/expression/activation.ts";
import { elementwise, multiply } from "../../kernels/elementwise/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { blockOf } from "./architecture.ts";
import type { Forward } from "./forward.ts";
import { METHODS } from "./model_keys.ts";

/**
 * Returns the hidden activations of block n's MLP, [B, T, F], given the branch's input x [B, T, D]. The tap `mlp.pre` records
 * the input of the activation function. The tap `mlp.post` records its output or, if the MLP is gated, the product of that
 * output and the second projection.
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
