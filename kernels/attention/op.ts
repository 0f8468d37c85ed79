// Attention without its matrix: z = act(scale q k^T) v in tiles, forward and backward, for softmax and for sigmoid.
import {
  apply,
  type Dispatch,
  float,
  line,
  mismatch,
  type Op,
  type Spec,
  type Target,
} from "../../src/graph/tensor.ts";
import type { Call, Tensor } from "../../src/graph/tensor.ts";
import threefryWgsl from "../random/threefry.wgsl" with { type: "text" };
import { attentionCpu, keyGradientCpu, queryGradientCpu } from "./cpu.ts";
import commonWgsl from "./common.wgsl" with { type: "text" };
import forwardWgsl from "./forward.wgsl" with { type: "text" };
import keyGradientWgsl from "./key_gradient.wgsl" with { type: "text" };
import queryGradientWgsl from "./query_gradient.wgsl" with { type: "text" };

/** Attributes of attention. Inputs are q, k, v and, with dropout, the seed. */
export interface AttentionAttrs {
  readonly scale: number;
  /** Which keys query i sees: all; j <= i ("top-left"); j <= i + S - T ("bottom-right"). */
  readonly mask: "none" | "top-left" | "bottom-right";
  readonly activation: "softmax" | "sigmoid";
  /** Added to the scores before the sigmoid. */
  readonly bias: number;
  /** Dropout of the pattern, and the number of the place that draws it. */
  readonly dropout: { readonly p: number; readonly site: number };
}

/** Sizes of attention in the letters of its definition. */
export interface AttentionSizes {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly HKV: number;
  readonly D: number;
  readonly DV: number;
}

/** Reads the sizes off q [B,T,H,d], k [B,S,Hkv,d], v [B,S,Hkv,dv]; throws where they do not fit. */
export function attentionSizes([q, k, v]: readonly Spec[]): AttentionSizes {
  const [B, T, H, D] = q.shape;
  const [, S, HKV] = k.shape;
  const DV = v.shape[3];
  const fits = [q, k, v].every((x) => x.shape.length === 4 && x.shape[0] === B && x.dtype === "f32") &&
    k.shape[3] === D && v.shape[1] === S && v.shape[2] === HKV && H % HKV === 0;
  if (!fits) {
    mismatch("attention", "q [B, T, H, d], k [B, S, Hkv, d] and v [B, S, Hkv, dv] where Hkv divides H", [
      q,
      k,
      v,
    ]);
  }
  return { B, T, S, H, HKV, D, DV };
}

/** WGSL functions `load_NAME(at, e)`: the e-th four numbers of a row of `size`, zeros past its end. */
function loads(buffers: Record<string, number>): string {
  return Object.entries(buffers).map(([name, size]) => {
    const item = (c: number) =>
      size % 4 === 0 ? `${name}[i + ${c}u]` : `select(0f, ${name}[i + ${c}u], 4u * e + ${c}u < ${size}u)`;
    return `fn load_${name}(at: u32, e: u32) -> vec4f { let i = at + 4u * e; return vec4f(${
      [0, 1, 2, 3].map(item).join(", ")
    }); }`;
  }).join("\n");
}

/** Rows an invocation keeps: as many as leave about 256 numbers in its hands; one on a real GPU, whose registers are few. */
function rowsFor(target: Target, numbersPerRow: number, rows: number): number {
  if (target.kind === "gpu") return 1;
  return [4, 2, 1].find((n) => n * numbersPerRow <= 512 && n < rows + 2) ?? 1;
}

interface Kernel {
  readonly label: string;
  readonly source: string;
  readonly bindings: Dispatch["bindings"];
  readonly loads: Record<string, number>;
  /** Rows in all of one head, and heads in all, that invocations are spread over. */
  readonly length: number;
  readonly heads: number;
  readonly numbersPerRow: number;
  readonly keys: number;
}

/** Constants, code and grid that the three kernels share. */
function dispatch(kernel: Kernel, sizes: AttentionSizes, attrs: AttentionAttrs, target: Target): Dispatch {
  const { T, S, D, DV } = sizes;
  const staged = target.kind === "gpu";
  const [D4, V4] = [Math.ceil(D / 4), Math.ceil(DV / 4)];
  const ROWS = rowsFor(target, kernel.numbersPerRow, kernel.length);
  const LANES = staged ? 64 : 8;
  const tiles = Math.ceil(kernel.length / ROWS);
  // Both tiles in half of the workgroup memory every device has, a multiple of the keys taken at once.
  const TILE = Math.max(4, Math.min(32, 4 * Math.floor(8192 / (64 * (D4 + V4)))));
  const { p, site } = attrs.dropout;
  return {
    label: kernel.label,
    source: kernel.source,
    constants: {
      BATCH: sizes.B,
      T,
      S,
      H: sizes.H,
      HKV: sizes.HKV,
      D,
      DV,
      D4,
      V4,
      ROWS,
      LANES,
      TILES: tiles,
      TILE,
      TILE_K: TILE * D4,
      TILE_V: TILE * V4,
      KEYS: kernel.keys,
      SCALE: float(attrs.scale),
      BIAS: float(attrs.bias),
      CAUSAL: attrs.mask !== "none",
      LEFT: attrs.mask === "bottom-right" ? T : 0,
      RIGHT: attrs.mask === "bottom-right" ? S : 0,
      SOFTMAX: attrs.activation === "softmax",
      STAGED: staged,
      DROPOUT: p > 0,
      SITE: site,
      DROP_BELOW: Math.floor(p * 2 ** 32),
      KEEP_SCALE: float(1 / (1 - p)),
    },
    code: { COMMON: commonWgsl, LOADS: loads(kernel.loads), THREEFRY: threefryWgsl },
    bindings: kernel.bindings,
    workgroups: staged ? [Math.ceil(tiles / LANES), kernel.heads, 1] : line(tiles * kernel.heads, LANES),
  };
}

const drops = (attrs: AttentionAttrs): boolean => attrs.dropout.p > 0;
const isSoftmax = (attrs: AttentionAttrs): boolean => attrs.activation === "softmax";

/** Products of the kernel's inner loop: `units` dot products of a head for every visible pair. */
function flops(call: Call<AttentionAttrs>, scores: number, values: number): number {
  const { B, T, S, H, D, DV } = attentionSizes(call.inputs);
  const share = call.attrs.mask === "none" ? 1 : 0.5;
  return 2 * B * H * T * S * share * (scores * D + values * DV);
}

export const attentionOp: Op<AttentionAttrs> = {
  name: "attention",
  infer(inputs, attrs) {
    const { B, T, H, DV } = attentionSizes(inputs);
    const z: Spec = { shape: [B, T, H, DV], dtype: "f32" };
    return isSoftmax(attrs) ? [z, { shape: [B, H, T], dtype: "f32" }] : [z];
  },
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { B, H, T, D, DV } = sizes;
    const kernel: Kernel = {
      label: `attention ${attrs.activation}`,
      source: forwardWgsl,
      bindings: {
        0: ["output", 0],
        1: ["input", 0],
        2: ["input", 1],
        3: ["input", 2],
        4: isSoftmax(attrs) ? ["output", 1] : undefined,
        5: drops(attrs) ? ["input", 3] : undefined,
      },
      loads: { q: D, k: D, v: DV },
      length: T,
      heads: B * H,
      numbersPerRow: D + DV,
      // The running sums are rescaled once for the keys taken together.
      keys: isSoftmax(attrs) ? 4 : 1,
    };
    return { dispatches: [dispatch(kernel, sizes, attrs, target)] };
  },
  cpu: attentionCpu,
  vjp(node, [dz]) {
    const attrs = node.attrs as AttentionAttrs;
    const [q, k, v, ...seed] = node.inputs;
    const [z, lse] = node.outputs;
    if (!isSoftmax(attrs)) {
      const [dq] = apply(queryGradientOp, [q, k, v, dz!, ...seed], attrs);
      const [dk, dv] = apply(keyGradientOp, [q, k, v, dz!, ...seed], attrs);
      return [dq, dk, dv];
    }
    const [dq, delta] = apply(queryGradientOp, [q, k, v, dz!, z, lse, ...seed], attrs);
    const [dk, dv] = apply(keyGradientOp, [q, k, v, dz!, lse, delta, ...seed], attrs);
    return [dq, dk, dv];
  },
  flops: (call) => flops(call, 1, 1),
};

/** dq [B,T,H,d], and for softmax delta [B,H,T], from q, k, v, dz (softmax: z, lse) and the seed. */
export const queryGradientOp: Op<AttentionAttrs> = {
  name: "attention_query_gradient",
  infer(inputs, attrs) {
    const { B, T, H } = attentionSizes(inputs);
    return isSoftmax(attrs) ? [inputs[0], { shape: [B, H, T], dtype: "f32" }] : [inputs[0]];
  },
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { B, H, T, D, DV } = sizes;
    const soft = isSoftmax(attrs);
    const kernel: Kernel = {
      label: `attention ${attrs.activation} query gradient`,
      source: queryGradientWgsl,
      bindings: {
        0: ["output", 0],
        1: ["input", 0],
        2: ["input", 1],
        3: ["input", 2],
        4: ["input", 3],
        5: soft ? ["input", 4] : undefined,
        6: soft ? ["input", 5] : undefined,
        7: soft ? ["output", 1] : undefined,
        8: drops(attrs) ? ["input", soft ? 6 : 4] : undefined,
      },
      loads: { q: D, k: D, v: DV, dz: DV, ...(soft ? { z: DV } : {}) },
      length: T,
      heads: B * H,
      numbersPerRow: 2 * D + DV,
      keys: 1,
    };
    return { dispatches: [dispatch(kernel, sizes, attrs, target)] };
  },
  cpu: queryGradientCpu,
  flops: (call) => flops(call, 2, 1),
};

/** dk [B,S,Hkv,d] and dv [B,S,Hkv,dv] from q, k, v, dz (softmax: lse, delta) and the seed. */
export const keyGradientOp: Op<AttentionAttrs> = {
  name: "attention_key_gradient",
  infer: (inputs) => [inputs[1], inputs[2]],
  lower({ inputs, attrs }, target) {
    const sizes = attentionSizes(inputs);
    const { B, HKV, S, D, DV } = sizes;
    const soft = isSoftmax(attrs);
    const kernel: Kernel = {
      label: `attention ${attrs.activation} key gradient`,
      source: keyGradientWgsl,
      bindings: {
        0: ["output", 0],
        1: ["output", 1],
        2: ["input", 0],
        3: ["input", 1],
        4: ["input", 2],
        5: ["input", 3],
        6: soft ? ["input", 4] : undefined,
        7: soft ? ["input", 5] : undefined,
        8: drops(attrs) ? ["input", soft ? 6 : 4] : undefined,
      },
      loads: { q: D, k: D, v: DV, dz: DV },
      length: S,
      heads: B * HKV,
      numbersPerRow: 2 * (D + DV),
      keys: 1,
    };
    return { dispatches: [dispatch(kernel, sizes, attrs, target)] };
  },
  cpu: keyGradientCpu,
  flops: (call) => flops(call, 2, 2),
};

/** Options of `attention`; everything has the default that a decoder wants. */
export interface AttentionOptions {
  /** Factor of the scores, 1/sqrt(d) by default. */
  readonly scale?: number;
  /** Which keys query i sees: "top-left" (default): j <= i; "bottom-right": j <= i + S - T; "none": all. */
  readonly mask?: AttentionAttrs["mask"];
  readonly activation?: AttentionAttrs["activation"];
  /** For sigmoid: added to the scores; "auto" (default) is -ln(S). */
  readonly bias?: number | "auto";
  /** Dropout of the pattern: probability, place, and the seed tensor u32[2] (see `dropout`). */
  readonly dropout?: { readonly p: number; readonly site: number; readonly seed: Tensor };
}

/**
 * Attention: z_i = sum_j a_ij v_j over the keys that query i sees, with s_ij = scale q_i . k_j and
 * a_i = softmax(s_i), or a_ij = 1 / (1 + exp(-s_ij - bias)). Memory is linear in T: no [T, S] matrix is stored, forward
 * or backward.
 *
 * Head h reads the keys and values of head floor(h Hkv / H). A query that sees no key gives zeros and no gradient.
 *
 * Sources: Dao et al., "FlashAttention" (2022); Ramapuram et al., "Theory, Analysis, and Best Practices for Sigmoid
 * Self-Attention" (2024).
 *
 * @param q [B, T, H, d]
 * @param k [B, S, Hkv, d]
 * @param v [B, S, Hkv, dv]
 * @returns [B, T, H, dv]
 * @throws {UserError} where the shapes do not fit
 *
 * @example
 * ```ts
 * import { attention, input } from "../../mod.ts";
 * const [q, k, v] = ["q", "k", "v"].map((name) => input(name, [2, 64, 4, 32]));
 * const z = attention(q, k, v, { activation: "sigmoid" }); // [2, 64, 4, 32]
 * ```
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { D, S } = attentionSizes([q, k, v]);
  const { activation = "softmax", bias = "auto", dropout } = options;
  const p = dropout?.p ?? 0;
  return apply(attentionOp, [q, k, v, ...(p > 0 ? [dropout!.seed] : [])], {
    scale: options.scale ?? 1 / Math.sqrt(D),
    mask: options.mask ?? "top-left",
    activation,
    bias: activation === "softmax" ? 0 : bias === "auto" ? -Math.log(S) : bias,
    dropout: { p, site: dropout?.site ?? 0 },
  })[0];
}
