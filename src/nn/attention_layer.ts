// The attention layer of a block: projections, norms and rotations of queries and keys, score modifiers and masks. The
// kernels compute the pattern itself.
import { attention } from "../../kernels/attention/op.ts";
import {
  andMasks,
  causalMask,
  compose,
  mask,
  modifier,
  scoreBias,
  type ScoreModifier,
  softcap,
  temperature,
  windowMask,
} from "../../kernels/attention/modifier.ts";
import { autoBias } from "../../kernels/attention/sizes.ts";
import { append } from "../../kernels/append/op.ts";
import { less, select, variable } from "../../kernels/expression/expression.ts";
import { reshape } from "../graph/structure.ts";
import { scope, type Tensor } from "../graph/tensor.ts";
import { type AttentionLayer, blockOf, sizesOf, type UserModifier } from "./architecture.ts";
import { atPositions, type KeyCache } from "./cache.ts";
import type { Forward } from "./forward.ts";
import { POSITIONS } from "./positions.ts";
import { userModifier } from "./user_modifier.ts";

const [SCORE, J] = ["score", "j"].map(variable);

/** Appends E learned keys or values, `rows` [E, HKV d], to x [B, S, HKV, d]; returns [B, S + E, HKV, d]. */
export function withExtraKeys(x: Tensor, rows: Tensor): Tensor {
  const [B, S, HKV, d] = x.shape;
  return reshape(append(reshape(x, [B, S, HKV * d]), rows), [B, S + rows.shape[0], HKV, d]);
}

/** The learned tables that a block's user modifier declares, keyed by name. */
function tablesOf(user: UserModifier, path: string, { architecture: a, parameters }: Forward, block: number) {
  const names = Object.keys(user.tables?.({ heads: a.heads, context: a.context, block }) ?? {});
  return Object.fromEntries(names.map((name) => [name, parameters[`${path}.modifier.${name}`]]));
}

/**
 * Returns the score modifier of a layer, or undefined if it has none. It applies, in this order: softcap, positions (ALiBi),
 * the user's modifier, the expression `score`, temperature, bias and hooks. Learned keys have no position, so modifiers that
 * may read positions leave their scores unchanged.
 */
function scoreOf(
  layer: AttentionLayer,
  n: number,
  forward: Forward,
  keys: number,
): ScoreModifier | undefined {
  const { architecture: { positions, heads, context }, parameters, cache } = forward;
  const path = `blocks.${n}.attn`;
  const skipLearned = ({ expression, tables }: ScoreModifier): ScoreModifier => {
    if (layer.extra_keys === 0) return { expression, tables };
    return { expression: select(less(J, keys), expression, SCORE), tables };
  };
  const parts: ScoreModifier[] = [];
  if (layer.softcap !== null) parts.push(softcap(layer.softcap));
  const positional = POSITIONS[positions].score?.(forward);
  if (positional) parts.push(skipLearned(positional));
  const user = userModifier(layer);
  if (user) {
    parts.push(skipLearned(user.modifier(tablesOf(user, path, forward, n), { heads, context, block: n })));
  }
  if (layer.score !== null) parts.push(skipLearned(modifier(layer.score)));
  if (layer.temperature === "learned") parts.push(temperature(parameters[`${path}.temperature`]));
  else if (layer.temperature !== null) parts.push(temperature(layer.temperature));
  const bias = layer.bias === "learned"
    ? parameters[`${path}.score_bias`]
    : layer.bias === "auto"
    ? autoBias(layer, context)
    : layer.bias;
  if (bias !== 0) parts.push(scoreBias(bias));
  parts.push(...forward.hooks.scores(n));
  if (parts.length === 0) return undefined;
  return cache ? atPositions(compose(...parts), cache) : compose(...parts);
}

/**
 * Returns the options of `attention` that determine which keys a query sees. A query sees all learned keys. Of the last
 * `window` keys up to the query's position (all of them if `window` is null), it sees those for which `mask` is nonzero.
 */
function visibleOf(layer: AttentionLayer, keys: number, cache?: KeyCache) {
  const { window, extra_keys: extra } = layer;
  const size = window === null ? undefined : { size: window };
  const base = layer.mask === null ? undefined : mask(layer.mask);
  const shown = base && extra > 0 ? { ...base, expression: select(less(J, keys), base.expression, 1) } : base;
  if (!cache) return { window: size, mask: shown, extra };
  const masks = [causalMask, ...(size ? [windowMask(size)] : []), ...(shown ? [shown] : [])];
  return { causal: false as const, mask: atPositions(andMasks(...masks), cache), extra };
}

/**
 * Returns the result of block n's attention before the output projection, z [B, T, heads * dv], given the branch's input x
 * [B, T, D].
 *
 * @param rotate a function that applies rotary positions to queries and keys
 */
export function attentionValues(
  n: number,
  x: Tensor,
  forward: Forward,
  rotate: (x: Tensor) => Tensor,
): Tensor {
  const { architecture, parameters, taps, cache } = forward;
  const { attention: layer, dropout } = blockOf(architecture, n);
  const path = `blocks.${n}.attn`;
  const [B, T] = x.shape;
  const { H, HKV, D, DV } = sizesOf(architecture, layer);
  const heads = (name: string, count: number, width: number): Tensor =>
    reshape(forward.project(`${path}.w${name}`, x, { method: layer.method }), [B, T, count, width]);
  const normAndRotate = (name: string, y: Tensor): Tensor => {
    const normed = layer.qk_norm ? forward.norm(layer.qk_norm, `${path}.${name}_norm`, y) : y;
    return taps.tap(`${path}.${name}`, scope(path, () => rotate(normed)));
  };
  const q = normAndRotate("q", heads("q", H, D));
  let k = normAndRotate("k", heads("k", HKV, D));
  let v = taps.tap(`${path}.v`, heads("v", HKV, DV));
  if (cache) [k, v] = [cache.append(`${path}.k`, k), cache.append(`${path}.v`, v)];
  const S = k.shape[1];
  if (layer.extra_keys > 0) {
    k = withExtraKeys(k, parameters[`${path}.extra_k`]);
    v = withExtraKeys(v, parameters[`${path}.extra_v`]);
  }
  const z = scope(path, () =>
    attention(q, k, v, {
      ...visibleOf(layer, S, cache),
      score: scoreOf(layer, n, forward, S),
      activation: layer.activation,
      bias: 0,
      divide: layer.divide,
      backward: layer.backward,
      kvHead: layer.kv_head,
      dropout: forward.patternDropout(dropout!),
    }));
  taps.onAttention?.(path, z);
  return reshape(taps.tap(`${path}.z`, z), [B, T, H * DV]);
}
