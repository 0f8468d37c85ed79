// What a model is made of: the shape of the whole, and the choices of each block. What a description leaves open is the
// default of model_keys.ts.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { UserError } from "../base/errors.ts";
import { defaultsOf } from "../base/keys.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { ForwardHooks } from "./hook_types.ts";
import { type BlockConfig, METHODS, MODEL_KEYS, type ModelConfig } from "./model_keys.ts";
import type { PositionOptions } from "./position_scheme.ts";

/** How an error goes back through a linear layer: by its weights (bp), fixed random ones (fa), or from the logits (dfa). */
export type Method = BlockConfig["mlp"]["method"];

/** What normalises. */
export type Norm = ModelConfig["norm"];

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
 * import { masks, type UserModifier } from "../../mod.ts";
 * export const distance: UserModifier = {
 *   tables: ({ heads }) => ({ slope: { shape: [heads], start: 0.1 } }),
 *   modifier: ({ slope }) => masks.modifier("score - slope[h] * (i - j)", { slope }),
 * };
 * ```
 * @category Models
 */
export interface UserModifier {
  /** Learned tables by name: shape, and the number each entry starts at. */
  tables?(sizes: ModifierSizes): Readonly<Record<string, { shape: readonly number[]; start: number }>>;
  /** The modifier, given the learned tables. */
  modifier(tables: Readonly<Record<string, Tensor>>, sizes: ModifierSizes): ScoreModifier;
}

/** Where a user's own modifier is: a TypeScript file and the name of its export. */
export type ModifierSource = Readonly<NonNullable<BlockConfig["attention"]["modifier"]>>;

/** The attention half of a block: see {@link MODEL_KEYS}. */
export interface AttentionLayer extends Readonly<Omit<BlockConfig["attention"], "modifier">> {
  /** A score modifier of one's own. */
  readonly modifier: ModifierSource | UserModifier | null;
}

/** The feed-forward half of a block: see {@link MODEL_KEYS}. */
export type Mlp = Readonly<BlockConfig["mlp"]>;

/** One block, every choice made: see {@link MODEL_KEYS}. */
export interface Block extends Readonly<Omit<BlockConfig, "attention" | "mlp">> {
  /** Its attention. */
  readonly attention: AttentionLayer;
  /** Its feed-forward layer. */
  readonly mlp: Mlp;
}

/** A block as it is described: what is left out is the default. */
export interface BlockChoices extends Partial<Omit<Block, "attention" | "mlp">> {
  /** Its attention. */
  readonly attention?: Partial<AttentionLayer>;
  /** Its feed-forward layer. */
  readonly mlp?: Partial<Mlp>;
}

/** A decoder's shape: `model` of a configuration, whose keys {@link MODEL_KEYS} describes, and the size of the vocabulary. */
export interface Architecture extends
  PositionOptions,
  Readonly<
    Omit<
      ModelConfig,
      "vocabulary" | "norm_bias" | "head" | "init" | "block" | "blocks" | keyof PositionOptions
    >
  > {
  /** Number of token ids, V. */
  readonly vocabulary: number;
  /** Biases in LayerNorm; null: as in linear layers. */
  readonly norm_bias?: boolean | null;
  /** How the error of the logits passes the head; null, the default: as in the first layer of a block that is not bp. */
  readonly head?: Readonly<ModelConfig["head"]>;
  /** How matrices start (see `decoderParameters`). */
  readonly init: Readonly<
    Pick<ModelConfig["init"], "std" | "scaled_residual"> & Partial<ModelConfig["init"]>
  >;
  /** What every block is made of. */
  readonly block: BlockChoices;
  /** What is special about each block in turn, on top of `block`; the last entry is repeated. */
  readonly blocks?: readonly BlockChoices[];
  /** What a user's own file changes in the model, loaded. */
  readonly hooks?: ForwardHooks;
}

const DEFAULT = defaultsOf(MODEL_KEYS.block.keys);

/** Block n of a model, every choice made. */
export function blockOf({ block, blocks, norm, dropout }: Architecture, n: number): Block {
  const own: BlockChoices = blocks?.[Math.min(n, blocks.length - 1)] ?? {};
  return {
    norm_order: own.norm_order ?? block.norm_order ?? DEFAULT.norm_order,
    norm: own.norm ?? block.norm ?? norm,
    attention: { ...DEFAULT.attention, ...block.attention, ...own.attention },
    mlp: { ...DEFAULT.mlp, ...block.mlp, ...own.mlp },
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

/** How the error of the logits passes the head: `head.method`, else the first method of a block that is not exact. */
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
      `model.vocabulary: ${vocabulary} is below the tokenizer's ${tokens}; expected at least that.`,
    );
  }
  return { ...model, vocabulary };
}
