// Attributes of the normalisations, for their kernels and the host.

/**
 * Attributes of a normalisation. Inputs: x, weight and, with `bias`, bias; outputs: y, rstd and, if centred, mean.
 */
export interface NormAttrs {
  /** True for LayerNorm, which subtracts the row's mean; false for RMSNorm, which does not output a mean. */
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
