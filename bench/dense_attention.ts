// Attention as a composition of heed's matrix products around a stored T x T matrix, the baseline for tiled attention. q,
// k, v are [heads, T, d], the layout that suits it.
import { elementwise } from "../kernels/elementwise/op.ts";
import { times, variable } from "../kernels/expression/expression.ts";
import { matmul } from "../kernels/matmul/op.ts";
import { apply, type Op, sizeOf, type Tensor, wgslFloat, workgroups1d } from "../src/graph/tensor.ts";
import rowsWgsl from "./dense_rows.wgsl" with { type: "text" };

/** The activation, and whether query i sees only keys 0 to i. */
export interface DenseAttrs {
  readonly activation: "softmax" | "sigmoid";
  readonly causal: boolean;
}

const rowsOp: Op<DenseAttrs & { readonly backward: boolean }> = {
  name: "dense_rows",
  infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
  lower({ inputs: [x], attrs: { activation, causal, backward } }) {
    const T = x.shape.at(-1)!;
    const rows = sizeOf(x) / T;
    const softmax = activation === "softmax";
    return {
      dispatches: [{
        label: `dense ${activation}${backward ? " backward" : ""}`,
        source: rowsWgsl,
        constants: {
          ROWS: rows,
          T,
          SOFTMAX: softmax,
          CAUSAL: causal,
          BACKWARD: backward,
          BIAS: wgslFloat(-Math.log(T)),
        },
        bindings: { 0: ["output", 0], 1: ["input", 0], 2: backward ? ["input", 1] : undefined },
        workgroups: workgroups1d(softmax ? rows : sizeOf(x), 64),
      }],
    };
  },
  cpu() {
    throw new Error("Dense attention is for WebGPU only.");
  },
  vjp: (node, [g]) => {
    const attrs = node.attrs as DenseAttrs;
    return [apply(rowsOp, [node.outputs[0], g!], { ...attrs, backward: true })[0]];
  },
};

/** z = act(q k^T / sqrt(d)) v with the matrix in memory; differentiable. */
export function denseAttention(q: Tensor, k: Tensor, v: Tensor, attrs: DenseAttrs): Tensor {
  const scaled = elementwise(times(1 / Math.sqrt(q.shape[2]), variable("x")), { x: q });
  const scores = matmul(scaled, k, { transB: true });
  return matmul(apply(rowsOp, [scores], { ...attrs, backward: false })[0], v);
}
