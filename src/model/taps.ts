// Taps that remember the tensors of a forward pass.
import type { Tensor } from "../graph/tensor.ts";
import type { Taps } from "../nn/mod.ts";

/** Taps, and what they met. */
export interface ActivationCache extends Taps {
  /** Every tensor by tap, in the order of the pass. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Of these, those that `wants` names. */
  wanted(): Record<string, Tensor>;
  /** The output of each attention, by `blocks.N.attn`. */
  readonly attentions: ReadonlyMap<string, Tensor>;
}

/** Taps that remember every tensor; where a kernel keeps one to itself, it exists only if `wants` names it. */
export function activationCache(wants: (name: string) => boolean = () => false): ActivationCache {
  const tensors = new Map<string, Tensor>();
  const attentions = new Map<string, Tensor>();
  return {
    wants,
    tap(name, x) {
      tensors.set(name, x);
      return x;
    },
    onAttention: (name, z) => void attentions.set(name, z),
    tensors,
    wanted: () => Object.fromEntries([...tensors].filter(([name]) => wants(name))),
    attentions,
  };
}
