// Attributes of the normalisations, for their kernels and the host.

/**
 * Attributes of a normalisation. Inputs: x, weight and, with `bias`, bias; outputs: y, rstd and, if centred, mean.
 */
export interface NormAttrs {
  /** Subtract the row's mean first: LayerNorm. Otherwise RMSNorm, which has no output mean. */
  readonly centered: boolean;
  readonly bias: boolean;
  readonly eps: number;
}

/**
 * Attributes of the gradient of x. Inputs: x, weight, dy, rstd, then mean and addend if any.
 */
export interface NormBackwardAttrs {
  readonly centered: boolean;
  readonly addend: boolean;
}

/**
 * Attributes of the gradients of weight and bias. Inputs: x, dy, rstd and, if centred, mean.
 */
export interface NormParametersAttrs {
  readonly centered: boolean;
  readonly bias: boolean;
}
