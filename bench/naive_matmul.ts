// A straightforward matrix product, as an operation, so that it is planned and run as heed's products are.
import { ACTIVATIONS } from "../kernels/expression/activation.ts";
import { toWgsl, WGSL_FUNCTIONS } from "../kernels/expression/wgsl.ts";
import { matmulCpu } from "../kernels/matmul/cpu.ts";
import { matmulOp, type MatmulOptions } from "../kernels/matmul/op.ts";
import { type MatmulAttrs, matmulSizes } from "../kernels/matmul/sizes.ts";
import { apply, type Op, type Tensor, workgroups1d } from "../src/graph/tensor.ts";
import naiveWgsl from "./matmul.wgsl" with { type: "text" };

/** One result per invocation. Takes the calls of heed's `matmul` that have one matrix and no bias. */
export const naiveMatmulOp: Op<MatmulAttrs> = {
  name: "naive_matmul",
  infer: (inputs, attrs) => matmulOp.infer(inputs, attrs),
  lower({ inputs, attrs, needed }) {
    const { batch, M, N, K } = matmulSizes(inputs, attrs);
    const { transA, transB, bias, addend, activation } = attrs;
    if (bias || batch !== 1) throw new Error("The naive product has neither a bias nor a batch.");
    const savesPre = activation !== undefined && needed[1];
    return {
      dispatches: [{
        label: "naive matmul",
        source: naiveWgsl,
        constants: {
          M,
          N,
          K,
          TRANS_A: transA,
          TRANS_B: transB,
          HAS_ADDEND: addend,
          SAVES_PRE: savesPre,
          HAS_ACTIVATION: activation !== undefined,
        },
        code: {
          FUNCTIONS: activation ? WGSL_FUNCTIONS : "",
          ACTIVATION: activation ? toWgsl(ACTIVATIONS[activation]) : "",
        },
        bindings: {
          0: ["output", 0],
          1: ["input", 0],
          2: ["input", 1],
          3: addend ? ["input", 2] : undefined,
          4: savesPre ? ["output", 1] : undefined,
        },
        workgroups: workgroups1d(M * N, 64),
      }],
    };
  },
  cpu: matmulCpu,
};

/** op(a) op(b) of two matrices. */
export function naiveMatmul(
  a: Tensor,
  b: Tensor,
  { transA = false, transB = false }: Pick<MatmulOptions, "transA" | "transB"> = {},
): Tensor {
  return apply(naiveMatmulOp, [a, b], { transA, transB, bias: false, addend: false })[0];
}
