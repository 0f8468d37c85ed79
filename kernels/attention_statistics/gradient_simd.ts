// Statistics of dL/dpattern and dL/dscores in WebAssembly. For a tile of query rows, a block recomputes the scores s and the
// products dA = dz . v, and computes ds from them as in the backward pass. It writes one record of sums to the scratch buffer.
import { element, f32x4, f64, type Func, type I32, i32, loadSplat } from "../../src/wasm/mod.ts";
import { type V128, v128 } from "../../src/wasm/mod.ts";
import type { Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import { rowProduct } from "../attention/simd/tiles.ts";
import { gradientsOf, isKnown } from "../attention/simd/weights.ts";
import {
  type AttentionAttrs,
  type AttentionSizes,
  attentionSizes,
  hasRowTerm,
  isExact,
} from "../attention/sizes.ts";
import { forKeys, forRows, type Product, scoresOf, type Tile } from "./pairs.ts";
import { largestOf, type RecordOfSums, simdOfTiles, type Sums, vectorCount, vectorSum } from "./sums.ts";
import { type AttentionStatistic, wasmColumns } from "./table.ts";

const MATRICES = ["pattern", "scores"] as const;

/** The sums that a record holds for each of the two matrices. */
const RECORD: RecordOfSums = {
  names: MATRICES.flatMap((x) => [x, `${x}_squares`, `${x}_pairs`, `${x}_nonfinite`, `${x}_absmax`]),
  largest: MATRICES.map((x) => `${x}_absmax`),
};

/** Creates the local variables for the sums over a row of a gradient matrix. */
function gradientSums(f: Func) {
  const [finite, others] = [vectorCount(f), vectorCount(f)];
  const moments = vectorSum(f, { squares: true });
  const largest = f.let(f32x4.splat(0));
  return {
    /** Adds the values x of four pairs. x must be a local variable; `isSeen` is the mask of the visible pairs. */
    add(x: V128, isSeen: V128): void {
      const size = f.let(f32x4.abs(x));
      const counts = f.let(v128.and(f32x4.lt(size, Infinity), isSeen));
      finite.add(counts);
      others.add(v128.andnot(isSeen, counts));
      f.set(largest, f32x4.pmax(largest, v128.and(size, counts)));
      moments.add(f.let(v128.and(x, counts)));
    },
    /** Adds the sums of the row to those of the matrix. */
    addTo({ add }: Sums, matrix: string): void {
      add(matrix, moments.sum);
      add(`${matrix}_squares`, moments.squares);
      add(`${matrix}_pairs`, f64.fromU(finite.count));
      add(`${matrix}_nonfinite`, f64.fromU(others.count));
      add(`${matrix}_absmax`, f64.promote(largestOf(largest)));
    },
  };
}

/** The products dA = dz . v, multiplied by the dropout factors. */
const weightGradients = ({ DV }: AttentionSizes): Product => ({
  ...{ x: 3, y: 2, size: DV, scale: 1 },
  kept: (products, { keep }, j) => keep ? f32x4.mul(products, keep(j)) : products,
});

/** Writes the code that adds the rows of a tile to the sums. */
function addTile(f: Func, tile: Tile, sums: Sums): void {
  const { call: { sizes: { T, H, DV }, attrs }, b, h, inputs } = tile;
  const saved = hasRowTerm(attrs) ? f.let(element(inputs[4], tile.index, 4 * T)) : undefined;
  const [dz, inner] = [inputs[3], inputs[4 + Number(hasRowTerm(attrs))]];
  forRows(f, tile, (row) => {
    const z = f.let(i32.add(i32.mul(i32.add(i32.mul(b, T), row.i), H), h));
    const rowOf = (x: I32): I32 => element(x, z, 4 * DV);
    const terms = {
      term: f.let(saved ? loadSplat(element(saved, row.i)) : f32x4.splat(1)),
      delta: f.let(f32x4.splat(isExact(attrs) ? rowProduct(f, rowOf(dz), rowOf(inner), DV) : 0)),
    };
    const [pattern, scores] = [gradientSums(f), gradientSums(f)];
    forKeys(f, row, (at, j) => {
      const [score, da] = row.kept(at, j);
      const seen = f.let(f32x4.ne(score, -Infinity));
      pattern.add(da, seen);
      scores.add(gradientsOf(f, attrs, { score, seen }, da, terms).ds, seen);
    });
    pattern.addTo(sums, "pattern");
    scores.addTo(sums, "scores");
  });
}

/**
 * Returns the phases that compute the statistics of a call, or undefined if the activation has no WebAssembly code. Inputs: q, k,
 * v, dz, the row terms and the inner values if the gradient uses them, and the extra inputs of the attention.
 */
export function gradientStatisticsSimd(
  { inputs, attrs }: Call<AttentionAttrs>,
  table: Readonly<Record<string, AttentionStatistic>>,
): Simd | undefined {
  if (!isKnown(attrs)) return undefined;
  const call = { sizes: attentionSizes(inputs), attrs };
  return simdOfTiles({
    label: "attention gradient statistics",
    call,
    record: RECORD,
    products: [scoresOf(call), weightGradients(call.sizes)],
    arrays: 0,
    numbers: 0,
    add: addTile,
    columns: wasmColumns(table),
  });
}
