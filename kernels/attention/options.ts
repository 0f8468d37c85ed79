// What a caller of attention may ask for, whether it fits, and which keys that leaves a query to see.
import type { Tensor } from "../../src/graph/tensor.ts";
import { didYouMean, UserError } from "../../src/base/errors.ts";
import { type Expression, lookupsOf } from "../expression/expression.ts";
import { andMasks, causalMask, extraKeys, orMasks, windowMask } from "./modifier.ts";
import type { Mask, ScoreModifier } from "./modifier.ts";
import { ACTIVATIONS, attentionNames } from "./activations.ts";
import type { AttentionActivation, AttentionChoice } from "./activations.ts";
import { type AttentionSizes, isApproximated, queryOffset, sumsToOne } from "./sizes.ts";

/** Options of `attention`; everything has the default that a decoder wants.
 * @category Attention */
export interface AttentionOptions {
  /** Factor of the scores, 1/sqrt(d) by default. */
  readonly scale?: number;
  /** j <= i, with queries aligned "top-left" (default) or "bottom-right" (see `align`); false: all keys. */
  readonly causal?: "top-left" | "bottom-right" | false;
  /**
   * Where the queries stand among the keys. "top-left": row r is at position i = r; "bottom-right": i = r + S - T, the last
   * query at the last key (where T > S the first rows have negative positions). Positions are what `causal`, `window`,
   * `mask` and `score` go by. Default: that of `causal`, "top-left" without one.
   */
  readonly align?: "top-left" | "bottom-right";
  /**
   * How many of the last keys are learned: every query sees them, whatever `causal`, `window` and `mask` say, they have no
   * position, and S - T does not count them. `score` is applied to them too, at j from S - extra on: one that goes by
   * positions leaves them alone by a `select`. Default: 0.
   */
  readonly extra?: number;
  /** Keys less than `size` behind the query's position; `symmetric`: and as far ahead. */
  readonly window?: { readonly size: number; readonly symmetric?: boolean };
  /** What happens to a score before the activation; several go through `compose`. */
  readonly score?: ScoreModifier;
  /** Which pairs are visible, besides `causal` and `window`; several go through `andMasks` or `orMasks`. */
  readonly mask?: Mask;
  /** From scores to weights; softmax by default. */
  readonly activation?: AttentionActivation;
  /** Added to the scores; "auto", the default, is -ln(S) for a sigmoid that is not divided, else 0. Not for softmax. */
  readonly bias?: number | "auto";
  /** Element-wise weights divided by the row's visible keys, or by their square root. */
  readonly divide?: AttentionChoice<"divide">;
  /** Gradient of a softmax: as it is; without its lateral sum; as the identity on visible keys. */
  readonly backward?: AttentionChoice<"backward">;
  /** Head h reads key head floor(h Hkv / H) ("grouped", default) or h mod Hkv. */
  readonly kvHead?: AttentionChoice<"kvHead">;
  /** Dropout of the pattern: probability, place, and the seed tensor u32[2] (see `dropout`). */
  readonly dropout?: { readonly p: number; readonly site: number; readonly seed: Tensor };
}

/** @throws {UserError} where options contradict each other or the sizes */
export function checkOptions(
  options: AttentionOptions,
  { S }: AttentionSizes,
): void {
  const { activation = "softmax", backward = "exact", bias = "auto", divide = "none" } = options;
  const { window, causal, align, extra = 0 } = options;
  if (!attentionNames("activation").includes(activation)) {
    throw new UserError(
      `attention: unknown activation "${activation}".${didYouMean(activation, attentionNames("activation"))}`,
    );
  }
  const { normalised } = ACTIVATIONS[activation];
  if (!isApproximated({ activation }) && backward !== "exact") {
    const reason = normalised ? "has its exact gradient alone" : "has no lateral sum to leave out";
    throw new UserError(`attention: backward "${backward}" is for softmax; ${activation} ${reason}.`);
  }
  if (normalised && divide !== "none") {
    throw new UserError(
      `attention: divide "${divide}" is for element-wise activations; ${activation} is normalised.`,
    );
  }
  if (sumsToOne({ activation }) && bias !== "auto" && bias !== 0) {
    throw new UserError(
      `attention: bias ${bias} leaves ${activation} as it is; expected "auto", 0 or another activation.`,
    );
  }
  if (window && !(Number.isSafeInteger(window.size) && window.size > 0)) {
    throw new UserError(`attention: window ${window.size}, expected a whole number of at least 1.`);
  }
  if (align && causal && align !== causal) {
    throw new UserError(`attention: align "${align}" contradicts causal "${causal}"; give one of them.`);
  }
  if (!(Number.isSafeInteger(extra) && extra >= 0 && extra < S)) {
    throw new UserError(`attention: extra ${extra}, expected a whole number from 0 to ${S - 1}, S - 1.`);
  }
}

/** How many there are of each variable, and the letter of that size. */
export type Letters = Readonly<Record<string, readonly [size: number, letter: string]>>;

/** Tables indexed by b, h, i, j or row alone must have as many entries as there are of these. */
export function checkTables(what: string, expression: Expression, letters: Letters): void {
  for (const { table, shape, indices } of lookupsOf(expression)) {
    indices.forEach((index, k) => {
      const [expected, letter] = (index.kind === "variable" && letters[index.name]) || [];
      if (expected !== undefined && shape[k] !== expected) {
        throw new UserError(
          `${what}: table "${table}" is [${
            shape.join(", ")
          }], expected ${expected} (${letter}) in dimension ${k}.`,
        );
      }
    });
  }
}

/** Which keys a query sees: the range of the kernels and what else there is as a mask; and how positions are counted. */
export function rangeOf(options: AttentionOptions, sizes: AttentionSizes) {
  const { causal = "top-left", align = causal || "top-left", window, extra = 0 } = options;
  const bottomRight = align === "bottom-right";
  const own = sizes.S - extra;
  const letters: Letters = {
    b: [sizes.B, "B"],
    h: [sizes.H, "H"],
    i: bottomRight ? [own, extra ? "S less the learned keys" : "S"] : [sizes.T, "T"],
    j: [sizes.S, "S"],
    row: [sizes.T, "T"],
  };
  const given = options.mask ? [options.mask] : [];
  const ranged = [...(causal ? [causalMask] : []), ...(window ? [windowMask(window)] : []), ...given];
  // Learned keys lie beyond any range.
  const asMask = extra > 0 && ranged.length > 0;
  return {
    shift: queryOffset(sizes, { bottomRight, extra }),
    letters,
    mask: asMask
      ? orMasks(extraKeys(own), ranged.length === 1 ? ranged[0] : andMasks(...ranged))
      : options.mask,
    attrs: {
      causal: causal !== false && !asMask,
      bottomRight,
      extra,
      window: asMask ? 0 : window?.size ?? 0,
      symmetric: !asMask && (window?.symmetric ?? false),
    },
  };
}
