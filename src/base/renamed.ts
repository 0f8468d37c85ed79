// Renamed exports and fields, for error messages that tell the author of a user file the new name.

/** Maps the old name of each renamed export of mod.ts or another entry point to its new name. */
export const RENAMED: Readonly<Record<string, string>> = {
  all: "andMasks",
  any: "orMasks",
  ATTENTION_ACTIVATIONS: "attentionNames",
  Column: "StatColumn",
  documents: "documentMask",
  draw: "sample",
  Generator: "LanguageModel",
  generatorOf: "languageModelOf",
  keyPadding: "keyPaddingMask",
  Look: "StatisticsPlan",
  nearest: "closestString",
  Outcome: "LoopResult",
  Part: "Segment",
  Place: "BufferSlice",
  prefix: "prefixMask",
  show: "formatSpec",
  Stood: "JobResult",
  suggestion: "didYouMean",
  Summarised: "StatisticsInput",
  SweepTold: "SweepCallbacks",
  Trained: "TrainResult",
  Work: "Workload",
};

/** Maps the old name of each renamed field of samples and options to its new name. */
export const RENAMED_FIELDS: Readonly<Record<string, string>> = {
  announce: "onStart",
  answerFrom: "answerStart",
  ended: "onRunEnd",
  evaluated: "onEvaluation",
  nucleus: "topP",
  progress: "onProgress",
  wanted: "logitRows",
  warn: "onWarning",
};

/** The namespaces of mod.ts. */
export const NAMESPACES: readonly string[] = [
  "graph",
  "nn",
  "models",
  "expr",
  "masks",
  "check",
  "jacobian",
  "cli",
];

/** The exports of a module, keyed by name. */
export type Exports = Readonly<Record<string, unknown>>;

/** The key of `globalThis` under which a bundle finds the exports of mod.ts. */
export const EXPORTS = Symbol.for("heed.exports");

/** Holds the exports of mod.ts, if a script has provided them. */
export const running = globalThis as { [EXPORTS]?: Exports };

/**
 * Maps the name of every export of mod.ts and of its namespaces to the path of the export, for example `scale` to `scale`
 * and `alibi` to `masks.alibi`.
 */
export function pathsOf(exports: Exports): Map<string, string> {
  const within = NAMESPACES.flatMap((space) =>
    Object.keys(exports[space] ?? {}).map((name): [string, string] => [name, `${space}.${name}`])
  );
  return new Map([...within, ...Object.keys(exports).map((name): [string, string] => [name, name])]);
}

/** Returns the current name of an export that may have been renamed. */
export const currentName = (name: string): string => Object.hasOwn(RENAMED, name) ? RENAMED[name] : name;

/**
 * Returns the message for a call of `heed.name()` that failed because `name` was renamed, or undefined for any other error.
 */
export function renamedCall(thrown: unknown): string | undefined {
  const [, name] =
    /^heed\.(\w+) is not a function$/.exec(thrown instanceof TypeError ? thrown.message : "") ?? [];
  const path = name && pathsOf(running[EXPORTS] ?? {}).get(currentName(name));
  return path && `heed.${name} is heed.${path} now`;
}
