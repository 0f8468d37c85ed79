// How a model tells positions apart. What is added to the embedding and what rotates queries and keys is here; ALiBi is a
// modifier of the scores and stands with the attention layer.
import { add } from "../../kernels/elementwise/op.ts";
import { rope, type RopeOptions, ropeTurns } from "../../kernels/rope/op.ts";
import { literal, reshape, view } from "../graph/structure.ts";
import { scope, type Tensor } from "../graph/tensor.ts";
import { rowsAt } from "./cache.ts";
import type { Forward } from "./forward.ts";

/**
 * Sinusoidal positions as a constant [T, D]: sin(t w_i) in place 2i and cos(t w_i) in place 2i + 1, with
 * w_i = 10000^(-2i / D), computed in float64 (Vaswani et al. 2017, section 3.5).
 *
 * @param length T
 * @param dim D
 *
 * @example
 * ```ts
 * import { sincosPositions } from "./mod.ts";
 * sincosPositions(64, 128).shape; // [64, 128]
 * ```
 */
export function sincosPositions(length: number, dim: number): Tensor {
  const table = new Float64Array(length * dim);
  for (let t = 0; t < length; t++) {
    for (let d = 0; d < dim; d++) {
      const angle = t * 10000 ** (-(d - d % 2) / dim);
      table[t * dim + d] = d % 2 ? Math.cos(angle) : Math.sin(angle);
    }
  }
  return literal(table, [length, dim]);
}

/** x [B, T, D] with a row [T, D] added for each position, where the model adds any. */
export function addPositions(forward: Forward, x: Tensor): Tensor {
  const { architecture: { positions, dim }, parameters, taps, cache } = forward;
  const [B, T] = x.shape;
  if (positions !== "learned" && positions !== "sincos") return x;
  const table = positions === "learned"
    ? parameters["pos_embed.weight"]
    : sincosPositions(cache?.length ?? T, dim);
  if (cache) return add(x, taps.tap("pos_embed", rowsAt(table, cache)));
  const rows = taps.tap("pos_embed", T === table.shape[0] ? table : view(table, [T, dim]));
  return reshape(add(reshape(x, [B, T * dim]), reshape(rows, [T * dim])), [B, T, dim]);
}

/** What is done to queries and keys [B, T, H, d] for their position: a rotation, or nothing. */
export function rotation(forward: Forward, T: number) {
  const { architecture: { positions, rope: own = {}, dim, heads }, cache } = forward;
  if (positions !== "rope") return (x: Tensor): Tensor => x;
  const d = dim / heads;
  const options: RopeOptions = { base: own.base, pairs: own.pairs, rotaryDim: own.rotary_dim ?? d };
  const table = scope("rope", () => ropeTurns(cache?.length ?? T, d, options));
  if (!cache) return (x: Tensor): Tensor => rope(x, { ...options, turns: table });
  // Rows may stand at different positions: all of them are one sequence with turns of its own.
  const rows = rowsAt(table, cache);
  const turns = reshape(rows, [rows.shape[0] * T, rows.shape[2]]);
  return (x: Tensor): Tensor => {
    const [B, , count, width] = x.shape;
    return reshape(rope(reshape(x, [1, B * T, count, width]), { ...options, turns }), x.shape);
  };
}
