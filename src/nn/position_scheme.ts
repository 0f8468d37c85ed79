// What a way to tell positions apart is, and the sections of `model` that such ways have for keys of their own.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { ROPE_PAIRS } from "../../kernels/rope/op.ts";
import type { Keys, KeyValues } from "../base/keys.ts";
import type { Tensor } from "../graph/tensor.ts";
import type { KeyCache } from "./cache.ts";

const ROPE = {
  base: { is: "positive", default: 10000, doc: "Pair i turns base^(-2i / rotary_dim) rad per position." },
  pairs: {
    oneOf: ROPE_PAIRS,
    default: "interleaved",
    doc: "Which channels form a pair: neighbours (interleaved), or those rotary_dim / 2 apart (half).",
  },
  rotary_dim: { least: 2, default: null, doc: "Rotated channels per head, even; null: all." },
} as const satisfies Keys;

/** Sections of `model`, by the scheme whose keys they hold. */
export const POSITION_SECTIONS = { rope: { keys: ROPE, doc: "Rotary positions." } } as const satisfies Keys;

/** The keys of schemes; what is left out is the default. */
export type PositionOptions = {
  readonly [Name in keyof typeof POSITION_SECTIONS]?: Readonly<
    Partial<KeyValues<typeof POSITION_SECTIONS[Name]["keys"]>>
  >;
};

/** What a scheme may know of a model. */
interface Sizes extends PositionOptions {
  readonly context: number;
  readonly dim: number;
  readonly heads: number;
}

/** What a scheme may use of a forward pass. */
interface Pass {
  readonly architecture: Sizes;
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** Keys and values of earlier positions: the pass stands at its `positions`. */
  readonly cache?: KeyCache;
}

/** A way to tell positions apart. */
export interface PositionScheme {
  /** Shapes of its learned matrices by name, `.weight` left out. */
  matrices?(sizes: Sizes): Readonly<Record<string, readonly number[]>>;
  /** Rows [T or more, D] that are added to the embedding, one for each position from 0. */
  rows?(pass: Pass, T: number): Tensor;
  /** What is done to queries and keys [B, T, H, d]. */
  rotation?(pass: Pass, T: number): (x: Tensor) => Tensor;
  /** What is done to scores. */
  score?(pass: Pass): ScoreModifier;
  /** What of the model it does not go with: a key below `model`, and the rest of the sentence. */
  conflict?(sizes: Sizes): { key: string; message: string } | undefined;
}
