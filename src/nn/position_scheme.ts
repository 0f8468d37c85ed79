// The interface of a position scheme, and the sections of `model` that configure schemes.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { ROPE_PAIRS } from "../../kernels/rope/op.ts";
import type { Keys, KeyValues } from "../base/keys.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { KeyCache } from "./cache.ts";

const ROPE = {
  base: {
    is: "positive",
    default: 10000,
    doc: "Pair i is rotated by base^(-2i / rotary_dim) radians per position.",
  },
  pairs: {
    oneOf: ROPE_PAIRS,
    default: "interleaved",
    doc: "Which channels form a pair: neighbours (interleaved), or those rotary_dim / 2 apart (half).",
  },
  rotary_dim: { least: 2, default: null, doc: "Number of rotated channels per head, even; null: all." },
} as const satisfies Keys;

/** The sections of `model` that hold the keys of a position scheme, keyed by the scheme's name. */
export const POSITION_SECTIONS = { rope: { keys: ROPE, doc: "Rotary positions." } } as const satisfies Keys;

/** Options of position schemes, keyed by the scheme's name. An omitted option takes its default. */
export type PositionOptions = {
  readonly [Name in keyof typeof POSITION_SECTIONS]?: Readonly<
    Partial<KeyValues<typeof POSITION_SECTIONS[Name]["keys"]>>
  >;
};

/** The sizes of a model that a scheme reads. */
interface Sizes extends PositionOptions {
  readonly context: number;
  readonly dim: number;
  readonly heads: number;
}

/** The parts of a forward pass that a scheme reads. */
interface Pass {
  readonly architecture: Sizes;
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** KV cache of earlier positions; its `positions` are the positions of this pass. */
  readonly cache?: KeyCache;
}

/** A position scheme. */
export interface PositionScheme {
  /** Returns the shapes of the scheme's learned matrices, keyed by parameter name without `.weight`. */
  matrices?(sizes: Sizes): Readonly<Record<string, readonly number[]>>;
  /**
   * Returns the position embeddings to add to the token embeddings: a table of at least T rows of width D; row t belongs to
   * position t.
   */
  rows?(pass: Pass, T: number): Tensor;
  /** Returns the function that rotates queries and keys [B, T, H, d]. */
  rotation?(pass: Pass, T: number): (x: Tensor) => Tensor;
  /** Returns the score modifier that applies the positions to the scores. */
  score?(pass: Pass): ScoreModifier;
  /** Returns the first unsupported setting, if any: its key relative to `model`, and the message that follows the key. */
  conflict?(sizes: Sizes): { key: string; message: string } | undefined;
}
