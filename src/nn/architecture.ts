// What a model is made of: the shape of the whole, and the choices of each block. Everything a block leaves open has a
// default here, so that a description says only what is special about it.
import type { AttentionActivation, AttentionChoice } from "../../kernels/attention/activations.ts";
import type { Activation } from "../../kernels/expression/activation.ts";
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { UserError } from "../base/errors.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ForwardHooks } from "./hook_types.ts";

/**
 * How an error goes back through a linear layer y = x W^T + b. In each, dW = dy^T x and db = the sum of dy.
 * - bp: dx = dy W.
 * - fa, feedback alignment: dx = dy B, B fixed and random, of W's shape. The head is a layer too (`model.head.method`).
 * - dfa, direct feedback alignment: dx = e B with e = dL/dlogits and B [V, in], fixed and random; and for the matrices that write
 *   into the residual stream (wo, mlp.proj) dy = e B' too, B' [V, out]. So no weight of a block sees the stream's gradient, which
 *   goes on to norms, scales and embeddings alone.
 */
export type Method = "bp" | "fa" | "dfa";

/** What normalises. */
export type Norm = "layernorm" | "rmsnorm";

/** Sizes that a user's own modifier may need. */
export interface ModifierSizes {
  /** Heads, H. */
  readonly heads: number;
  /** Positions the model sees at once. */
  readonly context: number;
  /** Number of the block, from 0. */
  readonly block: number;
}

/**
 * A score modifier of one's own, as a user's TypeScript file exports it.
 *
 * @example A penalty on distance, its slope learned for each head
 * ```ts
 * import { lookup, minus, modifier, times, variable } from "../../mod.ts";
 * import type { UserModifier } from "../../mod.ts";
 * const [score, h, i, j] = ["score", "h", "i", "j"].map(variable);
 * export const distance: UserModifier = {
 *   tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
 *   modifier: ({ slope }, { heads }) =>
 *     modifier(minus(score, times(lookup("slope", [heads], h), minus(i, j))), { slope }),
 * };
 * ```
 */
export interface UserModifier {
  /** Learned tables by name: shape, and the number each entry starts at. */
  tables?(sizes: ModifierSizes): Readonly<Record<string, { shape: readonly number[]; start: number }>>;
  /** The modifier, given the learned tables. */
  modifier(tables: Readonly<Record<string, Tensor>>, sizes: ModifierSizes): ScoreModifier;
}

/** Where a user's own modifier is: a TypeScript file and the name of its export. */
export interface ModifierSource {
  /** Path, relative to the working folder. */
  readonly file: string;
  /** Name of the export, a `UserModifier`. */
  readonly name: string;
}

/** The attention half of a block. */
export interface AttentionLayer {
  /** From scores to pattern. */
  readonly activation: AttentionActivation;
  /** Element-wise activations divided by the number of visible keys, or its root. */
  readonly divide: AttentionChoice<"divide">;
  /** Added to the scores. "auto": -ln(context) for a sigmoid that is not divided, else 0; "learned" starts there. */
  readonly bias: "auto" | "learned" | number;
  /** Scores times e^temperature; "learned" starts at 0. */
  readonly temperature: "learned" | number | null;
  /** One learned bias and temperature a layer, or one a head. */
  readonly per: "layer" | "head";
  /** Scores s become c tanh(s / c). */
  readonly softcap: number | null;
  /** Keys less than so many positions behind the query. */
  readonly window: number | null;
  /** Heads of keys and values; null: as many as heads. */
  readonly kv_heads: number | null;
  /** Head h reads key head floor(h kv_heads / heads), or h mod kv_heads. */
  readonly kv_head: AttentionChoice<"kvHead">;
  /** Width of all heads' values together; null: dim. */
  readonly value_dim: number | null;
  /** Queries and keys normalised over the head, before rotation. */
  readonly qk_norm: Norm | null;
  /** Gradient of a softmax: as it is, without its lateral sum, or as the identity. */
  readonly backward: AttentionChoice<"backward">;
  /** Learned keys and values that every query sees. */
  readonly extra_keys: number;
  /** A score modifier of one's own. */
  readonly modifier: ModifierSource | UserModifier | null;
  /** Start of a learned factor for each number that the branch adds; null: none. */
  readonly layer_scale: number | null;
  /** How the error passes wq, wk, wv and wo: see {@link Method}. */
  readonly method: Method;
}

/** The feed-forward half of a block. */
export interface Mlp {
  /** Between its matrices. */
  readonly activation: Activation;
  /** act(x gate^T) * (x fc^T) in the place of act(x fc^T): SwiGLU, GEGLU. */
  readonly gated: boolean;
  /** Hidden width over dim. */
  readonly factor: number;
  /** How the error passes its matrices: see {@link Method}. */
  readonly method: Method;
  /** Start of a learned factor for each number that the branch adds; null: none. */
  readonly layer_scale: number | null;
}

/** One block, every choice made. */
export interface Block {
  /**
   * Where each branch f is normalised. pre: x + f(norm(x)). post: norm(x + f(x)). hybrid: x + norm(f(norm(x))), before
   * and after, as Apple's sigmoid models and Gemma 2 have it.
   */
  readonly norm_order: "pre" | "post" | "hybrid";
  /** What normalises; null: the model's. */
  readonly norm: Norm | null;
  /** Its attention. */
  readonly attention: AttentionLayer;
  /** Its feed-forward layer. */
  readonly mlp: Mlp;
  /** Probability of a zero on its pattern and branches; null: the model's. */
  readonly dropout: number | null;
}

/** A block as it is described: what is left out is the default. */
export interface BlockChoices extends Partial<Omit<Block, "attention" | "mlp">> {
  /** Its attention. */
  readonly attention?: Partial<AttentionLayer>;
  /** Its feed-forward layer. */
  readonly mlp?: Partial<Mlp>;
}

/** A decoder's shape: `model` of a configuration, and the size of the vocabulary. */
export interface Architecture {
  /** Number of token ids, V. */
  readonly vocabulary: number;
  /** Positions the model sees at once, T. */
  readonly context: number;
  /** Width of the residual stream, D. */
  readonly dim: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Attention heads a block, H; divides dim. */
  readonly heads: number;
  /** What tells positions apart: a learned row each, sines and cosines, rotated queries and keys, ALiBi's slopes. */
  readonly positions: "learned" | "none" | "sincos" | "rope" | "alibi";
  /** Of the rotation (see `rope`); a rotary_dim of null is the whole head. */
  readonly rope?: {
    readonly base?: number;
    readonly pairs?: "interleaved" | "half";
    readonly rotary_dim?: number | null;
  };
  /** What normalises in each block and before the head. */
  readonly norm: Norm;
  /** Biases in linear layers. */
  readonly bias: boolean;
  /** Biases in LayerNorm; null: as in linear layers. */
  readonly norm_bias?: boolean | null;
  /** The head is the token embedding. */
  readonly tied: boolean;
  /** How the error of the logits passes the head; null, the default: as in the first layer of a block that is not bp. */
  readonly head?: { readonly method: Method | null };
  /** Probability of a zero on embedding, pattern and branches. */
  readonly dropout: number;
  /** How matrices start (see `decoderParameters`). */
  readonly init: {
    readonly name?: "normal" | "truncated_normal" | "xavier_uniform";
    readonly std: number;
    readonly scaled_residual: boolean;
  };
  /** What every block is made of. */
  readonly block: BlockChoices;
  /** What is special about each block in turn, on top of `block`; the last entry is repeated. */
  readonly blocks?: readonly BlockChoices[];
  /** What a user's own file changes in the model, loaded. */
  readonly hooks?: ForwardHooks;
}

const ATTENTION: AttentionLayer = {
  activation: "softmax",
  divide: "none",
  bias: "auto",
  temperature: null,
  per: "layer",
  softcap: null,
  window: null,
  kv_heads: null,
  kv_head: "grouped",
  value_dim: null,
  qk_norm: null,
  backward: "exact",
  extra_keys: 0,
  modifier: null,
  layer_scale: null,
  method: "bp",
};

const MLP: Mlp = { activation: "gelu", gated: false, factor: 4, method: "bp", layer_scale: null };

/** Block n of a model, every choice made. */
export function blockOf({ block, blocks, norm, dropout }: Architecture, n: number): Block {
  const own: BlockChoices = blocks?.[Math.min(n, blocks.length - 1)] ?? {};
  return {
    norm_order: own.norm_order ?? block.norm_order ?? "pre",
    norm: own.norm ?? block.norm ?? norm,
    attention: { ...ATTENTION, ...block.attention, ...own.attention },
    mlp: { ...MLP, ...block.mlp, ...own.mlp },
    dropout: own.dropout ?? block.dropout ?? dropout,
  };
}

/** Heads and their widths: H of queries, HKV of keys and values, D numbers a query and key, DV a value. */
export function sizesOf({ dim, heads }: Architecture, { kv_heads, value_dim }: AttentionLayer) {
  return { H: heads, HKV: kv_heads ?? heads, D: dim / heads, DV: (value_dim ?? dim) / heads };
}

/** All blocks of a model in turn. */
export function blocksOf(architecture: Architecture): Block[] {
  return Array.from({ length: architecture.layers }, (_, n) => blockOf(architecture, n));
}

/** How the error of the logits passes the head: `head.method`, else the first method of a block that is not bp. */
export function headMethod(
  { head, block, blocks = [] }: Pick<Architecture, "head" | "block" | "blocks">,
): Method {
  if (head?.method) return head.method;
  const described: readonly BlockChoices[] = blocks.length > 0 ? blocks : [{}];
  const methods = described.flatMap(({ attention, mlp }) => [
    attention?.method ?? block.attention?.method,
    mlp?.method ?? block.mlp?.method,
  ]);
  return methods.find((method) => method !== undefined && method !== "bp") ?? "bp";
}

/** Whether anything in a model is dropped in training, so that a step needs a seed. */
export function usesDropout(architecture: Architecture): boolean {
  return architecture.dropout > 0 || blocksOf(architecture).some(({ dropout }) => dropout! > 0);
}

/**
 * The architecture that a configuration's `model` describes, for a tokenizer of so many ids. A larger
 * `model.vocabulary` leaves ids that no text has.
 *
 * @throws {UserError} where `model.vocabulary` is smaller than the tokenizer's
 *
 * @example
 * ```ts
 * import { architectureOf, loadConfig } from "../../mod.ts";
 * const { model } = await loadConfig("default", []);
 * architectureOf(model, 65).vocabulary; // 65
 * ```
 */
export function architectureOf(
  model: Omit<Architecture, "vocabulary"> & { readonly vocabulary?: number | null },
  tokens: number,
): Architecture {
  const vocabulary = model.vocabulary ?? tokens;
  if (vocabulary < tokens) {
    throw new UserError(
      `model.vocabulary: ${vocabulary} is below the tokenizer's ${tokens}; expected at least that.`,
    );
  }
  return { ...model, vocabulary };
}
