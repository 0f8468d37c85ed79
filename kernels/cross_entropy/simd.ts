// Cross-entropy in WebAssembly. For each row of logits with target t, the kernels compute loss = top - logit_t + log(sum of
// exp(logit - top)), whether the argmax is t, and dlogits = (softmax - onehot t) / valid.
import type { Addresses, Phase, Simd } from "../../src/graph/simd.ts";
import type { Call } from "../../src/graph/tensor.ts";
import {
  element,
  f32,
  f32x4,
  f64,
  f64x2,
  float,
  type Func,
  type I32,
  i32,
  i32x4,
  load,
} from "../../src/wasm/mod.ts";
import { loadSplat, type Local, sumLanes, v128, type Value } from "../../src/wasm/mod.ts";
import { expOfNegative, log } from "../expression/vector_functions.ts";
import { acrossLanes, eachPart, type RowGroups, rowGroups, type RowRange, storeLanes } from "../simd/rows.ts";

/**
 * Addresses of inputs and results. Each row has one value of `tops` (the largest logit), `gaps` (the largest logit minus the
 * target's logit), `totals` (the sum of exponentials), `losses` and `hits`.
 */
interface Places {
  readonly logits: I32;
  readonly targets: I32;
  readonly tops: I32;
  readonly gaps: I32;
  readonly totals: I32;
  readonly losses: I32;
  readonly hits: I32;
  readonly valid: I32;
}

function placesOf({ inputs, outputs, scratch }: Addresses, needed: readonly boolean[]): Places {
  const [tops, gaps, totals, ...unread] = scratch;
  const [losses, valid, hits] = [2, 3, 5].map((output, k) => needed[output] ? outputs[output] : unread[k]);
  return { logits: inputs[0], targets: inputs[1], tops, gaps, totals, losses, valid, hits };
}

/** Outputs: loss [1], dlogits [N, V], losses [N], valid [1], correct [1], hits [N]. */
export function crossEntropySimd({ inputs: [{ shape: [rows, size] }], needed }: Call): Simd {
  const groups = rowGroups(rows, size);
  const count: Phase = {
    label: "cross_entropy_count",
    blocks: 1,
    kernel: (f, _, at) => countValid(f, placesOf(at, needed), rows, size),
  };
  const each: Phase = {
    label: "cross_entropy",
    blocks: groups.blocks,
    kernel(f, block, at) {
      const places = placesOf(at, needed);
      const range = groups.range(f, block);
      findTops(f, places, groups, range, size);
      f.loop(range.first, range.last, 1, (row) => {
        oneRow(f, places, row, size, needed[1] ? at.outputs[1] : undefined);
      });
      groups.each(f, range, (row) => {
        const [gap, total] = [places.gaps, places.totals].map((base) => load("v128", element(base, row)));
        const loss = f.let(f32x4.add(gap, log(f, total)));
        storeLanes(f, element(places.losses, row), loss, groups.together);
      });
    },
  };
  const mean: Phase = {
    label: "cross_entropy_mean",
    blocks: 1,
    kernel(f, _, at) {
      const places = placesOf(at, needed);
      const [loss, correct] = [places.losses, places.hits].map((base) => sumOf(f, base, rows));
      const valid = f.let(load("f32", places.valid));
      if (needed[0]) f.store(at.outputs[0], f32.demote(f64.div(loss, f64.promote(f32.max(valid, 1)))));
      if (needed[4]) f.store(at.outputs[4], f32.demote(correct));
    },
  };
  return { phases: [count, each, mean], scratch: [rows, rows, rows, rows, 1, rows] };
}

/** Counts the targets below V, and writes the number to `valid`. */
function countValid(f: Func, { targets, valid }: Places, rows: number, size: number): void {
  const sum = f.local("v128");
  eachPart(f, rows, (i, offset, part) => {
    const counted = i32x4.ltU(load("v128", i32.add(targets, i), offset), size);
    f.set(sum, i32x4.sub(sum, part.keep(counted)));
  });
  const total = [1, 2, 3].reduce((all, k) => i32.add(all, i32x4.lane(sum, k)), i32x4.lane(sum, 0));
  f.store(valid, f32.fromU(total));
}

/**
 * Finds the largest logit of every row by comparing the logits in order. A NaN never compares as larger than another logit. If
 * the first logit is NaN, no other logit compares as larger, and the result is NaN.
 */
function findTops(f: Func, { logits, tops }: Places, groups: RowGroups, range: RowRange, size: number): void {
  groups.each(f, range, (row) => {
    const from = f.let(element(logits, i32.mul(row, size)));
    const maxima = Array.from({ length: groups.together }, (_, r) => f.let(loadSplat(from, 4 * size * r)));
    eachPart(f, size, (i, offset, part) => {
      maxima.forEach((top, r) => {
        const x = load("v128", i32.add(from, i), offset + 4 * size * r);
        f.set(top, f32x4.pmax(top, part.keep(x, top)));
      });
    });
    storeLanes(f, element(tops, row), f.let(acrossLanes(f, maxima, f32x4.pmax)), groups.together);
  });
}

/** Computes the sum of exponentials, the hit and, if `dlogits` is defined, the gradient of one row. */
function oneRow(f: Func, places: Places, row: I32, size: number, dlogits: I32 | undefined): void {
  const start = f.let(i32.mul(row, 4 * size));
  const from = f.let(i32.add(places.logits, start));
  const to = dlogits && f.let(i32.add(dlogits, start));
  const target = f.let(load("i32", element(places.targets, row)));
  const [gapAt, totalAt, hitAt] = [places.gaps, places.totals, places.hits].map((at) => element(at, row));
  f.if(i32.ltU(target, size), () => {
    const top = f.let(loadSplat(element(places.tops, row)));
    const sum = f.let(f32x4.splat(0));
    eachPart(f, size, (i, offset, part) => {
      const e = f.let(expOfNegative(f, f32x4.sub(load("v128", i32.add(from, i), offset), top)));
      if (to) part.store(f, i32.add(to, i), e, offset);
      f.set(sum, f32x4.add(sum, part.keep(e)));
    });
    const total = f.let(sumLanes(sum));
    const logit = f.let(load("f32", element(from, target)));
    f.store(totalAt, total);
    f.store(gapAt, f32.sub(f32x4.lane(top, 0), logit));
    f.store(hitAt, f32.fromU(isFirst(f, from, target, logit, top)));
    if (to) scaleRow(f, to, target, total, load("f32", places.valid), size);
  }, () => {
    // With these values, the loss of an ignored target is 0 + log 1 = 0.
    f.store(gapAt, float(0));
    f.store(totalAt, float(1));
    f.store(hitAt, float(0));
    if (to) f.zero(to, 4 * size);
  });
}

/** Returns 1 if the target is the lowest id with the largest logit, else 0. A NaN at id 0 counts as the largest logit. */
function isFirst(f: Func, from: I32, target: I32, logit: Local<"f32">, top: Local<"v128">): I32 {
  const hit = f.local("i32");
  const largest = f32x4.lane(top, 0);
  f.if(f32.eq(logit, largest), () => {
    const at = f.let(from);
    const equal = i32x4.bitmask(f32x4.eq(load("v128", at), top));
    f.while(() => i32.eqz(equal), () => f.set(at, i32.add(at, 16)));
    const first = i32.add(i32.shrU(i32.sub(at, from), 2), i32.ctz(equal));
    f.set(hit, i32.eq(first, target));
  }, () => f.set(hit, i32.and(i32.eqz(target), f32.ne(largest, largest))));
  return hit;
}

/** Replaces a row's exponentials by (softmax - onehot target) / valid. */
function scaleRow(
  f: Func,
  to: I32,
  target: I32,
  total: Local<"f32">,
  valid: Value<"f32">,
  size: number,
): void {
  const at = f.let(element(to, target));
  const share = f.let(f32x4.splat(f32.div(1, f32.mul(total, valid))));
  const ofTarget = f.let(f32.div(f32.sub(f32.div(load("f32", at), total), 1), valid));
  eachPart(f, size, (i, offset, part) => {
    const address = f.let(i32.add(to, i));
    part.store(f, address, f32x4.mul(load("v128", address, offset), share), offset);
  }, 4);
  f.store(at, ofTarget);
}

/** Returns the sum of the `rows` floats that start at address `base`. They are added in float64. */
function sumOf(f: Func, base: I32, rows: number): Value<"f64"> {
  const sums = [f.local("v128"), f.local("v128")];
  eachPart(f, rows, (i, offset, part) => {
    const x = f.let(part.keep(load("v128", i32.add(base, i), offset)));
    f.set(sums[0], f64x2.add(sums[0], f64x2.promote(x)));
    f.set(sums[1], f64x2.add(sums[1], f64x2.promote(v128.shuffle(x, x, [2, 3, 2, 3]))));
  });
  const pairs = f.let(f64x2.add(sums[0], sums[1]));
  return f.let(f64.add(f64x2.lane(pairs, 0), f64x2.lane(pairs, 1)));
}
