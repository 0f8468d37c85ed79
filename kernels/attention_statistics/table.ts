// The statistics of an attention matrix, one entry each: kernels, logs and charts read this table. A new statistic is an
// entry here and its sum in statistics.wgsl and simd.ts.
import type { AttentionAttrs } from "../attention/sizes.ts";
import { among, deviation as deviationOf, mean, type SumsByName } from "./sums.ts";
import { type F64, f64 } from "../../src/wasm/mod.ts";
import type { StatisticText } from "../statistics/table.ts";

/** Attributes of the statistics: those of the attention, with dropout disabled. */
export interface StatisticsAttrs extends AttentionAttrs {
  /** Number of positions after which the sequence of tokens repeats; 0 if it does not. */
  readonly repeated: number;
}

/** The matrices of attention, named as the last part of their taps' names. */
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

/** Sum of the first n weights, and the index of the largest (of the first one if several are equal). */
function massOf(a: Float64Array, n = a.length): { mass: number; argmax: number } {
  let [mass, argmax] = [0, 0];
  for (let m = 0; m < n; m++) {
    mass += a[m];
    if (a[m] > a[argmax]) argmax = m;
  }
  return { mass, argmax };
}

const xlogx = (x: number): number => x > 0 ? x * Math.log(x) : 0;

/** A row of finite weights over its visible keys, with the query at `position`; keys from `sequence` on are learned. */
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
    /** The weight of a key that has a position, 0 if it is not visible. */
    weightOf: (key: number): number => key < sequence ? a[keys.indexOf(key)] ?? 0 : 0,
    entropy: Math.max(entropy, 0),
    bernoulli,
  };
}

type CountedRow = ReturnType<typeof countedRow>;

/** Accumulators of a head on the CPU, before the first row. */
export const newHead = (names: readonly string[], samples: number) => ({
  /** Averages over rows, by name of the statistic. */
  rows: Object.fromEntries(names.map((name) => [name, newAverage()])),
  /** Average over the finite scores. */
  score: newAverage(),
  scoreMax: -Infinity,
  nonfinite: 0,
  scoreNonfinite: 0,
  /** Sum of squared weights of each sample's rows; NaN without rows. */
  squares: new Float64Array(samples).fill(NaN),
});

/** Accumulators of a head on the CPU. */
export type CountedHead = ReturnType<typeof newHead>;

/** A statistic of attention's matrices: one column, with one value per head. */
export interface AttentionStatistic extends StatisticText {
  /**
   * WGSL expression for the bits of the value, a u32, computed from the head's `sums` (see merge.wgsl); every `sums.NAME` in it
   * becomes a field. Default: the mean over rows of the sum with the statistic's name.
   */
  readonly column?: string;
  /** The value in WebAssembly, from the head's sums (see simd.ts). Default: the mean as for `column`. */
  readonly wasm?: (sums: SumsByName) => F64;
  /** If the column is a mean, name of the sum that counts its rows. Default: `rows`, all counted rows. */
  readonly over?: string;
  /** Field name in the records of each matrix. Default: the statistic's name, in the pattern's records. */
  readonly log?: Partial<Record<AttentionMatrix, string>>;
  /** If it is a mean over rows: the value of one row on the CPU; undefined if the row does not count. */
  readonly row?: (row: CountedRow, repeated: number) => number | undefined;
  /** The value of a head on the CPU. Default: the mean over its rows. */
  readonly head?: (head: CountedHead) => number;
  /** Property that the attention must have for the statistic to be in its records. */
  readonly only?: "bernoulli" | "extra" | "repeated";
  /** How the record of all heads combines their values. Default: the mean over the heads whose value is not NaN. */
  readonly heads?: "max" | "sum";
  /** Additional field of that record: the share of heads whose value is above a threshold. */
  readonly share?: { readonly field: string; readonly above: number };
  /** If every run draws a chart of it: its position among these charts, title and axis. */
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

/** The statistics of the pattern and the scores, in the order of their columns and fields. */
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

/** WGSL expressions of the columns of a table's statistics, by default all of them. */
export const columnsOf = (
  table: Readonly<Record<string, AttentionStatistic>>,
  names: readonly string[] = Object.keys(table),
): string[] =>
  names.map((name) => table[name].column ?? `mean(sums.${name}, sums.${table[name].over ?? "rows"})`);

/** Values of the columns of a table's statistics in WebAssembly. */
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
 * Averages are over the batch and over the query rows that see at least one key and in which no score is NaN and every
 * weight is finite; an average over no rows is NaN. A key whose score is -Infinity is not visible. n_i: number of visible keys
 * of row i; m_i = sum_j A_ij; p_i: the query's position among the keys, i, or i + S - T if aligned "bottom-right". Entropy,
 * effective keys and distance are those of A_ij / m_i, so that they mean the same for every activation; a row of mass 0 has
 * entropy 0, one effective key and distance 0. Learned keys (`extra`) have no position: they are never the key of `sink`,
 * `previous`, `self`, `induction` or `duplicate`, and only the distances exclude them, and rows that see no other key.
 *
 * - entropy: -sum_j A_ij ln A_ij in nats; entropy_ratio: divided by ln n_i, over the rows with n_i >= 2
 * - bernoulli_entropy: mean over visible j of -(A ln A + (1 - A) ln(1 - A)); of undivided sigmoid, NaN for other activations
 * - rowmass, rowmass_std: mean and standard deviation (population) of m_i over rows
 * - max: max_j A_ij; argmax_distance: p_i - j of the largest weight, the first if equal
 * - sink, previous: A_ij of key 0 and of key p_i - 1, over the rows with p_i >= 1 (for sink only those that see key 0)
 * - self: A_ij of key p_i
 * - distance: sum_j A_ij (p_i - j), with A_ij divided by the mass on keys that have a position; effective_keys: exp(entropy)
 * - sparsity: share of the row's visible entries below 0.01 / n_i
 * - score_max, score_mean, score_std: of the finite visible scores, after the modifier and before the activation
 * - nonfinite, score_nonfinite: number of weights and of scores, over visible entries of all rows, that are NaN or infinite
 * - extra_mass: the learned keys' share of m_i, 0 if there are none
 * - l2: sqrt(sum A_ij^2) over all samples and these rows; pnorm_mean: the mean of sqrt(sum_ij A_ij^2) of each sample, over the
 *   samples that have such a row
 */
export const ATTENTION_STATISTICS: readonly string[] = namesOf(false);

/**
 * The columns after {@link ATTENTION_STATISTICS} if the tokens repeat after L positions: induction and duplicate, A_ij of
 * keys p_i - L + 1 and p_i - L, over the rows with p_i >= L.
 */
export const REPEATED_STATISTICS: readonly string[] = namesOf(true);

/** Names of the columns for the given attributes. */
export const columnNames = ({ repeated }: Pick<StatisticsAttrs, "repeated">): readonly string[] =>
  repeated > 0 ? [...ATTENTION_STATISTICS, ...REPEATED_STATISTICS] : ATTENTION_STATISTICS;
