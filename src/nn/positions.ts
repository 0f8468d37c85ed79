// The position schemes, one table entry each. A scheme adds rows to the embedding, rotates queries and keys, or changes the
// scores.
import { alibi } from "../../kernels/attention/modifier.ts";
import { rope, type RopeOptions, ropeTurns } from "../../kernels/rope/op.ts";
import { literal, reshape } from "../graph/structure.ts";
import { scope, type Tensor } from "../graph/tensor.ts";
import { rowsAt } from "./cache.ts";
import type { PositionScheme } from "./position_scheme.ts";

const learned: PositionScheme = {
  matrices: ({ context, dim }) => ({ pos_embed: [context, dim] }),
  rows: ({ parameters }) => parameters["pos_embed.weight"],
};

const none: PositionScheme = {};

const sincos: PositionScheme = {
  rows: ({ architecture: { dim }, cache }, T) => sincosPositions(cache?.length ?? T, dim),
};

const rotary: PositionScheme = {
  rotation({ architecture: { rope: keys = {}, dim, heads }, cache }, T) {
    const d = dim / heads;
    const options: RopeOptions = { base: keys.base, pairs: keys.pairs, rotaryDim: keys.rotary_dim ?? d };
    const table = scope("rope", () => ropeTurns(cache?.length ?? T, d, options));
    if (!cache) return (x) => rope(x, { ...options, turns: table });
    // Rows of the batch may be at different positions. So all rows are rotated as one sequence of B T tokens, with a table of
    // turns whose row n is for the position of token n.
    const rows = rowsAt(table, cache);
    const turns = reshape(rows, [rows.shape[0] * T, rows.shape[2]]);
    return (x) => {
      const [B, , count, width] = x.shape;
      return reshape(rope(reshape(x, [1, B * T, count, width]), { ...options, turns }), x.shape);
    };
  },
  conflict({ dim, heads, rope: { rotary_dim: rotated = null } = {} }) {
    const [key, head] = ["rope.rotary_dim", dim / heads];
    if ((rotated ?? head) % 2 === 0 && (rotated ?? 0) <= head) return undefined;
    const message = rotated === null
      ? `the head dimension ${head} is odd, and rope rotates pairs; expected ${head - 1} or less.`
      : rotated > head
      ? `${rotated} is above the head dimension ${head}; expected at most ${head}.`
      : `${rotated} is odd, and rope rotates pairs; expected an even number.`;
    return { key, message };
  },
};

const slopes: PositionScheme = { score: ({ architecture: { heads } }) => alibi(heads) };

/** The schemes, keyed by the values of `model.positions`. */
export const POSITIONS = { learned, none, sincos, rope: rotary, alibi: slopes };

/**
 * Returns sinusoidal position embeddings as a constant [T, D]: sin(t w_i) in channel 2i and cos(t w_i) in channel 2i + 1, with
 * w_i = 10000^(-2i / D), computed in float64 (Vaswani et al. 2017, section 3.5).
 *
 * @param length number of positions, T
 * @param dim width of an embedding, D
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
