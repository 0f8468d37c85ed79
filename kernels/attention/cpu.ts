// Attention and its gradients on the CPU, row by row. The tiled kernels are tested against this implementation.
import type { Call, Floats, Values } from "../../src/graph/tensor.ts";
import { entryAt, toFunction } from "../expression/expression.ts";
import { ATTENTION_CHOICES } from "./activations.ts";
import { contextOfCall, dropoutScale, forRows, POINT, rowValues } from "./rows.ts";
import { seenRow, weightGradients, weights } from "./rows.ts";
import type { AttentionContext, Row } from "./rows.ts";
import { type AttentionAttrs, hasRowTerm, isNormalised, shareOf } from "./sizes.ts";
import { learnedSpecs, type TableGradientAttrs, tableOffsets, tableSlopes } from "./tables.ts";

/** Computes z and, if they are among the outputs, the row terms and the inner values (see `keepsInner`). */
export function attentionCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v] = inputs as readonly Floats[];
  const context = contextOfCall(inputs, call);
  const { HKV, DV } = context.sizes;
  const share = shareOf(call.attrs);
  const [values, sum] = [rowValues(context), new Float64Array(DV)];
  forRows(context, (row) => {
    const term = weights(context, row, q, k, values);
    if (hasRowTerm(call.attrs)) outputs[1][row.term] = term;
    const mix = (weightOf: (a: number) => number, out: Floats): void => {
      sum.fill(0);
      row.keys.forEach((j, n) => {
        const weight = weightOf(values.a[n]) * dropoutScale(context, row, j);
        const at = row.v + j * HKV * DV;
        for (let e = 0; e < DV; e++) sum[e] += weight * v[at + e];
      });
      out.set(sum, row.z);
    };
    mix((a) => a, outputs[0] as Floats);
    if (!share) return;
    const total = row.keys.reduce((sum, _, n) => sum + share(values.a[n]), 0);
    mix((a) => total === 0 ? 0 : share(a) / total, outputs[2] as Floats);
  });
}

/**
 * A function that `forPairs` calls with a visible pair (row, j), the weight of the pair after dropout, its raw score, and the
 * gradient `ds` of its modified score.
 */
export type VisitPair = (row: Row, j: number, weight: number, raw: number, ds: number) => void;

/** Calls `visit` for every visible pair, row by row. A pair with the score -Infinity is not visible. */
export function forPairs(
  context: AttentionContext,
  [q, k, v, dz]: readonly Floats[],
  visit: VisitPair,
): void {
  const { sizes: { S }, attrs, phiDerivative } = context;
  const [values, da] = [rowValues(context), new Float64Array(S)];
  const { raw, scores, a } = values;
  const normalised = isNormalised(attrs);
  const share = shareOf(attrs);
  const shareOfWeight = share ?? ((a: number) => a);
  const { scoreGradient } = ATTENTION_CHOICES.backward[attrs.backward];
  forRows(context, (maskedRow) => {
    const term = weights(context, maskedRow, q, k, values);
    const row = seenRow(maskedRow, values);
    weightGradients(context, row, v, dz, da);
    let [inner, shares] = [0, 0];
    row.keys.forEach((j, n) => {
      da[n] *= dropoutScale(context, row, j);
      const w = shareOfWeight(a[n]);
      shares += w;
      inner += w * da[n];
    });
    const total = share ? shares : 1;
    row.keys.forEach((j, n) => {
      const ds = normalised
        ? scoreGradient(shareOfWeight(a[n]), total, da[n], inner / total)
        : term * phiDerivative(scores[n]) * da[n];
      visit(row, j, a[n] * dropoutScale(context, row, j), raw[n], ds);
    });
  });
}

/** Returns the gradient of the raw score, given the gradient `ds` of the modified score. */
function throughModifier(
  { modifierDerivative, tables }: AttentionContext,
  { batch, head, i }: Row,
  j: number,
  raw: number,
  ds: number,
): number {
  return ds * modifierDerivative(raw, batch, head, i, j, ...tables);
}

/** Computes dq, dk, dv and, if `isExact`, delta_i = dz_i . inner_i. */
export function gradientCpu(
  inputs: readonly Values[],
  outputs: readonly Values[],
  call: Call<AttentionAttrs>,
): void {
  const [q, k, v, dz, , inner] = inputs as readonly Floats[];
  const context = contextOfCall(inputs, call);
  const { HKV, D, DV } = context.sizes;
  const [dq, dk, dv] = outputs.map(({ length }) => new Float64Array(length));
  forPairs(context, [q, k, v, dz], (row, j, weight, raw, ds) => {
    const keyAt = row.k + j * HKV * D;
    const gradient = call.attrs.scale * throughModifier(context, row, j, raw, ds);
    for (let e = 0; e < D; e++) dq[row.q + e] += gradient * k[keyAt + e];
    for (let e = 0; e < D; e++) dk[keyAt + e] += gradient * q[row.q + e];
    const valueAt = row.v + j * HKV * DV;
    for (let e = 0; e < DV; e++) dv[valueAt + e] += weight * dz[row.z + e];
  });
  [dq, dk, dv].forEach((sums, i) => (outputs[i] as Floats).set(sums));
  if (!outputs[3]) return;
  forRows(context, (row) => {
    let sum = 0;
    for (let e = 0; e < DV; e++) sum += dz[row.z + e] * inner[row.z + e];
    outputs[3][row.term] = sum;
  });
}

/** Computes the gradients of the learned tables, as one flat array. */
export function tableGradientCpu(
  inputs: readonly Values[],
  [out]: readonly Values[],
  call: Call<TableGradientAttrs>,
): void {
  const { attrs } = call;
  const context = contextOfCall(inputs, call);
  const specs = learnedSpecs(call.inputs, attrs);
  const { offsets } = tableOffsets(attrs.learned, specs);
  const names = ["score", ...POINT, ...attrs.tables];
  const slopes = tableSlopes(attrs.score, attrs.learned).map(({ lookup, table, derivative }) => ({
    offset: offsets[table],
    table: context.tables[attrs.tables.indexOf(lookup.table)],
    shape: lookup.shape,
    indices: lookup.indices.map((index) => toFunction(index, names)),
    derivative: toFunction(derivative, [...names, "entry"]),
  }));
  const sums = new Float64Array(out.length);
  forPairs(context, inputs as readonly Floats[], ({ batch, head, i }, j, _, raw, ds) => {
    const point = [raw, batch, head, i, j, ...context.tables];
    for (const { offset, table, shape, indices, derivative } of slopes) {
      const at = indices.reduce((sum, index, n) => sum * shape[n] + entryAt(index(...point), shape[n]), 0);
      sums[offset + at] += ds * derivative(...point, table[at]);
    }
  });
  (out as Floats).set(sums);
}
