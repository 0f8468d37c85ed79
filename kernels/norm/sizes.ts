// Attributes of the normalisations, used by the kernels and by the host.

/**
 * Attributes of a normalisation. Inputs: x, weight and, if `bias`, bias. Outputs: y, rstd and, if `centered`, mean.
 */
export interface NormAttrs {
  /** True for LayerNorm, which subtracts the row's mean; false for RMSNorm, which does not output a mean. */
  readonly centered: boolean;
  readonly bias: boolean;
  readonly eps: number;
}

/**
 * Attributes of the gradient of x. Inputs: x, weight, dy, rstd, then mean if `centered` and addend if `addend`.
 */
export interface NormBackwardAttrs {
  readonly centered: boolean;
  readonly addend: boolean;
}

/**
 * Attributes of the gradients of weight and bias. Inputs: x, dy, rstd and, if `centered`, mean.
 */
export interface NormParametersAttrs {
  readonly centered: boolean;
  readonly bias: boolean;
}
