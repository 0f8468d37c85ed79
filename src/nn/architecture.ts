// A model's architecture: its sizes and the options of each block. Omitted options take the defaults of model_keys.ts.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { UserError } from "../base/errors.ts";
import { defaultsOf } from "../base/keys.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ForwardHooks } from "./hook_types.ts";
import { type BlockConfig, METHODS, MODEL_KEYS, type ModelConfig } from "./model_keys.ts";
import type { PositionOptions } from "./position_scheme.ts";

/**
 * The backward pass of a linear layer: through its weights (bp), through a fixed random matrix instead (fa), or directly from
 * the gradient of the logits (dfa).
 */
export type Method = BlockConfig["mlp"]["method"];

/** Name of a normalisation layer. */
export type Norm = ModelConfig["norm"];

/** Sizes passed to a user's score modifier. */
export interface ModifierSizes {
  /** Query heads, H. */
  readonly heads: number;
  /** Context length. */
  readonly context: number;
  /** Index of the block, from 0. */
  readonly block: number;
}

/**
 * A score modifier that a user's TypeScript file exports.
 *
 * @example A distance penalty with one learned slope per head
 * ```ts
 * import { masks, type UserModifier } from "../../mod.ts";
 * export const distance: UserModifier = {
 *   tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
 *   modifier: ({ slope }) => masks.modifier("score - slope[h] * (i - j)", { slope }),
 * };
 * ```
 * @category Models
 */
export interface UserModifier {
  /** Returns the learned tables, keyed by name: the shape of each, and the initial value `start` of all its entries. */
  tables?(sizes: ModifierSizes): Readonly<Record<string, { shape: readonly number[]; start: number }>>;
  /** Returns the score modifier, given the learned tables as tensors. */
  modifier(tables: Readonly<Record<string, Tensor>>, sizes: ModifierSizes): ScoreModifier;
}

/** Where a user's modifier is: a TypeScript file and the name of the export. */
export type ModifierSource = Readonly<NonNullable<BlockConfig["attention"]["modifier"]>>;

/** The options of a block's attention layer; {@link MODEL_KEYS} documents them. */
export interface AttentionLayer extends Readonly<Omit<BlockConfig["attention"], "modifier">> {
  /** A user's score modifier, or the file that exports it; null if there is none. */
  readonly modifier: ModifierSource | UserModifier | null;
}

/** The options of a block's feed-forward layer; {@link MODEL_KEYS} documents them. */
export type Mlp = Readonly<BlockConfig["mlp"]>;

/** The options of one block, none omitted; {@link MODEL_KEYS} documents them. */
export interface Block extends Readonly<Omit<BlockConfig, "attention" | "mlp">> {
  /** Its attention. */
  readonly attention: AttentionLayer;
  /** Its feed-forward layer. */
  readonly mlp: Mlp;
}

/**
 * The options of a block that a configuration sets. An omitted option takes its value from `block` or, if `block` omits it too,
 * its default.
 */
export interface BlockChoices extends Partial<Omit<Block, "attention" | "mlp">> {
  /** Its attention. */
  readonly attention?: Partial<AttentionLayer>;
  /** Its feed-forward layer. */
  readonly mlp?: Partial<Mlp>;
}

/** A decoder's architecture: `model` of a configuration (see {@link MODEL_KEYS}) and the vocabulary size. */
export interface Architecture extends
  PositionOptions,
  Readonly<
    Omit<
      ModelConfig,
      "vocabulary" | "norm_bias" | "head" | "init" | "block" | "blocks" | keyof PositionOptions
    >
  > {
  /** Vocabulary size, V. */
  readonly vocabulary: number;
  /** Whether LayerNorm has a bias. Default: null, which selects the value of `bias`. */
  readonly norm_bias?: boolean | null;
  /**
   * Backward pass of the output head. Default: null, which selects the first method in the blocks that is not bp, or bp if all
   * blocks use bp.
   */
  readonly head?: Readonly<ModelConfig["head"]>;
  /** Initialisation of the matrices (see `decoderParameters`). */
  readonly init: Readonly<
    Pick<ModelConfig["init"], "std" | "scaled_residual"> & Partial<ModelConfig["init"]>
  >;
  /** The settings of every block. */
  readonly block: BlockChoices;
  /** Entry n overrides `block` for block n; the last entry also applies to all blocks after it. */
  readonly blocks?: readonly BlockChoices[];
  /** The hooks that a user's file defines, already loaded. */
  readonly hooks?: ForwardHooks;
}

const DEFAULT = defaultsOf(MODEL_KEYS.block.keys);

/** Returns the options of block n of a model, with omitted options set to their defaults. */
export function blockOf({ block, blocks, norm, dropout }: Architecture, n: number): Block {
  const overrides: BlockChoices = blocks?.[Math.min(n, blocks.length - 1)] ?? {};
  return {
    norm_order: overrides.norm_order ?? block.norm_order ?? DEFAULT.norm_order,
    norm: overrides.norm ?? block.norm ?? norm,
    attention: { ...DEFAULT.attention, ...block.attention, ...overrides.attention },
    mlp: { ...DEFAULT.mlp, ...block.mlp, ...overrides.mlp },
    dropout: overrides.dropout ?? block.dropout ?? dropout,
  };
}

/**
 * Returns the numbers of heads and their widths: H query heads, HKV key and value heads, width D of a query or key, and width
 * DV of a value.
 */
export function sizesOf({ dim, heads }: Architecture, { kv_heads, value_dim }: AttentionLayer) {
  return { H: heads, HKV: kv_heads ?? heads, D: dim / heads, DV: (value_dim ?? dim) / heads };
}

/** All blocks of a model, in order. */
export function blocksOf(architecture: Architecture): Block[] {
  return Array.from({ length: architecture.layers }, (_, n) => blockOf(architecture, n));
}

/**
 * Returns the backward pass of the output head: `head.method` if it is set, otherwise the first method in the blocks that is
 * not exact, or bp if all are exact.
 */
export function headMethod(
  { head, block, blocks = [] }: Pick<Architecture, "head" | "block" | "blocks">,
): Method {
  if (head?.method) return head.method;
  const described: readonly BlockChoices[] = blocks.length > 0 ? blocks : [{}];
  const methods = described.flatMap(({ attention, mlp }) => [
    attention?.method ?? block.attention?.method,
    mlp?.method ?? block.mlp?.method,
  ]);
  return methods.find((method) => method !== undefined && !METHODS[method].exact) ?? DEFAULT.mlp.method;
}

/** Whether a model uses dropout in training, so that a step needs a seed. */
export function usesDropout(architecture: Architecture): boolean {
  return architecture.dropout > 0 || blocksOf(architecture).some(({ dropout }) => dropout! > 0);
}

/**
 * Returns the architecture that a configuration's `model` describes, for a tokenizer with `tokens` ids. If `model.vocabulary`
 * is larger, no text contains the additional ids.
 *
 * @throws {UserError} if `model.vocabulary` is smaller than `tokens`
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { architectureOf } from "./mod.ts";
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
      `model.vocabulary: ${vocabulary} is below the tokenizer's ${tokens}; expected at least ${tokens}.`,
    );
  }
  return { ...model, vocabulary };
}
