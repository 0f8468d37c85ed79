// A matrix product as one would write it first, as an operation, so that it is planned and run as heed's own are.
import { matmulCpu } from "../kernels/matmul/cpu.ts";
import { type MatmulAttrs, matmulOp, matmulSizes } from "../kernels/matmul/op.ts";
import { apply, line, type Op, type Tensor } from "../src/graph/tensor.ts";
import naiveWgsl from "./matmul.wgsl" with { type: "text" };

const naiveMatmulOp: Op<MatmulAttrs> = {
  name: "naive_matmul",
  infer: (inputs, attrs) => matmulOp.infer(inputs, attrs),
  lower({ inputs, attrs: { transA, transB, ...attrs } }) {
    const { M, N, K } = matmulSizes(inputs, { transA, transB, ...attrs });
    return {
      dispatches: [{
        label: "naive matmul",
        source: naiveWgsl,
        constants: { M, N, K, TRANS_A: transA, TRANS_B: transB },
        bindings: { 0: ["output", 0], 1: ["input", 0], 2: ["input", 1] },
        workgroups: line(M * N, 64),
      }],
    };
  },
  cpu: matmulCpu,
};

/** op(a) op(b) of two matrices, a result an invocation. */
export function naiveMatmul(
  a: Tensor,
  b: Tensor,
  { transA = false, transB = false }: { transA?: boolean; transB?: boolean } = {},
): Tensor {
  return apply(naiveMatmulOp, [a, b], { transA, transB, bias: false, addend: false })[0];
}
