// What the normalisations are told, for their kernels and the host alike.

/**
 * Attributes of a normalisation: its inputs are x, weight and, with `bias`, bias; its outputs y, rstd and
 * mean.
 */
export interface NormAttrs {
  /** The row's mean is taken away first: LayerNorm. Without it RMSNorm, which has no output mean. */
  readonly centered: boolean;
  readonly bias: boolean;
  readonly eps: number;
}

/**
 * Attributes of the gradient of x: its inputs are x, weight, dy, rstd, then mean and addend where there are
 * any.
 */
export interface NormBackwardAttrs {
  readonly centered: boolean;
  readonly addend: boolean;
}

/**
 * Attributes of the gradients of weight and bias: the inputs are x, dy, rstd and, where there is one, mean.
 */
export interface NormParametersAttrs {
  readonly centered: boolean;
  readonly bias: boolean;
}
