// What no key can know alone: heads against dim, splits against one another. Each check is a row that names the keys
// it looks at, so that a message can point at the one the user changed.

import { SCHEDULES } from "../../kernels/optimizers/schedules.ts";
import { CATALOGUE } from "../data/corpora.ts";
import { DATA_KEYS } from "../data/data_keys.ts";
import { TASKS } from "../data/tasks.ts";
import { type Conflict, MODEL_CHECKS } from "./model_conflicts.ts";
import type { Config } from "./schema.ts";

/** Sources that generate their samples: they have no text to split. */
export const SYNTHETIC_SOURCES: readonly string[] = Object.keys(TASKS);

/** For each source whether it is a synthetic task; undefined for a name that only the data can refuse. */
function syntheticSources({ data: { files, source, sources, tasks } }: Config): (boolean | undefined)[] {
  const all = sources.length > 0 ? sources : [{ files, source }];
  return all.map(({ files, source }) => {
    if (files.length > 0 || source === null) return false;
    if (tasks !== null || SYNTHETIC_SOURCES.includes(source)) return true;
    return Object.hasOwn(CATALOGUE, source) ? false : undefined;
  });
}

const isSynthetic = (config: Config): boolean => syntheticSources(config).every(Boolean);

function mixtureStandsAlone({ data }: Config): Conflict | undefined {
  if (data.sources.length === 0) return undefined;
  const beside: [key: string, set: boolean, instead: string][] = [
    ["data.source", data.source !== DATA_KEYS.source.default, "an entry of its own"],
    ["data.files", data.files.length > 0, "an entry of its own"],
    ["data.field", data.field !== null, "field in the entries"],
    ["data.split_files.val", data.split_files.val.length > 0, "[]"],
    ["data.split_files.test", data.split_files.test.length > 0, "[]"],
  ];
  const [key, , instead] = beside.find(([, set]) => set) ?? [];
  if (key === undefined) return undefined;
  const message = `stands beside data.sources; expected ${instead}.`;
  return { key, keys: [key, "data.sources"], message };
}

function sourcesAreOneThing({ data: { sources } }: Config): Conflict | undefined {
  const at = sources.findIndex(({ source, files }) => (source === null) === (files.length === 0));
  if (at < 0) return undefined;
  const [key, { source }] = [`data.sources.${at}`, sources[at]];
  const found = source === null ? "neither source nor files" : `source ${source} and files`;
  return { key, keys: [key], message: `found ${found}; expected one of them.` };
}

function fieldsAreOfFiles({ data: { sources, files, source, field } }: Config): Conflict | undefined {
  const all = [
    { key: "data", files, source, field },
    ...sources.map((own, i) => ({ key: `data.sources.${i}`, ...own })),
  ];
  const wrong = all.find((own) => own.field !== null && own.files.length === 0);
  if (wrong === undefined) return undefined;
  const key = `${wrong.key}.field`;
  const message =
    `${wrong.field} is of files of JSON lines, found the source ${wrong.source}; expected null.`;
  return { key, keys: [key, `${wrong.key}.files`, `${wrong.key}.source`], message };
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
  if (config.data.split_files[split].length > 0) return undefined;
  return {
    key: "eval.split",
    keys: ["eval.split", `data.split.${split}`],
    message: `${split} is empty, data.split.${split} is 0; expected a split that holds text.`,
  };
}

// A run shorter than its warmup is a smoke test; a decay that ends before the warmup does is a mistake.
function decayOutlastsWarmup({ schedule: { name, warmup, steps } }: Config): Conflict | undefined {
  if (!SCHEDULES[name].ends || steps === null || warmup <= steps) return undefined;
  return {
    key: "schedule.warmup",
    keys: ["schedule.warmup", "schedule.steps"],
    message: `${warmup} is above schedule.steps ${steps}; expected at most as many.`,
  };
}

// Else a learning rate that was lowered for a fine-tuning would rise instead of falling.
function ratesFall({ optimizer: { lr }, schedule: { name, min_lr } }: Config): Conflict | undefined {
  if (SCHEDULES[name].flat || min_lr <= lr) return undefined;
  return {
    key: "schedule.min_lr",
    keys: ["schedule.min_lr", "optimizer.lr"],
    message: `${min_lr} is above optimizer.lr ${lr}; expected at most as much.`,
  };
}

function tokenizerHasItsFile({ tokenizer: { kind, file } }: Config): Conflict | undefined {
  if ((kind === "huggingface") === (file !== null)) return undefined;
  const message = file === null
    ? "null; the kind huggingface needs a tokenizer.json."
    : `${file} is for the kind huggingface, found ${kind}; expected null.`;
  return { key: "tokenizer.file", keys: ["tokenizer.file", "tokenizer.kind"], message };
}

/** What the samples come from, as a message names it. */
function sourceOf({ data: { files, source, sources, tasks } }: Config): string {
  if (sources.length > 0) return "data.sources of texts alone";
  return files.length > 0 ? "data.files" : tasks === null ? `data.source ${source}` : `data.tasks ${tasks}`;
}

const SOURCE_KEYS = ["data.source", "data.sources", "data.files", "data.tasks"];

function answersAreOfTasks(config: Config): Conflict | undefined {
  if (!config.data.answer_only || syntheticSources(config).some((own) => own !== false)) return undefined;
  const key = "data.answer_only";
  const message = `true is of synthetic tasks, found ${sourceOf(config)}; expected false.`;
  return { key, keys: [key, ...SOURCE_KEYS], message };
}

function splitFilesAreOfTexts(config: Config): Conflict | undefined {
  const split = (["val", "test"] as const).find((name) => config.data.split_files[name].length > 0);
  if (split === undefined || !isSynthetic(config)) return undefined;
  const key = `data.split_files.${split}`;
  const message = `files are of texts, found the synthetic task of ${sourceOf(config)}; expected [].`;
  return { key, keys: [key, ...SOURCE_KEYS], message };
}

const CHECKS: readonly ((config: Config) => Conflict | undefined)[] = [
  ...MODEL_CHECKS,
  mixtureStandsAlone,
  sourcesAreOneThing,
  fieldsAreOfFiles,
  splitsLeaveText,
  evaluatedSplitExists,
  decayOutlastsWarmup,
  ratesFall,
  tokenizerHasItsFile,
];

/** What has no effect: checkpoints that are there may have it. */
const IDLE_CHECKS = [answersAreOfTasks, splitFilesAreOfTexts];

/**
 * What is valid and hardly meant, a line each: a warmup that is longer than the run.
 *
 * @example
 * ```ts
 * import { configWarnings, loadConfig } from "../../mod.ts";
 * configWarnings(await loadConfig("copy", ["train.steps=10"])); // schedule.warmup: 100 steps are more than the 10 ...
 * ```
 * @category Configuration
 */
export function configWarnings({ train: { steps }, schedule: { warmup } }: Config): string[] {
  if (warmup <= steps) return [];
  return [
    `schedule.warmup: ${warmup} steps are more than the ${steps} of train.steps; the rate does not reach optimizer.lr.`,
  ];
}

/**
 * The first fault between keys of a configuration whose keys are each valid, or undefined.
 *
 * @param saved a checkpoint's: a key without effect is no fault
 */
export function firstConflict(config: Config, saved = false): Conflict | undefined {
  for (const check of saved ? CHECKS : [...CHECKS, ...IDLE_CHECKS]) {
    const conflict = check(config);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}
