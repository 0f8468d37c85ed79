// An activation cache: records the tensors of a forward pass.
import type { Tensor } from "../graph/tensor.ts";
import type { Taps } from "../nn/mod.ts";

/** Taps that record the tensors of a forward pass, and the tensors that they have recorded. */
export interface ActivationCache extends Taps {
  /** Every recorded tensor, keyed by the tap's name, in the order of the forward pass. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The tensors that `wants` selects. */
  selected(): Record<string, Tensor>;
  /** The output of each attention layer, keyed by `blocks.N.attn`. */
  readonly attentions: ReadonlyMap<string, Tensor>;
}

/**
 * Returns taps that record every tensor. A tensor inside a fused kernel is written out, and thus recorded, only if `wants`
 * selects it.
 */
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
    selected: () => Object.fromEntries([...tensors].filter(([name]) => wants(name))),
    attentions,
  };
}
