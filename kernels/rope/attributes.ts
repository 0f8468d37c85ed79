// Attributes of the rotary position embedding, shared by its implementations.

/** Attributes of `rope`. Inputs: x [B, T, H, d], and the cos and sin of the angles, [T, rotaryDim] (see `ropeTurns`). */
export interface RopeAttrs {
  /** Number of dimensions of each head that are rotated; they are the head's first dimensions. */
  readonly rotaryDim: number;
  /** True if dimensions 2i and 2i + 1 form a pair; false if dimensions i and i + rotaryDim / 2 do. */
  readonly interleaved: boolean;
  /** Whether to rotate by the negated angles, as the gradient does. */
  readonly back: boolean;
}
