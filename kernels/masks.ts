/**
 * Score modifiers and masks of attention, which mod.ts exports as `masks`. There are modifiers and masks that are known from
 * the literature, functions that combine several of them, and the functions `modifier` and `mask`, which create new ones from
 * an expression.
 *
 * @example A causal window of 128 keys, and a penalty on distance
 * ```ts
 * import { masks } from "../mod.ts";
 * const visible = masks.andMasks(masks.causalMask, masks.windowMask({ size: 128 }));
 * const nearer = masks.modifier("score - 0.1 * (i - j)");
 * ```
 *
 * @category Attention
 * @module
 */

export {
  alibi,
  alibiSlopes,
  andMasks,
  booleanMask,
  causalMask,
  compose,
  documentMask,
  keyLengths,
  keyPaddingMask,
  type Mask,
  mask,
  modifier,
  orMasks,
  prefixMask,
  scoreBias,
  type ScoreModifier,
  softcap,
  temperature,
  windowMask,
} from "./attention/modifier.ts";
