// An exercise: implement a multi-head attention layer and check it against a reference implementation.
//
//   deno task check_attention --file examples/my_multi_head.ts --mask none
//
// compares this function with a dense float64 layer on 100 random cases. If your results match those of a common mistake
// (scores not scaled, heads split wrong, no output projection, ...), the check names that mistake.
import type { LayerOptions, Matrix } from "../mod.ts";

/**
 * Multi-head self-attention of one sample, with D = H d.
 *
 *   q = x Wq^T + bq, k = x Wk^T + bk, v = x Wv^T + bv   each [T][D]; head h has columns h d to (h + 1) d
 *   s_ij = q_i . k_j / sqrt(d)                          for each head, [T][T]
 *   a_i  = softmax over the j with mask[i][j] true      zeros if there is no such j
 *   z_i  = sum_j a_ij v_j                               for each head, [T][d]
 *   y = concat_h(z) Wo^T + bo                           [T][D]
 *
 * Matrices are [out][in], as in torch.nn.Linear and in heed's checkpoints: y_o = sum_i W_oi x_i + b_o.
 *
 * @param x [T][D]
 * @param weights by name: wq.weight [D][D], wq.bias [D], and the same for wk, wv and wo
 * @param options.heads number of heads, H
 * @param options.mask [T][T]; mask[i][j] is true if query i may see key j
 * @returns y, [T][D]
 */
export function multiHead(
  x: Matrix,
  weights: Record<string, Matrix | number[]>,
  options: LayerOptions,
): Matrix {
  const names = Object.keys(weights).join(", ");
  throw new Error(
    `multiHead() is not implemented yet; expected y of shape [${x.length}][${
      x[0].length
    }], from ${options.heads} heads and the weights ${names}.`,
  );
}
