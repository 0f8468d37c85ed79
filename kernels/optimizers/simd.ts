// The optimizers in WebAssembly: the gradient is clipped by its global norm and the parameters are updated in place, in blocks
// of consecutive elements, four at a time. Each optimizer's file defines only the rule for four elements.
import { blocksOf, eachFour, type Split } from "../simd/blocks.ts";
import type { Phase } from "../../src/graph/simd.ts";
import { element, type F32, f32, f32x4, type Func, type I32, i32x4, lanes } from "../../src/wasm/mod.ts";
import { load, type V128, v128 } from "../../src/wasm/mod.ts";

/** Number of elements per block. AdamW takes about 5 microseconds for a block. */
const LENGTH = 8192;

/** Four elements before a step. Each vector is a local variable, so that a rule may use it several times. */
export interface Four {
  /** The parameters. */
  readonly parameter: V128;
  /** The gradient, clipped. */
  readonly gradient: V128;
  /** The optimizer's states, in order. */
  readonly states: readonly V128[];
  /** Mask of the elements to which weight decay applies: their lanes are all ones, the others zeros. */
  readonly decayed: V128;
}

/** Four elements after a step. */
export type FourAfter = Pick<Four, "parameter" | "states">;

/** Writes the update of four elements, and returns the results. */
export type VectorRule = (before: Four) => FourAfter;

/**
 * Replaces subnormal numbers by 0, because they make square roots and divisions four times slower. All other values,
 * including NaN, are kept.
 */
export const flushed = (x: V128): V128 => v128.andnot(x, f32x4.lt(f32x4.abs(x), 2 ** -126));

/**
 * Returns the factor by which clipping multiplies a gradient (see `clipFactor`), copied to all lanes. The factor is NaN if the
 * norm is NaN.
 */
export function clipFactorOf(f: Func, clip: number, squaredNorm: I32): V128 {
  const norm = f32.sqrt(load("f32", squaredNorm));
  return f.let(f32x4.splat(f32.min(1, f32.div(clip, f32.add(norm, 1e-6)))));
}

/** Description of an optimizer step. */
export interface FlatStep extends Omit<Split, "length"> {
  /** Name of the optimizer. */
  readonly label: string;
  /** Number of states. */
  readonly states: number;
  readonly clip: number;
  readonly decayedCount: number;
  /** Whether the last input is a mask of the trainable parameters. */
  readonly freezes: boolean;
  /** Whether the update is written to the last output. */
  readonly keepsUpdate: boolean;
  /** Writes the code that is common to all elements, given access to the hyperparameters, and returns the rule. */
  readonly rule: (f: Func, hyper: (index: number) => F32) => VectorRule;
}

/**
 * Returns the phase that performs a step of an optimizer. Its inputs and outputs are those of the operation. Parameters and
 * states are written to the inputs' memory, so that a state is updated even if nothing reads the corresponding output.
 */
export function flatPhase(step: FlatStep): Phase {
  const { label, size, states, clip, decayedCount, freezes, keepsUpdate, rule } = step;
  const split = { size, length: LENGTH };
  return {
    label,
    blocks: blocksOf(split),
    kernel(f, block, { inputs, outputs }) {
      const [parameter, gradient, ...rest] = inputs;
      const held = rest.slice(0, states);
      const [squaredNorm, hyper, trainable] = rest.slice(states);
      const factor = clip > 0 ? clipFactorOf(f, clip, squaredNorm) : undefined;
      const update = rule(f, (index) => load("f32", hyper, 4 * index));
      eachFour(f, block, split, (index, store) => {
        const at = (base: I32): I32 => element(base, index);
        const kept = (base: I32): V128 => f.let(load("v128", at(base)));
        const g = load("v128", at(gradient));
        const before: Four = {
          parameter: kept(parameter),
          gradient: f.let(factor ? f32x4.mul(g, factor) : g),
          states: held.map(kept),
          decayed: f.let(i32x4.ltU(i32x4.add(i32x4.splat(index), lanes([0, 1, 2, 3])), decayedCount)),
        };
        const after = update(before);
        const frozen = freezes ? f.let(f32x4.eq(load("v128", at(trainable)), 0)) : undefined;
        const result = (x: V128, old: V128): V128 => frozen ? v128.select(frozen, old, x) : x;
        const moved = f.let(result(after.parameter, before.parameter));
        store(at(parameter), moved);
        held.forEach((state, k) => store(at(state), result(after.states[k], before.states[k])));
        if (keepsUpdate) store(at(outputs[states + 1]), f32x4.sub(moved, before.parameter));
      });
    },
  };
}

/** Options of the phase that computes Muon's direction. `keeps`: whether the direction is written. */
export interface DirectionStep extends Omit<Split, "length"> {
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly clip: number;
  readonly keeps: boolean;
}

/**
 * Updates Muon's momentum in place, m <- momentum m + (1 - momentum) g, and computes the direction. Where `chosen` is 0, the
 * momentum stays as it is and the direction is 0.
 */
export function directionPhase({ size, momentum, nesterov, clip, keeps }: DirectionStep): Phase {
  const split = { size, length: LENGTH };
  const { madd, mul, splat } = f32x4;
  return {
    label: "muon direction",
    blocks: blocksOf(split),
    kernel(f, block, { inputs: [gradient, mean, squaredNorm, chosen], outputs: [, direction] }) {
      const factor = clip > 0 ? clipFactorOf(f, clip, squaredNorm) : undefined;
      eachFour(f, block, split, (index, store) => {
        const at = (base: I32): I32 => element(base, index);
        const old = f.let(load("v128", at(mean)));
        const g = load("v128", at(gradient));
        const added = f.let(mul(factor ? mul(g, factor) : g, 1 - momentum));
        const skipped = f.let(f32x4.eq(load("v128", at(chosen)), 0));
        const m = f.let(madd(old, splat(momentum), added));
        store(at(mean), v128.select(skipped, old, m));
        if (!keeps) return;
        store(at(direction), v128.andnot(nesterov ? madd(m, splat(momentum), added) : m, skipped));
      });
    },
  };
}
