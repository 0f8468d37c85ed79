// Statistics of attention matrices on the host, a row at a time by their definitions: the oracle of the kernels.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { forPairs } from "./cpu.ts";
import { forRows, kept, type Row, rowValues, weights, workOfCall } from "./rows.ts";
import { alignment, type AttentionAttrs } from "./sizes.ts";
import type { StatisticsAttrs } from "./statistics.ts";

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

/** Averages of a head, by the statistics' names, and its largest score. */
interface Head {
  readonly over: Record<string, Average>;
  scoreMax: number;
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
  "induction",
  "duplicate",
];

const newHead = (): Head => ({
  over: Object.fromEntries(MEANS.map((name) => [name, { n: 0, mean: 0, spread: 0 }])),
  scoreMax: -Infinity,
});

const xlogx = (x: number): number => x > 0 ? x * Math.log(x) : 0;

/** Entropy and mean distance of the weights as shares of their mass; none where there is no mass. */
function shares(a: Floats, keys: readonly number[], mass: number, place: number) {
  let [entropy, distance] = [0, 0];
  if (mass > 0 || Number.isNaN(mass)) {
    keys.forEach((j, n) => {
      entropy -= xlogx(a[n] / mass);
      distance += a[n] / mass * (place - j);
    });
  }
  return { entropy: entropy < 0 ? 0 : entropy, distance };
}

/** Adds a row that sees at least one key, its weights in `a`. */
function countRow({ over }: Head, a: Floats, row: Row, place: number, attrs: StatisticsAttrs): void {
  const { keys } = row;
  const n = keys.length;
  let [mass, bernoulli, top, small] = [0, 0, 0, 0];
  for (let m = 0; m < n; m++) {
    mass += a[m];
    bernoulli -= xlogx(a[m]) + (a[m] < 1 ? (1 - a[m]) * Math.log1p(-a[m]) : 0);
    if (a[m] > a[top]) top = m;
    if (a[m] < 0.01 / n) small++;
  }
  const { entropy, distance } = shares(a, keys, mass, place);
  const to = (j: number): number => {
    const at = keys.indexOf(j);
    return at < 0 ? 0 : a[at];
  };
  count(over.entropy, entropy);
  if (n > 1) count(over.entropy_ratio, entropy / Math.log(n));
  count(over.bernoulli_entropy, attrs.activation === "sigmoid" ? bernoulli / n : 0);
  count(over.rowmass, mass);
  count(over.max, a[top]);
  count(over.argmax_distance, place - keys[top]);
  if (place >= 1) count(over.sink, to(0));
  if (place >= 1) count(over.previous, to(place - 1));
  count(over.self, to(place));
  count(over.distance, distance);
  count(over.effective_keys, Math.exp(entropy));
  count(over.sparsity, small / n);
  if (attrs.repeated === 0 || place < attrs.repeated) return;
  count(over.induction, to(place - attrs.repeated + 1));
  count(over.duplicate, to(place - attrs.repeated));
}

function countScores(head: Head, scores: Floats): void {
  for (const s of scores) {
    head.scoreMax = Math.max(head.scoreMax, s);
    count(head.over.score, s);
  }
}

const deviation = ({ n, spread }: Average): number => Math.sqrt(spread / Math.max(n, 1));

/** A head's row, in the order of the statistics' names. */
function rowOf({ over, scoreMax }: Head, repeated: number): number[] {
  const { rowmass, score, induction, duplicate } = over;
  const mean = (name: string): number => over[name].mean;
  return [
    ...["entropy", "entropy_ratio", "bernoulli_entropy", "rowmass"].map(mean),
    deviation(rowmass),
    ...["max", "argmax_distance", "sink", "previous", "self", "distance", "effective_keys", "sparsity"].map(
      mean,
    ),
    score.n > 0 ? scoreMax : 0,
    score.mean,
    deviation(score),
    ...(repeated > 0 ? [induction.mean, duplicate.mean] : []),
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
  const heads = Array.from({ length: work.sizes.H }, newHead);
  const values = rowValues(work);
  forRows(work, (row) => {
    if (row.keys.length === 0) return;
    weights(work, row, q, k, values);
    countScores(heads[row.head], values.scores.subarray(0, row.keys.length));
    countRow(heads[row.head], values.a, row, row.i + RIGHT - LEFT, call.attrs);
  });
  (out as Floats).set(heads.flatMap((head) => rowOf(head, call.attrs.repeated)));
}

/** Statistics of the gradients of pattern and scores, [H, 8]. */
export function gradientStatisticsCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz] = inputs as readonly Floats[];
  const work = workOfCall(inputs, call);
  const { H, HKV, DV } = work.sizes;
  const newGradient = () => ({ n: 0, mean: 0, spread: 0, top: 0, squares: 0 });
  const heads = Array.from({ length: H }, () => ({ pattern: newGradient(), scores: newGradient() }));
  const add = (to: ReturnType<typeof newGradient>, x: number): void => {
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
  const rows = heads.flatMap(({ pattern, scores }) =>
    [pattern, scores].flatMap((x) => [x.mean, deviation(x), x.top, Math.sqrt(x.squares)])
  );
  (out as Floats).set(rows);
}
