// Statistics of attention matrices on the host, a row at a time by their definitions: the oracle of the kernels.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { forPairs } from "../attention/cpu.ts";
import { forRows, kept, rowValues, seenRow, weights, workOfCall } from "../attention/rows.ts";
import { alignment, type AttentionAttrs, isBernoulli } from "../attention/sizes.ts";
import type { StatisticsAttrs } from "./op.ts";

/** Numbers whose mean is asked for, or their standard deviation (Welford 1962). */
interface Average {
  n: number;
  mean: number;
  spread: number;
}

function count(average: Average, x: number): void {
  const apart = x - average.mean;
  average.n++;
  average.mean += apart / average.n;
  average.spread += apart * (x - average.mean);
}

/** Averages of a head, by the statistics' names, and what is not averaged. */
interface Head {
  readonly over: Record<string, Average>;
  scoreMax: number;
  nonfinite: number;
  scoreNonfinite: number;
  /** Sum of squares of the weights of each sample's rows; without a row NaN. */
  readonly squares: Float64Array;
}

const MEANS = [
  "entropy",
  "entropy_ratio",
  "bernoulli_entropy",
  "rowmass",
  "max",
  "argmax_distance",
  "sink",
  "previous",
  "self",
  "distance",
  "effective_keys",
  "sparsity",
  "score",
  "extra_mass",
  "induction",
  "duplicate",
];

const newHead = (samples: number): Head => ({
  over: Object.fromEntries(MEANS.map((name) => [name, { n: 0, mean: 0, spread: 0 }])),
  scoreMax: -Infinity,
  nonfinite: 0,
  scoreNonfinite: 0,
  squares: new Float64Array(samples).fill(NaN),
});

const xlogx = (x: number): number => x > 0 ? x * Math.log(x) : 0;

/** A row over the keys that it sees, the query at `place` among them. */
interface Seen {
  readonly place: number;
  readonly keys: readonly number[];
  readonly a: Float64Array;
}

const countOf = (x: Float64Array, is: (value: number) => boolean): number =>
  x.reduce((sum, value) => sum + Number(is(value)), 0);

/** Sum and place of the largest, the first of equals, of the first `n` weights. */
function massOf(a: Float64Array, n: number): { mass: number; top: number } {
  let [mass, top] = [0, 0];
  for (let m = 0; m < n; m++) {
    mass += a[m];
    if (a[m] > a[top]) top = m;
  }
  return { mass, top };
}

/** Adds what the distances of a row are, over the keys before the learned ones; a row that sees none of these has none. */
function countDistances({ over }: Head, { place, keys, a }: Seen, learnedFrom: number): void {
  const learned = keys.findIndex((j) => j >= learnedFrom);
  const n = learned < 0 ? keys.length : learned;
  if (n === 0) return;
  const { mass, top } = massOf(a, n);
  let distance = 0;
  for (let m = 0; m < n && mass > 0; m++) distance += a[m] / mass * (place - keys[m]);
  count(over.distance, distance);
  count(over.argmax_distance, place - keys[top]);
}

/** Adds a row whose weights are finite. */
function countRow(head: Head, seen: Seen, learnedFrom: number, attrs: StatisticsAttrs): void {
  const { over } = head;
  const { place, keys, a } = seen;
  const n = keys.length;
  const { mass, top } = massOf(a, n);
  let [bernoulli, small, raw, extra] = [0, 0, 0, 0];
  for (let m = 0; m < n; m++) {
    bernoulli -= xlogx(a[m]) + (a[m] < 1 ? (1 - a[m]) * Math.log1p(-a[m]) : 0);
    if (a[m] < 0.01 / n) small++;
    if (mass > 0) raw -= xlogx(a[m] / mass);
    if (keys[m] >= learnedFrom) extra += a[m];
  }
  const entropy = Math.max(raw, 0);
  const to = (j: number): number => {
    const at = j < learnedFrom ? keys.indexOf(j) : -1;
    return at < 0 ? 0 : a[at];
  };
  count(over.entropy, entropy);
  if (n > 1) count(over.entropy_ratio, entropy / Math.log(n));
  if (isBernoulli(attrs)) count(over.bernoulli_entropy, bernoulli / n);
  count(over.rowmass, mass);
  count(over.max, a[top]);
  countDistances(head, seen, learnedFrom);
  if (place >= 1 && keys[0] === 0) count(over.sink, to(0));
  if (place >= 1) count(over.previous, to(place - 1));
  count(over.self, to(place));
  count(over.effective_keys, Math.exp(entropy));
  count(over.sparsity, small / n);
  count(over.extra_mass, mass > 0 ? extra / mass : 0);
  if (attrs.repeated === 0 || place < attrs.repeated) return;
  count(over.induction, to(place - attrs.repeated + 1));
  count(over.duplicate, to(place - attrs.repeated));
}

function countScores(head: Head, scores: Float64Array): void {
  for (const s of scores) {
    if (!Number.isFinite(s)) continue;
    head.scoreMax = Math.max(head.scoreMax, s);
    count(head.over.score, s);
  }
}

const meanOf = ({ n, mean }: Average): number => n > 0 ? mean : NaN;
const deviation = ({ n, spread }: Average): number => n > 0 ? Math.sqrt(spread / n) : NaN;

/** A head's row, in the order of the statistics' names. */
function rowOf({ over, scoreMax, nonfinite, scoreNonfinite, squares }: Head, repeated: number): number[] {
  const ofSamples = squares.filter((sum) => !Number.isNaN(sum));
  const sumOf = (values: Float64Array): number => values.length > 0 ? values.reduce((a, b) => a + b) : NaN;
  const { rowmass, score, induction, duplicate } = over;
  const mean = (name: string): number => meanOf(over[name]);
  return [
    ...["entropy", "entropy_ratio", "bernoulli_entropy", "rowmass"].map(mean),
    deviation(rowmass),
    ...["max", "argmax_distance", "sink", "previous", "self", "distance", "effective_keys", "sparsity"].map(
      mean,
    ),
    score.n > 0 ? scoreMax : NaN,
    meanOf(score),
    deviation(score),
    nonfinite,
    scoreNonfinite,
    meanOf(over.extra_mass),
    Math.sqrt(sumOf(ofSamples)),
    sumOf(ofSamples.map(Math.sqrt)) / ofSamples.length,
    ...(repeated > 0 ? [meanOf(induction), meanOf(duplicate)] : []),
  ];
}

/** Statistics [H, columns]. */
export function statisticsCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<StatisticsAttrs>,
): void {
  const [q, k] = inputs as readonly Floats[];
  // The keys stand for the values, which play no part.
  const work = workOfCall(inputs, { ...call, inputs: [call.inputs[0], call.inputs[1], call.inputs[1]] });
  const { LEFT, RIGHT } = alignment(work.sizes, call.attrs);
  const heads = Array.from({ length: work.sizes.H }, () => newHead(work.sizes.B));
  const values = rowValues(work);
  const learnedFrom = work.sizes.S - call.attrs.extra;
  forRows(work, (row) => {
    weights(work, row, q, k, values);
    const { keys } = seenRow(row, values);
    if (keys.length === 0) return;
    const [a, scores] = [values.a, values.scores].map((of) => of.subarray(0, keys.length));
    const head = heads[row.head];
    head.nonfinite += countOf(a, (x) => !Number.isFinite(x));
    head.scoreNonfinite += countOf(scores, (s) => !Number.isFinite(s));
    if (!a.every(Number.isFinite) || scores.some(Number.isNaN)) return;
    const { squares } = head;
    squares[row.batch] = a.reduce(
      (sum, x) => sum + x * x,
      Number.isNaN(squares[row.batch]) ? 0 : squares[row.batch],
    );
    countScores(head, scores);
    countRow(head, { keys, a, place: row.i + RIGHT - LEFT }, learnedFrom, call.attrs);
  });
  (out as Floats).set(heads.flatMap((head) => rowOf(head, call.attrs.repeated)));
}

/** Statistics of the gradients of pattern and scores, [H, 10]. */
export function gradientStatisticsCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz] = inputs as readonly Floats[];
  const work = workOfCall(inputs, call);
  const { H, HKV, DV } = work.sizes;
  const newGradient = () => ({ n: 0, mean: 0, spread: 0, top: 0, squares: 0, nonfinite: 0 });
  const heads = Array.from({ length: H }, () => ({ pattern: newGradient(), scores: newGradient() }));
  const add = (to: ReturnType<typeof newGradient>, x: number): void => {
    if (!Number.isFinite(x)) {
      to.nonfinite++;
      return;
    }
    count(to, x);
    to.top = Math.max(to.top, Math.abs(x));
    to.squares += x * x;
  };
  forPairs(work, [q, k, v, dz], (row, j, _weight, _raw, ds) => {
    const at = row.v + j * HKV * DV;
    let da = 0;
    for (let e = 0; e < DV; e++) da += dz[row.z + e] * v[at + e];
    add(heads[row.head].pattern, da * kept(work, row, j));
    add(heads[row.head].scores, ds);
  });
  const rows = heads.flatMap(({ pattern, scores }) => [
    ...[pattern, scores].flatMap((x) => {
      const none = x.n === 0;
      return [meanOf(x), deviation(x), none ? NaN : x.top, none ? NaN : Math.sqrt(x.squares)];
    }),
    pattern.nonfinite,
    scores.nonfinite,
  ]);
  (out as Floats).set(rows);
}
