// Statistics of dL/dpattern and dL/dscores, computed without storing either matrix: their entries are recomputed pair by pair
// as in the backward pass, and summed as in op.ts.
import { apply, mismatch, sizeOf } from "../../src/graph/tensor.ts";
import type { Call, Floats, Op, Tensor, Values } from "../../src/graph/tensor.ts";
import { type F64, f64 } from "../../src/wasm/mod.ts";
import { reshape } from "../../src/graph/structure.ts";
import gradientStatisticsWgsl from "./gradient.wgsl" with { type: "text" };
import { forPairs } from "../attention/cpu.ts";
import { attentionDispatch, gradientInputs, type Kernel, overQueries } from "../attention/dispatch.ts";
import { flops } from "../attention/op.ts";
import { contextOfCall, dropoutScale } from "../attention/rows.ts";
import { type AttentionAttrs, attentionSizes, extraInputs, hasRowTerm, isExact } from "../attention/sizes.ts";
import { gradientStatisticsSimd } from "./gradient_simd.ts";
import { attentionNode, lowerSums, sumsCode } from "./op.ts";
import { among, deviation as deviationOf, mean, type SumsByName } from "./sums.ts";
import { columnsOf, count, deviation, meanOf, newAverage } from "./table.ts";
import type { AttentionMatrix, AttentionStatistic, Average } from "./table.ts";

const MATRICES = ["pattern", "scores"] as const;

/** Accumulators on the CPU over the finite entries of a gradient matrix; `nonfinite` counts the other entries. */
interface CountedGradient extends Average {
  absmax: number;
  squares: number;
  nonfinite: number;
}

/**
 * A statistic of a gradient matrix: `column` returns its WGSL expression, `wasm` its value in WebAssembly, and `head` its value
 * on the CPU. `ofAll` is true if the statistic covers all pairs, not only the pairs with a finite gradient.
 */
interface OfMatrix {
  readonly column: (x: AttentionMatrix) => string;
  readonly wasm: (x: AttentionMatrix, sums: SumsByName) => F64;
  readonly head: (counted: CountedGradient) => number;
  readonly ofAll?: true;
}

const OF_MATRIX: Readonly<Record<string, OfMatrix>> = {
  mean: {
    column: (x) => `mean(sums.${x}, sums.${x}_pairs)`,
    wasm: (x, sums) => mean(sums(x), sums(`${x}_pairs`)),
    head: meanOf,
  },
  std: {
    column: (x) => `root_mean(sums.${x}_m2, sums.${x}_pairs)`,
    wasm: (x, sums) => deviationOf(sums(x), sums(`${x}_squares`), sums(`${x}_pairs`)),
    head: deviation,
  },
  absmax: {
    column: (x) => `among(sums.${x}_absmax, sums.${x}_pairs)`,
    wasm: (x, sums) => among(sums(`${x}_absmax`), sums(`${x}_pairs`)),
    head: ({ n, absmax }) => n > 0 ? absmax : NaN,
  },
  l2: {
    column: (x) =>
      `among(sqrt(sums.${x}_m2 + sums.${x} * sums.${x} / max(sums.${x}_pairs, 1f)), sums.${x}_pairs)`,
    wasm: (x, sums) => among(f64.sqrt(sums(`${x}_squares`)), sums(`${x}_pairs`)),
    head: ({ n, squares }) => n > 0 ? Math.sqrt(squares) : NaN,
  },
  nonfinite: {
    column: (x) => `bitcast<u32>(sums.${x}_nonfinite)`,
    wasm: (x, sums) => sums(`${x}_nonfinite`),
    head: ({ nonfinite }) => nonfinite,
    ofAll: true,
  },
};

/**
 * The columns: first, for each matrix, the statistics over the pairs with a finite gradient; then, for each matrix, the
 * statistics over all pairs.
 */
const COLUMNS = [undefined, true].flatMap((ofAll) =>
  MATRICES.flatMap((x) =>
    Object.entries(OF_MATRIX).flatMap(([name, of]) => of.ofAll === ofAll ? [{ x, name, of }] : [])
  )
);

/** The statistics of the gradients of pattern and scores, in the order of their columns. */
export const ATTENTION_GRADIENT_TABLE: Readonly<Record<string, AttentionStatistic>> = Object.fromEntries(
  COLUMNS.map(({ x, name, of }) => [`${x}_${name}`, {
    column: of.column(x),
    wasm: (sums: SumsByName) => of.wasm(x, sums),
    log: { [x]: name },
  }]),
);

/** Names of the columns that `attentionGradientStatistics` returns, in order. */
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
  const context = contextOfCall(inputs, call);
  const { H, HKV, DV } = context.sizes;
  const newGradient = (): CountedGradient => ({ ...newAverage(), absmax: 0, squares: 0, nonfinite: 0 });
  const heads = Array.from({ length: H }, () => ({ pattern: newGradient(), scores: newGradient() }));
  const add = (counted: CountedGradient, x: number): void => {
    if (!Number.isFinite(x)) {
      counted.nonfinite++;
      return;
    }
    count(counted, x);
    counted.absmax = Math.max(counted.absmax, Math.abs(x));
    counted.squares += x * x;
  };
  forPairs(context, [q, k, v, dz], (row, j, _weight, _raw, ds) => {
    const at = row.v + j * HKV * DV;
    let da = 0;
    for (let e = 0; e < DV; e++) da += dz[row.z + e] * v[at + e];
    add(heads[row.head].pattern, da * dropoutScale(context, row, j));
    add(heads[row.head].scores, ds);
  });
  (out as Floats).set(heads.flatMap((head) => COLUMNS.map(({ x, of }) => of.head(head[x]))));
}

/** Output: statistics [H, columns]. Inputs: those that `gradientInputs` lists, then the extra inputs of the attention. */
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
      valuesPerRow: D + DV,
      maxRows: 8,
    };
    const rows = attentionDispatch(kernel, sizes, attrs, target);
    return lowerSums(rows, sizes, target, SUMS, columnsOf(ATTENTION_GRADIENT_TABLE), { GRADIENT: true });
  },
  simd: (call) => gradientStatisticsSimd(call, ATTENTION_GRADIENT_TABLE),
  cpu: gradientStatisticsCpu,
  flops: (call) => flops(call, 1, 1),
};

/**
 * Statistics per head of two gradients inside z = attention(...): dL/dpattern, dA_ij = dz_i . v_j (times the dropout factor of
 * the pair), and dL/d(modified scores), ds_ij, computed as in the backward pass; for softmax with `backward: "exact"`
 * ds_ij = a_ij (dA_ij - sum_l a_il dA_il). Returns one row of {@link ATTENTION_GRADIENT_STATISTICS} per head. Both gradients
 * are recomputed pair by pair, so memory stays linear in T.
 *
 * mean, std (population), absmax and l2 = sqrt(sum x^2) are computed over the visible pairs of all samples with a finite
 * gradient, and are NaN if there is no such pair; nonfinite is the number of visible pairs whose gradient is not finite.
 *
 * @param z output of `attention`, [B, T, H, dv] or reshaped
 * @param dz dL/dz, of the same size as z
 * @returns f32 [H, statistics]
 * @throws {UserError} if z is not an output of `attention`, or dz has another size than z
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
  const [output, row] = node.outputs;
  const inner = node.outputs[2] ?? output;
  const inputs = [
    ...node.inputs.slice(0, 3),
    reshape(dz, output.shape),
    ...(hasRowTerm(attrs) ? [row] : []),
    ...(isExact(attrs) ? [inner] : []),
    ...extraInputs(node.inputs, attrs),
  ];
  return apply(attentionGradientStatisticsOp, inputs, attrs)[0];
}
