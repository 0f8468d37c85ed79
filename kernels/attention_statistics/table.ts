// The statistics of an attention matrix, one entry each: who computes, records or draws them reads this table. A new one is
// an entry here, and its sum in statistics.wgsl.
import type { AttentionAttrs } from "../attention/sizes.ts";
import type { StatisticText } from "../statistics/table.ts";

/** Attributes of the statistics: the attention's own, without its dropout. */
export interface StatisticsAttrs extends AttentionAttrs {
  /** Positions after which the tokens repeat; 0: they do not. */
  readonly repeated: number;
}

/** The matrices of an attention, by the last part of their taps. */
export type AttentionMatrix = "pattern" | "scores";

/** Numbers whose mean is asked for, or their standard deviation (Welford 1962). */
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

/** Sum of the first weights, and the place of the largest, the first of equals. */
function massOf(a: Float64Array, n = a.length): { mass: number; argmax: number } {
  let [mass, argmax] = [0, 0];
  for (let m = 0; m < n; m++) {
    mass += a[m];
    if (a[m] > a[argmax]) argmax = m;
  }
  return { mass, argmax };
}

const xlogx = (x: number): number => x > 0 ? x * Math.log(x) : 0;

/** A row of finite weights over the keys it sees, the query at `place` among them; keys from `own` on are learned. */
export function countedRow(
  place: number,
  keys: readonly number[],
  a: Float64Array,
  own: number,
  bernoulli: boolean,
) {
  const all = massOf(a);
  const learned = keys.findIndex((j) => j >= own);
  // How many of the keys, the first, have a position.
  const placed = learned < 0 ? keys.length : learned;
  const entropy = all.mass > 0 ? a.reduce((sum, x) => sum - xlogx(x / all.mass), 0) : 0;
  return {
    place,
    keys,
    a,
    placed,
    ofPlaced: learned < 0 ? all : massOf(a, placed),
    all,
    /** The weight of a key that has a position, 0 of one that is not seen. */
    to: (key: number): number => key < own ? a[keys.indexOf(key)] ?? 0 : 0,
    entropy: Math.max(entropy, 0),
    bernoulli,
  };
}

type CountedRow = ReturnType<typeof countedRow>;

/** What the host knows of a head before its first row. */
export const newHead = (names: readonly string[], samples: number) => ({
  /** Over rows, by the names of statistics. */
  rows: Object.fromEntries(names.map((name) => [name, newAverage()])),
  /** Over the finite scores. */
  score: newAverage(),
  scoreMax: -Infinity,
  nonfinite: 0,
  scoreNonfinite: 0,
  /** Sum of squares of the weights of each sample's rows; without a row NaN. */
  squares: new Float64Array(samples).fill(NaN),
});

/** What the host knows of a head. */
export type CountedHead = ReturnType<typeof newHead>;

/** A statistic of an attention's matrices: a column, a number per head. */
export interface AttentionStatistic extends StatisticText {
  /**
   * WGSL of the number as bits, from the `sums` of its head (see merge.wgsl): each that a column names is summed up.
   * Default: the mean over rows of the sum of this name.
   */
  readonly column?: string;
  /** The count of the rows that this mean is over. Default: `rows`, all that have an average. */
  readonly over?: string;
  /** Its field in the records of each matrix. Default: its name, in those of the pattern. */
  readonly log?: Partial<Record<AttentionMatrix, string>>;
  /** Of a mean over rows: the number of one on the host, undefined where the row has none. */
  readonly row?: (row: CountedRow, repeated: number) => number | undefined;
  /** The number of a head on the host. Default: the mean of its rows. */
  readonly head?: (head: CountedHead) => number;
  /** What attention must have for its records to have the statistic. */
  readonly only?: "bernoulli" | "extra" | "repeated";
  /** What stands in the record of all heads. Default: the mean of those that have a number. */
  readonly heads?: "max" | "sum";
  /** A field of that record alone: the share of heads whose number is above another. */
  readonly share?: { readonly field: string; readonly above: number };
  /** Where every run is to have a chart of it: its place among these charts, its title and axis. */
  readonly chart?: Required<StatisticText> & { readonly place: number; readonly title: string };
}

function bernoulliEntropy({ a }: CountedRow): number {
  const sum = a.reduce((sum, x) => sum - (xlogx(x) + (x < 1 ? (1 - x) * Math.log1p(-x) : 0)), 0);
  return sum / a.length;
}

function distanceOf({ place, keys, a, placed, ofPlaced: { mass } }: CountedRow): number {
  let distance = 0;
  for (let m = 0; m < placed && mass > 0; m++) distance += a[m] / mass * (place - keys[m]);
  return distance;
}

const normsOf = ({ squares }: CountedHead): Float64Array => squares.filter((sum) => !Number.isNaN(sum));
const sumOf = (x: Float64Array): number => x.length > 0 ? x.reduce((a, b) => a + b) : NaN;

const FROM_0 = [0, Infinity] as const;

/** The statistics of a pattern and its scores, in the order of their columns and fields. */
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
    head: ({ rows }) => deviation(rows.rowmass),
  },
  max: { row: ({ a, all }) => a[all.argmax] },
  argmax_distance: {
    over: "rows_placed",
    row: ({ place, keys, placed, ofPlaced }) => placed > 0 ? place - keys[ofPlaced.argmax] : undefined,
    label: "distance of the largest (positions)",
  },
  sink: {
    over: "rows_sunk",
    row: ({ place, keys, to }) => place >= 1 && keys[0] === 0 ? to(0) : undefined,
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
    row: ({ place, to }) => place >= 1 ? to(place - 1) : undefined,
    label: "attention to the previous key",
  },
  self: {
    // `self` is a reserved word of WGSL.
    column: "mean(sums.self_weight, sums.rows)",
    row: ({ place, to }) => to(place),
    label: "attention to the own key",
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
    head: ({ score, scoreMax }) => score.n > 0 ? scoreMax : NaN,
    heads: "max",
    log: { pattern: "score_max", scores: "max" },
  },
  score_mean: {
    column: "mean(sums.scores, sums.pairs)",
    head: ({ score }) => meanOf(score),
    log: { pattern: "score_mean", scores: "mean" },
  },
  score_std: {
    column: "root_mean(sums.score_m2, sums.pairs)",
    head: ({ score }) => deviation(score),
    log: { pattern: "score_std", scores: "std" },
  },
  nonfinite: { column: "bitcast<u32>(sums.nonfinite)", head: ({ nonfinite }) => nonfinite, heads: "sum" },
  score_nonfinite: {
    column: "bitcast<u32>(sums.score_nonfinite)",
    head: ({ scoreNonfinite }) => scoreNonfinite,
    log: { scores: "nonfinite" },
  },
  extra_mass: {
    row: ({ a, placed, all: { mass } }) => mass > 0 ? massOf(a.subarray(placed)).mass / mass : 0,
    only: "extra",
    label: "attention to learned keys (share)",
    limits: [0, 1],
  },
  l2: { column: "among(norm_of(sums), sums.rows)", head: (head) => Math.sqrt(sumOf(normsOf(head))) },
  pnorm_mean: {
    column: "mean(sums.pnorm, sums.samples)",
    head: (head) => sumOf(normsOf(head).map(Math.sqrt)) / normsOf(head).length,
  },
  induction: {
    over: "rows_repeated",
    row: ({ place, to }, repeated) => place >= repeated ? to(place - repeated + 1) : undefined,
    only: "repeated",
  },
  duplicate: {
    over: "rows_repeated",
    row: ({ place, to }, repeated) => place >= repeated ? to(place - repeated) : undefined,
    only: "repeated",
  },
};

/** WGSL of the columns of some of a table's statistics. */
export const columnsOf = (
  table: Readonly<Record<string, AttentionStatistic>>,
  names: readonly string[] = Object.keys(table),
): string[] =>
  names.map((name) => table[name].column ?? `mean(sums.${name}, sums.${table[name].over ?? "rows"})`);

const namesOf = (repeated: boolean): string[] =>
  Object.keys(ATTENTION_TABLE).filter((name) => (ATTENTION_TABLE[name].only === "repeated") === repeated);

/**
 * Names of the statistics of an attention matrix, in the order of a row of `attentionStatistics`.
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
 */
export const ATTENTION_STATISTICS: readonly string[] = namesOf(false);

/**
 * What follows {@link ATTENTION_STATISTICS} where the tokens are known to repeat after L: induction and duplicate, A to keys
 * p_i - L + 1 and p_i - L, over the rows with p_i of at least L.
 */
export const REPEATED_STATISTICS: readonly string[] = namesOf(true);

/** Names of the columns that attributes ask for. */
export const columnNames = ({ repeated }: Pick<StatisticsAttrs, "repeated">): readonly string[] =>
  repeated > 0 ? [...ATTENTION_STATISTICS, ...REPEATED_STATISTICS] : ATTENTION_STATISTICS;
