// Rows of statistics in WebAssembly, computed in float64 from the partials of the chunks (see simd.ts):
//
//     mean = sum(n_i mean_i) / n,  m2 = sum(m2_i + n_i (mean_i - mean)^2),  sum of squares = sum(m2_i + n_i mean_i^2)
//
// Every sum adds the chunks i in order.
import type { Phase } from "../../src/graph/simd.ts";
import { double, element, f32, type F64, f64, float, type Func, i32 } from "../../src/wasm/mod.ts";
import { type I32, int, load, type Local, select } from "../../src/wasm/mod.ts";
import { AT } from "./simd.ts";
import { PARTIAL, TENSOR_TABLE, type WasmSummary } from "./table.ts";

/** Number of parts per block. */
const PARTS = 4;

/** The samples of a part: `first` is the address of the first sample's entry in the table, `count` the number of samples. */
interface Samples {
  readonly partials: I32;
  readonly first: I32;
  readonly count: I32;
}

/** Writes a loop over the partials of a part: `take` runs for each partial, and `end` after the last one of each sample. */
function eachPartial(
  f: Func,
  { partials, first, count }: Samples,
  take: (at: I32) => void,
  end?: () => void,
) {
  f.loop(first, i32.add(first, i32.shl(count, 3)), 8, (sample) => {
    const from = f.let(element(partials, load("i32", sample), 4 * PARTIAL));
    f.loop(from, element(from, load("i32", sample, 4), 4 * PARTIAL), 4 * PARTIAL, take);
    end?.();
  });
}

const finiteOf = (at: I32): F64 => f64.fromU(load("i32", at, AT.finite));

/** Computes all values that the expressions of the columns use. */
function summaryOf(f: Func, samples: Samples, elements: I32): WasmSummary {
  const [finite, zeros] = [f.let(int(0)), f.let(int(0))];
  const sums = {
    all: f.local("f64"),
    squares: f.local("f64"),
    sample: f.local("f64"),
    norms: f.local("f64"),
  };
  const [low, high] = [f.let(float(Infinity)), f.let(float(-Infinity))];
  const [longest, shortest] = [f.let(double(0)), f.let(double(Infinity))];
  const add = (to: Local<"f64">, x: F64): void => f.set(to, f64.add(to, x));
  for (const sum of Object.values(sums)) f.set(sum, double(0));
  eachPartial(f, samples, (at) => {
    f.set(finite, i32.add(finite, load("i32", at, AT.finite)));
    f.set(zeros, i32.add(zeros, load("i32", at, AT.zeros)));
    f.set(low, f32.min(low, load("f32", at, AT.low)));
    f.set(high, f32.max(high, load("f32", at, AT.high)));
    const mean = load("f64", at, AT.mean);
    const total = f.let(f64.mul(finiteOf(at), mean));
    add(sums.all, total);
    add(sums.sample, f64.add(load("f64", at, AT.m2), f64.mul(total, mean)));
  }, () => {
    const norm = f.let(f64.sqrt(sums.sample));
    add(sums.squares, sums.sample);
    add(sums.norms, norm);
    f.set(longest, f64.max(longest, norm));
    f.set(shortest, f64.min(shortest, norm));
    f.set(sums.sample, double(0));
  });
  const n = f.let(f64.fromU(select(finite, finite, int(1))));
  const mean = f.let(f64.div(sums.all, n));
  const m2 = f.let(double(0));
  eachPartial(f, samples, (at) => {
    const distance = f.let(f64.sub(load("f64", at, AT.mean), mean));
    add(m2, f64.add(load("f64", at, AT.m2), f64.mul(f64.mul(distance, distance), finiteOf(at))));
  });
  // If no element is finite, minimum and maximum are 0.
  const extreme = (x: Local<"f32">): F64 => f.let(f64.promote(select(finite, x, float(0))));
  return {
    ...{ n, mean, m2, longest, shortest, squares: sums.squares, norms: sums.norms },
    ...{ low: extreme(low), high: extreme(high), equal: f.let(f32.eq(low, high)) },
    ...{ finite: f64.fromU(finite), zeros: f64.fromU(zeros), elements: f64.fromU(elements) },
    samples: f64.fromU(samples.count),
  };
}

/** Returns the phase that computes one row of statistics per part; see `statisticsOp`. */
export function finishPhase(parts: number): Phase {
  const columns = Object.values(TENSOR_TABLE);
  return {
    label: "statistics",
    blocks: Math.ceil(parts / PARTS),
    kernel(f, block, { inputs: [partials, samples, table], outputs: [rows] }) {
      const first = f.let(i32.mul(block, PARTS));
      const end = f.let(i32.add(first, PARTS));
      f.if(i32.gtU(end, parts), () => f.set(end, int(parts)));
      f.loop(first, end, 1, (part) => {
        const entry = f.let(element(table, part, 16));
        const start = f.let(element(samples, load("i32", entry), 8));
        const of = { partials, first: start, count: f.let(load("i32", entry, 4)) };
        const summary = summaryOf(f, of, load("i32", entry, 8));
        const row = f.let(element(rows, part, 4 * columns.length));
        columns.forEach(({ wasm }, i) => f.store(row, f32.demote(wasm(summary)), 4 * i));
      });
    },
  };
}
