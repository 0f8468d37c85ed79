// Options of attention, checks of these options, and the range of keys and the mask that they define.
import type { Tensor } from "../../src/graph/tensor.ts";
import { didYouMean, UserError } from "../../src/base/errors.ts";
import { type Expression, lookupsOf } from "../expression/expression.ts";
import { andMasks, causalMask, extraKeys, orMasks, windowMask } from "./modifier.ts";
import type { Mask, ScoreModifier } from "./modifier.ts";
import { ACTIVATIONS, attentionNames } from "./activations.ts";
import type { AttentionActivation, AttentionChoice } from "./activations.ts";
import { type AttentionSizes, isApproximated, queryOffset, sumsToOne } from "./sizes.ts";

/** Options of `attention`. The defaults suit a decoder.
 * @category Attention */
export interface AttentionOptions {
  /** Scale factor of the scores. Default: 1/sqrt(d). */
  readonly scale?: number;
  /** Causal mask j <= i, with i aligned "top-left" or "bottom-right" (see `align`); false: not causal. Default: "top-left". */
  readonly causal?: "top-left" | "bottom-right" | false;
  /**
   * The position i of row r of the queries among the keys. "top-left": i = r; "bottom-right": i = r + S - T, so that the last
   * query has the position of the last key (if T > S, the first rows have negative positions). `causal`, `window`, `mask` and
   * `score` use these positions. Default: the alignment of `causal`, or "top-left" if `causal` is false.
   */
  readonly align?: "top-left" | "bottom-right";
  /**
   * Number of learned keys, which are the last `extra` of the S keys. Every query sees them, regardless of `causal`, `window` and
   * `mask`. They have no position: bottom-right alignment uses S - extra instead of S. `score` applies to learned keys too, whose
   * j is at least S - extra; a modifier that depends on positions should exclude these keys with `select`. Default: 0.
   */
  readonly extra?: number;
  /** Hides the keys that are at least `size` positions behind the query and, if `symmetric`, at least `size` positions ahead. */
  readonly window?: { readonly size: number; readonly symmetric?: boolean };
  /** Modifier that is applied to the scores before the activation; combine several with `compose`. */
  readonly score?: ScoreModifier;
  /** Additional mask: `causal`, `window` and `mask` must all allow a pair. Combine masks with `andMasks` or `orMasks`. */
  readonly mask?: Mask;
  /** Function that maps scores to weights. Default: "softmax". */
  readonly activation?: AttentionActivation;
  /** Bias added to the scores; "auto": -ln(S) for sigmoid without `divide`, else 0. Not for softmax. Default: "auto". */
  readonly bias?: number | "auto";
  /** Whether element-wise weights are divided by n, the row's number of visible keys, or by sqrt(n). Default: "none". */
  readonly divide?: AttentionChoice<"divide">;
  /** Gradient of a softmax: "exact", "diag" (only the Jacobian's diagonal) or "ste" (straight-through). Default: "exact". */
  readonly backward?: AttentionChoice<"backward">;
  /** Query head h reads key head floor(h Hkv / H) ("grouped") or h mod Hkv ("modulo"). Default: "grouped". */
  readonly kvHead?: AttentionChoice<"kvHead">;
  /** Dropout on the weights: probability `p`, index `site` of the dropout layer, and `seed` u32[2] (see `dropout`). */
  readonly dropout?: { readonly p: number; readonly site: number; readonly seed: Tensor };
}

/** @throws {UserError} for options that contradict each other or the sizes */
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
    const reason = normalised ? "supports only the exact gradient" : "has a diagonal Jacobian anyway";
    throw new UserError(`attention: backward "${backward}" is for softmax; ${activation} ${reason}.`);
  }
  if (normalised && divide !== "none") {
    throw new UserError(
      `attention: divide "${divide}" is for element-wise activations; ${activation} is normalised.`,
    );
  }
  if (sumsToOne({ activation }) && bias !== "auto" && bias !== 0) {
    throw new UserError(
      `attention: bias ${bias} has no effect on ${activation}; expected "auto", 0 or another activation.`,
    );
  }
  if (window && !(Number.isSafeInteger(window.size) && window.size > 0)) {
    throw new UserError(`attention: window ${window.size}, expected a whole number of at least 1.`);
  }
  if (align && causal && align !== causal) {
    throw new UserError(`attention: align "${align}" contradicts causal "${causal}"; give one of them.`);
  }
  if (!(Number.isSafeInteger(extra) && extra >= 0 && extra < S)) {
    throw new UserError(`attention: extra ${extra}, expected a whole number from 0 to ${S - 1} (S - 1).`);
  }
}

/** For each variable, the number of values that it can take, and the name of this number in messages, for example "T". */
export type Letters = Readonly<Record<string, readonly [size: number, letter: string]>>;

/**
 * Checks each dimension of a table whose index is only b, h, i, j or row: the size of the dimension must be the number of values
 * that this variable can take.
 */
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

/** Derives from the options the range of keys that kernels loop over, the mask, and the shift from rows to positions. */
export function rangeOf(options: AttentionOptions, sizes: AttentionSizes) {
  const { causal = "top-left", align = causal || "top-left", window, extra = 0 } = options;
  const bottomRight = align === "bottom-right";
  const sequence = sizes.S - extra;
  const letters: Letters = {
    b: [sizes.B, "B"],
    h: [sizes.H, "H"],
    i: bottomRight ? [sequence, extra ? "S minus the learned keys" : "S"] : [sizes.T, "T"],
    j: [sizes.S, "S"],
    row: [sizes.T, "T"],
  };
  const masks = options.mask ? [options.mask] : [];
  const ranged = [...(causal ? [causalMask] : []), ...(window ? [windowMask(window)] : []), ...masks];
  // `causal` and `window` limit the range of keys, which could exclude learned keys, so they become part of the mask instead.
  const asMask = extra > 0 && ranged.length > 0;
  return {
    shift: queryOffset(sizes, { bottomRight, extra }),
    letters,
    mask: asMask
      ? orMasks(extraKeys(sequence), ranged.length === 1 ? ranged[0] : andMasks(...ranged))
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
