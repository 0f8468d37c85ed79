// What a user's own file changes inside a model: tensors by the name of their tap, and scores of attention. The graph is
// built through it, so that forward and gradient change alike.
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

/** Name of the device's state that tells hooks the step. */
export const STEP_STATE = "hook_step";

/** The steps made so far as hooks see them, f32 [1]: a state that training counts up. */
export const stepState = (): Tensor => state(STEP_STATE, [1]);

/** Hooks at work in one forward pass. */
export interface HooksAtWork {
  /** Whether a hook waits for the tensor of this name. */
  wants(name: string): boolean;
  /** The tensor that the hooks of this name make of x. */
  tap(name: string, x: Tensor): Tensor;
  /** What the hooks of a block make of its scores, in their order. */
  scores(layer: number): ScoreModifier[];
  /** Throws at a pattern that met no tap. */
  finish(): void;
}

const NONE: HooksAtWork = { wants: () => false, tap: (_, x) => x, scores: () => [], finish: () => {} };

/** Number of the block that a tap belongs to, null where it belongs to none. */
export const layerOf = (tap: string): number | null => {
  const block = /^blocks\.(\d+)\./.exec(tap);
  return block ? Number(block[1]) : null;
};

/** The hooks of an architecture for one forward pass of `tokens`. */
export function hooksAtWork(
  { hooks, heads, vocabulary }: Architecture,
  tokens: Tensor,
  step: Tensor | undefined,
): HooksAtWork {
  if (!hooks) return NONE;
  const { file, taps = {}, scores = {}, keys } = hooks;
  const met = new Set<string>();
  /** Names that hooks may stand at: those of taps, and those of scores. */
  const seen = { taps: new Set<string>(), scores: new Set<string>() };
  let counted: Tensor | undefined;
  const contextOf = (name: string): HookContext => ({
    name,
    layer: layerOf(name),
    heads,
    vocabulary,
    tokens,
    get step() {
      return counted ??= step ?? stepState();
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
        met.add(pattern);
        const place = `${file}: taps "${pattern}" at ${name}`;
        const after: Tensor = callUser(place, () => hook(before, contextOf(name)));
        const isTensor = isMapping(after) && "node" in after && Array.isArray(after.shape);
        if (isTensor && formatSpec(after) === formatSpec(x)) return after;
        throw new UserError(
          `${place}: expected a tensor ${formatSpec(x)} in return, found ${
            isTensor ? formatSpec(after) : describe(after)
          }.`,
        );
      }, x);
    },
    scores(layer) {
      const name = `blocks.${layer}.attn.scores`;
      seen.scores.add(name);
      return matching(scores, name).map(([pattern, hook]) => {
        met.add(pattern);
        const place = `${file}: scores "${pattern}" at ${name}`;
        return checkModifier(place, callUser(place, () => hook(variable("score"), contextOf(name))));
      });
    },
    finish() {
      for (const [what, hooks] of Object.entries({ taps, scores })) {
        const idle = Object.keys(hooks).find((pattern) => !met.has(pattern));
        if (idle === undefined) continue;
        const hint = patternHint(idle, [...seen[what as keyof typeof seen]]);
        throw new UserError(`${file}: ${what}: "${idle}" matches no tap of this model. ${hint}`);
      }
    },
  };
}

/**
 * Which samples hold a token: 1 where row b of the ids has it, else 0.
 *
 * @param tokens ids, u32 [B, T]
 * @param id the token looked for
 * @param vocabulary number of ids there are
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
  const isIt = literal(Float32Array.from({ length: vocabulary }, (_, n) => Number(n === id)), [
    vocabulary,
    1,
  ]);
  const found = reshape(embedding(isIt, tokens), [B, T]);
  const counts = matmul(found, constant(1, [T, 1]));
  return reshape(elementwise(min(1, variable("x")), { x: counts }, "contains_token"), [B]);
}
