// Conflicts between keys of a model, each of which is valid by itself.

import { maximum, minimum } from "../base/extremes.ts";
import { isApproximated, isNormalised, sumsToOne } from "../../kernels/attention/sizes.ts";
import { MODIFIER_NAMES } from "../../kernels/attention/modifier.ts";
import { parseExpression } from "../../kernels/expression/text.ts";
import { headMethod } from "../nn/architecture.ts";
import { type BlockConfig, METHODS, type ModelConfig } from "../nn/model_keys.ts";
import { POSITIONS } from "../nn/positions.ts";
import type { Config } from "./schema.ts";

/** A conflict between keys: the key to name, all keys involved, and the rest of the error message. */
export type Conflict = { key: string; keys: string[]; message: string };

/**
 * Returns the divisors of n. They are found in pairs up to the square root of n, so that even an absurdly large width takes
 * only a second.
 */
function divisors(n: number): number[] {
  const result: number[] = [];
  for (let i = 1; i * i <= n; i++) if (n % i === 0) result.push(i, n / i);
  return result;
}

/** Returns a text such as "the nearest divisors are 4 and 8." with the divisors of n just below and above a value. */
function nearestDivisors(value: number, n: number): string {
  const all = divisors(n);
  const below = maximum(all.filter((d) => d < value));
  const above = minimum(all.filter((d) => d > value));
  return `the nearest ${above === Infinity ? `divisor is ${below}` : `divisors are ${below} and ${above}`}.`;
}

function headsDivideDim({ model: { heads, dim } }: Config): Conflict | undefined {
  if (dim % heads === 0) return undefined;
  return {
    key: "model.heads",
    keys: ["model.heads", "model.dim"],
    message: `${heads} does not divide model.dim ${dim}; ${nearestDivisors(heads, dim)}`,
  };
}

function positionsFitModel({ model }: Config): Conflict | undefined {
  const conflict = POSITIONS[model.positions].conflict?.(model);
  if (conflict === undefined) return undefined;
  const key = `model.${conflict.key}`;
  return { key, keys: [key, "model.positions", "model.dim", "model.heads"], message: conflict.message };
}

function blocksFitLayers({ model: { blocks, layers } }: Config): Conflict | undefined {
  if (blocks.length <= layers) return undefined;
  return {
    key: "model.blocks",
    keys: ["model.blocks", "model.layers"],
    message:
      `${blocks.length} blocks are described, but model.layers is ${layers}; expected at most ${layers}.`,
  };
}

/**
 * An error in the attention keys of a block: the wrong key, another key that is involved, and the rest of the error
 * message.
 */
type Fault = { key: string; other?: string; message: string };
type Check = (attention: BlockConfig["attention"], model: ModelConfig) => Fault | undefined;

const BLOCK_CHECKS: readonly Check[] = [
  ({ kv_heads }, { heads }) => {
    if (kv_heads === null || heads % kv_heads === 0) return undefined;
    const message = `${kv_heads} does not divide model.heads ${heads}; ${nearestDivisors(kv_heads, heads)}`;
    return { key: "kv_heads", other: "model.heads", message };
  },
  ({ value_dim }, { heads }) => {
    if (value_dim === null || value_dim % heads === 0) return undefined;
    const nearest = Math.ceil(value_dim / heads) * heads;
    const message =
      `${value_dim} is not a multiple of model.heads ${heads}; the next multiple is ${nearest}.`;
    return { key: "value_dim", other: "model.heads", message };
  },
  ({ activation, bias }) => {
    if (bias === "auto" || !sumsToOne({ activation })) return undefined;
    return { key: "bias", message: `${bias} needs activation sigmoid, found ${activation}; expected auto.` };
  },
  ({ activation, backward }) => {
    if (backward === "exact" || isApproximated({ activation })) return undefined;
    const message = `${backward} is only for softmax, found activation ${activation}; expected exact.`;
    return { key: "backward", message };
  },
  ({ activation, divide }) => {
    if (divide === "none" || !isNormalised({ activation })) return undefined;
    const message =
      `${divide} is only for element-wise activations, found activation ${activation}; expected none.`;
    return { key: "divide", message };
  },
  (attention, model) =>
    expressionFault("score")(attention, model) ?? expressionFault("mask")(attention, model),
];

/**
 * Returns a check that a block's `score` or `mask` is an expression in the variables that a score modifier or a mask may
 * use.
 */
const expressionFault = (key: "score" | "mask"): Check => ({ [key]: text }) => {
  if (text === null) return undefined;
  try {
    parseExpression(text, { variables: MODIFIER_NAMES.slice(key === "mask" ? 1 : 0) });
    return undefined;
  } catch (error) {
    return { key, message: (error as Error).message.replace(/^expression: /, "") };
  }
};

function blocksAreSound({ model }: Config): Conflict | undefined {
  const described = model.blocks.length > 0
    ? model.blocks.map((block, i) => ({ block, path: `model.blocks.${i}` }))
    : [{ block: model.block, path: "model.block" }];
  for (const { block: { attention }, path } of described) {
    for (const check of BLOCK_CHECKS) {
      const fault = check(attention, model);
      if (fault === undefined) continue;
      // The value may have come from model.block.
      const keys = [path, "model.block"].flatMap((place) =>
        [fault.key, "activation"].map((key) => `${place}.attention.${key}`)
      );
      const key = keys[0];
      return { key, keys: fault.other ? [...keys, fault.other] : keys, message: fault.message };
    }
  }
  return undefined;
}

function headIsUntied({ model }: Config): Conflict | undefined {
  const method = headMethod(model);
  if (METHODS[method].exact || !model.tied) return undefined;
  const methods = ["attention", "mlp"].flatMap((half) =>
    ["block", ...model.blocks.map((_, i) => `blocks.${i}`)].map((block) => `model.${block}.${half}.method`)
  );
  return {
    key: "model.head.method",
    keys: ["model.head.method", "model.tied", ...methods],
    message: `${method} needs an untied head, found model.tied true; expected model.tied false, or ` +
      `model.head.method bp, with which the last block receives the true gradient.`,
  };
}

/** The checks of `model`, in the order in which their errors are reported. */
export const MODEL_CHECKS: readonly ((config: Config) => Conflict | undefined)[] = [
  headsDivideDim,
  positionsFitModel,
  blocksFitLayers,
  blocksAreSound,
  headIsUntied,
];
