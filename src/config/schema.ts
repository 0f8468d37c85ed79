// The definition of a configuration: the type, the default and the meaning of each key. The keys of a model are defined in
// src/nn. The types, the validator, the defaults and the JSON Schema for editors are all derived from this definition, so
// that they cannot disagree.

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
  steps: { least: 1, default: 300, doc: "Number of optimizer steps." },
  batch: { least: 1, default: 12, doc: "Sequences per forward pass." },
  accumulate: {
    least: 1,
    default: 1,
    doc: "Gradient accumulation: forward passes per step; the loss is the mean over all their targets.",
  },
  from: {
    is: "text",
    default: null,
    doc: "Run or checkpoint to start from: its parameters and tokenizer; null: from scratch.",
  },
  freeze: {
    list: "text",
    from: asList,
    default: [],
    expected: "a list of globs over parameter names",
    doc: "Globs of the parameters to freeze; a leading ! excludes. Frozen parameters have no gradient.",
  },
  stop: {
    least: 1,
    default: null,
    doc: "Early stopping: ends the run after this many evaluations without a better loss; null: never.",
  },
  threads: {
    least: 1,
    orNull: true,
    default: null,
    doc: "Threads of the CPU device; the results are the same for any number. null: one per core.",
  },
  stop_nonfinite: {
    least: 1,
    orNull: true,
    default: 10,
    doc:
      "Stops the run as diverged after this many steps in a row whose loss or gradient norm is not finite; null: never.",
  },
} as const satisfies Keys;

const EVALUATION = {
  every: { least: 1, default: 100, doc: "Steps between evaluations." },
  batches: { least: 0, default: 0, doc: "Batches per evaluation; 0: the whole split." },
  split: { oneOf: ["train", "val", "test"], default: "val", doc: "Split to evaluate on." },
} as const satisfies Keys;

const SAMPLE = {
  prompt: { is: "string", default: "\n", doc: "Text to continue." },
  tokens: { least: 0, default: 200, doc: "Number of tokens to generate; 0: no sample." },
  temperature: { is: "amount", default: 0.8, doc: "Divides the logits; 0: greedy, the most likely token." },
  top_k: { least: 1, default: null, doc: "Samples from the k most likely tokens; null: from all." },
  seed: { is: "integer", default: 1, doc: "Seed of the sampling." },
} as const satisfies Keys;

const OUTPUT = {
  dir: { is: "text", default: "runs", doc: "Directory that runs are written to." },
  checkpoint_every: {
    least: 0,
    default: 0,
    doc: "Steps between checkpoints; 0: saves checkpoints (best and last) only at evaluations.",
  },
} as const satisfies Keys;

const WATCHED = 'everything, or a list of entries such as {select: ["act:blocks.*.attn.*"], every: 10}';

/** Converts short forms of a list: a single entry stands for a list with one entry, and null for an empty list. */
const asEntries = (raw: unknown): unknown => raw === null ? [] : isMapping(raw) ? [raw] : raw;

const TRACK = {
  entries: {
    select: {
      list: "text",
      from: asList,
      default: ["everything"],
      expected: "a list of selectors",
      doc:
        "Globs over tap and parameter names, optionally after act:, grad:, param:, param_grad:, opt: or update:; a leading ! excludes.",
    },
    every: { least: 1, default: 1, doc: "Steps between records." },
  },
  // A text, which is `everything` or a single selector, is a short form of an entry.
  from: (raw: unknown): unknown => typeof raw === "string" ? [{ select: [raw] }] : asEntries(raw),
  expected: WATCHED,
  doc: `Which tensors' statistics are recorded, and how often: ${WATCHED}. [] records none.`,
} as const satisfies KeyList;

const NUMBERS = { list: "integer", least: 0, from: asList, default: [] } as const;

const CAPTURE = {
  entries: {
    layers: { ...NUMBERS, expected: "a list of layers", doc: "Blocks, counted from 0; []: all." },
    heads: { ...NUMBERS, expected: "a list of heads", doc: "Heads, counted from 0; []: all." },
    samples: { least: 1, default: 1, doc: "Number of samples, from the start of the evaluated split." },
    queries: {
      ...NUMBERS,
      expected: "a list of query positions",
      doc: "Query positions, counted from 0; []: all.",
    },
    every: { least: 1, default: 100, doc: "Steps between captures." },
  },
  from: asEntries,
  expected: "a list of entries such as {layers: [0], heads: [1], every: 100}",
  doc: "Attention patterns and scores to store in full, for the given layers, heads and queries.",
} as const satisfies KeyList;

/** The keys of a configuration: the allowed values, the default and the meaning of each key. */
export const CONFIG_KEYS = {
  name: {
    matches: /^(?!\.{1,2}$)[^/\\\p{Cc}]+$/u,
    expected: "a name for a folder, without slashes or control characters",
    doc: "Name of the run. Default: the name of the file.",
  },
  seed: {
    is: "integer",
    default: 1,
    doc: "Seed of initialisation, batches and dropout; only its low 32 bits are used.",
  },
  device: {
    oneOf: DEVICE_CHOICES,
    default: "auto",
    doc: "Device to run on; auto: the fastest; reference: plain TypeScript, slow, for comparison.",
  },
  data: { keys: DATA_KEYS, doc: "The training data and its splits." },
  tokenizer: { keys: TOKENIZER_KEYS, doc: "How text becomes tokens." },
  model: { keys: MODEL_KEYS, doc: "The transformer." },
  train: { keys: TRAIN, doc: "Number of steps, batch size and when to stop." },
  optimizer: { keys: OPTIMIZER_KEYS, doc: "The optimizer." },
  schedule: { keys: SCHEDULE_KEYS, doc: "The learning rate schedule." },
  eval: { keys: EVALUATION, doc: "Evaluation during training." },
  sample: { keys: SAMPLE, doc: "Text generated at the end of the run." },
  output: { keys: OUTPUT, doc: "What is written, and where." },
  track: TRACK,
  capture: CAPTURE,
  hooks: {
    keys: {
      file: {
        is: "text",
        default: null,
        doc:
          "TypeScript file with the run's hooks, batch transforms, frozen parameters and metrics; null: none.",
      },
    },
    others: "a number, true or false, or text",
    doc: "User code, and the keys it declares.",
  },
} as const satisfies Keys;

/** The configuration of an experiment, in which every key is present. {@link CONFIG_KEYS} documents the keys.
 * @category Configuration */
export type Config = KeyValues<typeof CONFIG_KEYS>;

/** The parts of a JSON Schema that this module uses. */
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

/** The validator of a configuration. It checks each key by itself; `resolveConfig` also checks keys against one another. */
export const definition = section(CONFIG_KEYS) as unknown as z.ZodType<Config>;

/**
 * Returns the JSON Schema of one run's configuration. The schemas of a section's keys are in its `properties`, and the
 * schema of a list's entries is in its `items`.
 */
export function runJsonSchema(): JsonSchema {
  const { required: _, ...schema } = z.toJSONSchema(
    definition,
    {
      io: "input",
      // Editors and Python's jsonschema all support this draft.
      target: "draft-7",
      title: "heed configuration",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        const { def } = zodSchema._zod;
        // Zod omits a default before a conversion; our conversion affects only numbers in quotes.
        if (def.type === "default") jsonSchema.default = def.defaultValue as typeof jsonSchema.default;
        // A pair is written as a list of two numbers, which has the same form in every draft.
        if (def.type === "tuple" && Array.isArray(jsonSchema.items)) {
          const { items: [item], length } = { items: jsonSchema.items, length: jsonSchema.items.length };
          delete jsonSchema.additionalItems;
          Object.assign(jsonSchema, { items: item, minItems: length, maxItems: length });
        }
        // Python's regular expressions have no Unicode property escapes.
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
