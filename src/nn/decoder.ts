// The decoder: a pure function of its parameters, in the words and order of the papers. Which parameters there are and
// how they start stands beside it, so that a model is understood from this file alone.
import { ACTIVATIONS } from "../../kernels/activation.ts";
import { attention } from "../../kernels/attention/op.ts";
import { add, elementwise } from "../../kernels/elementwise/op.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { linear, type MatmulOptions } from "../../kernels/matmul/op.ts";
import { layerNorm, rmsNorm } from "../../kernels/norm/op.ts";
import { dropout } from "../../kernels/random/op.ts";
import { reshape, view } from "../graph/structure.ts";
import { scope, sizeOf, type Tensor } from "../graph/tensor.ts";

/** A decoder's shape: `model` of a configuration, and the size of the vocabulary. */
export interface Architecture {
  readonly vocabulary: number;
  readonly context: number;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  readonly positions: "learned" | "none";
  readonly norm: "layernorm" | "rmsnorm";
  readonly bias: boolean;
  /** The head is the token embedding. */
  readonly tied: boolean;
  readonly dropout: number;
  readonly init: { readonly std: number; readonly scaled_residual: boolean };
  readonly block: {
    readonly attention: { readonly activation: "softmax" | "sigmoid"; readonly bias: "auto" | number };
    readonly mlp: { readonly activation: keyof typeof ACTIVATIONS; readonly factor: number };
  };
}

/** One parameter: its name, its shape and how it starts: normal(mean, std), a constant where std is 0. */
export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly mean: number;
  readonly std: number;
  /** Weight decay takes matrices only. */
  readonly decayed: boolean;
}

/** Parameters by name, as tensors of a graph. */
export type Parameters = Readonly<Record<string, Tensor>>;

/**
 * What looks at a forward pass. `wants` says whether a tensor must exist on its own (where a kernel would else keep it
 * to itself), `tap` may give another tensor in its place.
 */
export interface Taps {
  wants(name: string): boolean;
  tap(name: string, x: Tensor): Tensor;
}

/** Options of a forward pass. */
export interface ForwardOptions {
  readonly taps?: Taps;
  /** Seed of dropout, u32[2] (see `dropout`); without it nothing is dropped. */
  readonly seed?: Tensor;
}

const NO_TAPS: Taps = { wants: () => false, tap: (_, x) => x };

/** Weight matrices [out, in] of a block, with their names; residual ones are those that add to the stream. */
function blockMatrices(
  { dim, block }: Architecture,
): { name: string; shape: [number, number]; residual: boolean }[] {
  const inner = dim * block.mlp.factor;
  return [
    { name: "attn.wq", shape: [dim, dim], residual: false },
    { name: "attn.wk", shape: [dim, dim], residual: false },
    { name: "attn.wv", shape: [dim, dim], residual: false },
    { name: "attn.wo", shape: [dim, dim], residual: true },
    { name: "mlp.fc", shape: [inner, dim], residual: false },
    { name: "mlp.proj", shape: [dim, inner], residual: true },
  ];
}

/**
 * The parameters of a decoder, in order: embeddings, blocks, final norm, and the head where it is not tied.
 * Matrices start as normal(0, std), those that add to the residual stream as normal(0, std / sqrt(2 layers)) with
 * `scaled_residual` (Radford et al. 2019); norms as 1, biases as 0.
 */
export function decoderParameters(architecture: Architecture): Parameter[] {
  const { vocabulary, context, dim, layers, positions, norm, bias, tied, init } = architecture;
  const matrix = (name: string, shape: readonly number[], residual = false): Parameter => {
    const std = residual && init.scaled_residual ? init.std / Math.sqrt(2 * layers) : init.std;
    return { name: `${name}.weight`, shape, mean: 0, std, decayed: true };
  };
  const vector = (name: string, size: number, mean: number): Parameter => {
    return { name, shape: [size], mean, std: 0, decayed: false };
  };
  const normed = (name: string): Parameter[] => [
    vector(`${name}.weight`, dim, 1),
    ...(bias && norm === "layernorm" ? [vector(`${name}.bias`, dim, 0)] : []),
  ];
  const all = [matrix("embed", [vocabulary, dim])];
  if (positions === "learned") all.push(matrix("pos_embed", [context, dim]));
  for (let n = 0; n < layers; n++) {
    for (const { name, shape, residual } of blockMatrices(architecture)) {
      const path = `blocks.${n}.${name}`;
      if (name === "attn.wq") all.push(...normed(`blocks.${n}.ln1`));
      if (name === "mlp.fc") all.push(...normed(`blocks.${n}.ln2`));
      all.push(matrix(path, shape, residual));
      if (bias) all.push(vector(`${path}.bias`, shape[0], 0));
    }
  }
  all.push(...normed("final_norm"));
  if (!tied) all.push(matrix("unembed", [vocabulary, dim]));
  return all;
}

/** Number of values of some parameters. */
export function parameterCount(parameters: readonly Parameter[]): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/** The pieces that the blocks are written in, with one model's choices put in. */
function pieces(a: Architecture, p: Parameters, { taps = NO_TAPS, seed }: ForwardOptions) {
  let sites = 0;
  return {
    taps,
    norm: (name: string, x: Tensor): Tensor => {
      const y = a.norm === "layernorm"
        ? layerNorm(x, p[`${name}.weight`], p[`${name}.bias`])
        : rmsNorm(x, p[`${name}.weight`]);
      return taps.tap(name, y);
    },
    project: (name: string, x: Tensor, options: Omit<MatmulOptions, "bias"> = {}): Tensor => {
      return scope(name, () => linear(x, p[`${name}.weight`], { bias: p[`${name}.bias`], ...options }));
    },
    drop: (x: Tensor): Tensor =>
      seed && a.dropout > 0 ? dropout(x, seed, { p: a.dropout, site: sites++ }) : x,
    /** Dropout of a pattern, which the attention kernel does itself. */
    patternDropout: () => seed && a.dropout > 0 ? { p: a.dropout, site: sites++, seed } : undefined,
    /** x + branch; one kernel where nothing stands between the projection and the sum. */
    fuses: (name: string): boolean => !taps.wants(name) && !(seed && a.dropout > 0),
  };
}

/** x + attention(norm(x)) */
function attentionBranch(a: Architecture, n: number, x: Tensor, piece: ReturnType<typeof pieces>): Tensor {
  const { taps } = piece;
  const path = `blocks.${n}`;
  const [B, T] = x.shape;
  const y = piece.norm(`${path}.ln1`, x);
  const [q, k, v] = ["q", "k", "v"].map((name) => {
    const heads = reshape(piece.project(`${path}.attn.w${name}`, y), [B, T, a.heads, a.dim / a.heads]);
    return taps.tap(`${path}.attn.${name}`, heads);
  });
  const options = { ...a.block.attention, dropout: piece.patternDropout() };
  const z = taps.tap(`${path}.attn.z`, scope(`${path}.attn`, () => attention(q, k, v, options)));
  return residual(`${path}.attn`, "wo", x, reshape(z, x.shape), piece);
}

/** x + mlp(norm(x)) */
function mlpBranch(a: Architecture, n: number, x: Tensor, piece: ReturnType<typeof pieces>): Tensor {
  const { taps } = piece;
  const path = `blocks.${n}.mlp`;
  const { activation } = a.block.mlp;
  const y = piece.norm(`blocks.${n}.ln2`, x);
  let inner: Tensor;
  if (taps.wants(`${path}.pre`)) {
    const pre = taps.tap(`${path}.pre`, piece.project(`${path}.fc`, y));
    inner = elementwise(ACTIVATIONS[activation], { x: pre }, activation);
  } else {
    inner = piece.project(`${path}.fc`, y, { activation });
  }
  return residual(path, "proj", x, taps.tap(`${path}.post`, inner), piece);
}

/** x + project(y), under the names `PATH_out` and `PATH.proj` that taps know. */
function residual(
  path: string,
  matrix: string,
  x: Tensor,
  y: Tensor,
  piece: ReturnType<typeof pieces>,
): Tensor {
  if (piece.fuses(`${path}_out`) && !piece.taps.wants(`${path}.proj`)) {
    return piece.project(`${path}.${matrix}`, y, { addend: x });
  }
  const branch = piece.taps.tap(`${path}.proj`, piece.project(`${path}.${matrix}`, y));
  return add(x, piece.taps.tap(`${path}_out`, piece.drop(branch)));
}

/**
 * A pre-norm decoder: logits = norm(x_L) W_head^T, where x_0 = embed(ids) + positions and each block does
 * x += attention(norm(x)), x += mlp(norm(x)).
 *
 * @param architecture its shape
 * @param parameters tensors by the names that `decoderParameters` gives
 * @param ids token ids, u32 [B, T], T at most the context where positions are learned
 * @returns logits, [B, T, V]
 *
 * @example
 * ```ts
 * import { decoder, decoderParameters, input, state } from "../../mod.ts";
 * import type { Architecture } from "../../mod.ts";
 * const architecture: Architecture = {
 *   vocabulary: 65, context: 64, dim: 128, layers: 4, heads: 4, positions: "learned", norm: "layernorm",
 *   bias: false, tied: true, dropout: 0, init: { std: 0.02, scaled_residual: true },
 *   block: { attention: { activation: "softmax", bias: "auto" }, mlp: { activation: "gelu", factor: 4 } },
 * };
 * const parameters = Object.fromEntries(decoderParameters(architecture).map((p) => [p.name, state(p.name, p.shape)]));
 * const logits = decoder(architecture, parameters, input("ids", [12, 64], "u32")); // [12, 64, 65]
 * ```
 */
export function decoder(
  architecture: Architecture,
  parameters: Parameters,
  ids: Tensor,
  options: ForwardOptions = {},
): Tensor {
  const piece = pieces(architecture, parameters, options);
  const { taps } = piece;
  const [B, T] = ids.shape;
  const { dim } = architecture;
  let x = taps.tap("embed", embedding(parameters["embed.weight"], ids));
  if (architecture.positions === "learned") {
    const table = parameters["pos_embed.weight"];
    const rows = taps.tap("pos_embed", T === table.shape[0] ? table : view(table, [T, dim]));
    x = reshape(add(reshape(x, [B, T * dim]), reshape(rows, [T * dim])), [B, T, dim]);
  }
  x = piece.drop(x);
  for (let n = 0; n < architecture.layers; n++) {
    x = taps.tap(`blocks.${n}.resid_pre`, x);
    x = taps.tap(`blocks.${n}.resid_mid`, attentionBranch(architecture, n, x, piece));
    x = taps.tap(`blocks.${n}.resid_post`, mlpBranch(architecture, n, x, piece));
  }
  const head = architecture.tied ? "embed.weight" : "unembed.weight";
  return taps.tap("logits", linear(piece.norm("final_norm", x), parameters[head]));
}
