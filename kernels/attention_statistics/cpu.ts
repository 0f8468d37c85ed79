// Statistics of attention matrices on the host, a row at a time by their definitions: the oracle of the kernel.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { forRows, rowValues, seenRow, weights, workOfCall } from "../attention/rows.ts";
import { isBernoulli, queryOffset } from "../attention/sizes.ts";
import { ATTENTION_TABLE, columnNames, count, massOf, meanOf, newAverage, xlogx } from "./table.ts";
import type { CountedHead, CountedRow, StatisticsAttrs } from "./table.ts";

const newHead = (names: readonly string[], samples: number): CountedHead => ({
  rows: Object.fromEntries(names.map((name) => [name, newAverage()])),
  score: newAverage(),
  scoreMax: -Infinity,
  nonfinite: 0,
  scoreNonfinite: 0,
  squares: new Float64Array(samples).fill(NaN),
});

const nonfiniteOf = (x: Float64Array): number => x.filter((value) => !Number.isFinite(value)).length;

/** Adds a row whose weights are finite. */
function countRow(
  { rows }: CountedHead,
  { place, keys, a }: Pick<CountedRow, "place" | "keys" | "a">,
  learnedFrom: number,
  attrs: StatisticsAttrs,
): void {
  const all = massOf(a);
  const entropy = all.mass > 0 ? a.reduce((sum, x) => sum - xlogx(x / all.mass), 0) : 0;
  const learned = keys.findIndex((j) => j >= learnedFrom);
  const placed = learned < 0 ? keys.length : learned;
  const row: CountedRow = {
    place,
    keys,
    a,
    placed,
    ofPlaced: learned < 0 ? all : massOf(a, placed),
    to: (key) => key < learnedFrom ? a[keys.indexOf(key)] ?? 0 : 0,
    all,
    entropy: Math.max(entropy, 0),
    bernoulli: isBernoulli(attrs),
    repeated: attrs.repeated,
  };
  for (const name in rows) {
    const x = ATTENTION_TABLE[name].row?.(row);
    if (x !== undefined) count(rows[name], x);
  }
}

function countScores(head: CountedHead, scores: Float64Array): void {
  for (const s of scores) {
    if (!Number.isFinite(s)) continue;
    head.scoreMax = Math.max(head.scoreMax, s);
    count(head.score, s);
  }
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
  const offset = queryOffset(work.sizes, call.attrs);
  const names = columnNames(call.attrs);
  const heads = Array.from({ length: work.sizes.H }, () => newHead(names, work.sizes.B));
  const values = rowValues(work);
  const learnedFrom = work.sizes.S - call.attrs.extra;
  forRows(work, (row) => {
    weights(work, row, q, k, values);
    const { keys } = seenRow(row, values);
    if (keys.length === 0) return;
    const [a, scores] = [values.a, values.scores].map((of) => of.subarray(0, keys.length));
    const head = heads[row.head];
    head.nonfinite += nonfiniteOf(a);
    head.scoreNonfinite += nonfiniteOf(scores);
    if (!a.every(Number.isFinite) || scores.some(Number.isNaN)) return;
    const { squares } = head;
    squares[row.batch] = a.reduce((sum, x) => sum + x * x, squares[row.batch] || 0);
    countScores(head, scores);
    countRow(head, { keys, a, place: row.i + offset }, learnedFrom, call.attrs);
  });
  (out as Floats).set(
    heads.flatMap((head) =>
      names.map((name) => ATTENTION_TABLE[name].head?.(head) ?? meanOf(head.rows[name]))
    ),
  );
}
