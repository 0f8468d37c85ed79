// Applies the hooks of a user's file. They replace tapped tensors and attention scores while the graph is built, so that the
// backward pass is that of the changed forward pass.
import type { ScoreModifier } from "../../kernels/attention/modifier.ts";
import { embedding } from "../../kernels/embedding/op.ts";
import { elementwise } from "../../kernels/elementwise/op.ts";
import { min, variable } from "../../kernels/expression/expression.ts";
import { matmul } from "../../kernels/matmul/op.ts";
import { isMapping } from "../base/show.ts";
import { callUser, UserError } from "../base/errors.ts";
import { globOf, patternHint } from "../base/glob.ts";
import { constant, literal, reshape, state } from "../graph/structure.ts";
import { formatSpec, type Tensor } from "../graph/tensor.ts";
import { describe } from "../base/user_file.ts";
import type { Architecture } from "./architecture.ts";
import type { HookContext } from "./hook_types.ts";
import { checkModifier } from "./user_modifier.ts";

/** Name of the device state that holds the step for hooks. */
export const STEP_STATE = "hook_step";

/** Returns the device state that counts completed training steps for hooks, f32 [1]. */
export const stepState = (): Tensor => state(STEP_STATE, [1]);

/** The hooks of one forward pass. */
export interface ActiveHooks {
  /** Whether a hook matches the tensor of this name. */
  wants(name: string): boolean;
  /** Applies the hooks that match this name to x, in order. */
  tap(name: string, x: Tensor): Tensor;
  /** Returns the score modifiers from the hooks that match a block's attention scores, in order. */
  scores(layer: number): ScoreModifier[];
  /** Throws a UserError if a glob of the hooks matched no tap. */
  finish(): void;
}

const NONE: ActiveHooks = { wants: () => false, tap: (_, x) => x, scores: () => [], finish: () => {} };

/** Returns the index of the block that a tap belongs to, or null if it belongs to none. */
export const layerOf = (tap: string): number | null => {
  const block = /^blocks\.(\d+)\./.exec(tap);
  return block ? Number(block[1]) : null;
};

/** Returns the hooks of an architecture for one forward pass over the ids `tokens`. */
export function activeHooks(
  { hooks, heads, vocabulary }: Architecture,
  tokens: Tensor,
  step: Tensor | undefined,
): ActiveHooks {
  if (!hooks) return NONE;
  const { file, taps = {}, scores = {}, keys } = hooks;
  const matched = new Set<string>();
  /** Names of the taps and scores seen so far; the error for a glob without a match suggests one of them. */
  const seen = { taps: new Set<string>(), scores: new Set<string>() };
  let stepTensor: Tensor | undefined;
  const contextOf = (name: string): HookContext => ({
    name,
    layer: layerOf(name),
    heads,
    vocabulary,
    tokens,
    get step() {
      return stepTensor ??= step ?? stepState();
    },
    keys,
  });
  const matching = <H>(all: Readonly<Record<string, H>>, name: string): [string, H][] =>
    Object.entries(all).filter(([pattern]) => globOf(pattern)(name));
  return {
    wants: (name) => matching(taps, name).length > 0,
    tap(name, x) {
      seen.taps.add(name);
      return matching(taps, name).reduce((before, [pattern, hook]) => {
        matched.add(pattern);
        const place = `${file}: taps "${pattern}" at ${name}`;
        const after: Tensor = callUser(place, () => hook(before, contextOf(name)));
        const isTensor = isMapping(after) && "node" in after && Array.isArray(after.shape);
        if (isTensor && formatSpec(after) === formatSpec(x)) return after;
        throw new UserError(
          `${place}: expected it to return a tensor ${formatSpec(x)}, found ${
            isTensor ? formatSpec(after) : describe(after)
          }.`,
        );
      }, x);
    },
    scores(layer) {
      const name = `blocks.${layer}.attn.scores`;
      seen.scores.add(name);
      return matching(scores, name).map(([pattern, hook]) => {
        matched.add(pattern);
        const place = `${file}: scores "${pattern}" at ${name}`;
        return checkModifier(place, callUser(place, () => hook(variable("score"), contextOf(name))));
      });
    },
    finish() {
      for (const [what, hooks] of Object.entries({ taps, scores })) {
        const idle = Object.keys(hooks).find((pattern) => !matched.has(pattern));
        if (idle === undefined) continue;
        const hint = patternHint(idle, [...seen[what as keyof typeof seen]]);
        throw new UserError(`${file}: ${what}: "${idle}" matches no tap of this model. ${hint}`);
      }
    },
  };
}

/**
 * Returns 1 for each row of ids that contains a token, and 0 for each other row.
 *
 * @param tokens ids, u32 [B, T]
 * @param id id of the token
 * @param vocabulary vocabulary size, V
 * @returns f32 [B]
 *
 * @example
 * ```ts
 * import { containsToken, input } from "../../mod.ts";
 * const has10 = containsToken(input("ids", [2, 8], "u32"), 10, 65); // [2]
 * ```
 * @category Training
 */
export function containsToken(tokens: Tensor, id: number, vocabulary: number): Tensor {
  const [B, T] = tokens.shape;
  const indicator = literal(Float32Array.from({ length: vocabulary }, (_, n) => Number(n === id)), [
    vocabulary,
    1,
  ]);
  const matches = reshape(embedding(indicator, tokens), [B, T]);
  const counts = matmul(matches, constant(1, [T, 1]));
  return reshape(elementwise(min(1, variable("x")), { x: counts }, "contains_token"), [B]);
}
