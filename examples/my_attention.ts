// An exercise: implement attention and check it against a reference implementation.
//
//   deno task check_attention --file examples/my_attention.ts --mask none
//
// compares this function with dense float64 attention on 100 random cases and prints the smallest failing case in full.
// Once that passes, try --mask causal, then --mask random (in which a query may see no key), then leave --mask out. You can
// copy this file to any folder and pass its path to --file.
import type { AttentionInput } from "../mod.ts";

/**
 * Attention of one head of one sample.
 *
 *   s_ij = scale * sum_e q_ie k_je                      scores, [T][S]
 *   a_ij = exp(s_ij) / sum_j' exp(s_ij')                softmax over the keys j' that query i may see; 0 for the others
 *   z_i  = sum_j a_ij v_j                               weighted sum of values, [T][dv]
 *
 * Query i may see key j if mask[i][j] is true. If query i may see no key, z_i is zero. T and S may differ, and so may d and dv.
 * To keep exp from overflowing, first subtract the row's largest visible score; this does not change the weights.
 *
 * @param input.q queries, [T][d]
 * @param input.k keys, [S][d]
 * @param input.v values, [S][dv]
 * @param input.mask [T][S]; mask[i][j] is true if query i may see key j
 * @param input.scale scale factor of the scores, usually but not always 1/sqrt(d)
 * @returns z, [T][dv]
 */
export function attention(input: AttentionInput): number[][] {
  const { q, v } = input;
  throw new Error(`attention() is not implemented yet; expected z of shape [${q.length}][${v[0].length}].`);
}

// Once attention() passes, implement its gradients, given the upstream gradient dz [T][dv]. They are checked as soon as
// `attentionGradient` is exported.
//
//   dv_j  = sum_i a_ij dz_i                             [S][dv]
//   g_ij  = dz_i . v_j                                  gradient of the weights, [T][S]
//   ds_ij = a_ij (g_ij - sum_j' a_ij' g_ij')            through the softmax
//   dq_i  = scale * sum_j ds_ij k_j                     [T][d]
//   dk_j  = scale * sum_i ds_ij q_i                     [S][d]
//
// export function attentionGradient({ q, k, v, mask, scale, dz }) {
//   return { dq, dk, dv };
// }
