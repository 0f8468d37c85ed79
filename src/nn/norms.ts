// The normalisation layers, one table entry each.
import { layerNorm, rmsNorm } from "../../kernels/norm/op.ts";
import type { Tensor } from "../graph/tensor.ts";

interface Normalisation {
  /** Whether the normalisation layer may have a bias. */
  readonly biased: boolean;
  /** Normalises the last dimension. */
  apply(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor;
}

const layernorm: Normalisation = { biased: true, apply: (x, weight, bias) => layerNorm(x, weight, bias) };
const rmsnorm: Normalisation = { biased: false, apply: (x, weight) => rmsNorm(x, weight) };

/** The norms, keyed by name. */
export const NORMS = { layernorm, rmsnorm };
