// Computes weights from scores, and gradients of scores from gradients of weights, for four keys of a query at a time. This file
// implements the activations, backward passes and divisors of activations.ts.
import {
  type F32,
  f32,
  f32x4,
  type Func,
  i32,
  i32x4,
  type Int,
  load,
  type Local,
} from "../../../src/wasm/mod.ts";
import { element, float, int, select, sumLanes, type V128, v128 } from "../../../src/wasm/mod.ts";
import { derivative } from "../../expression/expression.ts";
import { toWasm } from "../../expression/wasm.ts";
import { expOfNegative, log } from "../../expression/vector_functions.ts";
import { ACTIVATIONS, type AttentionActivation, type AttentionChoice } from "../activations.ts";
import type { ElementwiseActivation } from "../activation.ts";
import type { AttentionAttrs } from "../sizes.ts";
import type { Pairs, Points } from "./points.ts";
import { HIDDEN } from "./tiles.ts";

/** A row of scores in memory, one per key. Only the keys from `lo` up to, but not including, `hi` can be visible. */
export interface ScoreRow {
  readonly address: Int;
  readonly lo: Int;
  readonly hi: Int;
  readonly points: Points;
  /** Stores the shares times the dropout factors (see `keepsInner`). */
  readonly storeShare: (j: Local<"i32">, share: V128) => void;
}

/** The values that the forward pass computes per row in addition to the weights. */
export interface RowResult {
  /** Factor by which the weighted sum of the values is multiplied. */
  readonly factor: F32;
  /** The row term, which is saved for the backward pass. */
  readonly term: F32;
  /** Sum of the shares. */
  readonly shares?: F32;
}

/** Writes the code that replaces a row of raw scores by weights. */
export type Weigh = (f: Func, row: ScoreRow) => RowResult;

/** A normalised activation in WebAssembly. */
interface NormalisedCode {
  readonly weigh: Weigh;
  /** Computes the weight a and the share w of a score (see `NormalisedActivation`). */
  readonly weight: (f: Func, score: V128, term: V128) => { a: V128; share: V128 };
  /** The logarithm of a weight above 0. Default: computed from the weight. */
  readonly logWeight?: (score: V128, term: V128) => V128;
}

/** Writes a loop over the keys of a row, four at a time. */
function each(
  f: Func,
  { address, lo, hi }: ScoreRow,
  body: (j: Local<"i32">, at: Local<"i32">) => void,
): void {
  const at = f.let(element(address, lo));
  f.loop(lo, hi, 4, (j) => {
    body(j, at);
    f.set(at, i32.add(at, 16));
  });
}

/**
 * Like `each`, but `body` gets the modified scores (-Infinity if hidden) and a mask of the visible lanes, and the result of
 * `body` replaces the scores in memory.
 */
function eachScore(f: Func, row: ScoreRow, body: (score: Local<"v128">, seen: V128) => V128): void {
  each(f, row, (j, at) => {
    const { score, seen } = row.points.pairs(load("v128", at), j);
    f.store(at, body(f.let(v128.select(seen, score, -Infinity)), seen));
  });
}

const kept = ({ points: { keep } }: ScoreRow, j: Local<"i32">, a: V128): V128 =>
  keep ? f32x4.mul(a, keep(j)) : a;

/** Returns the largest of the four floats in x. A lane that is NaN may be ignored. */
function maxLanes(f: Func, x: Local<"v128">): F32 {
  const pairs = f.let(f32x4.pmax(x, v128.shuffle(x, x, [2, 3, 2, 3])));
  return f32x4.lane(f32x4.pmax(pairs, v128.shuffle(pairs, pairs, [1, 1, 1, 1])), 0);
}

/** The row term of a row without visible keys, which is larger than any score. */
const EMPTY = 1e30;
const LOWEST = -3.4028234663852886e38;

/**
 * Softmax, e^s / (sum of e^s over the row); a NaN score makes the sum NaN. `firstTop` and `firstSum` are the initial maximum and
 * sum.
 */
function softmax(firstTop: number, firstSum: 0 | 1): NormalisedCode {
  // The minimum with 0 ensures that no weight exceeds 1, even if the log-sum-exp was rounded down.
  const logWeight = (score: V128, term: V128): V128 => f32x4.pmin(f32x4.sub(score, term), 0);
  return {
    logWeight,
    weigh(f, row) {
      const top = f.let(f32x4.splat(firstTop));
      eachScore(f, row, (score) => {
        f.set(top, f32x4.pmax(top, score));
        return score;
      });
      const most = f.let(maxLanes(f, top));
      f.set(top, f32x4.splat(most));
      const sums = f.local("v128");
      each(f, row, (j, at) => {
        const score = f.let(load("v128", at));
        const power = f.let(expOfNegative(f, f32x4.sub(score, top)));
        f.set(power, v128.select(f32x4.ne(score, -Infinity), power, HIDDEN));
        f.set(sums, f32x4.add(sums, power));
        f.store(at, kept(row, j, power));
      });
      const sum = f.let(sumLanes(sums));
      if (firstSum) f.set(sum, f32.add(sum, f32x4.lane(expOfNegative(f, f32x4.neg(top)), 0)));
      const isEmpty = f32.eq(sum, 0);
      return {
        factor: select(isEmpty, float(0), f32.div(1, sum)),
        term: select(isEmpty, float(EMPTY), f32.add(most, f32x4.lane(log(f, f32x4.splat(sum)), 0))),
      };
    },
    weight(f, score, term) {
      const a = f.let(expOfNegative(f, logWeight(score, term)));
      return { a, share: a };
    },
  };
}

/**
 * STEPS limits the number of steps towards tau. A step to the exact root is the last if the sum of squares exceeds 1 by at most
 * SMALL.
 */
const [STEPS, SMALL] = [16, 0.01];

/** Writes one step towards tau from below (see `stepOf` in entmax15.ts), which updates `tau` and `searching`. */
function entmaxStep(f: Func, row: ScoreRow, tau: Local<"f32">, searching: Local<"i32">): void {
  const threshold = f.let(f32x4.splat(tau));
  const [count, sum, square] = [f.local("v128"), f.local("v128"), f.local("v128")];
  const smallest = f.let(f32x4.splat(Infinity));
  for (const x of [count, sum, square]) f.set(x, f32x4.splat(0));
  each(f, row, (_, at) => {
    const d = f.let(f32x4.sub(load("v128", at), threshold));
    const above = f.let(f32x4.gt(d, 0));
    f.set(smallest, f32x4.pmin(smallest, v128.select(above, d, Infinity)));
    f.set(d, v128.and(d, above));
    f.set(count, i32x4.sub(count, above));
    f.set(sum, f32x4.add(sum, d));
    f.set(square, f32x4.madd(d, d, square));
  });
  const total = f.let(sumLanes(sum));
  const excess = f.let(f32.sub(sumLanes(square), 1));
  f.set(count, f32x4.fromS(count));
  const radicand = f.let(f32.sub(f32.mul(total, total), f32.mul(sumLanes(count), excess)));
  const root = f.let(f32.div(excess, f32.add(total, f32.sqrt(f32.max(radicand, 0)))));
  f.set(smallest, f32x4.neg(smallest));
  const isRoot = f.let(i32.and(f32.ge(radicand, 0), f32.lt(root, f32.neg(maxLanes(f, smallest)))));
  const next = f.let(f32.add(tau, select(isRoot, root, f32.div(f32.mul(excess, 0.5), total))));
  f.set(searching, select(isRoot, f32.gt(f32.abs(excess), SMALL), f32.gt(next, tau)));
  f.set(tau, select(i32.or(isRoot, searching), next, tau));
}

const entmax15: NormalisedCode = {
  weigh(f, row) {
    const top = f.let(f32x4.splat(-Infinity));
    const wrong = f.let(f32x4.splat(0));
    eachScore(f, row, (score) => {
      f.set(score, f32x4.mul(score, 0.5));
      f.set(top, f32x4.pmax(top, score));
      // This mask is true for NaN and Infinity.
      f.set(wrong, v128.or(wrong, v128.not(f32x4.lt(score, Infinity))));
      return score;
    });
    const most = f.let(maxLanes(f, top));
    const tau = f.let(f32.sub(most, 1));
    const searching = f.let(i32.and(f32.gt(most, -Infinity), i32.eqz(v128.anyTrue(wrong))));
    const step = f.let(int(1));
    f.while(() => i32.and(searching, i32.ltU(step, STEPS)), () => {
      entmaxStep(f, row, tau, searching);
      f.set(step, i32.add(step, 1));
    });
    f.set(tau, select(f32.eq(most, -Infinity), float(EMPTY), tau));
    f.set(tau, select(v128.anyTrue(wrong), float(NaN), tau));
    const [threshold, shares] = [f.let(f32x4.splat(tau)), f.let(f32x4.splat(0))];
    each(f, row, (j, at) => {
      const score = f.let(load("v128", at));
      const share = f.let(f32x4.max(f32x4.sub(score, threshold), 0));
      f.set(shares, f32x4.add(shares, share));
      const seen = f.let(f32x4.ne(score, -Infinity));
      const keep = row.points.keep && f.let(row.points.keep(j));
      const dropped = keep ? f.let(f32x4.mul(share, keep)) : share;
      row.storeShare(j, v128.select(seen, dropped, HIDDEN));
      f.store(at, v128.select(seen, f32x4.mul(share, dropped), HIDDEN));
    });
    return { factor: float(1), term: tau, shares: sumLanes(shares) };
  },
  weight(f, score, term) {
    const share = f.let(f32x4.max(f32x4.sub(f32x4.mul(score, 0.5), term), 0));
    return { a: f32x4.mul(share, share), share };
  },
};

/** The normalised activations. An activation without an entry runs in TypeScript. */
const NORMALISED: Partial<Record<AttentionActivation, NormalisedCode>> = {
  softmax: softmax(LOWEST, 0),
  softmax1: softmax(0, 1),
  entmax15,
};

/** True if the activation has WebAssembly code. */
export const isKnown = ({ activation }: AttentionAttrs): boolean =>
  !ACTIVATIONS[activation].normalised || NORMALISED[activation] !== undefined;

const DIVISORS: Readonly<Record<AttentionChoice<"divide">, (n: F32) => F32>> = {
  none: () => float(1),
  n: (n) => n,
  sqrt_n: (n) => f32.sqrt(n),
};

/** Returns phi(s), and a function that returns the derivative of phi at s. */
function elementwise(f: Func, { expression, logistic }: ElementwiseActivation, score: V128) {
  if (!logistic) {
    const slope = derivative(expression, "score");
    return { phi: toWasm(expression, f, { score }), slope: () => toWasm(slope, f, { score }) };
  }
  // phi = 1 / (1 + e) and its derivative e phi^2 share one exponential, e = e^-s.
  const e = f.let(expOfNegative(f, f32x4.pmin(f32x4.neg(score), 87)));
  const phi = f.let(f32x4.div(1, f32x4.add(e, 1)));
  return { phi, slope: () => f32x4.mul(f32x4.mul(e, phi), phi) };
}

/** Returns the function that writes the code of an activation in the forward pass. */
export function weighOf(attrs: AttentionAttrs): Weigh {
  const definition = ACTIVATIONS[attrs.activation];
  if (definition.normalised) return NORMALISED[attrs.activation]!.weigh;
  const divides = attrs.divide !== "none";
  return (f, row) => {
    const count = f.let(f32x4.splat(0));
    each(f, row, (j, at) => {
      const { score, seen } = row.points.pairs(load("v128", at), j);
      if (divides) f.set(count, i32x4.sub(count, seen));
      const { phi } = elementwise(f, definition, score);
      f.store(at, kept(row, j, v128.select(seen, phi, HIDDEN)));
    });
    f.set(count, f32x4.fromS(count));
    const divisor = DIVISORS[attrs.divide](f.let(f32.max(sumLanes(count), 1)));
    const factor = f.let(f32.div(1, divisor));
    return { factor, term: factor };
  };
}

/** The row term and delta of a query in the backward pass, copied to all lanes. */
export interface RowTerms {
  readonly term: Local<"v128">;
  readonly delta: Local<"v128">;
}

const BACKWARD: Readonly<
  Record<AttentionChoice<"backward">, (a: V128, share: V128, da: V128, delta: V128) => V128>
> = {
  exact: (_a, share, da, delta) => f32x4.mul(share, f32x4.sub(da, delta)),
  diag: (a, _share, da) => f32x4.mul(f32x4.mul(a, f32x4.sub(1, a)), da),
  ste: (_a, _share, da) => da,
};

/** Weights below this value are replaced by it before their logarithm is computed. */
export const TINY = 1e-37;

/**
 * Returns the weights before dropout, and their logarithms (valid for weights above 0). All lanes of `term` hold the row term.
 */
export function weightsOf(
  f: Func,
  attrs: AttentionAttrs,
  score: V128,
  term: V128,
): { a: Local<"v128">; logA: V128 } {
  const definition = ACTIVATIONS[attrs.activation];
  const code = NORMALISED[attrs.activation];
  const phi = definition.normalised ? undefined : elementwise(f, definition, score).phi;
  const a = f.let(phi ? scaled(attrs, term, phi) : code!.weight(f, score, term).a);
  return { a, logA: code?.logWeight?.(score, term) ?? log(f, f32x4.pmax(a, TINY)) };
}

/** Multiplies an element-wise weight by the row term, 1 / divisor, if the weights are divided. */
const scaled = ({ divide }: AttentionAttrs, term: V128, x: V128): V128 =>
  divide === "none" ? x : f32x4.mul(term, x);

/** Returns the weights of pairs before dropout, and the gradients of their scores, given the gradients `da` of the weights. */
export function gradientsOf(
  f: Func,
  attrs: AttentionAttrs,
  { score, seen }: Pick<Pairs, "score"> & { readonly seen: V128 },
  da: V128,
  { term, delta }: RowTerms,
): { a: Local<"v128">; ds: Local<"v128"> } {
  const definition = ACTIVATIONS[attrs.activation];
  // Adding 0 turns the -0 of a visible pair into 0.
  const visible = (x: V128) => f.let(v128.select(seen, f32x4.add(x, 0), HIDDEN));
  if (definition.normalised) {
    const weight = NORMALISED[attrs.activation]!.weight(f, score, term);
    const a = f.let(weight.a);
    const ds = BACKWARD[attrs.backward](a, weight.share, da, delta);
    return { ds: visible(ds), a: visible(a) };
  }
  const { phi, slope } = elementwise(f, definition, score);
  return { a: visible(scaled(attrs, term, phi)), ds: visible(f32x4.mul(scaled(attrs, term, slope()), da)) };
}
