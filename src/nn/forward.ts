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
 * Observes a forward pass and may replace its tensors.
 */
export interface Taps {
  /** True if the tensor of this name must exist in memory, even if a kernel could fuse it away. */
  wants(name: string): boolean;
  /** Called with each tensor x and its name; returns the tensor to use in place of x. */
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
  /** Number of completed training steps, which hooks may read, f32 [1]. Default: a device state that training increments. */
  readonly step?: Tensor;
  /** KV cache of the earlier positions; the ids are at the positions that follow them (see `keyCache`). */
  readonly cache?: KeyCache;
  /**
   * The W positions per row whose logits are computed: flat indices b T + t, ordered by row, u32 [B W]. Default: all positions.
   */
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
  /** Taps that apply the user's hooks first and then `ForwardOptions.taps`. */
  readonly taps: Taps;
  /** The hooks of a user's file. */
  readonly hooks: ActiveHooks;
  /** Holds dL/dlogits, for direct feedback alignment, once the backward pass has computed it. */
  readonly output: OutputError;
  /** KV cache, if the pass continues earlier positions. */
  readonly cache?: KeyCache;
  /** Normalises the last dimension with the parameters `name.*`. */
  norm(kind: Norm, name: string, x: Tensor): Tensor;
  /** Applies a linear layer with the parameters `name.*`: returns x W^T, plus the bias if there is one. */
  project(name: string, x: Tensor, options?: ProjectOptions): Tensor;
  /** Returns x; the backward pass takes the gradient of x directly from the logits (see `directError`). */
  direct(name: string, x: Tensor, std: number): Tensor;
  /** Applies dropout with probability p; each call uses an independent mask. */
  drop(x: Tensor, p: number): Tensor;
  /**
   * Returns the options of the dropout that the attention kernel applies to the attention weights; undefined if there is none.
   */
  patternDropout(p: number): { p: number; site: number; seed: Tensor } | undefined;
  /** True if dropout with probability p is applied, that is, if p is above 0 and the pass has a seed. */
  drops(p: number): boolean;
}

const NO_TAPS: Taps = { wants: () => false, tap: (_, x) => x };

/** Returns the context of a forward pass of a model with these parameters. */
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
