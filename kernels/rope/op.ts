// Rotary position embedding: queries and keys are rotated by angles proportional to their position. The angles are computed
// once, on the host in float64, so that position 100,000 is rotated as accurately as position 0.
import { apply, mismatch, type Op, sizeOf, type Tensor, workgroups1d } from "../../src/graph/tensor.ts";
import { literal } from "../../src/graph/structure.ts";
import { UserError } from "../../src/base/errors.ts";
import type { RopeAttrs } from "./attributes.ts";
import { ropeSimd } from "./simd.ts";
import ropeWgsl from "./rope.wgsl" with { type: "text" };

/** Output: x with its pairs rotated. */
export const ropeOp: Op<RopeAttrs> = {
  name: "rope",
  infer(inputs, { rotaryDim }) {
    const [x, table] = inputs;
    const [, T] = x.shape;
    if (x.shape.length !== 4 || x.dtype !== "f32" || table.shape[0] !== T || table.shape[1] !== rotaryDim) {
      mismatch("rope", `x f32[B, T, H, d] and turns f32[T, ${rotaryDim}]`, inputs);
    }
    return [{ shape: x.shape, dtype: "f32" }];
  },
  lower({ inputs: [x], attrs: { rotaryDim, interleaved, back } }) {
    const [B, T, H, D] = x.shape;
    const PAIRS = rotaryDim / 2;
    const ITEMS = PAIRS + D - rotaryDim;
    return {
      dispatches: [{
        label: "rope",
        source: ropeWgsl,
        constants: { ROWS: B * T * H, T, H, D, PAIRS, ITEMS, INTERLEAVED: interleaved, BACK: back },
        bindings: { 0: ["output", 0], 1: ["input", 0], 2: ["input", 1] },
        workgroups: workgroups1d(B * T * H * ITEMS, 64),
      }],
    };
  },
  simd: ropeSimd,
  cpu([x, table], [y], { inputs: [{ shape: [B, T, H, D] }], attrs: { rotaryDim: R, interleaved, back } }) {
    const [step, apart] = interleaved ? [2, 1] : [1, R / 2];
    const sign = back ? -1 : 1;
    y.set(x);
    for (let row = 0; row < B * T * H; row++) {
      const turn = Math.floor(row / H) % T * R;
      for (let i = 0; i < R / 2; i++) {
        const at = row * D + i * step;
        const [c, s] = [table[turn + 2 * i], sign * table[turn + 2 * i + 1]];
        y[at] = x[at] * c - x[at + apart] * s;
        y[at + apart] = x[at] * s + x[at + apart] * c;
      }
    }
  },
  vjp(node, [g]) {
    const attrs = node.attrs as RopeAttrs;
    return [apply(ropeOp, [g!, node.inputs[1]], { ...attrs, back: !attrs.back })[0], undefined];
  },
  flops: ({ inputs: [x], attrs }) => 3 * sizeOf(x) / x.shape[3] * attrs.rotaryDim,
};

/** The ways to pair the dimensions of a head: neighbouring dimensions, or dimensions that are rotaryDim / 2 apart. */
export const ROPE_PAIRS = { interleaved: { neighbours: true }, half: { neighbours: false } };

/** Options of `rope`; the defaults are those of the paper. */
export interface RopeOptions {
  /**
   * Base of the angles: from one position to the next, the angle of pair i grows by base^(-2i / rotaryDim) radians. Default:
   * 10,000.
   */
  readonly base?: number;
  /** "interleaved" pairs dimensions 2i and 2i + 1, "half" pairs dimensions i and i + rotaryDim / 2. Default: "interleaved". */
  readonly pairs?: keyof typeof ROPE_PAIRS;
  /** Number R of dimensions of each head that are rotated; they are the first R dimensions. Default: all dimensions. */
  readonly rotaryDim?: number;
  /** Position of the first row. Default: 0. */
  readonly offset?: number;
  /** Result of `ropeTurns` for the same options. Tensors of equal length can share it. Default: `rope` computes it. */
  readonly turns?: Tensor;
}

function checkOptions(headDim: number, { base = 10000, rotaryDim = headDim, offset = 0 }: RopeOptions): void {
  const fail = (what: string) => {
    throw new UserError(`rope: ${what}.`);
  };
  if (!Number.isInteger(rotaryDim) || rotaryDim < 2 || rotaryDim % 2 !== 0) {
    fail(`rotaryDim is ${rotaryDim}, expected an even number of at least 2`);
  }
  if (rotaryDim > headDim) fail(`rotaryDim is ${rotaryDim}, expected at most the head's ${headDim}`);
  if (!(base > 0 && Number.isFinite(base))) fail(`base is ${base}, expected a number above 0`);
  if (!Number.isInteger(offset) || offset < 0) fail(`offset is ${offset}, expected a position, 0 or more`);
}

/**
 * Returns a table [length, R/2, 2] in float64. For each position t and pair i, it has the cos and sin of the angle (offset +
 * t) base^(-2i/R), side by side.
 */
function turns(length: number, rotaryDim: number, base: number, offset: number): Float64Array {
  const table = new Float64Array(length * rotaryDim);
  for (let i = 0; i < rotaryDim; i += 2) {
    const speed = base ** (-i / rotaryDim);
    for (let t = 0; t < length; t++) {
      table[t * rotaryDim + i] = Math.cos((offset + t) * speed);
      table[t * rotaryDim + i + 1] = Math.sin((offset + t) * speed);
    }
  }
  return table;
}

/**
 * Returns the rotations of `length` positions, for the option `turns` of `rope`: a tensor [length, R] that has, side by side,
 * the cos and sin of the angles (offset + t) base^(-2i / R).
 *
 * @param length T
 * @param headDim d, the default of R (`rotaryDim`)
 * @throws {UserError} if rotaryDim is odd or larger than d, or base or offset is out of range
 */
export function ropeTurns(length: number, headDim: number, options: RopeOptions = {}): Tensor {
  checkOptions(headDim, options);
  const { base = 10000, rotaryDim = headDim, offset = 0 } = options;
  return literal(turns(length, rotaryDim, base, offset), [length, rotaryDim]);
}

/**
 * Rotary position embedding: at position p = offset + t, pair i (a, b) of each head becomes
 * (a cos f - b sin f, a sin f + b cos f) with f = p base^(-2i / rotaryDim). Dimensions past rotaryDim are unchanged. The dot
 * product of a rotated query and a rotated key depends on their positions only through their distance.
 *
 * The gradient of x is dy, rotated by the negated angles.
 *
 * Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), equation 34, for "interleaved".
 * GPT-NeoX and Hugging Face's Llama pair dimensions as in "half".
 *
 * @param x [B, T, H, d]
 * @returns [B, T, H, d]
 * @throws {UserError} if x has another rank, rotaryDim is odd or larger than d, or base or offset is out of range
 *
 * @example
 * ```ts
 * import { input } from "../../mod.ts";
 * import { rope } from "../mod.ts";
 * const q = rope(input("q", [2, 64, 4, 32]), { pairs: "half" }); // [2, 64, 4, 32]
 * ```
 */
export function rope(x: Tensor, options: RopeOptions = {}): Tensor {
  const [, T, , D] = x.shape;
  if (x.shape.length !== 4) mismatch("rope", "x f32[B, T, H, d]", [x]);
  checkOptions(D, options);
  const { rotaryDim = D, pairs = "interleaved" } = options;
  const table = options.turns ?? ropeTurns(T, D, options);
  return apply(ropeOp, [x, table], { rotaryDim, interleaved: ROPE_PAIRS[pairs].neighbours, back: false })[0];
}
