// LayerNorm and RMSNorm over the last dimension. The gradient of x and the gradients of the parameters are computed by
// separate operations: the first can also add the gradient of the residual stream, and the second is skipped if the parameters
// are frozen.
import { apply, mismatch, sizeOf, wgslFloat, workgroups1d } from "../../src/graph/tensor.ts";
import type { Call, Lowered, Op, Ref, Spec, Target, Tensor } from "../../src/graph/tensor.ts";
import { chunkRows } from "../elementwise/op.ts";
import overLanesWgsl from "../over_lanes.wgsl" with { type: "text" };
import { itemsOf } from "../row_parts.ts";
import { normBackwardCpu, normCpu, normParametersCpu } from "./cpu.ts";
import { normBackwardSimd, normParametersSimd, normSimd } from "./simd.ts";
import type { NormAttrs, NormBackwardAttrs, NormParametersAttrs } from "./sizes.ts";
import backwardWgsl from "./backward.wgsl" with { type: "text" };
import forwardWgsl from "./forward.wgsl" with { type: "text" };
import parametersWgsl from "./parameters.wgsl" with { type: "text" };
import rowsWgsl from "./rows.wgsl" with { type: "text" };
import sumWgsl from "./sum.wgsl" with { type: "text" };

const nameOf = ({ centered }: { centered: boolean }): string => centered ? "layer_norm" : "rms_norm";

/** Returns the constants and the number of workgroups of a kernel that processes the rows of x [..., size]. */
function rowSchedule(x: Spec, { kind }: Target) {
  const size = x.shape.at(-1)!;
  const rows = sizeOf(x) / size;
  // llvmpipe silently ends a shader's loops after a total of 65,535 iterations, so a long row is split over a workgroup there
  // too.
  const lanes = kind === "gpu" || size > 8192 ? 64 : 1;
  return {
    constants: { ROWS: rows, D: size, LANES: lanes, ...itemsOf(size, lanes) },
    workgroups: workgroups1d(rows, 64 / lanes),
  };
}

/** Outputs: y [..., D], rstd [rows] and, if `centered`, mean [rows]. */
export const normOp: Op<NormAttrs> = {
  name: "norm",
  infer(inputs, attrs) {
    const [x, ...parameters] = inputs;
    const size = x.shape.at(-1);
    const fits = size && parameters.every(({ shape }) => shape.length === 1 && shape[0] === size);
    if (!fits || inputs.some(({ dtype }) => dtype !== "f32")) {
      mismatch(nameOf(attrs), `x f32[..., D], weight f32[D]${attrs.bias ? " and bias f32[D]" : ""}`, inputs);
    }
    const perRow: Spec = { shape: [sizeOf(x) / size!], dtype: "f32" };
    return [x, perRow, ...(attrs.centered ? [perRow] : [])].map(({ shape, dtype }) => ({ shape, dtype }));
  },
  lower({ inputs, attrs, needed }, target) {
    const { constants, workgroups } = rowSchedule(inputs[0], target);
    const { centered, bias, eps } = attrs;
    const save = needed.slice(1).some((w) => w);
    const bindings: Record<number, Ref> = { 0: ["input", 0], 1: ["input", 1], 2: ["output", 0] };
    if (bias) bindings[3] = ["input", 2];
    if (save) bindings[4] = ["output", 1];
    if (save && centered) bindings[5] = ["output", 2];
    return {
      dispatches: [{
        label: nameOf(attrs),
        source: `${rowsWgsl}\n${forwardWgsl}`,
        code: { OVER_LANES: overLanesWgsl },
        constants: { ...constants, CENTERED: centered, BIAS: bias, SAVE: save, EPS: wgslFloat(eps) },
        bindings,
        workgroups,
      }],
    };
  },
  simd: normSimd,
  cpu: normCpu,
  vjp(node, [dy], needed) {
    const { centered, bias } = node.attrs as NormAttrs;
    const [x, weight] = node.inputs;
    const [, ...saved] = node.outputs;
    const dx = needed[0]
      ? apply(normBackwardOp, [x, weight, dy!, ...saved], { centered, addend: false })[0]
      : undefined;
    const parameters = needed[1] || needed[2]
      ? apply(normParametersOp, [x, dy!, ...saved], { centered, bias })
      : [];
    return [dx, ...parameters];
  },
  flops: ({ inputs: [x] }) => 8 * sizeOf(x),
};

/** Output: the gradient of x, plus the addend (another gradient of x) if there is one. */
export const normBackwardOp: Op<NormBackwardAttrs> = {
  name: "norm_backward",
  infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
  lower({ inputs, attrs }, target) {
    const { constants, workgroups } = rowSchedule(inputs[0], target);
    const { centered, addend } = attrs;
    return {
      dispatches: [{
        label: `${nameOf(attrs)}_backward`,
        source: `${rowsWgsl}\n${backwardWgsl}`,
        code: { OVER_LANES: overLanesWgsl },
        constants: { ...constants, CENTERED: centered, ADDEND: addend },
        bindings: {
          ...{ 0: ["input", 0], 1: ["input", 1], 2: ["input", 2], 3: ["input", 3] },
          4: centered ? ["input", 4] : undefined,
          5: addend ? ["input", centered ? 5 : 4] : undefined,
          6: ["output", 0],
        },
        workgroups,
      }],
    };
  },
  simd: normBackwardSimd,
  cpu: normBackwardCpu,
  fuseAdd(node, addend) {
    const attrs = node.attrs as NormBackwardAttrs;
    // An addend that is already an input would be bound twice.
    if (attrs.addend || node.inputs.includes(addend)) return undefined;
    return apply(normBackwardOp, [...node.inputs, addend], { ...attrs, addend: true })[0];
  },
  flops: ({ inputs: [x] }) => 12 * sizeOf(x),
};

function lowerParameters({ inputs: [x], attrs, needed }: Call<NormParametersAttrs>): Lowered {
  const size = x.shape.at(-1)!;
  const rows = sizeOf(x) / size;
  const bias = attrs.bias && needed[1];
  const perChunk = chunkRows(rows, size);
  const chunks = Math.ceil(rows / perChunk);
  const items = itemsOf(size);
  const sums = bias ? 2 * size : size;
  const bindings: Record<number, Ref> = {
    0: ["input", 0],
    1: ["input", 1],
    2: ["input", 2],
    4: ["scratch", 0],
  };
  if (attrs.centered) bindings[3] = ["input", 3];
  if (bias) bindings[5] = ["scratch", 1];
  const label = `${nameOf(attrs)}_parameters`;
  return {
    scratch: bias ? [chunks * size, chunks * size] : [chunks * size],
    dispatches: [{
      label,
      source: parametersWgsl,
      constants: {
        ROWS: rows,
        ...items,
        CHUNKS: chunks,
        CHUNK_ROWS: perChunk,
        CENTERED: attrs.centered,
        BIAS: bias,
      },
      bindings,
      workgroups: workgroups1d(items.WIDTH * chunks, 64),
    }, {
      label: `${label}_sum`,
      source: sumWgsl,
      constants: { D: size, CHUNKS: chunks, BIAS: bias, SIZE: sums },
      bindings: {
        0: ["scratch", 0],
        1: ["output", 0],
        ...(bias ? { 2: ["scratch", 1], 3: ["output", 1] } satisfies Record<number, Ref> : {}),
      },
      workgroups: workgroups1d(sums, 64),
    }],
  };
}

/** Outputs: dweight [D] and, if there is a bias, dbias [D]. */
export const normParametersOp: Op<NormParametersAttrs> = {
  name: "norm_parameters",
  infer([x], { bias }) {
    const parameter: Spec = { shape: [x.shape.at(-1)!], dtype: "f32" };
    return bias ? [parameter, parameter] : [parameter];
  },
  lower: lowerParameters,
  simd: normParametersSimd,
  cpu: normParametersCpu,
  flops: ({ inputs: [x] }) => 5 * sizeOf(x),
};

/**
 * LayerNorm over the last dimension: y = (x - mean x) / sqrt(var x + eps) * weight + bias, with the
 * population variance of each row.
 *
 * Gradients: dx = rstd (h - mean h - n mean(h n)) with h = dy weight and n = (x - mean) rstd; dweight is the sum of dy n over
 * the rows, and dbias is the sum of dy over the rows. The order of additions is fixed.
 *
 * @param x [..., D]
 * @param weight [D]
 * @param bias [D]. Default: none
 * @param eps added to the variance
 * @returns [..., D]
 * @throws {UserError} if the shapes do not fit
 * @see Ba, Kiros, Hinton 2016, Layer Normalization, https://arxiv.org/abs/1607.06450
 *
 * @example
 * ```ts
 * import { input, layerNorm } from "../../mod.ts";
 * const y = layerNorm(input("x", [2, 8, 64]), input("weight", [64]), input("bias", [64]));
 * ```
 * @category Tensors
 */
export function layerNorm(x: Tensor, weight: Tensor, bias?: Tensor, eps = 1e-5): Tensor {
  return apply(normOp, bias ? [x, weight, bias] : [x, weight], { centered: true, bias: !!bias, eps })[0];
}

/**
 * RMSNorm over the last dimension: y = x / sqrt(mean x^2 + eps) * weight.
 *
 * Gradients: dx = rstd (h - n mean(h n)) with h = dy weight, n = x rstd; dweight is the sum of dy n over the rows. The order
 * of additions is fixed.
 *
 * @param x [..., D]
 * @param weight [D]
 * @param eps added to the mean square
 * @returns [..., D]
 * @throws {UserError} if the shapes do not fit
 * @see Zhang, Sennrich 2019, Root Mean Square Layer Normalization, https://arxiv.org/abs/1910.07467
 *
 * @example
 * ```ts
 * import { input, rmsNorm } from "../../mod.ts";
 * const y = rmsNorm(input("x", [2, 8, 64]), input("weight", [64]));
 * ```
 * @category Tensors
 */
export function rmsNorm(x: Tensor, weight: Tensor, eps = 1e-6): Tensor {
  return apply(normOp, [x, weight], { centered: false, bias: false, eps })[0];
}
