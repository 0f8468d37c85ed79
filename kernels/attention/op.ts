// Tiled attention that never stores the attention matrix: z = act(modified scores) v and its gradients, for every activation,
// score modifier and mask.
import { apply, workgroups1d } from "../../src/graph/tensor.ts";
import type { Call, Dispatch, Op, Spec, Target, Tensor } from "../../src/graph/tensor.ts";
import { view } from "../../src/graph/structure.ts";
import { reducePass } from "../elementwise/op.ts";
import { blockMask } from "./block_mask.ts";
import { attentionCpu, gradientCpu, tableGradientCpu } from "./cpu.ts";
import forwardWgsl from "./forward.wgsl" with { type: "text" };
import keyGradientWgsl from "./key_gradient.wgsl" with { type: "text" };
import { attentionDispatch, gradientInputs, kernelFor, overQueries, slopesCode } from "./dispatch.ts";
import type { Kernel } from "./dispatch.ts";
import { compose, merge, overRows, scoreBias } from "./modifier.ts";
import { type AttentionOptions, checkOptions, checkTables, rangeOf } from "./options.ts";
import { attentionSimd } from "./simd/forward.ts";
import { gradientSimd } from "./simd/gradient.ts";
import { tableGradientSimd } from "./simd/tables.ts";
import queryGradientWgsl from "./query_gradient.wgsl" with { type: "text" };
import {
  type AttentionAttrs,
  attentionSizes,
  autoBias,
  extraInputs,
  hasRowTerm,
  isExact,
  isNormalised,
  keepsInner,
} from "./sizes.ts";
import { learnedSpecs, type TableGradientAttrs, tableOffsets } from "./tables.ts";
import tableGradientWgsl from "./table_gradient.wgsl" with { type: "text" };

export type { AttentionOptions };

/**
 * Returns the number of floating-point operations of a kernel that computes, per visible pair, `scores` dot products of length d
 * and `values` dot products of length dv.
 */
export function flops(call: Call<AttentionAttrs>, scores: number, values: number): number {
  const { B, T, S, H, D, DV } = attentionSizes(call.inputs);
  const { causal, window } = call.attrs;
  const pairs = Math.min(window > 0 ? T * window : Infinity, T * S * (causal ? 0.5 : 1));
  return 2 * B * H * pairs * (scores * D + values * DV);
}

export const attentionOp: Op<AttentionAttrs> = {
  name: "attention",
  infer(inputs, attrs) {
    const { B, T, H, DV } = attentionSizes(inputs);
    const z: Spec = { shape: [B, T, H, DV], dtype: "f32" };
    return [
      z,
      ...(hasRowTerm(attrs) ? [{ shape: [B, H, T], dtype: "f32" } as const] : []),
      ...(keepsInner(attrs) ? [z] : []),
    ];
  },
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { D, DV } = sizes;
    const { iterations, ...queries } = overQueries(sizes, attrs);
    const kernel: Kernel = {
      label: `attention ${attrs.activation}`,
      source: forwardWgsl,
      ...queries,
      iterations: { ...iterations, count: iterations.count * (1 + kernelFor(attrs).passes) },
      bindings: {
        0: ["output", 0],
        1: ["input", 0],
        2: ["input", 1],
        3: ["input", 2],
        4: hasRowTerm(attrs) ? ["output", 1] : undefined,
        5: keepsInner(attrs) ? ["output", 2] : undefined,
      },
      loads: { q: D, k: D, v: DV },
      valuesPerRow: D + DV * (keepsInner(attrs) ? 2 : 1),
      // Element-wise activations have no running maximum and sum, so two more rows fit (measured on a software adapter).
      maxRows: isNormalised(attrs) ? 10 : 12,
      inputs: 3,
    };
    return { dispatches: [attentionDispatch(kernel, sizes, attrs, target)] };
  },
  cpu: attentionCpu,
  simd: attentionSimd,
  vjp(node, [dz], needed) {
    const attrs = node.attrs as AttentionAttrs;
    const [q, k, v] = node.inputs;
    const [z, row] = node.outputs;
    const inner = node.outputs[2] ?? z;
    const extras = extraInputs(node.inputs, attrs);
    const terms = hasRowTerm(attrs) ? [row] : [];
    const [dq, dk, dv, delta] = apply(gradientOp, [
      q,
      k,
      v,
      dz!,
      ...terms,
      ...(isExact(attrs) ? [inner] : []),
      ...extras,
    ], attrs);
    const first = node.inputs.length - attrs.tables.length;
    const learned = attrs.tables.filter((_, t) => needed[first + t]);
    const gradients: (Tensor | undefined)[] = node.inputs.map((_, i) => [dq, dk, dv][i]);
    if (learned.length > 0) {
      const [flat] = apply(tableGradientOp, [
        q,
        k,
        v,
        dz!,
        ...terms,
        ...(isExact(attrs) ? [delta] : []),
        ...extras,
      ], { ...attrs, learned });
      const tensors = learned.map((name) => node.inputs[first + attrs.tables.indexOf(name)]);
      const { offsets } = tableOffsets(learned, tensors);
      learned.forEach((name, i) => {
        gradients[first + attrs.tables.indexOf(name)] = view(flat, tensors[i].shape, offsets[i]);
      });
    }
    return gradients;
  },
  flops: (call) => flops(call, 1, 1),
};

/** Returns the dispatch that computes dq (output 0) and delta (output 3). */
function queryGradient({ inputs, attrs }: Call<AttentionAttrs>, target: Target): Dispatch {
  const sizes = attentionSizes(inputs);
  const read = gradientInputs(sizes, attrs, 1, "inner");
  const kernel: Kernel = {
    label: `attention ${attrs.activation} query gradient`,
    source: queryGradientWgsl,
    ...overQueries(sizes, attrs),
    ...read,
    bindings: { 0: ["output", 0], ...read.bindings, 7: isExact(attrs) ? ["output", 3] : undefined },
    valuesPerRow: 2 * sizes.D + sizes.DV,
    maxRows: 8,
  };
  return attentionDispatch(kernel, sizes, attrs, target);
}

/** Returns the dispatch that reads delta and computes dk (output 1) and dv (output 2). */
function keyGradient({ inputs, attrs }: Call<AttentionAttrs>, target: Target): Dispatch {
  const sizes = attentionSizes(inputs);
  const { B, T, S, H, HKV, D, DV } = sizes;
  const read = gradientInputs(sizes, attrs, 2, "delta");
  const delta: Kernel["bindings"] = isExact(attrs) ? { [1 + read.inputs]: ["output", 3] } : {};
  const kernel: Kernel = {
    label: `attention ${attrs.activation} key gradient`,
    source: keyGradientWgsl,
    ...read,
    bindings: { 0: ["output", 1], 1: ["output", 2], ...read.bindings, ...delta },
    length: S,
    heads: B * HKV,
    iterations: { count: T * H / HKV, of: `T = ${T} with ${H / HKV} query heads per key head` },
    valuesPerRow: 2 * (D + DV),
    maxRows: 8,
  };
  return attentionDispatch(kernel, sizes, attrs, target);
}

/**
 * Outputs: dq [B, T, H, d], dk [B, S, Hkv, d], dv [B, S, Hkv, dv] and, if the gradient is exact, delta [B, H, T]. Inputs: those
 * that `gradientInputs` lists (with the inner values as `last`), then the extra inputs.
 */
export const gradientOp: Op<AttentionAttrs> = {
  name: "attention_gradient",
  infer(inputs, attrs) {
    const { B, T, H } = attentionSizes(inputs);
    const [q, k, v] = inputs;
    return [q, k, v, ...(isExact(attrs) ? [{ shape: [B, H, T], dtype: "f32" } as const] : [])];
  },
  lower(call, target) {
    const [dq, dk, dv] = call.needed;
    // The kernels that compute the gradients of the keys and of the tables read delta.
    const queries = dq || isExact(call.attrs) ? [queryGradient(call, target)] : [];
    return { dispatches: [...queries, ...(dk || dv ? [keyGradient(call, target)] : [])] };
  },
  cpu: gradientCpu,
  simd: gradientSimd,
  flops: (call) => flops(call, 2, 1) + (call.needed[1] || call.needed[2] ? flops(call, 2, 2) : 0),
};

/**
 * Output: the gradients of all learned tables in one flat array (see `tableOffsets`). Inputs: those that `gradientInputs` lists
 * (with delta as `last`), then the extra inputs.
 */
export const tableGradientOp: Op<TableGradientAttrs> = {
  name: "attention_table_gradient",
  infer: (
    inputs,
    attrs,
  ) => [{ shape: [tableOffsets(attrs.learned, learnedSpecs(inputs, attrs)).size], dtype: "f32" }],
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { B, H, T, S, D, DV } = sizes;
    const read = gradientInputs(sizes, attrs, 1, "delta");
    const { offsets, size } = tableOffsets(attrs.learned, learnedSpecs(inputs, attrs));
    // Fewer slices need less memory but more iterations each, and a software adapter ends a loop after 65,535 iterations.
    const rows = B * H * T;
    const slices = Math.min(rows, Math.max(target.kind === "gpu" ? 1024 : 64, Math.ceil(rows * S / 50000)));
    const kernel = attentionDispatch(
      {
        label: `attention ${attrs.activation} table gradient`,
        source: tableGradientWgsl,
        ...overQueries(sizes, attrs),
        ...read,
        bindings: { 0: ["scratch", 0], ...read.bindings },
        valuesPerRow: D + DV,
        maxRows: 8,
      },
      sizes,
      attrs,
      { ...target, kind: "software" },
    );
    return {
      scratch: [slices * size],
      dispatches: [
        {
          ...kernel,
          constants: { ...kernel.constants, SLICES: slices, ENTRIES: size },
          code: { ...kernel.code, TABLE_SLOPES: slopesCode(attrs, attrs.learned, offsets) },
          workgroups: workgroups1d(slices, 8),
        },
        reducePass("table gradient sum", ["scratch", 0], ["output", 0], {
          rows: slices,
          columns: size,
          perChunk: slices,
        }),
      ],
    };
  },
  cpu: tableGradientCpu,
  simd: tableGradientSimd,
};

/**
 * Attention: z_i = sum_j a_ij v_j over the visible keys of query i, with the scores s_ij = modifier(scale q_i . k_j) + bias.
 * The weights a_i are softmax(s_i), softmax with an extra logit of 0 ("softmax1"), entmax15(s_i), or element-wise sigmoid(s),
 * relu(s) or relu(s)^2; element-wise weights are optionally divided by n_i or sqrt(n_i), where n_i is the number of visible
 * keys of row i. Memory is linear in T and S: neither the forward nor the backward pass stores a [T, S] matrix.
 *
 * The score modifier and the mask are functions of the positions i of the query and j of the key. i is the query's row, plus
 * S - T if `align` or `causal` is "bottom-right"; with this alignment, a call with only the last query returns the last row of
 * z.
 *
 * A pair whose modified score is -Infinity is not visible. For a query without visible keys, z is 0 and no gradient flows.
 * Gradients of k and v are summed over the query heads that share them. Learned tables of the modifier get gradients too.
 *
 * Sources: Dao et al., "FlashAttention" (2022); Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid
 * Self-Attention" (2024); Dong et al., "Flex Attention" (2024).
 *
 * @param q [B, T, H, d]
 * @param k [B, S, Hkv, d]
 * @param v [B, S, Hkv, dv]
 * @returns [B, T, H, dv]
 * @throws {UserError} if shapes, tables or options contradict each other
 *
 * @example
 * ```ts
 * import { attention, input, masks } from "../../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const sigmoid = attention(q, k, v, { activation: "sigmoid" }); // [2, 64, 4, 32]
 * const local = attention(q, k, v, { window: { size: 16 }, score: masks.alibi(4) });
 * ```
 * @category Attention
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const sizes = attentionSizes([q, k, v]);
  checkOptions(options, sizes);
  const { activation = "softmax", divide = "none", bias = "auto", dropout } = options;
  const range = rangeOf(options, sizes);
  const { mask } = range;
  const addend = bias === "auto" ? autoBias({ activation, divide }, sizes.S) : bias;
  const score = compose(
    ...(options.score ? [options.score] : []),
    ...(addend === 0 ? [] : [scoreBias(addend)]),
  );
  checkTables("score modifier", score.expression, range.letters);
  if (mask) checkTables("mask", mask.expression, range.letters);
  const shifted = (mask ? [score, mask] : [score]).map(({ expression, tables }) => {
    return { expression: overRows(expression, range.shift), tables };
  });
  const blocks = mask ? blockMask(shifted[1], sizes) : undefined;
  const { expressions: [scored, masked], tables } = merge(shifted);
  const p = dropout?.p ?? 0;
  const inputs = [
    q,
    k,
    v,
    ...(p > 0 ? [dropout!.seed] : []),
    ...(blocks ? [blocks] : []),
    ...Object.values(tables),
  ];
  return apply(attentionOp, inputs, {
    scale: options.scale ?? 1 / Math.sqrt(sizes.D),
    ...range.attrs,
    mask: masked,
    blocks: blocks?.shape,
    score: scored,
    tables: Object.keys(tables),
    activation,
    divide,
    backward: options.backward ?? "exact",
    kvHead: options.kvHead ?? "grouped",
    dropout: { p, site: dropout?.site ?? 0 },
  })[0];
}
