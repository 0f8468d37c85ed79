// Appends the same rows to every sample of a batch, such as learned keys and values that every query attends to.
import { apply, mismatch, workgroups1d } from "../../src/graph/tensor.ts";
import type { Call, Lowered, Op, Tensor } from "../../src/graph/tensor.ts";
import appendWgsl from "./append.wgsl" with { type: "text" };
import backwardWgsl from "./backward.wgsl" with { type: "text" };
import { appendBackwardSimd, appendSimd } from "./simd.ts";

/** Inputs: x [B, S, C] and rows [E, C]. */
export const appendOp: Op = {
  name: "append",
  infer(inputs) {
    const [x, rows] = inputs;
    const [B, S, C] = x.shape;
    const fits = x.shape.length === 3 && rows.shape.length === 2 && rows.shape[1] === C;
    if (!fits || inputs.some(({ dtype }) => dtype !== "f32")) {
      mismatch("append", "x f32[B, S, C] and rows f32[E, C]", inputs);
    }
    return [{ shape: [B, S + rows.shape[0], C], dtype: "f32" }];
  },
  lower({ inputs: [{ shape: [B, S, C] }, { shape: [E] }] }) {
    return {
      dispatches: [{
        label: "append",
        source: appendWgsl,
        constants: { B, HELD: S * C, ADDED: E * C },
        bindings: { 0: ["output", 0], 1: ["input", 0], 2: ["input", 1] },
        workgroups: workgroups1d(B * (S + E) * C, 64),
      }],
    };
  },
  simd: appendSimd,
  cpu([x, rows], [y], { inputs: [{ shape: [B, S, C] }] }) {
    const size = S * C + rows.length;
    for (let b = 0; b < B; b++) {
      y.set(x.subarray(b * S * C, (b + 1) * S * C), b * size);
      y.set(rows, b * size + S * C);
    }
  },
  vjp(node, [dy], needed) {
    const parts = apply(appendBackwardOp, [dy!], { rows: node.inputs[1].shape[0] });
    return [needed[0] ? parts[0] : undefined, needed[1] ? parts[1] : undefined];
  },
};

/** Attributes of the gradient. */
export interface AppendBackwardAttrs {
  /** Number of appended rows. */
  readonly rows: number;
}

function lowerBackward({ outputs: [dx, drows], needed }: Call<AppendBackwardAttrs>): Lowered {
  const [B, S, C] = dx.shape;
  const [E] = drows.shape;
  const constants = { B, HELD: S * C, ADDED: E * C };
  const sizes = [B * S * C, E * C];
  return {
    dispatches: [0, 1].filter((part) => needed[part]).map((part) => ({
      label: "append_backward",
      source: backwardWgsl,
      constants: { ...constants, SIZE: sizes[part], ROWS: part === 1 },
      bindings: { 0: ["output", part], 1: ["input", 0] },
      workgroups: workgroups1d(sizes[part], 64),
    })),
  };
}

/** Outputs: dx [B, S, C] and drows [E, C]. */
export const appendBackwardOp: Op<AppendBackwardAttrs> = {
  name: "append_backward",
  infer([{ shape: [B, length, C] }], { rows }) {
    return [{ shape: [B, length - rows, C], dtype: "f32" }, { shape: [rows, C], dtype: "f32" }];
  },
  lower: lowerBackward,
  simd: appendBackwardSimd,
  cpu([dy], [dx, drows], { outputs: [{ shape: [B, S, C] }, { shape: [E] }] }) {
    const size = (S + E) * C;
    const sums = new Float64Array(E * C);
    for (let b = 0; b < B; b++) {
      dx.set(dy.subarray(b * size, b * size + S * C), b * S * C);
      for (let i = 0; i < E * C; i++) sums[i] += dy[b * size + S * C + i];
    }
    drows.set(sums);
  },
};

/**
 * Appends the same rows to every sample: y[b] = concat(x[b], rows). Gradients: dx[b] = dy[b, :S] and drows = sum_b dy[b, S:],
 * where the samples b are added in order.
 *
 * @param x [B, S, C]
 * @param rows [E, C]
 * @returns [B, S + E, C]
 * @throws {UserError} if the shapes are inconsistent
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { append } from "../mod.ts";
 * const keys = append(input("k", [2, 64, 128]), state("extra", [1, 128])); // [2, 65, 128]
 * ```
 */
export function append(x: Tensor, rows: Tensor): Tensor {
  return apply(appendOp, [x, rows], undefined)[0];
}
