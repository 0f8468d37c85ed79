// The context of one forward pass, which every part of a model uses: parameters, taps, hooks and dropout.
import { linear, type MatmulOptions } from "../../kernels/matmul/op.ts";
import { dropout } from "../../kernels/random/op.ts";
import { scope, type Tensor } from "../graph/tensor.ts";
import type { Architecture, Method, Norm } from "./architecture.ts";
import type { KeyCache } from "./cache.ts";
import { directError, feedbackLinear, type OutputError } from "./feedback.ts";
import { type ActiveHooks, activeHooks } from "./hooks.ts";
import { METHODS } from "./model_keys.ts";
import { NORMS } from "./norms.ts";
import { matrixStd, type Parameters } from "./parameters.ts";

/**
 * Observes a forward pass. `wants` says whether a tensor must exist in memory even if a kernel could fuse it away; `tap` may
 * replace it.
 */
export interface Taps {
  /** Whether the tensor of this name must be materialised. */
  wants(name: string): boolean;
  /** Returns the tensor to use instead of the tensor of this name. */
  tap(name: string, x: Tensor): Tensor;
  /** Called with each attention's name, for example `blocks.0.attn`, and its output z [B, T, H, dv] before hooks change it. */
  onAttention?(name: string, z: Tensor): void;
}

/** Options of a forward pass. */
export interface ForwardOptions {
  /** Observers of the tensors of the pass. */
  readonly taps?: Taps;
  /** Seed of dropout, u32[2] (see `dropout`); without it there is no dropout. */
  readonly seed?: Tensor;
  /** Training steps so far, for hooks, f32 [1]. Default: a state that training updates. */
  readonly step?: Tensor;
  /** KV cache of earlier positions, which the ids continue (see `keyCache`). */
  readonly cache?: KeyCache;
  /** Positions whose logits are computed, W per row, as flat indices b T + t in row order, u32 [B W]. Default: all. */
  readonly logitRows?: Tensor;
}

/** Options of `project`. */
export interface ProjectOptions extends Omit<MatmulOptions, "bias"> {
  /** Backward pass of the layer. Default: bp. */
  readonly method?: Method;
  /** Whether the matrix writes into the residual stream. */
  readonly residual?: boolean;
}

/** One forward pass. */
export interface Forward {
  readonly architecture: Architecture;
  readonly parameters: Parameters;
  /** Apply the user's hooks first, then the observers of `ForwardOptions.taps`. */
  readonly taps: Taps;
  /** The hooks of a user's file. */
  readonly hooks: ActiveHooks;
  /** dL/dlogits once it is computed, for direct feedback alignment. */
  readonly output: OutputError;
  /** KV cache, if the pass continues earlier positions. */
  readonly cache?: KeyCache;
  /** Normalises the last dimension with the parameters `name.*`. */
  norm(kind: Norm, name: string, x: Tensor): Tensor;
  /** x W^T + bias with the parameters `name.*`. */
  project(name: string, x: Tensor, options?: ProjectOptions): Tensor;
  /** The identity, with a gradient straight from the logits (see `directError`). */
  direct(name: string, x: Tensor, std: number): Tensor;
  /** Dropout with probability p; each call has an independent mask. */
  drop(x: Tensor, p: number): Tensor;
  /** Options of the dropout that the attention kernel applies to its weights; undefined: no dropout. */
  patternDropout(p: number): { p: number; site: number; seed: Tensor } | undefined;
  /** Whether dropout with probability p is applied: p is above 0, and the pass has a seed. */
  drops(p: number): boolean;
}

const NO_TAPS: Taps = { wants: () => false, tap: (_, x) => x };

/** The context of a forward pass of a model with these parameters. */
export function forwardOf(
  architecture: Architecture,
  parameters: Parameters,
  ids: Tensor,
  { taps = NO_TAPS, seed, step, cache }: ForwardOptions,
): Forward {
  let sites = 0;
  const output: OutputError = {};
  const hooks = activeHooks(architecture, ids, step);
  const drops = (p: number): boolean => seed !== undefined && p > 0;
  const direct = (name: string, x: Tensor, std: number) => directError(x, { name, std }, output);
  return {
    architecture,
    parameters,
    taps: {
      wants: (name) => taps.wants(name) || hooks.wants(name),
      tap: (name, x) => taps.tap(name, hooks.tap(name, x)),
      onAttention: taps.onAttention,
    },
    hooks,
    output,
    cache,
    drops,
    norm(kind, name, x) {
      const weight = parameters[`${name}.weight`];
      return scope(name, () => NORMS[kind].apply(x, weight, parameters[`${name}.bias`]));
    },
    project(name, x, { method = "bp", residual = false, activation, addend } = {}) {
      const [weight, bias] = [parameters[`${name}.weight`], parameters[`${name}.bias`]];
      const { exact, direct: fromLogits } = METHODS[method];
      if (exact) return scope(name, () => linear(x, weight, { bias, activation, addend }));
      if (activation) throw new Error(`${name}: a feedback layer does not support an activation.`);
      const std = matrixStd(architecture, weight.shape, residual);
      return scope(name, () => {
        if (fromLogits) return linear(direct(name, x, std), weight, { bias, addend });
        return feedbackLinear(x, weight, { name, std }, { bias, addend });
      });
    },
    direct,
    drop: (x, p) => drops(p) ? dropout(x, seed!, { p, site: sites++ }) : x,
    patternDropout: (p) => drops(p) ? { p, site: sites++, seed: seed! } : undefined,
  };
}
