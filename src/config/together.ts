// What no key can know alone: heads against dim, splits against one another. Each check is a row that names the keys
// it looks at, so that a message can point at the one the user changed.

import type { Config } from "./schema.ts";

/** Sources that generate their samples: they have no text to split. */
export const SYNTHETIC_SOURCES: readonly string[] = ["copy"];

/** A fault between keys: the key to name, all that take part, and the rest of the sentence. */
export type Conflict = { key: string; keys: string[]; message: string };

function isSynthetic(config: Config): boolean {
  return config.data.files.length === 0 && SYNTHETIC_SOURCES.includes(config.data.source);
}

/** Divisors of n by pairs up to its root, so that an absurd width costs a second and not a year. */
function divisors(n: number): number[] {
  const found: number[] = [];
  for (let i = 1; i * i <= n; i++) if (n % i === 0) found.push(i, n / i);
  return found;
}

function headsDivideDim({ model: { heads, dim } }: Config): Conflict | undefined {
  if (dim % heads === 0) return undefined;
  const all = divisors(dim);
  const below = Math.max(...all.filter((d) => d < heads));
  const above = Math.min(...all.filter((d) => d > heads));
  const nearest = above === Infinity ? `does is ${below}` : `do are ${below} and ${above}`;
  return {
    key: "model.heads",
    keys: ["model.heads", "model.dim"],
    message: `${heads} does not divide model.dim ${dim}; the nearest that ${nearest}.`,
  };
}

function splitsLeaveText({ data: { split: { val, test } } }: Config): Conflict | undefined {
  if (val + test < 1) return undefined;
  return {
    key: "data.split",
    keys: ["data.split.val", "data.split.test"],
    message: `val ${val} and test ${test} leave nothing to train on; expected a sum below 1.`,
  };
}

function evaluatedSplitExists(config: Config): Conflict | undefined {
  const { split } = config.eval;
  if (split === "train" || isSynthetic(config) || config.data.split[split] > 0) return undefined;
  return {
    key: "eval.split",
    keys: ["eval.split", `data.split.${split}`],
    message: `${split} is empty, data.split.${split} is 0; expected a split that holds text.`,
  };
}

// A run shorter than its warmup is a smoke test; a decay that ends before the warmup does is a mistake.
function decayOutlastsWarmup({ schedule: { name, warmup, steps } }: Config): Conflict | undefined {
  if (name !== "cosine" || steps === null || warmup <= steps) return undefined;
  return {
    key: "schedule.warmup",
    keys: ["schedule.warmup", "schedule.steps"],
    message: `${warmup} is above schedule.steps ${steps}; expected at most as many.`,
  };
}

function biasIsSigmoids({ model: { block: { attention } } }: Config): Conflict | undefined {
  if (attention.bias === "auto" || attention.activation === "sigmoid") return undefined;
  const key = "model.block.attention.bias";
  return {
    key,
    keys: [key, "model.block.attention.activation"],
    message: `${attention.bias} needs activation sigmoid, found ${attention.activation}; expected auto.`,
  };
}

/** The first fault between keys of a configuration whose keys are each valid, or undefined. */
export function firstConflict(config: Config): Conflict | undefined {
  for (
    const check of [
      headsDivideDim,
      splitsLeaveText,
      evaluatedSplitExists,
      decayOutlastsWarmup,
      biasIsSigmoids,
    ]
  ) {
    const conflict = check(config);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}
