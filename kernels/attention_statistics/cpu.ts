// Statistics of attention matrices on the CPU, computed row by row from their definitions. The kernels are tested against this
// implementation.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { contextOfCall, forRows, rowValues, seenRow, weights } from "../attention/rows.ts";
import { isBernoulli, queryOffset } from "../attention/sizes.ts";
import { ATTENTION_TABLE, columnNames, count, countedRow, meanOf, newHead } from "./table.ts";
import type { CountedHead, StatisticsAttrs } from "./table.ts";

const nonfiniteOf = (x: Float64Array): number => x.filter((value) => !Number.isFinite(value)).length;

function countScores(head: CountedHead, scores: Float64Array): void {
  for (const s of scores) {
    if (!Number.isFinite(s)) continue;
    head.scoreMax = Math.max(head.scoreMax, s);
    count(head.score, s);
  }
}

/** Computes the statistics [H, columns]. */
export function statisticsCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<StatisticsAttrs>,
): void {
  const [q, k] = inputs as readonly Floats[];
  // The statistics do not depend on the values: k is passed in place of v.
  const context = contextOfCall(inputs, { ...call, inputs: [0, 1, 1].map((n) => call.inputs[n]) });
  const offset = queryOffset(context.sizes, call.attrs);
  const names = columnNames(call.attrs);
  const heads = Array.from({ length: context.sizes.H }, () => newHead(names, context.sizes.B));
  const values = rowValues(context);
  const bernoulli = isBernoulli(call.attrs);
  const sequence = context.sizes.S - call.attrs.extra;
  forRows(context, (row) => {
    weights(context, row, q, k, values);
    const { keys } = seenRow(row, values);
    if (keys.length === 0) return;
    const [a, scores] = [values.a, values.scores].map((x) => x.subarray(0, keys.length));
    const head = heads[row.head];
    head.nonfinite += nonfiniteOf(a);
    head.scoreNonfinite += nonfiniteOf(scores);
    if (!a.every(Number.isFinite) || scores.some(Number.isNaN)) return;
    const { squares } = head;
    squares[row.batch] = a.reduce((sum, x) => sum + x * x, squares[row.batch] || 0);
    countScores(head, scores);
    const counted = countedRow(row.i + offset, keys, a, sequence, bernoulli);
    for (const name of names) {
      const x = ATTENTION_TABLE[name].row?.(counted, call.attrs.repeated);
      if (x !== undefined) count(head.rows[name], x);
    }
  });
  (out as Floats).set(
    heads.flatMap((head) =>
      names.map((name) => ATTENTION_TABLE[name].head?.(head) ?? meanOf(head.rows[name]))
    ),
  );
}
