// What every part of a model is written in: one forward pass, with its parameters, its taps and its dropout put in.
import { linear, type MatmulOptions } from "../../kernels/matmul/op.ts";
import { dropout } from "../../kernels/random/op.ts";
import { scope, type Tensor } from "../graph/tensor.ts";
import type { Architecture, Method, Norm } from "./architecture.ts";
import type { KeyCache } from "./cache.ts";
import { directError, feedbackLinear, type OutputError } from "./feedback.ts";
import { type HooksAtWork, hooksAtWork } from "./hooks.ts";
import { METHODS } from "./model_keys.ts";
import { NORMS } from "./norms.ts";
import { matrixStd, type Parameters } from "./parameters.ts";

/**
 * What looks at a forward pass. `wants` says whether a tensor must exist on its own (where a kernel would else keep it
 * to itself), `tap` may give another tensor in its place.
 */
export interface Taps {
  /** Whether the tensor of this name must exist. */
  wants(name: string): boolean;
  /** What goes on in the place of the tensor of this name. */
  tap(name: string, x: Tensor): Tensor;
  /** Told what each attention gave, before anything changes it: `blocks.0.attn`, [B, T, H, dv]. */
  onAttention?(name: string, z: Tensor): void;
}

/** Options of a forward pass. */
export interface ForwardOptions {
  /** What looks at it. */
  readonly taps?: Taps;
  /** Seed of dropout, u32[2] (see `dropout`); without it nothing is dropped. */
  readonly seed?: Tensor;
  /** Steps of training made so far as hooks see them, f32 [1]; without it a state that training keeps. */
  readonly step?: Tensor;
  /** Keys and values of earlier positions: the ids are those that follow (see `keyCache`). */
  readonly cache?: KeyCache;
  /** Positions of each row whose logits are wanted, u32 [B W], row after row, counted through all rows: b T + t. */
  readonly wanted?: Tensor;
}

/** How a matrix is applied. */
export interface ProjectOptions extends Omit<MatmulOptions, "bias"> {
  readonly method?: Method;
  /** It writes into the residual stream. */
  readonly residual?: boolean;
}

/** One forward pass. */
export interface Forward {
  readonly architecture: Architecture;
  readonly parameters: Parameters;
  /** Hooks first, then whoever looks. */
  readonly taps: Taps;
  /** What a user's file changes in the model. */
  readonly hooks: HooksAtWork;
  /** Where direct feedback finds the error of the logits. */
  readonly output: OutputError;
  /** Keys and values of earlier positions, where the pass goes on from some. */
  readonly cache?: KeyCache;
  /** Normalises the last dimension by the parameters under `name`. */
  norm(kind: Norm, name: string, x: Tensor): Tensor;
  /** x W^T + bias by the parameters under `name`. */
  project(name: string, x: Tensor, options?: ProjectOptions): Tensor;
  /** The same numbers; their gradient comes straight from the logits (see `directError`). */
  direct(name: string, x: Tensor, std: number): Tensor;
  /** Dropout with probability p, at a place of its own. */
  drop(x: Tensor, p: number): Tensor;
  /** Dropout of a pattern, which the attention kernel does itself. */
  patternDropout(p: number): { p: number; site: number; seed: Tensor } | undefined;
  /** Whether dropout with probability p does anything. */
  drops(p: number): boolean;
}

const NO_TAPS: Taps = { wants: () => false, tap: (_, x) => x };

/** The parts of a forward pass of a model with these parameters. */
export function forwardOf(
  architecture: Architecture,
  parameters: Parameters,
  ids: Tensor,
  { taps = NO_TAPS, seed, step, cache }: ForwardOptions,
): Forward {
  let sites = 0;
  const output: OutputError = {};
  const hooks = hooksAtWork(architecture, ids, step);
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
      if (activation) throw new Error(`${name}: a layer with feedback applies no activation.`);
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
