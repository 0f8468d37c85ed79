// Statistics of dL/dpattern and dL/dscores in WebAssembly: a block recomputes the scores s and the products dA = dz . v of a tile
// of query rows, two rows at a time, and from them ds as the backward pass does; one record of sums per block goes to scratch.
import { element, f32x4, f64, type Func, i32, load, loadSplat, sumLanes } from "../../src/wasm/mod.ts";
import { type F32, type I32, type V128, v128 } from "../../src/wasm/mod.ts";
import type { Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { type AttentionAttrs, attentionSizes, hasRowTerm, isExact } from "../attention/sizes.ts";
import { arrayBytes, forKeys, forRows, headOf, loadPart, rowsOfTile, scoreModifier } from "./pairs.ts";
import { largestOf, mergePhase, newSums, recordElements, storeRecord, vectorCount } from "./sums.ts";
import { type RecordOfSums, type Sums, vectorSum } from "./sums.ts";
import { type AttentionStatistic, wasmColumns } from "./table.ts";
import { isKnown, scoreGradients } from "./weights.ts";

const MATRICES = ["pattern", "scores"] as const;

/** The sums of a record, of each matrix. */
const RECORD: RecordOfSums = {
  names: MATRICES.flatMap((x) => [x, `${x}_squares`, `${x}_pairs`, `${x}_nonfinite`, `${x}_absmax`]),
  largest: MATRICES.map((x) => `${x}_absmax`),
};

/** Sums over a row of a matrix's gradient. */
function gradientSums(f: Func) {
  const [finite, others] = [vectorCount(f), vectorCount(f)];
  const moments = vectorSum(f, { squares: true });
  const largest = f.let(f32x4.splat(0));
  return {
    /** Adds four pairs, a variable, of which those in `isSeen` are visible. */
    add(x: V128, isSeen: V128): void {
      const size = f.let(f32x4.abs(x));
      const counts = f.let(v128.and(f32x4.lt(size, Infinity), isSeen));
      finite.add(counts);
      others.add(v128.andnot(isSeen, counts));
      f.set(largest, f32x4.pmax(largest, v128.and(size, counts)));
      moments.add(f.let(v128.and(x, counts)));
    },
    /** Adds the row to the sums of its matrix. */
    addTo({ add }: Sums, matrix: string): void {
      add(matrix, moments.sum);
      add(`${matrix}_squares`, moments.squares);
      add(`${matrix}_pairs`, f64.fromU(finite.count));
      add(`${matrix}_nonfinite`, f64.fromU(others.count));
      add(`${matrix}_absmax`, f64.promote(largestOf(largest)));
    },
  };
}

/** The dot product of two rows. */
function dot(f: Func, x: I32, y: I32, size: number): F32 {
  const [a, b, sum] = [f.let(x), f.let(y), f.let(f32x4.splat(0))];
  const add = (read: (at: I32) => V128) => f.set(sum, f32x4.madd(read(a), read(b), sum));
  f.loop(0, Math.floor(size / 4), 1, () => {
    add((at) => load("v128", at));
    for (const at of [a, b]) f.set(at, i32.add(at, 16));
  });
  if (size % 4) add((at) => loadPart(at, size % 4, 0));
  return sumLanes(sum);
}

/**
 * The statistics of a call. Inputs: q, k, v, dz, the row terms and inner values if the gradient uses them, and the extras of
 * the attention.
 */
export function gradientStatisticsSimd(
  { inputs: specs, attrs }: Call<AttentionAttrs>,
  table: Readonly<Record<string, AttentionStatistic>>,
): Simd | undefined {
  if (attrs.dropout.p > 0 || !isKnown(attrs)) return undefined;
  const sizes = attentionSizes(specs);
  const { B, T, H, D, DV } = sizes;
  const rows = rowsOfTile(sizes);
  const tiles = Math.ceil(T / rows);
  const label = "attention gradient statistics";
  const last = 4 + Number(hasRowTerm(attrs));
  return {
    scratch: [recordElements(RECORD, B * H * tiles)],
    own: arrayBytes(sizes),
    phases: [
      {
        label,
        blocks: B * H * tiles,
        kernel(f, block, { inputs, scratch, own }) {
          const [q, k, v, dz] = inputs;
          const at = f.let(i32.divU(block, tiles));
          const head = headOf(f, at, sizes, attrs);
          const first = f.let(i32.mul(i32.remU(block, tiles), rows));
          const sums = newSums(f, RECORD);
          const modify = scoreModifier(f, head, attrs, inputs.slice(inputs.length - attrs.tables.length));
          const scores = (x: V128, i: I32, j: I32): V128 => modify(f32x4.mul(x, attrs.scale), i, j);
          const tile = { head, first, rows, memory: own, arrays: 2 };
          const products = [
            { x: q, y: k, size: D, kept: scores },
            { x: dz, y: v, size: DV, kept: (x: V128) => x },
          ];
          const term = hasRowTerm(attrs) ? f.let(element(inputs[4], at, 4 * T)) : undefined;
          forRows(f, tile, sizes, attrs, products, (row) => {
            const z = f.let(i32.add(i32.mul(i32.add(i32.mul(head.batch, T), row.i), H), head.head));
            const [dzRow, innerRow] = [dz, inputs[last]].map((x) => x && element(x, z, 4 * DV));
            const terms = {
              term: f.let(term ? loadSplat(element(term, row.i)) : f32x4.splat(1)),
              delta: f.let(f32x4.splat(isExact(attrs) ? dot(f, dzRow, innerRow, DV) : 0)),
            };
            const [pattern, scores] = [gradientSums(f), gradientSums(f)];
            forKeys(f, row, (at) => {
              const [s, da] = [f.let(load("v128", at)), f.let(load("v128", at, arrayBytes(sizes)))];
              const isSeen = f.let(f32x4.ne(s, -Infinity));
              pattern.add(da, isSeen);
              scores.add(f.let(scoreGradients(f, attrs, s, da, terms)), isSeen);
            });
            pattern.addTo(sums, "pattern");
            scores.addTo(sums, "scores");
          });
          storeRecord(f, scratch[0], block, RECORD, sums);
        },
      },
      mergePhase({
        label: `${label} of heads`,
        ...{ sizes, tiles, record: RECORD, columns: wasmColumns(table) },
      }),
    ],
  };
}
