// A multi-head attention layer for self and cross attention outside a decoder, like torch.nn.MultiheadAttention.
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { andMasks, keyPaddingMask, type Mask } from "../../kernels/attention/modifier.ts";
import { append } from "../../kernels/append/op.ts";
import { linear } from "../../kernels/matmul/op.ts";
import { UserError } from "../base/errors.ts";
import { constant, reshape } from "../graph/structure.ts";
import { formatSpec, type Tensor, type Values } from "../graph/tensor.ts";
import { withExtraKeys } from "./attention_layer.ts";
import type { Parameters } from "./parameters.ts";

/** Options of `multiHeadAttention`: the options of `attention`, the numbers of heads, and key padding. */
export interface MultiHeadOptions extends Omit<AttentionOptions, "extra"> {
  /** Query heads, H. */
  readonly heads: number;
  /** Key and value heads, a divisor of `heads`. Default: `heads`. */
  readonly kvHeads?: number;
  /** Whether each key is visible, f32 [B, S]: 0 for padding, else 1 (the inverse of torch's key_padding_mask). */
  readonly keyPadding?: Tensor;
}

/** Splits the last dimension into heads: [B, T, count d] to [B, T, count, d]. */
function split(x: Tensor, count: number, what: string): Tensor {
  const [B, T, width] = x.shape;
  if (width % count !== 0) {
    throw new UserError(`multiHeadAttention: ${count} heads do not divide ${what} of width ${width}.`);
  }
  return reshape(x, [B, T, count, width / count]);
}

/** Returns the mask that combines key padding with the caller's mask; undefined if there is neither. */
function visible(
  { keyPadding: valid, mask }: MultiHeadOptions,
  keys: number,
  extra: number,
): Mask | undefined {
  if (!valid) return mask;
  const [B, S] = valid.shape;
  const longer = extra ? append(reshape(valid, [B, S, 1]), constant(1, [extra, 1])) : valid;
  const padding = keyPaddingMask(reshape(longer, [B, keys + extra]));
  return mask ? andMasks(mask, padding) : padding;
}

/**
 * A multi-head attention layer: projects queries, keys and values, attends per head, concatenates and projects:
 * y = concat_h attention(q Wq_h^T, k Wk_h^T, v Wv_h^T) Wo^T. All keys are visible unless options say otherwise.
 *
 * With softmax and kvHeads = heads, it computes the same as torch.nn.MultiheadAttention (batch first, no dropout).
 * `fromTorchAttention` converts the parameters of that module, whose bias_k and bias_v become `extra_k` and `extra_v`.
 *
 * Source: Vaswani et al., "Attention Is All You Need" (2017), section 3.2.2.
 *
 * @param parameters `wq.weight` [H d, Dq], `wk.weight` [Hkv d, Dk], `wv.weight` [Hkv dv, Dv], `wo.weight` [D, H dv], each
 *   with an optional `.bias`; optionally `extra_k` [E, Hkv d] and `extra_v` [E, Hkv dv], both or neither
 * @param q [B, T, Dq]
 * @param k [B, S, Dk]
 * @param v [B, S, Dv]
 * @returns [B, T, D]
 * @throws {UserError} if shapes, heads or options are inconsistent
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { multiHeadAttention } from "./mod.ts";
 * const weights = ["wq", "wk", "wv", "wo"].map((name) => [`${name}.weight`, state(name, [32, 32])]);
 * const x = input("x", [2, 10, 32]);
 * const y = multiHeadAttention(Object.fromEntries(weights), x, x, x, { heads: 4, causal: "top-left" }); // [2, 10, 32]
 * ```
 */
export function multiHeadAttention(
  parameters: Parameters,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: MultiHeadOptions,
): Tensor {
  const { heads, kvHeads = heads, keyPadding: valid, ...rest } = options;
  const [B, S] = k.shape;
  if (heads % kvHeads !== 0) {
    throw new UserError(`multiHeadAttention: ${kvHeads} kvHeads do not divide ${heads} heads.`);
  }
  if (valid && (valid.shape.length !== 2 || valid.shape[0] !== B || valid.shape[1] !== S)) {
    throw new UserError(`multiHeadAttention: keyPadding is ${formatSpec(valid)}, expected f32[${B}, ${S}].`);
  }
  const project = (name: string, x: Tensor) =>
    linear(x, parameters[`${name}.weight`], { bias: parameters[`${name}.bias`] });
  const queries = split(project("wq", q), heads, "queries");
  let keys = split(project("wk", k), kvHeads, "keys");
  let values = split(project("wv", v), kvHeads, "values");
  const { extra_k, extra_v } = parameters;
  const extra = extra_k?.shape[0] ?? 0;
  if (extra) {
    keys = withExtraKeys(keys, extra_k);
    values = withExtraKeys(values, extra_v);
  }
  const z = attention(queries, keys, values, {
    causal: false,
    ...rest,
    mask: visible(options, S, extra),
    extra,
  });
  return project("wo", reshape(z, [z.shape[0], z.shape[1], z.shape[2] * z.shape[3]]));
}

/**
 * Cross attention: queries are computed from x, keys and values from memory. Every memory position except padding is visible,
 * unless options say otherwise.
 *
 * @param parameters as for `multiHeadAttention`
 * @param x [B, T, Dq]
 * @param memory [B, S, Dk]
 * @returns [B, T, D]
 *
 * @example
 * ```ts
 * import { input, state } from "../../mod.ts";
 * import { crossAttention } from "./mod.ts";
 * const weights = ["wq", "wk", "wv", "wo"].map((name) => [`${name}.weight`, state(name, [32, 32])]);
 * const [x, memory] = [input("x", [2, 10, 32]), input("memory", [2, 7, 32])];
 * const y = crossAttention(Object.fromEntries(weights), x, memory, { heads: 4, keyPadding: input("valid", [2, 7]) });
 * ```
 */
export function crossAttention(
  parameters: Parameters,
  x: Tensor,
  memory: Tensor,
  options: MultiHeadOptions,
): Tensor {
  return multiHeadAttention(parameters, x, memory, memory, options);
}

/** A tensor on the host. */
export interface HostTensor {
  /** Its shape. */
  readonly shape: readonly number[];
  /** Its values, row-major. */
  readonly data: Values;
}

/**
 * Renames the parameters of a torch.nn.MultiheadAttention to the names that `multiHeadAttention` uses. `in_proj_weight`
 * [3 D, D] is split into wq, wk and wv (unless the module has `q_proj_weight`, `k_proj_weight` and `v_proj_weight`), and
 * `in_proj_bias` is split likewise. `out_proj` becomes wo; `bias_k` and `bias_v` become extra_k and extra_v.
 *
 * @throws {UserError} if `out_proj.weight` or the weights of the projections are missing
 *
 * @example
 * ```ts
 * import { fromTorchAttention } from "./mod.ts";
 * const packed = { shape: [6, 2], data: new Float32Array(12) };
 * const parameters = fromTorchAttention({ in_proj_weight: packed, "out_proj.weight": { shape: [2, 2], data: new Float32Array(4) } });
 * parameters["wk.weight"].shape; // [2, 2]
 * ```
 */
export function fromTorchAttention(torch: Readonly<Record<string, HostTensor>>): Record<string, HostTensor> {
  const parameters: Record<string, HostTensor> = {};
  const cut = ({ shape: [rows, ...row], data }: HostTensor, part: number): HostTensor => {
    const size = data.length / 3;
    return { shape: [rows / 3, ...row], data: data.slice(part * size, (part + 1) * size) };
  };
  ["q", "k", "v"].forEach((letter, part) => {
    const projection = torch[`${letter}_proj_weight`];
    const weight = projection ?? (torch.in_proj_weight && cut(torch.in_proj_weight, part));
    if (!weight) {
      throw new UserError(`torch attention: in_proj_weight and ${letter}_proj_weight are missing.`);
    }
    parameters[`w${letter}.weight`] = weight;
    if (torch.in_proj_bias) parameters[`w${letter}.bias`] = cut(torch.in_proj_bias, part);
  });
  if (!torch["out_proj.weight"]) throw new UserError("torch attention: out_proj.weight is missing.");
  parameters["wo.weight"] = torch["out_proj.weight"];
  if (torch["out_proj.bias"]) parameters["wo.bias"] = torch["out_proj.bias"];
  for (const letter of ["k", "v"]) {
    const bias = torch[`bias_${letter}`];
    if (bias) parameters[`extra_${letter}`] = { shape: [1, bias.shape.at(-1)!], data: bias.data };
  }
  return parameters;
}
