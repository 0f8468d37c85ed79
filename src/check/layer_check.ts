// Compares a user's multi-head layer or decoder layer with the dense float64 oracle, on random cases with named weights.
import { type RandomStream, randomStream } from "../base/random.ts";
import { UserError } from "../base/errors.ts";
import { reportProgress } from "../base/progress.ts";
import type { CaseMask } from "./attention_cases.ts";
import { checkedMatrix } from "./attention_implementation.ts";
import { failureOf } from "./check_attention.ts";
import { decoderLayerOracle, multiHeadOracle } from "./layer_oracle.ts";
import type { LayerChange, LayerOptions, LayerWeights, Matrix } from "./layer_oracle.ts";
import { differenceOf, matching, MISTAKES, relativeError } from "./mistakes.ts";

/** Names of the layers that a file may export besides `attention`. */
export const LAYER_KINDS = ["multiHead", "decoderLayer"] as const;

/** One of {@link LAYER_KINDS}. */
export type LayerKind = typeof LAYER_KINDS[number];

const ORACLES = { multiHead: multiHeadOracle, decoderLayer: decoderLayerOracle } as const;

/**
 * Computes a layer from its input [T][D], its weights keyed by name, its number of heads and its mask; returns the output
 * [T][D].
 */
export type LayerFunction = (
  x: Matrix,
  weights: Record<string, Matrix | number[]>,
  options: LayerOptions,
) => Matrix | Promise<Matrix>;

/** A layer to check. */
export interface LayerImplementation {
  /** Its name in reports. */
  readonly name: string;
  /** The kind of layer. */
  readonly kind: LayerKind;
  /** Computes the layer; an error is reported as a failure of the case. */
  readonly layer: LayerFunction;
}

/** One case, which is determined by its seed and its index. */
export interface LayerCase extends LayerOptions {
  /** Index of the case, from 0. */
  readonly index: number;
  /** The seed from which it was generated, together with `index`. */
  readonly seed: number;
  /** [T][D] */
  readonly x: Matrix;
  /** The weights, keyed by name. */
  readonly weights: LayerWeights;
}

/** The comparison of one case. */
export interface CheckedLayer {
  /** The case. */
  readonly given: LayerCase;
  /** The oracle's result, [T][D]. */
  readonly expected: Matrix;
  /** The function's result; undefined if it threw. */
  readonly actual: Matrix | undefined;
  /** ||actual - expected|| / ||expected||; NaN if an actual value is NaN, undefined if the function threw. */
  readonly error: number | undefined;
  /** The error that the function threw, as a sentence or a stack; undefined if it threw none. */
  readonly failure: string | undefined;
  /** Whether nothing was thrown and the error is within the tolerance. */
  readonly passed: boolean;
}

/** The result of a check of a layer. */
export interface LayerCheck {
  /** Name of the implementation. */
  readonly implementation: string;
  /** The kind of layer. */
  readonly kind: LayerKind;
  /** Number of cases. */
  readonly count: number;
  /** The case with the largest error; undefined if nothing was computed. */
  readonly worst: { readonly error: number; readonly index: number } | undefined;
  /** Cases that failed. */
  readonly failed: readonly CheckedLayer[];
  /** Mistakes that reproduce the actual results in every case (see `MISTAKES`). */
  readonly suspects: readonly string[];
}

/** Options of `layerCase`. */
export interface LayerCaseOptions {
  /** Seed of the cases. Default: 1. */
  readonly seed?: number;
  /** The kind of mask that every case has. Default: the kind is random and differs between cases. */
  readonly mask?: CaseMask;
}

/** Relative L2 tolerance for float32. */
export const LAYER_ALLOWED = 1e-5;
const FLOOR = 1e-3;

const MASKS: readonly CaseMask[] = ["none", "causal", "random"];

/** Returns a vector of random multiples of 1/16, which float32 and decimal output represent exactly. */
const vector = (rng: RandomStream, size: number, mean = 0) =>
  Array.from({ length: size }, () => mean + Math.round(12 * rng.normal()) / 16);

const matrix = (rng: RandomStream, rows: number, columns: number) =>
  Array.from({ length: rows }, () => vector(rng, columns));

/** Returns a mask [T][T]. In half of the random masks, one row is fully masked. */
function maskOf(rng: RandomStream, pattern: CaseMask, T: number): boolean[][] {
  const density = 0.3 + 0.6 * rng.uniform();
  const empty = rng.below(2) === 0 ? rng.below(T) : -1;
  return Array.from({ length: T }, (_, i) =>
    Array.from({ length: T }, (_, j) => {
      if (pattern === "random") return i !== empty && rng.uniform() < density;
      return pattern === "none" || j <= i;
    }));
}

function attentionWeights(rng: RandomStream, D: number, prefix = ""): [string, Matrix | number[]][] {
  return ["wq", "wk", "wv", "wo"].flatMap((name): [string, Matrix | number[]][] => [
    [`${prefix}${name}.weight`, matrix(rng, D, D)],
    [`${prefix}${name}.bias`, vector(rng, D)],
  ]);
}

function weightsOf(rng: RandomStream, kind: LayerKind, D: number): LayerWeights {
  if (kind === "multiHead") return Object.fromEntries(attentionWeights(rng, D));
  const F = 1 + rng.below(2 * D);
  return Object.fromEntries([
    ["ln1.weight", vector(rng, D, 1)],
    ["ln1.bias", vector(rng, D)],
    ...attentionWeights(rng, D, "attn."),
    ["ln2.weight", vector(rng, D, 1)],
    ["ln2.bias", vector(rng, D)],
    ["mlp.fc.weight", matrix(rng, F, D)],
    ["mlp.fc.bias", vector(rng, F)],
    ["mlp.proj.weight", matrix(rng, D, F)],
    ["mlp.proj.bias", vector(rng, D)],
  ]);
}

/**
 * Returns the case with this index. It has 1 to 7 positions (1 to 20 in every fifth case) and 1 to 3 heads of width 1 to 4.
 * Its mask hides nothing, is causal, or is random; a random mask may have a fully masked row.
 *
 * @example
 * ```ts
 * import { layerCase } from "./mod.ts";
 * const { x, weights } = layerCase("multiHead", 3);
 * console.log(x.length, x[0].length, Object.keys(weights)); // T, D, wq.weight, wq.bias, ...
 * ```
 */
export function layerCase(
  kind: LayerKind,
  index: number,
  { seed = 1, mask }: LayerCaseOptions = {},
): LayerCase {
  const rng = randomStream(seed, `${kind} case ${index}`);
  const T = 1 + rng.below(index % 5 === 4 ? 20 : 7);
  const heads = 1 + rng.below(3);
  const D = heads * (1 + rng.below(4));
  const pattern = mask ?? MASKS[rng.below(MASKS.length)];
  return {
    index,
    seed,
    heads,
    mask: maskOf(rng, pattern, T),
    x: matrix(rng, T, D),
    weights: weightsOf(rng, kind, D),
  };
}

/** Runs one case and compares it with the oracle. */
export async function checkLayerCase(
  { kind, layer }: LayerImplementation,
  given: LayerCase,
): Promise<CheckedLayer> {
  const { x, weights, heads, mask } = given;
  const expected = ORACLES[kind](x, weights, { heads, mask });
  let actual: Matrix | undefined;
  let failure: string | undefined;
  try {
    // The function gets copies, because it may modify its arguments.
    const copy = structuredClone({ x, weights, options: { heads, mask } });
    const y = await layer(copy.x, copy.weights, copy.options);
    actual = checkedMatrix(y, x.length, x[0].length, `${kind}()`);
  } catch (error) {
    failure = failureOf(error);
  }
  const error = actual && errorOf(actual, expected);
  const passed = error !== undefined && error <= LAYER_ALLOWED;
  return { given, expected, actual, error, failure, passed };
}

const errorOf = (actual: Matrix, expected: Matrix): number =>
  relativeError(actual.flat(), Float64Array.from(expected.flat()), FLOOR);

/**
 * Checks a multi-head layer or a decoder layer against the dense float64 oracle on random cases (see `layerCase`). The
 * relative error in the L2 norm may be at most 1e-5. `suspects` lists the known mistakes that give the same results.
 *
 * @param implementation a function of the input, the weights by name, and `{ heads, mask }`
 * @throws {UserError} if `count` is below 1
 *
 * @example
 * ```ts
 * import { checkLayer } from "./mod.ts";
 * const { failed } = await checkLayer({ name: "zeros", kind: "multiHead", layer: (x) => x.map((row) => row.map(() => 0)) });
 * console.log(failed.length); // 100
 * ```
 */
export async function checkLayer(
  implementation: LayerImplementation,
  { count = 100, only, onCase, ...options }: LayerCaseOptions & {
    readonly count?: number;
    readonly only?: number;
    readonly onCase?: (checked: CheckedLayer) => void;
  } = {},
): Promise<LayerCheck> {
  if (!(count >= 1)) throw new UserError(`checkLayer: ${count} cases, expected at least 1.`);
  const { kind, name } = implementation;
  const [first, cases] = only === undefined ? [0, count] : [only, 1];
  const all: CheckedLayer[] = [];
  let worst: LayerCheck["worst"];
  for (let index = first; index < first + cases; index++) {
    reportProgress({ what: `checking ${name}: cases`, done: index - first, total: cases });
    const checked = await checkLayerCase(implementation, layerCase(kind, index, options));
    const { error } = checked;
    if (error !== undefined && (!worst || error > worst.error || Number.isNaN(error))) {
      worst = { error, index };
    }
    all.push(checked);
    onCase?.(checked);
  }
  const failed = all.filter(({ passed }) => !passed);
  return { implementation: name, kind, count: cases, worst, failed, suspects: suspectsOf(kind, all) };
}

/** Returns the mistakes that reproduce the actual results in every case. */
function suspectsOf(kind: LayerKind, all: readonly CheckedLayer[]): string[] {
  if (all.every(({ passed }) => passed) || all.some(({ actual }) => !actual)) return [];
  return matching(
    MISTAKES[kind],
    all.map(({ given, actual }) => (change: LayerChange) =>
      differenceOf(actual!.flat(), ORACLES[kind](given.x, given.weights, given, change).flat(), FLOOR) <=
        LAYER_ALLOWED
    ),
  );
}
