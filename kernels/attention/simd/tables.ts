// Gradients of learned tables in WebAssembly. The tiles are the same as in backward.ts. Each row adds its contribution to the
// gradients of the table entries that its pairs look up. The work is divided into a few slices, each with its own sums; the sums
// of all slices are added at the end.
import type { Phase, Simd } from "../../../src/graph/simd.ts";
import type { Call } from "../../../src/graph/tensor.ts";
import {
  element,
  f32,
  f32x4,
  type Func,
  type I32,
  i32,
  i32x4,
  load,
  sumLanes,
} from "../../../src/wasm/mod.ts";
import { type V128, v128 } from "../../../src/wasm/mod.ts";
import { variablesOf } from "../../expression/expression.ts";
import { attentionSizes, hasRowTerm, isExact } from "../sizes.ts";
import {
  learnedSpecs,
  type TableGradientAttrs,
  tableOffsets,
  type TableSlope,
  tableSlopes,
} from "../tables.ts";
import { gradientBlock, gradientPlan } from "./backward.ts";
import type { Pairs, Points } from "./points.ts";
import { isKnown } from "./weights.ts";

/** Maximum number of slices. */
const SLICES = 32;

/** Writes the code that adds x to the float at an address. */
function addTo(f: Func, address: I32, x: ReturnType<typeof sumLanes>): void {
  const at = f.let(address);
  f.store(at, f32.add(load("f32", at), x));
}

/** Returns functions that write the code of one lookup for a row: `add` for each four pairs, and `end` for the end of the row. */
function slopeCode(f: Func, { lookup, derivative }: TableSlope, offset: number, points: Points, sums: I32) {
  const contribution = (pairs: Pairs, ds: V128): { index: V128; by: V128 } => {
    const { entry, index } = points.entryOf(lookup, pairs);
    const by = f32x4.mul(ds, points.value(derivative, pairs, { entry }));
    return { index, by: f.let(v128.and(pairs.seen, by)) };
  };
  const at = (index: V128, lane: number): I32 => element(i32.add(sums, 4 * offset), i32x4.lane(index, lane));
  const names = variablesOf(lookup);
  if (names.has("j") || names.has("score")) {
    return {
      add(pairs: Pairs, ds: V128): void {
        const { index, by } = contribution(pairs, ds);
        for (let lane = 0; lane < 4; lane++) addTo(f, at(index, lane), f32x4.lane(by, lane));
      },
      end: () => {},
    };
  }
  // All pairs of a row look up the same entry.
  const [sum, entry] = [f.local("v128"), f.local("v128")];
  f.set(sum, f32x4.splat(0));
  f.set(entry, f32x4.splat(0));
  return {
    add(pairs: Pairs, ds: V128): void {
      const { index, by } = contribution(pairs, ds);
      f.set(sum, f32x4.add(sum, by));
      f.set(entry, index);
    },
    end: () => addTo(f, at(entry, 0), sumLanes(sum)),
  };
}

/** Returns the phase that adds the sums of all slices. */
function sumPhase(size: number, slices: number): Phase {
  const most = 1024;
  return {
    label: "attention table gradient sum",
    blocks: Math.ceil(size / most),
    kernel(f, block, { outputs: [out], scratch: [sums] }) {
      const first = f.let(i32.mul(block, most));
      const end = f.let(i32.add(first, most));
      f.if(i32.gtU(end, size), () => f.set(end, i32.add(size, 0)));
      f.loop(first, end, 4, (e) => {
        const from = f.let(element(sums, e));
        const sum = f.let(load("v128", from));
        f.loop(1, slices, 1, () => {
          f.set(from, i32.add(from, 4 * size));
          f.set(sum, f32x4.add(sum, load("v128", from)));
        });
        f.store(element(out, e), sum);
      });
    },
  };
}

/** Returns the phases of `attention_table_gradient`, or undefined if the activation has no WebAssembly code. */
export function tableGradientSimd({ inputs, attrs }: Call<TableGradientAttrs>): Simd | undefined {
  if (!isKnown(attrs)) return undefined;
  const call = { sizes: attentionSizes(inputs), attrs };
  const { B, HKV } = call.sizes;
  const { offsets, size } = tableOffsets(attrs.learned, learnedSpecs(inputs, attrs));
  const slopes = tableSlopes(attrs.score, attrs.learned);
  const plan = gradientPlan(call, {
    dq: false,
    dk: false,
    dv: false,
    slopes: (f, points, sums) =>
      slopes.map((slope) => slopeCode(f, slope, offsets[slope.table], points, sums)),
  });
  const { shapes: { parts }, memory } = plan;
  const units = B * HKV * parts;
  const slices = Math.min(units, SLICES);
  return {
    own: memory.size,
    scratch: [slices * size],
    phases: [{
      label: `attention ${attrs.activation} table gradient`,
      blocks: slices,
      kernel(f, block, at) {
        const sums = f.let(element(at.scratch[0], block, 4 * size));
        f.zero(sums, 4 * size);
        f.loop(block, units, slices, (unit) => {
          const head = f.let(i32.divU(unit, parts));
          const terms = 4 + Number(hasRowTerm(attrs));
          const [b, kv, part] = [i32.divU(head, HKV), i32.remU(head, HKV), i32.remU(unit, parts)];
          gradientBlock(f, plan, {
            at,
            terms: hasRowTerm(attrs) ? at.inputs[4] : at.own,
            deltas: isExact(attrs) ? at.inputs[terms] : at.own,
            sums,
          }, { b: f.let(b), kv: f.let(kv), part: f.let(part) });
        });
      },
    }, sumPhase(size, slices)],
  };
}
