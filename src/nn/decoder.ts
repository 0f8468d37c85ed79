// The decoder: a pure function of its parameters, in the notation of the papers. Blocks are in block.ts, parameters in
// parameters.ts.
import { refuseRenamed } from "../base/errors.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { add } from "../../kernels/elementwise/op.ts";
import { linear } from "../../kernels/matmul/op.ts";
import { reshape, view } from "../graph/structure.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { type Architecture, blocksOf, headMethod } from "./architecture.ts";
import { applyBlock } from "./block.ts";
import { rowsAt } from "./cache.ts";
import { feedbackLinear, keepError } from "./feedback.ts";
import { type Forward, forwardOf, type ForwardOptions } from "./forward.ts";
import { matrixStd, type Parameters } from "./parameters.ts";
import { METHODS } from "./model_keys.ts";
import { POSITIONS } from "./positions.ts";

export type { Architecture } from "./architecture.ts";
export type { ForwardOptions, Taps } from "./forward.ts";
export { decoderParameters, type Parameter, parameterCount, type Parameters } from "./parameters.ts";

/** Adds position embeddings [T, D] to x [B, T, D], if the model has them. */
function addPositions(forward: Forward, x: Tensor): Tensor {
  const { architecture: { positions, dim }, taps, cache } = forward;
  const [B, T] = x.shape;
  const table = POSITIONS[positions].rows?.(forward, T);
  if (!table) return x;
  if (cache) return add(x, taps.tap("pos_embed", rowsAt(table, cache)));
  const rows = taps.tap("pos_embed", T === table.shape[0] ? table : view(table, [T, dim]));
  return reshape(add(reshape(x, [B, T * dim]), reshape(rows, [T * dim])), [B, T, dim]);
}

/** Returns the logits norm(x) W_head^T [B, T, V] of the residual stream x [B, T, D]. */
export function unembed({ architecture, parameters, taps, norm }: Forward, x: Tensor): Tensor {
  const head = parameters[architecture.tied ? "embed.weight" : "unembed.weight"];
  const normed = taps.tap("final_norm", norm(architecture.norm, "final_norm", x));
  if (METHODS[headMethod(architecture)].exact) return linear(normed, head);
  // The error at the head's output is dL/dlogits, so fa and dfa are the same here.
  return feedbackLinear(normed, head, { name: "unembed", std: matrixStd(architecture, head.shape) });
}

/**
 * A decoder: logits = norm(x_L) W_head^T, where x_0 = embed(ids) + positions. Each block adds attention and then an MLP to the
 * residual stream: x += attention(norm(x)), x += mlp(norm(x)); its `norm_order` may place the norms differently. The decoder is
 * causal: the logits of a position depend only on the token at that position and on earlier tokens.
 *
 * @param architecture sizes and options
 * @param parameters the parameter tensors, keyed by the names that `decoderParameters` returns
 * @param ids token ids, u32 [B, T]; with learned positions T is at most the context length
 * @returns the logits, [B, T, V], or [B, W, V] if `logitRows` selects W positions per row
 *
 * @example
 * ```ts
 * import { decoder, input, state } from "../../mod.ts";
 * import { decoderParameters } from "./mod.ts";
 * import type { Architecture } from "./mod.ts";
 * const architecture: Architecture = {
 *   vocabulary: 65, context: 64, dim: 128, layers: 4, heads: 4, positions: "learned", norm: "layernorm",
 *   bias: false, tied: true, dropout: 0, init: { std: 0.02, scaled_residual: true },
 *   block: { attention: { activation: "sigmoid" }, mlp: { activation: "silu", gated: true } },
 * };
 * const parameters = Object.fromEntries(decoderParameters(architecture).map((p) => [p.name, state(p.name, p.shape)]));
 * const logits = decoder(architecture, parameters, input("ids", [12, 64], "u32")); // [12, 64, 65]
 * ```
 * @category Models
 */
export function decoder(
  architecture: Architecture,
  parameters: Parameters,
  ids: Tensor,
  options: ForwardOptions = {},
): Tensor {
  refuseRenamed("decoder", options);
  const forward = forwardOf(architecture, parameters, ids, options);
  const { taps } = forward;
  const [[B, T], { dim }] = [ids.shape, architecture];
  let x = addPositions(forward, taps.tap("embed", embedding(parameters["embed.weight"], ids)));
  x = forward.drop(x, architecture.dropout);
  const rotate = POSITIONS[architecture.positions].rotation?.(forward, T) ?? ((x: Tensor) => x);
  for (let n = 0; n < architecture.layers; n++) x = applyBlock(n, x, forward, rotate);
  const { logitRows } = options;
  if (logitRows) x = reshape(embedding(reshape(x, [B * T, dim]), logitRows), [B, sizeOf(logitRows) / B, dim]);
  const logits = unembed(forward, x);
  const direct = blocksOf(architecture).some(({ attention, mlp }) =>
    [attention, mlp].some((half) => METHODS[half.method].direct)
  );
  const tapped = taps.tap("logits", direct ? keepError(logits, forward.output) : logits);
  forward.hooks.finish();
  return tapped;
}
