// Checks of keys against one another, such as heads against dim. Each conflict lists the keys that it involves, so that the
// message can name the override that caused it.

import { SCHEDULES } from "../../kernels/optimizers/schedules.ts";
import { CATALOGUE } from "../data/corpora.ts";
import { DATA_KEYS } from "../data/data_keys.ts";
import { TASKS } from "../data/tasks.ts";
import { type Conflict, MODEL_CHECKS } from "./model_conflicts.ts";
import type { Config } from "./schema.ts";

/** Sources that generate their samples and so have no text to split. */
export const SYNTHETIC_SOURCES: readonly string[] = Object.keys(TASKS);

/**
 * Returns whether each source is a synthetic task; undefined for an unknown name, which is rejected later, when the data is
 * loaded.
 */
function syntheticSources({ data: { files, source, sources, tasks } }: Config): (boolean | undefined)[] {
  const all = sources.length > 0 ? sources : [{ files, source }];
  return all.map(({ files, source }) => {
    if (files.length > 0 || source === null) return false;
    if (tasks !== null || SYNTHETIC_SOURCES.includes(source)) return true;
    return Object.hasOwn(CATALOGUE, source) ? false : undefined;
  });
}

const isSynthetic = (config: Config): boolean => syntheticSources(config).every(Boolean);

function mixtureIsExclusive({ data }: Config): Conflict | undefined {
  if (data.sources.length === 0) return undefined;
  const others: [key: string, set: boolean, instead: string][] = [
    ["data.source", data.source !== DATA_KEYS.source.default, "an entry of data.sources"],
    ["data.files", data.files.length > 0, "an entry of data.sources"],
    ["data.field", data.field !== null, "a field in the entries of data.sources"],
    ["data.split_files.val", data.split_files.val.length > 0, "[]"],
    ["data.split_files.test", data.split_files.test.length > 0, "[]"],
  ];
  const [key, , instead] = others.find(([, set]) => set) ?? [];
  if (key === undefined) return undefined;
  const message = `cannot be combined with data.sources; use ${instead} instead.`;
  return { key, keys: [key, "data.sources"], message };
}

function sourcesAreUnambiguous({ data: { sources } }: Config): Conflict | undefined {
  const at = sources.findIndex(({ source, files }) => (source === null) === (files.length === 0));
  if (at < 0) return undefined;
  const [key, { source }] = [`data.sources.${at}`, sources[at]];
  const given = source === null ? "neither source nor files" : `source ${source} and files`;
  return { key, keys: [key], message: `found ${given}; expected one of them.` };
}

function fieldsNeedFiles({ data: { sources, files, source, field } }: Config): Conflict | undefined {
  const all = [
    { key: "data", files, source, field },
    ...sources.map((entry, i) => ({ key: `data.sources.${i}`, ...entry })),
  ];
  const wrong = all.find((entry) => entry.field !== null && entry.files.length === 0);
  if (wrong === undefined) return undefined;
  const key = `${wrong.key}.field`;
  const message =
    `${wrong.field} is only for files of JSON lines, found the source ${wrong.source}; expected null.`;
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
    message: `${split} is empty, since data.split.${split} is 0; expected a split that is not empty.`,
  };
}

// A decay that ends before its warmup is a mistake; a run that ends before its warmup may be a short test.
function decayOutlastsWarmup({ schedule: { name, warmup, steps } }: Config): Conflict | undefined {
  if (!SCHEDULES[name].ends || steps === null || warmup <= steps) return undefined;
  return {
    key: "schedule.warmup",
    keys: ["schedule.warmup", "schedule.steps"],
    message: `${warmup} is above schedule.steps ${steps}; expected at most ${steps}.`,
  };
}

// If optimizer.lr is lowered for fine-tuning but min_lr is not, the rate would rise instead of fall.
function ratesFall({ optimizer: { lr }, schedule: { name, min_lr } }: Config): Conflict | undefined {
  if (SCHEDULES[name].flat || min_lr <= lr) return undefined;
  return {
    key: "schedule.min_lr",
    keys: ["schedule.min_lr", "optimizer.lr"],
    message: `${min_lr} is above optimizer.lr ${lr}; expected at most ${lr}.`,
  };
}

function tokenizerHasFile({ tokenizer: { kind, file } }: Config): Conflict | undefined {
  if ((kind === "huggingface") === (file !== null)) return undefined;
  const message = file === null
    ? "null; the kind huggingface needs a tokenizer.json."
    : `${file} is for the kind huggingface, found ${kind}; expected null.`;
  return { key: "tokenizer.file", keys: ["tokenizer.file", "tokenizer.kind"], message };
}

/** Describes the source of the samples, for error messages. */
function sourceOf({ data: { files, source, sources, tasks } }: Config): string {
  if (sources.length > 0) return "data.sources of texts only";
  return files.length > 0 ? "data.files" : tasks === null ? `data.source ${source}` : `data.tasks ${tasks}`;
}

const SOURCE_KEYS = ["data.source", "data.sources", "data.files", "data.tasks"];

function answersNeedTasks(config: Config): Conflict | undefined {
  if (!config.data.answer_only || syntheticSources(config).some((x) => x !== false)) return undefined;
  const key = "data.answer_only";
  const message = `true is only for synthetic tasks, found ${sourceOf(config)}; expected false.`;
  return { key, keys: [key, ...SOURCE_KEYS], message };
}

function splitFilesNeedTexts(config: Config): Conflict | undefined {
  const split = (["val", "test"] as const).find((name) => config.data.split_files[name].length > 0);
  if (split === undefined || !isSynthetic(config)) return undefined;
  const key = `data.split_files.${split}`;
  const message = `files are only for texts, found the synthetic task of ${sourceOf(config)}; expected [].`;
  return { key, keys: [key, ...SOURCE_KEYS], message };
}

const CHECKS: readonly ((config: Config) => Conflict | undefined)[] = [
  ...MODEL_CHECKS,
  mixtureIsExclusive,
  sourcesAreUnambiguous,
  fieldsNeedFiles,
  splitsLeaveText,
  evaluatedSplitExists,
  decayOutlastsWarmup,
  ratesFall,
  tokenizerHasFile,
];

/** Checks that reject settings without effect; not applied to checkpoints, which may contain such settings. */
const NO_EFFECT_CHECKS = [answersNeedTasks, splitFilesNeedTexts];

/**
 * Returns warnings about settings that are valid but probably unintended, one line each. At present the only such warning
 * is about a warmup that is longer than the run.
 *
 * @example
 * ```ts
 * import { configWarnings, loadConfig } from "../../mod.ts";
 * configWarnings(await loadConfig("copy", ["train.steps=10"])); // schedule.warmup: 100 is above train.steps 10; ...
 * ```
 * @category Configuration
 */
export function configWarnings({ train: { steps }, schedule: { warmup } }: Config): string[] {
  if (warmup <= steps) return [];
  return [
    `schedule.warmup: ${warmup} is above train.steps ${steps}; the learning rate does not reach optimizer.lr.`,
  ];
}

/**
 * Returns the first conflict between keys, each of which is valid by itself, or undefined if there is no conflict.
 *
 * @param saved whether the configuration comes from a checkpoint, which may contain settings without effect
 */
export function firstConflict(config: Config, saved = false): Conflict | undefined {
  for (const check of saved ? CHECKS : [...CHECKS, ...NO_EFFECT_CHECKS]) {
    const conflict = check(config);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}
