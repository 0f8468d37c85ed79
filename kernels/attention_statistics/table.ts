// The table of the statistics of an attention matrix, which kernels, logs and charts read. To add a statistic, add an entry
// here, and its sum in statistics.wgsl and simd.ts.
import type { AttentionAttrs } from "../attention/sizes.ts";
import { among, deviation as deviationOf, mean, type SumsByName } from "./sums.ts";
import { type F64, f64 } from "../../src/wasm/mod.ts";
import type { StatisticText } from "../statistics/table.ts";

/** Attributes of the statistics: those of the attention, with dropout disabled. */
export interface StatisticsAttrs extends AttentionAttrs {
  /** Number of positions after which the sequence of tokens repeats; 0 if it does not repeat. */
  readonly repeated: number;
}

/** The matrices of attention, named like the last part of their tap (`blocks.N.attn.pattern`). */
export type AttentionMatrix = "pattern" | "scores";

/** Running mean and standard deviation (Welford 1962). */
export interface Average {
  n: number;
  mean: number;
  m2: number;
}

export const newAverage = (): Average => ({ n: 0, mean: 0, m2: 0 });

export function count(average: Average, x: number): void {
  const delta = x - average.mean;
  average.n++;
  average.mean += delta / average.n;
  average.m2 += delta * (x - average.mean);
}

export const meanOf = ({ n, mean }: Average): number => n > 0 ? mean : NaN;
export const deviation = ({ n, m2 }: Average): number => n > 0 ? Math.sqrt(m2 / n) : NaN;

/** Returns the sum of the first n weights, and the index of the largest of them (the first such index if there are several). */
function massOf(a: Float64Array, n = a.length): { mass: number; argmax: number } {
  let [mass, argmax] = [0, 0];
  for (let m = 0; m < n; m++) {
    mass += a[m];
    if (a[m] > a[argmax]) argmax = m;
  }
  return { mass, argmax };
}

const xlogx = (x: number): number => x > 0 ? x * Math.log(x) : 0;

/**
 * Returns measures of a row with the visible keys `keys` and their weights `a`, which must be finite. The query is at `position`;
 * keys from index `sequence` on are learned keys.
 */
export function countedRow(
  position: number,
  keys: readonly number[],
  a: Float64Array,
  sequence: number,
  bernoulli: boolean,
) {
  const all = massOf(a);
  const learned = keys.findIndex((j) => j >= sequence);
  // Learned keys, which have no position, come last.
  const placed = learned < 0 ? keys.length : learned;
  const entropy = all.mass > 0 ? a.reduce((sum, x) => sum - xlogx(x / all.mass), 0) : 0;
  return {
    position,
    keys,
    a,
    placed,
    ofPlaced: learned < 0 ? all : massOf(a, placed),
    all,
    /** Returns the weight of a key that has a position, or 0 if the key is not visible. */
    weightOf: (key: number): number => key < sequence ? a[keys.indexOf(key)] ?? 0 : 0,
    entropy: Math.max(entropy, 0),
    bernoulli,
  };
}

type CountedRow = ReturnType<typeof countedRow>;

/** Creates the accumulators of a head on the CPU. */
export const newHead = (names: readonly string[], samples: number) => ({
  /** Averages over rows, keyed by the name of the statistic. */
  rows: Object.fromEntries(names.map((name) => [name, newAverage()])),
  /** Average over the finite scores. */
  score: newAverage(),
  scoreMax: -Infinity,
  nonfinite: 0,
  scoreNonfinite: 0,
  /** For each sample, the sum of the squared weights of its rows; NaN if the sample has no counted rows. */
  squares: new Float64Array(samples).fill(NaN),
});

/** Accumulators of a head on the CPU. */
export type CountedHead = ReturnType<typeof newHead>;

/** A statistic of the attention matrices: one column, with one value per head. */
export interface AttentionStatistic extends StatisticText {
  /**
   * WGSL expression of type u32 for the bits of the value, computed from the head's `sums` (see merge.wgsl). Every `sums.NAME`
   * that it contains is declared as a field. Default: the mean over rows, from the sum that has the name of the statistic.
   */
  readonly column?: string;
  /** The value in WebAssembly, computed from the head's sums (see simd.ts). Default: the same mean as for `column`. */
  readonly wasm?: (sums: SumsByName) => F64;
  /** If the column is a mean, the name of the sum that counts the rows of the mean. Default: `rows`, all counted rows. */
  readonly over?: string;
  /** The field's name in the log records, keyed by matrix. Default: the statistic's name, in the records of the pattern. */
  readonly log?: Partial<Record<AttentionMatrix, string>>;
  /** For a mean over rows: computes the value of one row on the CPU, or returns undefined if the row is left out of the mean. */
  readonly row?: (row: CountedRow, repeated: number) => number | undefined;
  /** Computes the value of a head on the CPU. Default: the mean of `row` over the head's rows. */
  readonly head?: (head: CountedHead) => number;
  /** The statistic is recorded only if the attention has this property. Default: always. */
  readonly only?: "bernoulli" | "extra" | "repeated";
  /** How the record for all heads combines the heads' values. Default: the mean of the values that are not NaN. */
  readonly heads?: "max" | "sum";
  /** An additional field of the record for all heads: the share of heads whose value is above a threshold. */
  readonly share?: { readonly field: string; readonly above: number };
  /** If every run draws a chart of the statistic: the chart's title, axis and position among these charts. */
  readonly chart?: Required<StatisticText> & { readonly place: number; readonly title: string };
}

function bernoulliEntropy({ a }: CountedRow): number {
  const sum = a.reduce((sum, x) => sum - (xlogx(x) + (x < 1 ? (1 - x) * Math.log1p(-x) : 0)), 0);
  return sum / a.length;
}

function distanceOf({ position, keys, a, placed, ofPlaced: { mass } }: CountedRow): number {
  let distance = 0;
  for (let m = 0; m < placed && mass > 0; m++) distance += a[m] / mass * (position - keys[m]);
  return distance;
}

const normsOf = ({ squares }: CountedHead): Float64Array => squares.filter((sum) => !Number.isNaN(sum));
const sumOf = (x: Float64Array): number => x.length > 0 ? x.reduce((a, b) => a + b) : NaN;

const FROM_0 = [0, Infinity] as const;

/** The statistics of the pattern and the scores, in the order of the columns and of the fields in the log. */
export const ATTENTION_TABLE: Readonly<Record<string, AttentionStatistic>> = {
  entropy: {
    row: ({ entropy }) => entropy,
    label: "entropy (nats)",
    limits: FROM_0,
    chart: { place: 1, title: "entropy of attention", label: "entropy (nats)", limits: FROM_0 },
  },
  entropy_ratio: {
    over: "rows_of_two",
    row: ({ keys, entropy }) => keys.length > 1 ? entropy / Math.log(keys.length) : undefined,
    limits: [0, 1],
  },
  bernoulli_entropy: {
    column: "select(NONE, mean(sums.bernoulli_entropy, sums.rows), BERNOULLI)",
    row: (row) => row.bernoulli ? bernoulliEntropy(row) : undefined,
    only: "bernoulli",
    label: "Bernoulli entropy (nats)",
  },
  rowmass: {
    row: ({ all }) => all.mass,
    label: "row mass",
    chart: { place: 3, title: "row mass of attention", label: "row mass (sum over keys)", limits: FROM_0 },
  },
  rowmass_std: {
    column: "root_mean(sums.rowmass_m2, sums.rows)",
    wasm: (sums) => deviationOf(sums("rowmass"), sums("rowmass_squares"), sums("rows")),
    head: ({ rows }) => deviation(rows.rowmass),
  },
  max: { row: ({ a, all }) => a[all.argmax] },
  argmax_distance: {
    over: "rows_placed",
    row: ({ position, keys, placed, ofPlaced }) => placed > 0 ? position - keys[ofPlaced.argmax] : undefined,
    label: "distance to the largest weight (positions)",
  },
  sink: {
    over: "rows_sunk",
    row: ({ position, keys, weightOf }) => position >= 1 && keys[0] === 0 ? weightOf(0) : undefined,
    share: { field: "sink_heads", above: 0.3 },
    label: "attention to the first key",
    chart: {
      place: 2,
      title: "attention to the first key",
      label: "sink (mean attention to key 0)",
      limits: FROM_0,
    },
  },
  previous: {
    over: "rows_with_previous",
    row: ({ position, weightOf }) => position >= 1 ? weightOf(position - 1) : undefined,
    label: "attention to the previous key",
  },
  self: {
    // `self` is a reserved word of WGSL.
    column: "mean(sums.self_weight, sums.rows)",
    row: ({ position, weightOf }) => weightOf(position),
    label: "attention to the same position",
  },
  distance: {
    over: "rows_placed",
    row: (row) => row.placed > 0 ? distanceOf(row) : undefined,
    label: "distance (positions)",
  },
  effective_keys: { row: ({ entropy }) => Math.exp(entropy) },
  sparsity: { row: ({ a }) => a.filter((x) => x < 0.01 / a.length).length / a.length, limits: [0, 1] },
  score_max: {
    column: "among(sums.score_max, sums.pairs)",
    wasm: (sums) => among(sums("score_max"), sums("pairs")),
    head: ({ score, scoreMax }) => score.n > 0 ? scoreMax : NaN,
    heads: "max",
    log: { pattern: "score_max", scores: "max" },
  },
  score_mean: {
    column: "mean(sums.scores, sums.pairs)",
    wasm: (sums) => mean(sums("scores"), sums("pairs")),
    head: ({ score }) => meanOf(score),
    log: { pattern: "score_mean", scores: "mean" },
  },
  score_std: {
    column: "root_mean(sums.score_m2, sums.pairs)",
    wasm: (sums) => deviationOf(sums("scores"), sums("score_squares"), sums("pairs")),
    head: ({ score }) => deviation(score),
    log: { pattern: "score_std", scores: "std" },
  },
  nonfinite: {
    column: "bitcast<u32>(sums.nonfinite)",
    wasm: (sums) => sums("nonfinite"),
    head: ({ nonfinite }) => nonfinite,
    heads: "sum",
  },
  score_nonfinite: {
    column: "bitcast<u32>(sums.score_nonfinite)",
    wasm: (sums) => sums("score_nonfinite"),
    head: ({ scoreNonfinite }) => scoreNonfinite,
    log: { scores: "nonfinite" },
  },
  extra_mass: {
    row: ({ a, placed, all: { mass } }) => mass > 0 ? massOf(a.subarray(placed)).mass / mass : 0,
    only: "extra",
    label: "attention to learned keys (share)",
    limits: [0, 1],
  },
  l2: {
    column: "among(norm_of(sums), sums.rows)",
    wasm: (sums) => among(f64.sqrt(sums("squares")), sums("rows")),
    head: (head) => Math.sqrt(sumOf(normsOf(head))),
  },
  pnorm_mean: {
    column: "mean(sums.pnorm, sums.samples)",
    wasm: (sums) => mean(sums("pnorm"), sums("samples")),
    head: (head) => sumOf(normsOf(head).map(Math.sqrt)) / normsOf(head).length,
  },
  induction: {
    over: "rows_repeated",
    row: ({ position, weightOf }, repeated) =>
      position >= repeated ? weightOf(position - repeated + 1) : undefined,
    only: "repeated",
  },
  duplicate: {
    over: "rows_repeated",
    row: ({ position, weightOf }, repeated) =>
      position >= repeated ? weightOf(position - repeated) : undefined,
    only: "repeated",
  },
};

/** Returns the WGSL expressions of the columns of a table, by default of all statistics in the table. */
export const columnsOf = (
  table: Readonly<Record<string, AttentionStatistic>>,
  names: readonly string[] = Object.keys(table),
): string[] =>
  names.map((name) => table[name].column ?? `mean(sums.${name}, sums.${table[name].over ?? "rows"})`);

/** Returns a function that computes the columns of a table in WebAssembly, by default of all statistics in the table. */
export const wasmColumns =
  (table: Readonly<Record<string, AttentionStatistic>>, names: readonly string[] = Object.keys(table)) =>
  (sums: SumsByName): F64[] =>
    names.map((name) => {
      const { wasm, over = "rows" } = table[name];
      return wasm ? wasm(sums) : mean(sums(name), sums(over));
    });

const namesOf = (repeated: boolean): string[] =>
  Object.keys(ATTENTION_TABLE).filter((name) => (ATTENTION_TABLE[name].only === "repeated") === repeated);

/**
 * Names of the statistics of an attention matrix, in the order of a row of `attentionStatistics`.
 *
 * Averages are taken over the batch and over the counted rows: query rows that see at least one key, have no NaN score, and have
 * only finite weights. An average over no rows is NaN. A key whose score is -Infinity is not visible. Below, n_i is the number of
 * visible keys of row i, m_i = sum_j A_ij, and p_i is the position of the query among the keys: i, or i + S - T if the causal
 * mask is aligned "bottom-right". Entropy, effective keys and distance are computed from A_ij / m_i, so that they can be
 * compared between activation functions; in a row of mass 0 they are 0, 1 and 0. Learned keys (`extra`) have no position. They are never the key of
 * `sink`, `previous`, `self`, `induction` or `duplicate`. The distances ignore learned keys and leave out rows that see only
 * learned keys; all other statistics include learned keys.
 *
 * - entropy: -sum_j A_ij ln A_ij in nats; entropy_ratio: entropy divided by ln n_i, over the rows with n_i >= 2
 * - bernoulli_entropy: the mean of -(A ln A + (1 - A) ln(1 - A)) over visible j, if the activation is sigmoid and `divide` is "none"; else NaN
 * - rowmass, rowmass_std: mean and standard deviation (population) of m_i over rows
 * - max: max_j A_ij; argmax_distance: p_i - j for the key j of the largest weight (the first if several are equal)
 * - sink, previous: A_ij for key 0 and for key p_i - 1, over the rows with p_i >= 1 (sink: only rows that see key 0)
 * - self: A_ij for key p_i
 * - distance: sum_j A_ij (p_i - j), with A_ij divided by the total weight of keys that have a position
 * - effective_keys: exp(entropy)
 * - sparsity: share of the row's visible entries that are below 0.01 / n_i
 * - score_max, score_mean, score_std: over the finite visible scores, after the score modifier and before the softmax or other activation
 * - nonfinite, score_nonfinite: numbers of weights and of scores that are NaN or infinite, over the visible entries of all rows
 * - extra_mass: the weight of all learned keys divided by m_i; 0 if there are no learned keys
 * - l2: sqrt(sum A_ij^2) over the counted rows of all samples; pnorm_mean: the mean of sqrt(sum_ij A_ij^2) over the samples that
 *   have a counted row
 */
export const ATTENTION_STATISTICS: readonly string[] = namesOf(false);

/**
 * The columns that follow {@link ATTENTION_STATISTICS} if the tokens repeat after L positions: induction and duplicate, which
 * are A_ij for the keys p_i - L + 1 and p_i - L, over the rows with p_i >= L.
 */
export const REPEATED_STATISTICS: readonly string[] = namesOf(true);

/** Returns the names of the columns for the given attributes. */
export const columnNames = ({ repeated }: Pick<StatisticsAttrs, "repeated">): readonly string[] =>
  repeated > 0 ? [...ATTENTION_STATISTICS, ...REPEATED_STATISTICS] : ATTENTION_STATISTICS;
