// The one definition of a configuration: each key's type, default and meaning, but for a model's, which nn says. The types, the
// validator, the defaults and the JSON Schema for editors all come from here, so that they cannot disagree.

import { SCHEDULE_KEYS } from "../../kernels/optimizers/schedules.ts";
import { OPTIMIZER_KEYS } from "../../kernels/optimizers/table.ts";
import type { KeyList, Keys, KeyValues } from "../base/keys.ts";
import { isMapping } from "../base/show.ts";
import { DATA_KEYS, TOKENIZER_KEYS } from "../data/data_keys.ts";
import { DEVICE_CHOICES } from "../device/device.ts";
import { MODEL_KEYS } from "../nn/model_keys.ts";
import { section } from "./fields.ts";
import { z } from "./zod.ts";

const asList = (raw: unknown): unknown => Array.isArray(raw) || raw === undefined ? raw : [raw];

const TRAIN = {
  steps: { least: 1, default: 300, doc: "Optimizer steps." },
  batch: { least: 1, default: 12, doc: "Sequences in one forward pass." },
  accumulate: {
    least: 1,
    default: 1,
    doc: "Forward passes of one step: the mean over the targets of all of them.",
  },
  from: {
    is: "text",
    default: null,
    doc: "A run or checkpoint whose parameters and tokenizer the run starts with; null: fresh ones.",
  },
  freeze: {
    list: "text",
    from: asList,
    default: [],
    expected: "a list of globs over parameter names",
    doc: "Globs of the parameters that are never trained, ! excludes; they have no gradient.",
  },
  stop: {
    least: 1,
    default: null,
    doc: "Evaluations without a better loss after which the run ends; null: at train.steps.",
  },
  stop_nonfinite: {
    least: 1,
    orNull: true,
    default: 10,
    doc:
      "Steps in a row whose loss or gradient norm is not finite after which the run stops as diverged; null: it never does.",
  },
} as const satisfies Keys;

const EVALUATION = {
  every: { least: 1, default: 100, doc: "Steps between evaluations." },
  batches: { least: 0, default: 0, doc: "Batches of one evaluation; 0: the whole split." },
  split: { oneOf: ["train", "val", "test"], default: "val", doc: "The split to evaluate on." },
} as const satisfies Keys;

const SAMPLE = {
  prompt: { is: "string", default: "\n", doc: "Text to continue." },
  tokens: { least: 0, default: 200, doc: "Tokens to generate; 0: no sample." },
  temperature: { is: "amount", default: 0.8, doc: "Divides the logits; 0 takes the most likely token." },
  top_k: { least: 1, default: null, doc: "Keep the k most likely; null: all." },
  seed: { is: "integer", default: 1, doc: "Seed of the draws." },
} as const satisfies Keys;

const OUTPUT = {
  dir: { is: "text", default: "runs", doc: "Folder the runs are written to." },
  checkpoint_every: {
    least: 0,
    default: 0,
    doc: "Steps between checkpoints; 0: only at evaluations, best and last.",
  },
} as const satisfies Keys;

const WATCHED = 'everything, or a list of entries such as {select: ["act:blocks.*.attn.*"], every: 10}';

/** One entry stands for a list of one. */
const asEntries = (raw: unknown): unknown => raw === null ? [] : isMapping(raw) ? [raw] : raw;

const TRACK = {
  entries: {
    select: {
      list: "text",
      from: asList,
      default: ["everything"],
      expected: "a list of selectors",
      doc:
        "Globs over tap and parameter names, act:, grad:, param:, param_grad:, opt: or update: before them, ! excludes.",
    },
    every: { least: 1, default: 1, doc: "Steps between two records." },
  },
  // `everything`, or one selector, stands for an entry.
  from: (raw: unknown): unknown => typeof raw === "string" ? [{ select: [raw] }] : asEntries(raw),
  expected: WATCHED,
  doc: `Which tensors' statistics are recorded, and how often: ${WATCHED}. [] records none.`,
} as const satisfies KeyList;

const NUMBERS = { list: "integer", least: 0, from: asList, default: [] } as const;

const CAPTURE = {
  entries: {
    layers: { ...NUMBERS, expected: "a list of layers", doc: "Blocks, from 0; []: all." },
    heads: { ...NUMBERS, expected: "a list of heads", doc: "Heads, from 0; []: all." },
    samples: { least: 1, default: 1, doc: "Samples of the evaluated split, from its first." },
    queries: { ...NUMBERS, expected: "a list of query positions", doc: "Rows, from 0; []: all." },
    every: { least: 1, default: 100, doc: "Steps between two captures." },
  },
  from: asEntries,
  expected: "a list of entries such as {layers: [0], heads: [1], every: 100}",
  doc: "Attention patterns and scores that are stored whole, for the rows asked for.",
} as const satisfies KeyList;

/** The keys of a configuration: what each may be, its default and what it means. */
export const CONFIG_KEYS = {
  name: {
    matches: /^(?!\.{1,2}$)[^/\\\p{Cc}]+$/u,
    expected: "a name for a folder, without slashes or control characters",
    doc: "Name of the run; without it, the file's name.",
  },
  seed: {
    is: "integer",
    default: 1,
    doc: "Seed of initialisation, batches and dropout; its low 32 bits count.",
  },
  device: { oneOf: DEVICE_CHOICES, default: "auto", doc: "Where to run; auto takes the fastest." },
  data: { keys: DATA_KEYS, doc: "Where the text comes from and how it is cut." },
  tokenizer: { keys: TOKENIZER_KEYS, doc: "From text to tokens." },
  model: { keys: MODEL_KEYS, doc: "The transformer." },
  train: { keys: TRAIN, doc: "How long and how much at once." },
  optimizer: { keys: OPTIMIZER_KEYS, doc: "The update of the parameters." },
  schedule: { keys: SCHEDULE_KEYS, doc: "The learning rate over the steps." },
  eval: { keys: EVALUATION, doc: "Evaluation during training." },
  sample: { keys: SAMPLE, doc: "The text generated at the end." },
  output: { keys: OUTPUT, doc: "What is written, and where." },
  track: TRACK,
  capture: CAPTURE,
  hooks: {
    keys: {
      file: {
        is: "text",
        default: null,
        doc:
          "A TypeScript file whose hooks, batch transforms, freezing and metrics the run takes; null: none.",
      },
    },
    others: "a number, true or false, or text",
    doc: "Code of your own, and the keys it declares.",
  },
} as const satisfies Keys;

/** The whole of an experiment, every key present. What a key means is said once, in {@link CONFIG_KEYS}.
 * @category Configuration */
export type Config = KeyValues<typeof CONFIG_KEYS>;

/** A JSON Schema as far as this room looks into it. */
export type JsonSchema = {
  type?: string | string[];
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: boolean | JsonSchema;
  patternProperties?: Record<string, JsonSchema>;
  items?: boolean | JsonSchema;
  anyOf?: JsonSchema[];
  minItems?: number;
};

/** The validator of a configuration, one key at a time; `resolveConfig` also checks keys together. */
export const definition = section(CONFIG_KEYS) as unknown as z.ZodType<Config>;

/** The JSON Schema of one run's configuration: a section's keys are `properties`, a list's entries `items`. */
export function runJsonSchema(): JsonSchema {
  const { required: _, ...schema } = z.toJSONSchema(
    definition,
    {
      io: "input",
      // Editors and Python's jsonschema all know this one.
      target: "draft-7",
      title: "heed configuration",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        const { def } = zodSchema._zod;
        // Zod leaves out a default that stands before a conversion; ours converts nothing but numbers in quotes.
        if (def.type === "default") jsonSchema.default = def.defaultValue as typeof jsonSchema.default;
        // A pair is a list of two, which every dialect spells alike.
        if (def.type === "tuple" && Array.isArray(jsonSchema.items)) {
          const { items: [item], length } = { items: jsonSchema.items, length: jsonSchema.items.length };
          delete jsonSchema.additionalItems;
          Object.assign(jsonSchema, { items: item, minItems: length, maxItems: length });
        }
        // Python's expressions know no properties of characters.
        if (jsonSchema.pattern) {
          jsonSchema.pattern = jsonSchema.pattern.replace("\\p{Cc}", "\\u0000-\\u001f\\u007f-\\u009f");
        }
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      },
    } as Parameters<typeof z.toJSONSchema>[1],
  );
  return schema as JsonSchema;
}
