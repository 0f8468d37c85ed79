// Straightforward attention, with its T x T matrices in memory, as operations, so that it is planned and run as heed's
// attention is. All of q, k, v are [B, T, H, D].
import {
  apply,
  type Call,
  type Dispatch,
  type Op,
  type Ref,
  type Tensor,
  wgslFloat,
  workgroups1d,
} from "../src/graph/tensor.ts";
import backwardWgsl from "./attention_backward.wgsl" with { type: "text" };
import forwardWgsl from "./attention_forward.wgsl" with { type: "text" };
import productWgsl from "./attention_product.wgsl" with { type: "text" };

/** The activation. */
export interface NaiveAttentionAttrs {
  readonly activation: "softmax" | "sigmoid";
  /** Query i sees only keys 0 to i. */
  readonly causal: boolean;
}

const onlyWebgpu = (): never => {
  throw new Error("The naive attention is for WebGPU only.");
};

function dispatches({ inputs, attrs }: Call<NaiveAttentionAttrs>) {
  const [B, T, H, D] = inputs[0].shape;
  const scale = 1 / Math.sqrt(D);
  const softmax = attrs.activation === "softmax";
  const rows = (label: string, source: string, bindings: Dispatch["bindings"]): Dispatch => ({
    label,
    source,
    constants: {
      B,
      T,
      H,
      D,
      CAUSAL: attrs.causal,
      SOFTMAX: softmax,
      SCALE: wgslFloat(scale),
      BIAS: wgslFloat(softmax ? 0 : -Math.log(T)),
    },
    bindings,
    workgroups: workgroups1d(B * H * T, 64),
  });
  const product = (y: Ref, matrix: Ref, x: Ref, transposed: boolean, factor: number): Dispatch => ({
    label: "naive attention product",
    source: productWgsl,
    constants: { B, T, H, D, TRANSPOSED: transposed, FACTOR: wgslFloat(factor) },
    bindings: { 0: y, 1: matrix, 2: x },
    workgroups: workgroups1d(B * T * H * D, 64),
  });
  return { rows, product, scale, matrixSize: B * H * T * T };
}

const forwardOp: Op<NaiveAttentionAttrs> = {
  name: "naive_attention",
  infer([q]) {
    const [B, T, H] = q.shape;
    return [{ shape: q.shape, dtype: "f32" }, { shape: [B, H, T, T], dtype: "f32" }];
  },
  lower(call) {
    const { rows, product } = dispatches(call);
    const bindings: Dispatch["bindings"] = { 0: ["output", 1], 1: ["input", 0], 2: ["input", 1] };
    return {
      dispatches: [
        rows("naive pattern", forwardWgsl, bindings),
        product(["output", 0], ["output", 1], ["input", 2], false, 1),
      ],
    };
  },
  cpu: onlyWebgpu,
};

const gradientOp: Op<NaiveAttentionAttrs> = {
  name: "naive_attention_gradient",
  infer: ([q, k, v]) => [q, k, v].map(({ shape }) => ({ shape, dtype: "f32" })),
  lower(call) {
    const { rows, product, scale, matrixSize } = dispatches(call);
    const ds: Ref = ["scratch", 0];
    const bindings: Dispatch["bindings"] = { 0: ds, 1: ["input", 4], 2: ["input", 2], 3: ["input", 3] };
    return {
      scratch: [matrixSize],
      dispatches: [
        rows("naive score gradient", backwardWgsl, bindings),
        product(["output", 0], ds, ["input", 1], false, scale),
        product(["output", 1], ds, ["input", 0], true, scale),
        product(["output", 2], ["input", 4], ["input", 3], true, 1),
      ],
    };
  },
  cpu: onlyWebgpu,
};

/** z and the pattern [B, H, T, T]. */
export function naiveAttention(
  [q, k, v]: readonly Tensor[],
  activation: NaiveAttentionAttrs["activation"],
  causal = true,
): readonly Tensor[] {
  return apply(forwardOp, [q, k, v], { activation, causal });
}

/** dq, dk and dv from the pattern of the forward pass. */
export function naiveAttentionGradient(
  [q, k, v]: readonly Tensor[],
  dz: Tensor,
  pattern: Tensor,
  activation: NaiveAttentionAttrs["activation"],
  causal = true,
): readonly Tensor[] {
  return apply(gradientOp, [q, k, v, dz, pattern], { activation, causal });
}
