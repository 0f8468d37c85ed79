// Attention weights and the gradients of scores in WebAssembly, recomputed from finite or hidden scores and the row terms.
import { f32x4, type Func, type V128 } from "../../src/wasm/mod.ts";
import { ACTIVATIONS, type AttentionActivation, type AttentionChoice } from "../attention/activations.ts";
import type { AttentionAttrs } from "../attention/sizes.ts";
import { derivative } from "../expression/expression.ts";
import { expOfNegative, log } from "../expression/vector_functions.ts";
import { toWasm } from "../expression/wasm.ts";

/** A normalised activation. */
interface NormalisedCode {
  /** The weights of four scores; that of a score of -Infinity is 0. */
  readonly weight: (f: Func, score: V128, term: V128) => V128;
  /** Their logarithms where they are above 0. Default: computed from the weights. */
  readonly logWeight?: (score: V128, term: V128) => V128;
  /** w_j as a function of the weight a_j (see `NormalisedActivation`). Default: w = a. */
  readonly share?: (a: V128) => V128;
}

// No weight is above 1, however the log-sum-exp is rounded.
const logOfSoftmax = (score: V128, term: V128): V128 => f32x4.pmin(f32x4.sub(score, term), 0);
const softmax: NormalisedCode = {
  weight: (f, score, term) => expOfNegative(f, logOfSoftmax(score, term)),
  logWeight: logOfSoftmax,
};

const entmax15: NormalisedCode = {
  weight(f, score, term) {
    const above = f.let(f32x4.pmax(f32x4.sub(f32x4.mul(score, 0.5), term), 0));
    return f32x4.mul(above, above);
  },
  share: f32x4.sqrt,
};

/** The normalised activations; one without an entry runs in TypeScript. */
const NORMALISED: Partial<Record<AttentionActivation, NormalisedCode>> = {
  softmax,
  softmax1: softmax,
  entmax15,
};

/** Whether the activation has code here. */
export const isKnown = ({ activation }: AttentionAttrs): boolean =>
  !ACTIVATIONS[activation].normalised || NORMALISED[activation] !== undefined;

/** Lower bound of weights before a logarithm. */
export const TINY = 1e-37;

/** The weights of four scores, and their logarithms where they are above 0. */
export function weightsOf(
  f: Func,
  { activation }: AttentionAttrs,
  score: V128,
  term: V128,
): { a: V128; logA: V128 } {
  const definition = ACTIVATIONS[activation];
  const code = NORMALISED[activation];
  const a = f.let(
    definition.normalised
      ? code!.weight(f, score, term)
      : f32x4.mul(term, toWasm(definition.expression, f, { score })),
  );
  return { a, logA: code?.logWeight?.(score, term) ?? log(f, f32x4.pmax(a, TINY)) };
}

const BACKWARD: Readonly<Record<AttentionChoice<"backward">, (w: V128, da: V128, delta: V128) => V128>> = {
  exact: (w, da, delta) => f32x4.mul(w, f32x4.sub(da, delta)),
  diag: (w, da) => f32x4.mul(f32x4.mul(w, f32x4.sub(1, w)), da),
  ste: (_w, da) => da,
};

/** The gradients of four scores, from those of the weights. */
export function scoreGradients(
  f: Func,
  { activation, backward }: AttentionAttrs,
  score: V128,
  da: V128,
  { term, delta }: { readonly term: V128; readonly delta: V128 },
): V128 {
  const definition = ACTIVATIONS[activation];
  if (!definition.normalised) {
    const slope = toWasm(derivative(definition.expression, "score"), f, { score });
    return f32x4.mul(f32x4.mul(term, slope), da);
  }
  const { weight, share = (a: V128) => a } = NORMALISED[activation]!;
  return BACKWARD[backward](f.let(share(weight(f, score, term))), da, delta);
}
