// Statistics of dL/dpattern and dL/dscores behind a z, without either matrix: the pairs of the backward pass are recomputed
// and summed up, as in statistics.ts.
import { apply, mismatch, type Op, sizeOf, type Tensor } from "../../src/graph/tensor.ts";
import { reshape } from "../../src/graph/structure.ts";
import gradientStatisticsWgsl from "./gradient.wgsl" with { type: "text" };
import { attentionDispatch, gradientInputs, type Kernel, overQueries } from "../attention/dispatch.ts";
import { flops } from "../attention/op.ts";
import { type AttentionAttrs, attentionSizes, extraInputs, hasRowTerm, isExact } from "../attention/sizes.ts";
import { attentionNode, mergeDispatch, sumsCode } from "./op.ts";
import { gradientStatisticsCpu } from "./cpu.ts";

/** Names of the statistics of an attention's gradients, in the order of a row of `attentionGradientStatistics`. */
export const ATTENTION_GRADIENT_STATISTICS = [
  "pattern_mean",
  "pattern_std",
  "pattern_absmax",
  "pattern_l2",
  "scores_mean",
  "scores_std",
  "scores_absmax",
  "scores_l2",
  "pattern_nonfinite",
  "scores_nonfinite",
] as const;

const MERGED = ["pattern_spread", "scores_spread", "pattern_top", "scores_top"];
const ADDED = [
  "pattern_pairs",
  "scores_pairs",
  "pattern",
  "scores",
  "pattern_nonfinite",
  "scores_nonfinite",
];
const SUMS = sumsCode(ADDED, MERGED);

/** Statistics [H, 10] from q, k, v, dz, (row terms, z) and the extras. */
export const attentionGradientStatisticsOp: Op<AttentionAttrs> = {
  name: "attention_gradient_statistics",
  early: true,
  infer(inputs) {
    const { H } = attentionSizes(inputs);
    return [{ shape: [H, ATTENTION_GRADIENT_STATISTICS.length], dtype: "f32" }];
  },
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { B, H, D, DV } = sizes;
    const read = gradientInputs(sizes, attrs, 1, "z");
    const kernel: Kernel = {
      label: "attention gradient statistics",
      source: gradientStatisticsWgsl,
      ...overQueries(sizes, attrs),
      ...read,
      bindings: { 0: ["scratch", 0], ...read.bindings },
      numbersPerRow: D + DV,
      mostRows: 8,
    };
    const rows = attentionDispatch(kernel, sizes, attrs, target);
    return {
      scratch: [B * H * Number(rows.constants.TILES) * (ADDED.length + MERGED.length)],
      dispatches: [
        { ...rows, code: { ...rows.code, SUMS } },
        mergeDispatch(rows, sizes, target, {
          sums: SUMS,
          columns: ATTENTION_GRADIENT_STATISTICS.length,
          constants: { GRADIENT: true },
        }),
      ],
    };
  },
  cpu: gradientStatisticsCpu,
  flops: (call) => flops(call, 1, 1),
};

/**
 * Statistics of the gradients behind z = attention(...), a row of {@link ATTENTION_GRADIENT_STATISTICS} for every head: of
 * the pattern's, dA_ij = dz_i . v_j (times dropout's factor of the pair), and of the scores' as the activation sees them,
 * ds_ij of the attention's own backward pass: a_ij (dA_ij - sum_l a_il dA_il) for an exact softmax. Each is recomputed pair
 * by pair: memory stays linear in T.
 *
 * mean, std (population), absmax and l2 = sqrt(sum x^2) are over the visible pairs of all samples whose gradient is finite,
 * and NaN where there is none; nonfinite counts the others.
 *
 * @param z what `attention` returned, [B, T, H, dv] or reshaped
 * @param dz dL/dz, as many numbers
 * @returns f32 [H, 10]
 * @throws {UserError} where z is not attention's or dz is not of its size
 *
 * @example
 * ```ts
 * import { attention, input } from "../../mod.ts";
 * import { attentionGradientStatistics, gradientOf, sumSquares } from "../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const z = attention(q, k, v);
 * const dz = gradientOf(sumSquares(z), [q])(z)!;
 * const statistics = attentionGradientStatistics(z, dz); // [4, 10]
 * ```
 */
export function attentionGradientStatistics(z: Tensor, dz: Tensor): Tensor {
  const node = attentionNode("attentionGradientStatistics", z);
  const attrs = node.attrs as AttentionAttrs;
  if (sizeOf(dz) !== sizeOf(z)) {
    mismatch("attentionGradientStatistics", "z and a gradient of its size", [z, dz]);
  }
  const [made, row] = node.outputs;
  const inputs = [
    ...node.inputs.slice(0, 3),
    reshape(dz, made.shape),
    ...(hasRowTerm(attrs) ? [row] : []),
    ...(isExact(attrs) ? [made] : []),
    ...extraInputs(node.inputs, attrs),
  ];
  return apply(attentionGradientStatisticsOp, inputs, attrs)[0];
}
