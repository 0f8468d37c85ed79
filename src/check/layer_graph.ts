// The graph of one decoder block, for diagrams and for comparison with layers of other libraries.
import { UserError } from "../base/errors.ts";
import { input, state } from "../graph/structure.ts";
import type { Tensor } from "../graph/tensor.ts";
import { type Architecture, decoder, decoderParameters, type Parameters } from "../nn/mod.ts";

/**
 * Builds block n of a decoder as a function of the residual stream, from `blocks.n.resid_pre` to `blocks.n.resid_post`.
 *
 * @param architecture the decoder's shape
 * @param x the stream before the block, [B, T, dim]
 * @param parameters tensors, keyed by the names of `decoderParameters`. Default: states with these names
 * @returns the stream after the block, [B, T, dim]
 * @throws {UserError} if there is no such block
 *
 * @example
 * ```ts
 * import { graphDiagram, input } from "../../mod.ts";
 * import { decoderLayer } from "./mod.ts";
 * import type { Architecture } from "../nn/mod.ts";
 * const architecture: Architecture = {
 *   vocabulary: 65, context: 64, dim: 128, layers: 1, heads: 4, positions: "none", norm: "layernorm",
 *   bias: true, tied: true, dropout: 0, init: { std: 0.02, scaled_residual: true },
 *   block: { attention: { activation: "softmax", bias: "auto" }, mlp: { activation: "gelu", factor: 4 } },
 * };
 * const svg = graphDiagram({ resid_post: decoderLayer(architecture, input("resid_pre", [12, 64, 128])) });
 * ```
 */
export function decoderLayer(
  architecture: Architecture,
  x: Tensor,
  parameters: Parameters = {},
  n = 0,
): Tensor {
  const states = decoderParameters(architecture).map(({ name, shape }) => [name, state(name, shape)]);
  const ids = input("ids", x.shape.slice(0, 2), "u32");
  let after: Tensor | undefined;
  decoder(architecture, { ...Object.fromEntries(states), ...parameters }, ids, {
    taps: {
      wants: () => false,
      tap(name, tensor) {
        if (name === `blocks.${n}.resid_post`) after = tensor;
        return name === `blocks.${n}.resid_pre` ? x : tensor;
      },
    },
  });
  if (!after) throw new UserError(`decoderLayer: block ${n}, expected 0 to ${architecture.layers - 1}.`);
  return after;
}
