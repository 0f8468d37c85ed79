// The types of the hooks with which a user's file changes a model.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import type { Expression } from "../../kernels/expression/expression.ts";
import type { Tensor } from "../graph/tensor.ts";

/** Value of a configuration key that a hooks file declares. */
export type HookValue = number | boolean | string;

/** The context passed to a hook.
 * @category Training */
export interface HookContext {
  /** Name of the tap (hook point), for example `blocks.0.mlp.post`. */
  readonly name: string;
  /** Index of the block, from 0; null outside blocks. */
  readonly layer: number | null;
  /** Attention heads per block. */
  readonly heads: number;
  /** Vocabulary size, V. */
  readonly vocabulary: number;
  /** Token ids of the batch, u32 [B, T]. */
  readonly tokens: Tensor;
  /** Number of completed training steps, f32 [1]. */
  readonly step: Tensor;
  /** Values of the configuration keys that the hooks file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
}

/** Takes a tapped tensor and returns the tensor to use in its place, of the same shape and type. */
export type TapHook = (x: Tensor, context: HookContext) => Tensor;

/** Takes a block's attention score as an expression and returns the score modifier to apply (see `modifier`). */
export type ScoreHook = (score: Expression, context: HookContext) => ScoreModifier;

/** The hooks of a forward pass: maps from globs, matched against tap names, to functions. */
export interface ForwardHooks {
  /** The file that defines them, for error messages. */
  readonly file: string;
  /** Hooks on tensors, keyed by globs over tap names, for example `"blocks.*.mlp.post"`. */
  readonly taps?: Readonly<Record<string, TapHook>>;
  /** Hooks on attention scores, keyed by globs over tap names, for example `"blocks.*.attn.scores"`. */
  readonly scores?: Readonly<Record<string, ScoreHook>>;
  /** Values of the configuration keys that the file declares. */
  readonly keys: Readonly<Record<string, HookValue>>;
}
