// The activations of feed-forward layers, as expressions of x.
import { errorFunction, type Expression, max, plus, sigmoid, tanh, times, variable } from "./expression.ts";

const x = variable("x");

/**
 * Feed-forward activations, keyed by name. `as Expression` states their types, because package registries do not infer types.
 */
export const ACTIVATIONS = {
  /** x Phi(x), with the exact distribution function Phi of the standard normal (Hendrycks and Gimpel 2016). */
  gelu: times(times(0.5, x), plus(1, errorFunction(times(Math.SQRT1_2, x)))) as Expression,
  /** The tanh approximation of GELU that GPT-2 uses. */
  gelu_tanh: times(
    times(0.5, x),
    plus(1, tanh(times(Math.sqrt(2 / Math.PI), plus(x, times(0.044715, times(x, times(x, x))))))),
  ) as Expression,
  /** max(x, 0) */
  relu: max(0, x) as Expression,
  /** max(x, 0)^2 (So et al. 2021). */
  relu2: times(max(0, x), max(0, x)) as Expression,
  /** x sigmoid(x), the gate of SwiGLU (Shazeer 2020). */
  silu: times(x, sigmoid(x)) as Expression,
} as const;

/** Name of a feed-forward activation. */
export type Activation = keyof typeof ACTIVATIONS;
