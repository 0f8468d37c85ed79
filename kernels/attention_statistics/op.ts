// Statistics of the attention matrix behind a z, without the matrix: rows are recomputed from q, k and the saved row terms,
// which is one pass over the keys and a record of sums for every few rows.
import {
  apply,
  type Dispatch,
  mismatch,
  type Op,
  sizeOf,
  type Spec,
  type Target,
  type Tensor,
} from "../../src/graph/tensor.ts";
import { UserError } from "../../src/base/errors.ts";
import { ACTIVATIONS } from "../attention/activations.ts";
import { attentionDispatch, type Kernel, overQueries } from "../attention/dispatch.ts";
import { attentionOp, flops } from "../attention/op.ts";
import {
  type AttentionAttrs,
  type AttentionSizes,
  attentionSizes,
  extraInputs,
  hasRowTerm,
  isBernoulli,
  modifies,
  sumsToOne,
} from "../attention/sizes.ts";
import { statisticsCpu } from "./cpu.ts";
import statisticsWgsl from "./statistics.wgsl" with { type: "text" };
import mergeWgsl from "./merge.wgsl" with { type: "text" };

/** Names of the statistics of an attention matrix, in the order of a row of `attentionStatistics`. */
export const ATTENTION_STATISTICS = [
  "entropy",
  "entropy_ratio",
  "bernoulli_entropy",
  "rowmass",
  "rowmass_std",
  "max",
  "argmax_distance",
  "sink",
  "previous",
  "self",
  "distance",
  "effective_keys",
  "sparsity",
  "score_max",
  "score_mean",
  "score_std",
  "nonfinite",
  "score_nonfinite",
  "extra_mass",
  "l2",
  "pnorm_mean",
] as const;

/** What follows them where the tokens are known to repeat. */
export const REPEATED_STATISTICS = ["induction", "duplicate"] as const;

/** Attributes of the statistics: the attention's own, without its dropout. */
export interface StatisticsAttrs extends AttentionAttrs {
  /** Positions after which the tokens repeat; 0: they do not. */
  readonly repeated: number;
}

/**
 * Sums over rows and pairs that both kernels know. Spreads are sums of squares about the mean; squares of small and of large
 * weights are of weights times 2^80 and 2^-80, whose squares float32 has (Blue 1978). The merge alone fills `samples` and
 * `pnorm`, the number and the sum of the norms of samples.
 */
const ADDED = [
  "rows",
  "rows_of_two",
  "rows_placed",
  "rows_later",
  "rows_sunk",
  "rows_again",
  "pairs",
  "entropy",
  "entropy_ratio",
  "bernoulli_entropy",
  "mass",
  "top",
  "top_distance",
  "sink",
  "previous",
  "own",
  "distance",
  "effective_keys",
  "sparsity",
  "scores",
  "induction",
  "duplicate",
  "nonfinite",
  "score_nonfinite",
  "extra_mass",
  "squares",
  "small_squares",
  "large_squares",
  "samples",
  "pnorm",
];
const MERGED = ["mass_spread", "score_spread", "score_max"];

/** WGSL of a record of sums, and of adding two records up but for what has to be merged otherwise. */
export function sumsCode(added: readonly string[], merged: readonly string[]): string {
  return [
    "struct Sums {",
    ...[...added, ...merged].map((name) => `  ${name}: f32,`),
    "}",
    "fn added(a: Sums, b: Sums) -> Sums {",
    "  var c = Sums();",
    ...added.map((name) => `  c.${name} = a.${name} + b.${name};`),
    "  return c;",
    "}",
    // By its bits: a compiler may take NaN and infinity for absent.
    "fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) < 0x7f800000u; }",
    // -infinity: the score of a pair that is not seen.
    "fn is_hidden(score: f32) -> bool { return bitcast<u32>(score) == 0xff800000u; }",
  ].join("\n");
}

const SUMS = sumsCode(ADDED, MERGED);

/** Sizes from q and k alone: the values play no part. */
export const statisticsSizes = ([q, k]: readonly Spec[]): AttentionSizes => attentionSizes([q, k, k]);

/** How the records of sums become the rows of heads. */
export interface Merging {
  /** WGSL of a record. */
  readonly sums: string;
  /** Columns of a row. */
  readonly columns: number;
  /** What the merge has to know of them. */
  readonly constants: Readonly<Record<string, boolean>>;
}

/** A second dispatch behind `rows`, which left a record of sums for each tile of each head: its statistics. */
export function mergeDispatch(
  rows: Dispatch,
  { B, H }: AttentionSizes,
  target: Target,
  { sums, columns, constants }: Merging,
): Dispatch {
  const tiles = Number(rows.constants.TILES);
  const lanes = target.kind === "gpu" ? 64 : 8;
  // Short chunks keep what float32 sums of many records would lose; there are enough of them for every lane.
  const chunk = Math.min(32, Math.ceil(B * tiles / lanes));
  const chunks = Math.ceil(B * tiles / chunk);
  return {
    label: `${rows.label} of heads`,
    source: mergeWgsl,
    constants: {
      BATCH: B,
      H,
      TILES: tiles,
      LANES: lanes,
      CHUNK: chunk,
      CHUNKS: chunks,
      COLUMNS: columns,
      ...constants,
    },
    code: { SUMS: sums },
    bindings: { 0: ["scratch", 0], 1: ["output", 0] },
    rounds: {
      count: Math.ceil(chunks / lanes) * (chunk + 1) + Math.ceil(B / lanes) * (tiles + 1) + 8,
      of: `B = ${B} with ${tiles} tiles of rows`,
    },
    workgroups: [H, 1, 1],
  };
}

/** Statistics [H, columns] from q, k, (row terms) and the extras. */
export const attentionStatisticsOp: Op<StatisticsAttrs> = {
  name: "attention_statistics",
  early: true,
  infer(inputs, { repeated }) {
    const { H } = statisticsSizes(inputs);
    const columns = ATTENTION_STATISTICS.length + (repeated > 0 ? REPEATED_STATISTICS.length : 0);
    return [{ shape: [H, columns], dtype: "f32" }];
  },
  lower({ inputs, outputs, attrs }, target) {
    const sizes = statisticsSizes(inputs);
    const { B, H, D } = sizes;
    const { extra, repeated } = attrs;
    const activation = ACTIVATIONS[attrs.activation];
    const row = hasRowTerm(attrs);
    const { walked, ...queries } = overQueries(sizes, attrs);
    const kernel: Kernel = {
      label: "attention statistics",
      source: statisticsWgsl,
      ...queries,
      bindings: {
        0: ["scratch", 0],
        1: ["input", 0],
        2: ["input", 1],
        3: row ? ["input", 2] : undefined,
      },
      loads: { q: D, k: D },
      numbersPerRow: D + 32,
      mostRows: 8,
      // The keys that a row sees have to be counted before small weights can be: a mask is walked twice, and again where
      // scores hide keys.
      walked: {
        ...walked,
        count: walked.count * (1 + Number(attrs.mask !== undefined) + Number(modifies(attrs))),
      },
      own: 2 + Number(row),
    };
    const rows = attentionDispatch(kernel, sizes, attrs, target);
    const more = {
      REPEATED: repeated,
      BERNOULLI: isBernoulli(attrs),
      EXTRA: extra,
      OWN: sizes.S - extra,
      ZERO_BELOW_0: !activation.normalised && activation.zeroBelow0 === true,
      // Of weights that sum to 1, those whose squares float32 has not change no digit of the norm.
      UNBOUNDED: !sumsToOne(attrs),
    };
    return {
      scratch: [B * H * Number(rows.constants.TILES) * (ADDED.length + MERGED.length)],
      dispatches: [
        { ...rows, constants: { ...rows.constants, ...more }, code: { ...rows.code, SUMS } },
        mergeDispatch(rows, sizes, target, {
          sums: SUMS,
          columns: outputs[0].shape[1],
          constants: { REPEATED: repeated > 0, BERNOULLI: more.BERNOULLI },
        }),
      ],
    };
  },
  cpu: statisticsCpu,
  flops: (call) => flops({ ...call, inputs: [call.inputs[0], call.inputs[1], call.inputs[1]] }, 1, 0),
};

/** The node of `attention` that made z, through views of the whole. */
export function attentionNode(what: string, z: Tensor): Tensor["node"] {
  let { node, index } = z;
  while (node.op.role === "view" && sizeOf(node.inputs[0]) === sizeOf(z)) ({ node, index } = node.inputs[0]);
  if (node.op !== attentionOp || index !== 0) {
    mismatch(what, `what \`attention\` returned, not what \`${node.op.name}\` did`, [z]);
  }
  return node;
}

/**
 * Statistics of the pattern behind z = attention(...), a row of {@link ATTENTION_STATISTICS} for every head. The pattern A
 * (before dropout) is recomputed row by row from q, k and the saved row terms: memory stays linear in T.
 *
 * Everything is averaged over the batch and over the query rows that see at least one key and in which no score is NaN and
 * every weight finite; an average over no row is NaN. A key whose score is -Infinity is not seen. n_i: keys that row i sees;
 * m_i = sum_j A_ij; p_i: the query's position among the keys, i or i + S - T from the bottom right. Entropy, effective keys
 * and distance are those of A_ij / m_i, so that they mean the same for every activation; a row of mass 0 has entropy 0, one
 * effective key and distance 0. Learned keys (`extra`) have no position: only the distances leave them out, over the rows
 * that see another key, but no `sink`, `previous`, `self`, `induction` or `duplicate` is one.
 *
 * - entropy: -sum_j A_ij ln A_ij in nats; entropy_ratio: divided by ln n_i, over the rows with n_i of at least 2
 * - bernoulli_entropy: mean over visible j of -(A ln A + (1 - A) ln(1 - A)); of undivided sigmoid, NaN for others
 * - rowmass, rowmass_std: mean and standard deviation (population) of m_i over rows
 * - max: max_j A_ij; argmax_distance: p_i - j of the largest weight, the first of equals
 * - sink, previous: A to key 0 and to key p_i - 1, over the rows with p_i of at least 1 (sink: that see key 0); self: A to
 *   key p_i
 * - distance: sum_j A_ij (p_i - j), A_ij a share of the mass on keys that have a position; effective_keys: exp(entropy)
 * - sparsity: share of the row's visible entries below 0.01 / n_i
 * - score_max, score_mean, score_std: of the finite visible scores, after the modifier and before the activation
 * - nonfinite, score_nonfinite: visible entries of all rows, weights and scores, that are NaN or infinite
 * - extra_mass: the learned keys' share of m_i, 0 where there are none
 * - l2: sqrt(sum A_ij^2) over all samples and these rows; pnorm_mean: the mean over the samples that have such a row of the
 *   norm of the sample's own, sqrt(sum_ij A_ij^2)
 * - with `repeated`: induction and duplicate, A to keys p_i - L + 1 and p_i - L, over the rows with p_i of at least L
 *
 * @param z what `attention` returned, [B, T, H, dv] or reshaped
 * @param options.repeated L: the tokens are a random sequence of L, repeated; adds {@link REPEATED_STATISTICS}
 * @returns f32 [H, 21], or [H, 23] with `repeated`
 * @throws {UserError} where z is not attention's, or `repeated` is not a whole number from 1 to S - 1
 *
 * @example
 * ```ts
 * import { attention, input } from "../../mod.ts";
 * import { ATTENTION_STATISTICS, attentionStatistics } from "../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const statistics = attentionStatistics(attention(q, k, v)); // [4, 21]
 * const entropyAt = ATTENTION_STATISTICS.indexOf("entropy"); // the column to read
 * ```
 */
export function attentionStatistics(z: Tensor, options: { readonly repeated?: number } = {}): Tensor {
  const node = attentionNode("attentionStatistics", z);
  const attention = node.attrs as AttentionAttrs;
  const { repeated } = options;
  const [q, k] = node.inputs;
  const most = k.shape[1] - 1;
  if (repeated !== undefined && !(Number.isSafeInteger(repeated) && repeated >= 1 && repeated <= most)) {
    throw new UserError(
      `attentionStatistics: repeated ${repeated}, expected a whole number from 1 to ${most}, S - 1.`,
    );
  }
  const attrs = { ...attention, dropout: { p: 0, site: 0 }, repeated: repeated ?? 0 };
  const terms = hasRowTerm(attention) ? [node.outputs[1]] : [];
  return apply(attentionStatisticsOp, [q, k, ...terms, ...extraInputs(node.inputs, attrs)], attrs)[0];
}
