// The types of what a user's own file changes inside a model.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import type { Expression } from "../../kernels/expression/expression.ts";
import type { Tensor } from "../graph/tensor.ts";

/** A value that a hook's own key of the configuration may have. */
export type HookValue = number | boolean | string;

/** What a hook knows besides its tensor.
 * @category Training */
export interface HookContext {
  /** Name of the tap. */
  readonly name: string;
  /** Number of the block; null outside of all. */
  readonly layer: number | null;
  /** Attention heads per block. */
  readonly heads: number;
  /** Number of token ids, V. */
  readonly vocabulary: number;
  /** Token ids of the batch, u32 [B, T]. */
  readonly tokens: Tensor;
  /** Steps of training made so far, f32 [1]. */
  readonly step: Tensor;
  /** The values of the keys that the file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** From a tapped tensor to the one that goes on in its place, of the same shape. */
export type TapHook = (x: Tensor, context: HookContext) => Tensor;

/** From the scores of a block's attention, an expression (see `modifier`), to what they become. */
export type ScoreHook = (score: Expression, context: HookContext) => ScoreModifier;

/** The hooks of a forward pass: functions by globs over tap names. */
export interface ForwardHooks {
  /** Where they come from, for messages. */
  readonly file: string;
  /** Tensors by tap: `"blocks.*.mlp.post"`. */
  readonly taps?: Readonly<Record<string, TapHook>>;
  /** Scores by tap: `"blocks.*.attn.scores"`. */
  readonly scores?: Readonly<Record<string, ScoreHook>>;
  /** Values of the declared keys. */
  readonly keys: Readonly<Record<string, HookValue>>;
}
