// LayerNorm and RMSNorm in WebAssembly, y = (x - mean) rstd weight + bias, and the gradient of x. Four rows are computed at a
// time, so that their additions overlap and their means and variances are computed in the lanes of one vector.
import type { Simd } from "../../src/graph/simd.ts";
import { type Call, sizeOf } from "../../src/graph/tensor.ts";
import { element, f32x4, type Func, type I32, i32, load, loadSplat, type V128 } from "../../src/wasm/mod.ts";
import { columnSums } from "../simd/columns.ts";
import { acrossLanes, eachPart, rowGroups, rowSums, spread, storeLanes } from "../simd/rows.ts";
import type { NormAttrs, NormBackwardAttrs, NormParametersAttrs } from "./sizes.ts";

const nameOf = ({ centered }: { centered: boolean }): string => centered ? "layer_norm" : "rms_norm";

/** y = (x - mean) rstd weight + bias; rstd and mean are stored if they are read. */
export function normSimd({ inputs: [{ shape }], attrs, needed }: Call<NormAttrs>): Simd {
  const size = shape.at(-1)!;
  const groups = rowGroups(sizeOf(shape) / size, size);
  const { together } = groups;
  const rows = Array.from({ length: together }, (_, r) => r);
  const kernel = (
    f: Func,
    row: I32,
    [x, weight, bias]: readonly I32[],
    [y, rstds, means]: readonly I32[],
  ) => {
    const [from, to] = [x, y].map((base) => f.let(element(base, i32.mul(row, size))));
    const at = (r: number, i: I32, offset: number) => load("v128", i32.add(from, i), offset + 4 * size * r);
    let mean: V128[] = [];
    if (attrs.centered) {
      const sums = rowSums(f, size, together, (sum, r, i, offset, part) => {
        return f32x4.add(sum, part.keep(at(r, i, offset)));
      });
      const each = f.let(f32x4.div(sums, size));
      if (needed[2]) storeLanes(f, f.let(element(means, row)), each, together);
      mean = rows.map((r) => f.let(spread(each, r)));
    }
    const centered = (r: number, i: I32, offset: number): V128 =>
      attrs.centered ? f32x4.sub(at(r, i, offset), mean[r]) : at(r, i, offset);
    // The variance takes a second pass over the row, because mean(x^2) - mean(x)^2 would lose precision if the variance is
    // small compared with the mean.
    const squares = rowSums(f, size, together, (sum, r, i, offset, part) => {
      const c = f.let(part.keep(centered(r, i, offset)));
      return f32x4.madd(c, c, sum);
    });
    const each = f.let(f32x4.div(1, f32x4.sqrt(f32x4.add(f32x4.div(squares, size), attrs.eps))));
    if (needed[1]) storeLanes(f, f.let(element(rstds, row)), each, together);
    const rstd = rows.map((r) => f.let(spread(each, r)));
    eachPart(f, size, (i, offset, part) => {
      const w = f.let(load("v128", i32.add(weight, i), offset));
      const b = attrs.bias ? f.let(load("v128", i32.add(bias, i), offset)) : undefined;
      const target = f.let(i32.add(to, i));
      for (const r of rows) {
        const normal = f32x4.mul(centered(r, i, offset), rstd[r]);
        part.store(f, target, b ? f32x4.madd(normal, w, b) : f32x4.mul(normal, w), offset + 4 * size * r);
      }
    });
  };
  return {
    phases: [{
      label: nameOf(attrs),
      blocks: groups.blocks,
      kernel: (f, block, { inputs, outputs }) =>
        groups.each(f, groups.range(f, block), (row) => kernel(f, row, inputs, outputs)),
    }],
  };
}

/**
 * dx = rstd (h - mean h - n mean(h n)) + addend, with h = dy weight and n = (x - mean) rstd. RMSNorm subtracts neither mean
 * nor mean h.
 */
export function normBackwardSimd({ inputs: [{ shape }], attrs }: Call<NormBackwardAttrs>): Simd {
  const size = shape.at(-1)!;
  const groups = rowGroups(sizeOf(shape) / size, size);
  const { together } = groups;
  const rows = Array.from({ length: together }, (_, r) => r);
  const kernel = (f: Func, row: I32, inputs: readonly I32[], dx: I32) => {
    const [x, weight, dy, rstds, ...rest] = inputs;
    const means = attrs.centered ? rest.shift() : undefined;
    const from = [x, dy, ...rest].map((base) => f.let(element(base, i32.mul(row, size))));
    const to = f.let(element(dx, i32.mul(row, size)));
    const at = (k: number, r: number, i: I32, offset: number) =>
      load("v128", i32.add(from[k], i), offset + 4 * size * r);
    const rstd = f.let(load("v128", element(rstds, row)));
    const mean = means && f.let(load("v128", element(means, row)));
    const meanOf = mean && rows.map((r) => f.let(spread(mean, r)));
    const sums = rows.map(() => f.let(f32x4.splat(0)));
    const along = rows.map(() => f.let(f32x4.splat(0)));
    eachPart(f, size, (i, offset, part) => {
      const w = f.let(load("v128", i32.add(weight, i), offset));
      for (const r of rows) {
        const h = f.let(part.keep(f32x4.mul(at(1, r, i, offset), w)));
        const centered = meanOf ? f32x4.sub(at(0, r, i, offset), meanOf[r]) : at(0, r, i, offset);
        f.set(along[r], f32x4.madd(h, part.keep(centered), along[r]));
        if (meanOf) f.set(sums[r], f32x4.add(h, sums[r]));
      }
    });
    // dx = rstd h + a x + b, with a = -rstd^2 mean(h n) and b = -(rstd mean h + a mean). In a and b, lane r belongs to row r.
    const scaled = f32x4.mul(rstd, f32x4.mul(rstd, f32x4.mul(rstd, f32x4.div(acrossLanes(f, along), size))));
    const a = f.let(f32x4.neg(scaled));
    const b = mean &&
      f.let(f32x4.nmadd(rstd, f32x4.div(acrossLanes(f, sums), size), f32x4.neg(f32x4.mul(a, mean))));
    const [rstdOf, aOf, bOf] = [rstd, a, b].map((of) => of && rows.map((r) => f.let(spread(of, r))));
    eachPart(f, size, (i, offset, part) => {
      const w = f.let(load("v128", i32.add(weight, i), offset));
      const target = f.let(i32.add(to, i));
      for (const r of rows) {
        const h = f32x4.mul(at(1, r, i, offset), w);
        const ends = attrs.addend ? at(2, r, i, offset) : undefined;
        const rest = bOf && ends ? f32x4.add(bOf[r], ends) : bOf?.[r] ?? ends;
        const along = at(0, r, i, offset);
        const other = rest ? f32x4.madd(along, aOf![r], rest) : f32x4.mul(along, aOf![r]);
        part.store(f, target, f32x4.madd(h, rstdOf![r], other), offset + 4 * size * r);
      }
    });
  };
  return {
    phases: [{
      label: `${nameOf(attrs)}_backward`,
      blocks: groups.blocks,
      kernel: (f, block, { inputs, outputs: [dx] }) =>
        groups.each(f, groups.range(f, block), (row) => kernel(f, row, inputs, dx)),
    }],
  };
}

/** dweight = sum over rows of dy n, dbias = sum over rows of dy, with n = (x - mean) rstd. */
export function normParametersSimd({ inputs: [{ shape }], attrs, needed }: Call<NormParametersAttrs>): Simd {
  const size = shape.at(-1)!;
  return columnSums({
    label: `${nameOf(attrs)}_parameters`,
    rows: sizeOf(shape) / size,
    columns: size,
    outputs: [0, 1].filter((output) => needed[output]),
    row(f, row, column, { inputs: [x, dy, rstds, means] }) {
      const [from, gradient] = [x, dy].map((base) =>
        f.let(i32.add(element(base, i32.mul(row, size)), column))
      );
      const rstd = f.let(loadSplat(element(rstds, row)));
      const mean = attrs.centered ? f.let(loadSplat(element(means, row))) : undefined;
      return (sums, offset) => {
        const d = f.let(load("v128", gradient, offset));
        const at = load("v128", from, offset);
        const n = f32x4.mul(mean ? f32x4.sub(at, mean) : at, rstd);
        if (needed[0]) f.set(sums[0], f32x4.madd(d, n, sums[0]));
        if (needed[1]) f.set(sums.at(-1)!, f32x4.add(d, sums.at(-1)!));
      };
    },
  });
}
