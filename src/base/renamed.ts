// Names that have changed, and where names of heed are found now: what a user's file that asks for an old one is told.

/** Exports of heed whose names have changed, and what they are called now, in mod.ts or behind a room's door. */
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

/** Fields of users' samples and of options whose names have changed. */
export const RENAMED_FIELDS: Readonly<Record<string, string>> = {
  announce: "onStart",
  answerFrom: "answerStart",
  ended: "onRunEnd",
  evaluated: "onEvaluation",
  nucleus: "topP",
  progress: "onProgress",
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

/** What a module exports, by name. */
export type Exports = Readonly<Record<string, unknown>>;

/** Where the text of a bundle finds the exports of mod.ts. */
export const EXPORTS = Symbol.for("heed.exports");

/** Holds the exports of mod.ts where a script has handed them down. */
export const running = globalThis as { [EXPORTS]?: Exports };

/** How what mod.ts exports is written, by its name: `scale` is `scale`, `alibi` is `masks.alibi`. */
export function pathsOf(exports: Exports): Map<string, string> {
  const within = NAMESPACES.flatMap((space) =>
    Object.keys(exports[space] ?? {}).map((name): [string, string] => [name, `${space}.${name}`])
  );
  return new Map([...within, ...Object.keys(exports).map((name): [string, string] => [name, name])]);
}

/** What an export is called now. */
export const currentName = (name: string): string => Object.hasOwn(RENAMED, name) ? RENAMED[name] : name;

/** What stands for a call of `heed.name()` that failed, for there is none of this name; undefined for any other failure. */
export function renamedCall(thrown: unknown): string | undefined {
  const [, name] =
    /^heed\.(\w+) is not a function$/.exec(thrown instanceof TypeError ? thrown.message : "") ?? [];
  const path = name && pathsOf(running[EXPORTS] ?? {}).get(currentName(name));
  return path && `heed.${name} is heed.${path} now`;
}
