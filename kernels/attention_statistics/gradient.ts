// Statistics of dL/dpattern and dL/dscores behind a z, without either matrix: the pairs of the backward pass are recomputed
// and summed up, as in op.ts.
import { apply, mismatch, sizeOf } from "../../src/graph/tensor.ts";
import type { Call, Floats, Op, Tensor, Values } from "../../src/graph/tensor.ts";
import { reshape } from "../../src/graph/structure.ts";
import gradientStatisticsWgsl from "./gradient.wgsl" with { type: "text" };
import { forPairs } from "../attention/cpu.ts";
import { attentionDispatch, gradientInputs, type Kernel, overQueries } from "../attention/dispatch.ts";
import { flops } from "../attention/op.ts";
import { dropoutScale, workOfCall } from "../attention/rows.ts";
import { type AttentionAttrs, attentionSizes, extraInputs, hasRowTerm, isExact } from "../attention/sizes.ts";
import { attentionNode, lowerSums, sumsCode } from "./op.ts";
import { columnsOf, count, deviation, meanOf, newAverage } from "./table.ts";
import type { AttentionMatrix, AttentionStatistic, Average } from "./table.ts";

const MATRICES = ["pattern", "scores"] as const;

/** The finite gradients of a matrix as the host counts them, and how many are not. */
interface CountedGradient extends Average {
  absmax: number;
  squares: number;
  nonfinite: number;
}

/** A statistic of a matrix: WGSL from the sums of the matrix, the number on the host, and whether infinite pairs count. */
interface OfMatrix {
  readonly column: (x: AttentionMatrix) => string;
  readonly head: (counted: CountedGradient) => number;
  readonly ofAll?: true;
}

const OF_MATRIX: Readonly<Record<string, OfMatrix>> = {
  mean: { column: (x) => `mean(sums.${x}, sums.${x}_pairs)`, head: meanOf },
  std: { column: (x) => `root_mean(sums.${x}_m2, sums.${x}_pairs)`, head: deviation },
  absmax: {
    column: (x) => `among(sums.${x}_absmax, sums.${x}_pairs)`,
    head: ({ n, absmax }) => n > 0 ? absmax : NaN,
  },
  l2: {
    column: (x) =>
      `among(sqrt(sums.${x}_m2 + sums.${x} * sums.${x} / max(sums.${x}_pairs, 1f)), sums.${x}_pairs)`,
    head: ({ n, squares }) => n > 0 ? Math.sqrt(squares) : NaN,
  },
  nonfinite: {
    column: (x) => `bitcast<u32>(sums.${x}_nonfinite)`,
    head: ({ nonfinite }) => nonfinite,
    ofAll: true,
  },
};

/** The columns: those of each matrix, then what counts all pairs of each. */
const COLUMNS = [undefined, true].flatMap((ofAll) =>
  MATRICES.flatMap((x) =>
    Object.entries(OF_MATRIX).flatMap(([name, of]) => of.ofAll === ofAll ? [{ x, name, of }] : [])
  )
);

/** The statistics of an attention's gradients, in the order of their columns. */
export const ATTENTION_GRADIENT_TABLE: Readonly<Record<string, AttentionStatistic>> = Object.fromEntries(
  COLUMNS.map(({ x, name, of }) => [`${x}_${name}`, { column: of.column(x), log: { [x]: name } }]),
);

/** Names of the statistics of an attention's gradients, in the order of a row of `attentionGradientStatistics`. */
export const ATTENTION_GRADIENT_STATISTICS: readonly string[] = Object.keys(ATTENTION_GRADIENT_TABLE);

const SUMS = sumsCode(
  columnsOf(ATTENTION_GRADIENT_TABLE),
  MATRICES.flatMap((x) => [`${x}_m2`, `${x}_absmax`]),
);

function gradientStatisticsCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz] = inputs as readonly Floats[];
  const work = workOfCall(inputs, call);
  const { H, HKV, DV } = work.sizes;
  const newGradient = (): CountedGradient => ({ ...newAverage(), absmax: 0, squares: 0, nonfinite: 0 });
  const heads = Array.from({ length: H }, () => ({ pattern: newGradient(), scores: newGradient() }));
  const add = (to: CountedGradient, x: number): void => {
    if (!Number.isFinite(x)) {
      to.nonfinite++;
      return;
    }
    count(to, x);
    to.absmax = Math.max(to.absmax, Math.abs(x));
    to.squares += x * x;
  };
  forPairs(work, [q, k, v, dz], (row, j, _weight, _raw, ds) => {
    const at = row.v + j * HKV * DV;
    let da = 0;
    for (let e = 0; e < DV; e++) da += dz[row.z + e] * v[at + e];
    add(heads[row.head].pattern, da * dropoutScale(work, row, j));
    add(heads[row.head].scores, ds);
  });
  (out as Floats).set(heads.flatMap((head) => COLUMNS.map(({ x, of }) => of.head(head[x]))));
}

/** Statistics [H, columns] from q, k, v, dz, (row terms, inner values) and the extras. */
export const attentionGradientStatisticsOp: Op<AttentionAttrs> = {
  name: "attention_gradient_statistics",
  early: true,
  infer: (inputs) => [{ shape: [attentionSizes(inputs).H, COLUMNS.length], dtype: "f32" }],
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { D, DV } = sizes;
    const read = gradientInputs(sizes, attrs, 1, "inner");
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
    return lowerSums(rows, sizes, target, SUMS, columnsOf(ATTENTION_GRADIENT_TABLE), { GRADIENT: true });
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
 * @returns f32 [H, a column for each statistic]
 * @throws {UserError} where z is not attention's or dz is not of its size
 *
 * @example
 * ```ts
 * import { attention, input } from "../../mod.ts";
 * import { attentionGradientStatistics, gradientOf, sumSquares } from "../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const z = attention(q, k, v);
 * const dz = gradientOf(sumSquares(z), [q])(z)!;
 * const statistics = attentionGradientStatistics(z, dz); // [4, columns]
 * ```
 */
export function attentionGradientStatistics(z: Tensor, dz: Tensor): Tensor {
  const node = attentionNode("attentionGradientStatistics", z);
  const attrs = node.attrs as AttentionAttrs;
  if (sizeOf(dz) !== sizeOf(z)) {
    mismatch("attentionGradientStatistics", "z and a gradient of its size", [z, dz]);
  }
  const [made, row] = node.outputs;
  const inner = node.outputs[2] ?? made;
  const inputs = [
    ...node.inputs.slice(0, 3),
    reshape(dz, made.shape),
    ...(hasRowTerm(attrs) ? [row] : []),
    ...(isExact(attrs) ? [inner] : []),
    ...extraInputs(node.inputs, attrs),
  ];
  return apply(attentionGradientStatisticsOp, inputs, attrs)[0];
}
