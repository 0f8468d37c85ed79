// Statistics of the attention matrix, computed without storing it: rows are recomputed from q, k and the saved row terms, and a
// single pass over the keys writes one record of partial sums per tile of rows.
import { apply, mismatch, sizeOf } from "../../src/graph/tensor.ts";
import type { Dispatch, Lowered, Op, Spec, Target, Tensor } from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { ACTIVATIONS } from "../attention/activations.ts";
import { attentionDispatch, type Kernel, overQueries } from "../attention/dispatch.ts";
import { attentionOp, flops } from "../attention/op.ts";
import {
  attentionSizes,
  extraInputs,
  hasRowTerm,
  isBernoulli,
  modifies,
  sumsToOne,
} from "../attention/sizes.ts";
import type { AttentionAttrs, AttentionSizes } from "../attention/sizes.ts";
import { statisticsCpu } from "./cpu.ts";
import { statisticsSimd } from "./simd.ts";
import { ATTENTION_TABLE, columnNames, columnsOf, type StatisticsAttrs } from "./table.ts";
import overLanesWgsl from "../over_lanes.wgsl" with { type: "text" };
import statisticsWgsl from "./statistics.wgsl" with { type: "text" };
import mergeWgsl from "./merge.wgsl" with { type: "text" };

/**
 * All accumulated sums: those referenced by the expressions of the columns, and three that only the merge kernel reads. Small
 * weights are multiplied by 2^80 and large ones by 2^-80 before they are squared, so that float32 can represent the squares
 * (Blue 1978). Only the merge kernel sets `samples` and `pnorm`, the number of samples and the sum of their norms.
 */
const SUMS = sumsCode(columnsOf(ATTENTION_TABLE), ["rowmass_m2", "score_m2", "score_max"], [
  "squares",
  "small_squares",
  "large_squares",
]);

/** The sums per row that the kernel's source uses: `total` over all keys, `tile` over one tile of keys. */
const ROW_SUMS = recordCode("RowSums", "added_row", [
  ...new Set(statisticsWgsl.match(/(?<=(total|tile)\$r\.)\w+/g)),
]);

/**
 * Returns the WGSL of a struct of f32 fields, and of a function that adds all fields of two such structs except those in
 * `merged`.
 */
function recordCode(
  record: string,
  added: string,
  names: readonly string[],
  merged: readonly string[] = [],
): string {
  return [
    `struct ${record} {`,
    ...names.map((name) => `  ${name}: f32,`),
    "}",
    `fn ${added}(a: ${record}, b: ${record}) -> ${record} {`,
    `  var c = ${record}();`,
    ...names.filter((name) => !merged.includes(name)).map((name) => `  c.${name} = a.${name} + b.${name};`),
    "  return c;",
    "}",
  ].join("\n");
}

/**
 * Returns the WGSL of the struct of sums to which the expressions of the columns refer, and the number of fields in this struct.
 */
export function sumsCode(
  columns: readonly string[],
  merged: readonly string[],
  others: readonly string[] = [],
): { readonly code: string; readonly count: number } {
  const inColumns = columns.flatMap((column) => column.match(/(?<=sums\.)\w+/g) ?? []);
  const names = [...new Set([...inColumns, ...others])];
  const code = [
    recordCode("Sums", "added", names, merged),
    // The bits are tested, because a compiler may assume that NaN and infinity do not occur.
    "fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) < 0x7f800000u; }",
    // A pair that is not visible has the score -infinity.
    "fn is_hidden(score: f32) -> bool { return bitcast<u32>(score) == 0xff800000u; }",
  ];
  return { code: code.join("\n"), count: names.length };
}

/** Returns the sizes, computed from q and k only, because the statistics do not depend on the values v. */
const statisticsSizes = ([q, k]: readonly Spec[]): AttentionSizes => attentionSizes([q, k, k]);

/**
 * Returns the scratch buffer and two dispatches: `rows`, which writes one record of sums per tile and head, then the merge
 * kernel.
 */
export function lowerSums(
  rows: Dispatch,
  { B, H }: AttentionSizes,
  target: Target,
  sums: ReturnType<typeof sumsCode>,
  columns: readonly string[],
  constants: Dispatch["constants"],
): Lowered {
  const tiles = Number(rows.constants.TILES);
  const lanes = target.kind === "gpu" ? 64 : 8;
  // Float32 sums of many records would be inaccurate, so chunks are short. They are also short enough to occupy all lanes.
  const chunk = Math.min(32, Math.ceil(B * tiles / lanes));
  const chunks = Math.ceil(B * tiles / chunk);
  const merge: Dispatch = {
    label: `${rows.label} of heads`,
    source: mergeWgsl,
    constants: {
      BATCH: B,
      H,
      TILES: tiles,
      LANES: lanes,
      CHUNK: chunk,
      CHUNKS: chunks,
      COLUMNS: columns.length,
      ...constants,
    },
    code: {
      OVER_LANES: overLanesWgsl,
      SUMS: sums.code,
      COLUMN_LINES: columns.map((column, i) => `  statistics[out + ${i}u] = ${column};`).join("\n"),
    },
    bindings: { 0: ["scratch", 0], 1: ["output", 0] },
    iterations: {
      count: Math.ceil(chunks / lanes) * (chunk + 1) + Math.ceil(B / lanes) * (tiles + 1) + 8,
      of: `B = ${B} with ${tiles} tiles of rows`,
    },
    workgroups: [H, 1, 1],
  };
  return {
    scratch: [B * H * tiles * sums.count],
    dispatches: [{ ...rows, code: { ...rows.code, SUMS: sums.code } }, merge],
  };
}

/**
 * Output: statistics [H, columns]. Inputs: q, k, the row terms if the attention saves them, then the attention's extra inputs.
 */
export const attentionStatisticsOp: Op<StatisticsAttrs> = {
  name: "attention_statistics",
  early: true,
  infer: (inputs, attrs) => [{ shape: [statisticsSizes(inputs).H, columnNames(attrs).length], dtype: "f32" }],
  lower({ inputs, attrs }, target) {
    const sizes = statisticsSizes(inputs);
    const { D } = sizes;
    const { extra, repeated } = attrs;
    const activation = ACTIVATIONS[attrs.activation];
    const row = hasRowTerm(attrs);
    const { iterations, ...queries } = overQueries(sizes, attrs);
    const kernel: Kernel = {
      label: "attention statistics",
      source: statisticsWgsl,
      ...queries,
      bindings: { 0: ["scratch", 0], 1: ["input", 0], 2: ["input", 1], 3: row ? ["input", 2] : undefined },
      loads: { q: D, k: D },
      valuesPerRow: D + 32,
      maxRows: 8,
      // The visible keys of a row must be counted before its small weights. This takes one more loop over the keys if there is a
      // mask, and another loop if there is a modifier, which may hide keys by a score of -infinity.
      iterations: {
        ...iterations,
        count: iterations.count * (1 + Number(attrs.mask !== undefined) + Number(modifies(attrs))),
      },
      inputs: 2 + Number(row),
    };
    const rows = attentionDispatch(kernel, sizes, attrs, target);
    const BERNOULLI = isBernoulli(attrs);
    const constants = {
      ...rows.constants,
      REPEATED: repeated,
      BERNOULLI,
      EXTRA: extra,
      SEQUENCE: sizes.S - extra,
      ZERO_BELOW_0: !activation.normalised && activation.zeroBelow0 === true,
      // If the weights of a row sum to 1, those whose squares underflow in float32 do not change the norm.
      UNBOUNDED: !sumsToOne(attrs),
    };
    const columns = columnsOf(ATTENTION_TABLE, columnNames(attrs));
    const code = { ...rows.code, ROW_SUMS };
    return lowerSums({ ...rows, constants, code }, sizes, target, SUMS, columns, { BERNOULLI });
  },
  simd: statisticsSimd,
  cpu: statisticsCpu,
  flops: (call) => flops({ ...call, inputs: [call.inputs[0], call.inputs[1], call.inputs[1]] }, 1, 0),
};

/** Returns the `attention` node that computed z. z may be the output of this node, or a view of the output with the same size. */
export function attentionNode(what: string, z: Tensor): Tensor["node"] {
  let { node, index } = z;
  while (node.op.role === "view" && sizeOf(node.inputs[0]) === sizeOf(z)) ({ node, index } = node.inputs[0]);
  if (node.op !== attentionOp || index !== 0) {
    mismatch(what, `an output of \`attention\`, not of \`${node.op.name}\``, [z]);
  }
  return node;
}

/**
 * Computes statistics of the attention pattern A (before dropout) of z = attention(...): one row of {@link ATTENTION_STATISTICS}
 * per head. A is recomputed row by row from q, k and the saved row terms, so memory stays linear in T.
 *
 * @param z output of `attention`, [B, T, H, dv] or reshaped
 * @param options.repeated the number L of tokens after which the input repeats, if the input is a repeated random sequence; adds
 *   the columns {@link REPEATED_STATISTICS}
 * @returns f32 [H, statistics]
 * @throws {UserError} if z is not an output of `attention`, or `repeated` is not an integer from 1 to S - 1
 *
 * @example
 * ```ts
 * import { attention, input } from "../../mod.ts";
 * import { ATTENTION_STATISTICS, attentionStatistics } from "../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const statistics = attentionStatistics(attention(q, k, v)); // [4, columns]
 * const entropyAt = ATTENTION_STATISTICS.indexOf("entropy"); // the column to read
 * ```
 */
export function attentionStatistics(z: Tensor, options: { readonly repeated?: number } = {}): Tensor {
  const node = attentionNode("attentionStatistics", z);
  const attention = node.attrs as AttentionAttrs;
  const { repeated } = options;
  const [q, k] = node.inputs;
  const limit = k.shape[1] - 1;
  if (repeated !== undefined && !(Number.isSafeInteger(repeated) && repeated >= 1 && repeated <= limit)) {
    throw new UserError(
      `attentionStatistics: repeated ${repeated}, expected a whole number from 1 to ${limit} (S - 1).`,
    );
  }
  const attrs = { ...attention, dropout: { p: 0, site: 0 }, repeated: repeated ?? 0 };
  const terms = hasRowTerm(attention) ? [node.outputs[1]] : [];
  return apply(attentionStatisticsOp, [q, k, ...terms, ...extraInputs(node.inputs, attrs)], attrs)[0];
}
