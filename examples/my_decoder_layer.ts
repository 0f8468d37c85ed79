// An exercise: implement a decoder layer and check it against a reference implementation.
// Do examples/my_multi_head.ts first.
//
//   deno task check_attention --file examples/my_decoder_layer.ts --mask causal
//
// compares this function with a dense float64 layer on 100 random cases. If your results match those of a common mistake
// (post-norm, a residual left out, ...), the check names that mistake.
import type { LayerOptions, Matrix } from "../mod.ts";

/**
 * A pre-norm decoder layer of one sample.
 *
 *   h = x + multiHead(LN1(x))                           as in examples/my_multi_head.ts, [T][D]
 *   y = h + Wproj relu(Wfc LN2(h) + bfc) + bproj        [T][D]; the hidden layer has F units
 *   LN(x) = (x - mean) / sqrt(var + 1e-5) * weight + bias, mean and var = sum (x - mean)^2 / D over the D features of a position
 *
 * Matrices are [out][in], as in torch.nn.Linear and in heed's checkpoints.
 *
 * @param x [T][D]
 * @param weights named as in a block of heed's checkpoints: ln1.weight, ln1.bias [D]; attn.wq.weight [D][D], attn.wq.bias [D],
 * and the same for attn.wk, attn.wv, attn.wo; ln2.weight, ln2.bias [D]; mlp.fc.weight [F][D], mlp.fc.bias [F];
 * mlp.proj.weight [D][F], mlp.proj.bias [D]
 * @param options.heads number of heads, H
 * @param options.mask [T][T]; mask[i][j] is true if query i may see key j
 * @returns y, [T][D]
 */
export function decoderLayer(
  x: Matrix,
  weights: Record<string, Matrix | number[]>,
  options: LayerOptions,
): Matrix {
  const names = Object.keys(weights).join(", ");
  throw new Error(
    `decoderLayer() is not implemented yet; expected y of shape [${x.length}][${
      x[0].length
    }], from ${options.heads} heads and the weights ${names}.`,
  );
}
