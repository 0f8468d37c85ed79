// Attributes of a rotation, which all its implementations read.

/** Attributes of a rotation. Inputs: x [B, T, H, d] and cos and sin of the angles, [T, rotaryDim] (see `ropeTurns`). */
export interface RopeAttrs {
  /** Number of dimensions of each head that are rotated: the first `rotaryDim`. */
  readonly rotaryDim: number;
  /** True if dimensions 2i and 2i + 1 form a pair; false if dimensions i and i + rotaryDim / 2 do. */
  readonly interleaved: boolean;
  /** Whether to rotate by the opposite angles, as the gradient does. */
  readonly back: boolean;
}
