// The one definition of a configuration: each key's type, default and meaning. The validator, the defaults and the
// JSON Schema for editors all come from here, so that they cannot disagree.

import { z } from "./zod.ts";
import {
  flag,
  fraction,
  integer,
  nonEmptyText,
  notNegative,
  oneOf,
  positive,
  section,
  text,
} from "./fields.ts";
import { model, type ModelConfig } from "./model_schema.ts";
import { isMapping } from "../base/show.ts";

/** The whole of an experiment, every key present. What a key means is said once, in `configJsonSchema`. */
export type Config = {
  name: string;
  seed: number;
  device: "auto" | "webgpu" | "cpu";
  data: {
    source: string;
    sources: { source: string | null; files: string[]; field: string | null; weight: number }[];
    files: string[];
    field: string | null;
    split: { val: number; test: number };
    split_files: { val: string[]; test: string[] };
    sample: string | null;
    tasks: string | null;
    sampling: "crops" | "windows";
    answer_only: boolean;
    cache: string;
  };
  tokenizer: {
    kind: "char" | "byte" | "bpe" | "gpt2" | "huggingface" | "ids";
    unknown: "error" | "token";
    size: number;
    file: string | null;
    crop: boolean;
  };
  model: ModelConfig;
  train: {
    steps: number;
    batch: number;
    accumulate: number;
    from: string | null;
    freeze: string[];
    stop: number | null;
    stop_nonfinite: number | null;
  };
  optimizer: {
    name: "adamw" | "adam" | "sgd" | "lion" | "muon";
    lr: number;
    betas: [number, number];
    eps: number;
    momentum: number | null;
    nesterov: boolean | null;
    weight_decay: number;
    clip: number;
  };
  schedule: {
    name: "cosine" | "constant" | "linear" | "cyclic" | "plateau" | "rsqrt";
    warmup: number;
    min_lr: number;
    steps: number | null;
    cycle: number;
    factor: number;
    patience: number;
  };
  eval: { every: number; batches: number; split: "train" | "val" | "test" };
  sample: { prompt: string; tokens: number; temperature: number; top_k: number | null; seed: number };
  output: { dir: string; checkpoint_every: number };
  track: { select: string[]; every: number }[];
  capture: { layers: number[]; heads: number[]; samples: number; queries: number[]; every: number }[];
  hooks: { file: string | null; [key: string]: number | boolean | string | null };
};

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

/** The validator of a configuration's keys and types, one key at a time; `resolveConfig` also checks keys together. */
export type ConfigSchema = {
  /** The configuration with its defaults filled in; throws the validator's own error. */
  parse(raw: unknown): Config;
};

const NAME = "a name for a folder, without slashes or control characters";

const SAMPLE = 'file, line, "n lines" or null';

const SOURCES = "a list of entries such as {source: brown, weight: 3} or {files: [a.txt], weight: 1}";

const files = () => z.array(nonEmptyText(), { error: "a list of files or folders" }).default([]);

const field = () => nonEmptyText().nullable().default(null);

const data = section({
  source: nonEmptyText().default("brown").describe(
    "What to learn: a corpus of the catalogue (brown, tiny_shakespeare) or a synthetic task (copy, induction, sort).",
  ),
  tasks: nonEmptyText().nullable().default(null).describe(
    "A TypeScript file of synthetic tasks of your own, for source to name; null: none.",
  ),
  files: files().describe(
    "Local text files or folders, relative to the working folder; where given they replace source.",
  ),
  field: field().describe(
    "Files of JSON lines: the field of each line's object that holds the text (a.b for b of a); null: files are text.",
  ),
  sources: z.array(
    section({
      source: nonEmptyText().nullable().default(null).describe("A corpus or a synthetic task; null: files."),
      files: files().describe("Text files or folders instead, as data.files."),
      field: field().describe("As data.field, for these files."),
      weight: positive().default(1).describe("Its share of the rows is weight / sum of all weights."),
    }),
    { error: SOURCES },
  ).default([]).describe(
    "Several sources mixed by weight, instead of source and files: each row is of one of them, drawn by the seed. " +
      "Splits are cut from each, the validation loss is the mean over the tokens of all. []: none.",
  ),
  split: section({
    val: fraction().default(0.1).describe("Fraction of the text, after the training part, to validate on."),
    test: fraction().default(0.05).describe("Fraction of the text, at its end, kept for testing."),
  }).prefault({}).describe(
    "How a text is divided, by order, in characters (with data.sample in samples); a synthetic task needs no split.",
  ),
  split_files: section({
    val: files().describe(
      "Files or folders to validate on, instead of a fraction of the text.",
    ),
    test: files().describe(
      "Files or folders kept for testing, instead of a fraction of the text.",
    ),
  }).prefault({}).describe("Splits that are files of their own."),
  sample: z.string({ error: SAMPLE }).regex(/^(file|line|[1-9]\d* lines)$/, { error: SAMPLE }).nullable()
    .default(null).describe(
      "What a row holds, padded right: a file, a line, or n lines (4 lines); null: any part of the whole text.",
    ),
  sampling: oneOf("crops", "windows").default("crops").describe(
    "crops: random crops with replacement (nanoGPT's). windows: every window once an epoch, in seeded order.",
  ),
  answer_only: flag().default(false).describe("Synthetic tasks: count the loss on the answer alone."),
  cache: nonEmptyText().default(".cache").describe("Folder for downloaded corpora."),
});

const tokenizer = section({
  kind: oneOf("char", "byte", "bpe", "gpt2", "huggingface", "ids").default("char").describe(
    "char: one token for each code point of the text, all splits. byte: each byte of UTF-8. bpe: byte-pair encoding " +
      "trained on the train split. gpt2: GPT-2's. huggingface: a tokenizer.json. ids: the text is ids, separated by spaces.",
  ),
  unknown: oneOf("error", "token").default("error").describe(
    "An unknown character (for char and where crop is on) is an error, or becomes the token <unk>.",
  ),
  size: integer(256).default(1000).describe("Tokens of bpe, its 256 bytes among them."),
  file: nonEmptyText().nullable().default(null).describe("The tokenizer.json of huggingface."),
  crop: flag().default(false).describe("Keep only the tokens that the text uses."),
});

const OR_NULL = ", or null";

const asList = (raw: unknown): unknown => Array.isArray(raw) || raw === undefined ? raw : [raw];

const train = section({
  steps: integer(1).default(300).describe("Optimizer steps."),
  batch: integer(1).default(12).describe("Sequences in one forward pass."),
  accumulate: integer(1).default(1).describe(
    "Forward passes of one step: the mean over the targets of all of them.",
  ),
  from: nonEmptyText().nullable().default(null).describe(
    "A run or checkpoint whose parameters and tokenizer the run starts with; null: fresh ones.",
  ),
  freeze: z.preprocess(asList, z.array(nonEmptyText(), { error: "a list of globs over parameter names" }))
    .default([]).describe(
      "Globs of the parameters that are never trained, ! excludes; they have no gradient.",
    ),
  stop: integer(1, OR_NULL).nullable().default(null).describe(
    "Evaluations without a better loss after which the run ends; null: at train.steps.",
  ),
  stop_nonfinite: integer(1, OR_NULL).nullable().default(10).describe(
    "Steps in a row whose loss or gradient norm is not finite after which the run stops as diverged; null: it never does.",
  ),
});

const optimizer = section({
  name: oneOf("adamw", "adam", "sgd", "lion", "muon").default("adamw").describe(
    "muon moves the matrices of the blocks and leaves the rest to AdamW. Only matrices decay.",
  ),
  lr: positive().default(1e-3).describe("Learning rate after warmup."),
  betas: z.tuple([fraction(), fraction()], { error: "a list of two numbers of at least 0 and below 1" })
    .default([0.9, 0.99]).describe("Decay of the first and second moment; not of sgd."),
  eps: positive().default(1e-8).describe("Added to the root of the second moment."),
  momentum: fraction(OR_NULL).nullable().default(null).describe(
    "Of sgd and muon; null: 0.9 for sgd, 0.95 for muon.",
  ),
  nesterov: z.boolean({ error: "true, false or null" }).nullable().default(null).describe(
    "Nesterov's momentum in sgd and muon; null: in muon alone.",
  ),
  weight_decay: notNegative().default(0.1).describe(
    "Decoupled decay, times the learning rate each step; of adam and sgd a part of the gradient.",
  ),
  clip: notNegative().default(1).describe("Largest global norm of the gradient; 0: no clip."),
});

const schedule = section({
  name: oneOf("cosine", "constant", "linear", "cyclic", "plateau", "rsqrt").default("cosine").describe(
    "The learning rate after warmup; plateau lowers it where evaluations get no better.",
  ),
  warmup: integer(0).default(100).describe("Steps of linear warmup."),
  min_lr: notNegative().default(1e-4).describe(
    "The lowest rate: where cosine and linear end, others turn or stop.",
  ),
  steps: integer(1, ", or null").nullable().default(null).describe(
    "Decay over this many; null: train.steps.",
  ),
  cycle: integer(2).default(100).describe("cyclic: steps from the highest rate to the lowest and back."),
  factor: fraction().default(0.5).describe("plateau: what the rate is multiplied by."),
  patience: integer(0).default(3).describe(
    "plateau: evaluations without a lower loss that it waits; the next one lowers the rate.",
  ),
});

const evaluation = section({
  every: integer(1).default(100).describe("Steps between evaluations."),
  batches: integer(0).default(0).describe("Batches of one evaluation; 0: the whole split."),
  split: oneOf("train", "val", "test").default("val").describe("The split to evaluate on."),
});

const sample = section({
  prompt: text().default("\n").describe("Text to continue."),
  tokens: integer(0).default(200).describe("Tokens to generate; 0: no sample."),
  temperature: notNegative().default(0.8).describe("Divides the logits; 0 takes the most likely token."),
  top_k: integer(1, ", or null").nullable().default(null).describe("Keep the k most likely; null: all."),
  seed: integer().default(1).describe("Seed of the draws."),
});

const output = section({
  dir: nonEmptyText().default("runs").describe("Folder the runs are written to."),
  checkpoint_every: integer(0).default(0).describe(
    "Steps between checkpoints; 0: only at evaluations, best and last.",
  ),
});

const WATCHED = 'everything, or a list of entries such as {select: ["act:blocks.*.attn.*"], every: 10}';

/** `everything`, one selector, or one entry stand for a list of one entry. */
function asEntries(raw: unknown): unknown {
  if (raw === null) return [];
  if (typeof raw === "string") return [{ select: [raw] }];
  return isMapping(raw) ? [raw] : raw;
}

const track = z.preprocess(
  asEntries,
  z.array(
    section({
      select: z.preprocess(asList, z.array(nonEmptyText(), { error: "a list of selectors" }))
        .default(["everything"]).describe(
          "Globs over tap and parameter names, act:, grad:, param:, param_grad:, opt: or update: before them, ! excludes.",
        ),
      every: integer(1).default(1).describe("Steps between two records."),
    }),
    { error: WATCHED },
  ),
).default([]).describe(`Which tensors' statistics are recorded, and how often: ${WATCHED}. [] records none.`);

const numbers = (what: string) =>
  z.preprocess(asList, z.array(integer(0), { error: `a list of ${what}` })).default([]);

const capture = z.preprocess(
  (raw) => raw === null ? [] : isMapping(raw) ? [raw] : raw,
  z.array(
    section({
      layers: numbers("layers").describe("Blocks, from 0; []: all."),
      heads: numbers("heads").describe("Heads, from 0; []: all."),
      samples: integer(1).default(1).describe("Samples of the evaluated split, from its first."),
      queries: numbers("query positions").describe("Rows, from 0; []: all."),
      every: integer(1).default(100).describe("Steps between two captures."),
    }),
    { error: "a list of entries such as {layers: [0], heads: [1], every: 100}" },
  ),
).default([]).describe("Attention patterns and scores that are stored whole, for the rows asked for.");

const hooks = z.object({
  file: nonEmptyText().nullable().default(null).describe(
    "A TypeScript file whose hooks, batch transforms, freezing and metrics the run takes; null: none.",
  ),
}, { error: "a mapping of keys" }).catchall(
  z.union([z.number(), z.boolean(), z.string(), z.null()], { error: "a number, true or false, or text" }),
);

/** The validator itself, for this room alone: {@link configSchema} shows what others may rely on. */
export const definition = section({
  name: z.string({ error: NAME }).regex(/^(?!\.{1,2}$)[^/\\\p{Cc}]+$/u, { error: NAME })
    .describe("Name of the run; without it, the file's name."),
  seed: integer().default(1).describe("Seed of initialisation, batches and dropout; its low 32 bits count."),
  device: oneOf("auto", "webgpu", "cpu").default("auto").describe("Where to run; auto takes the fastest."),
  data: data.prefault({}).describe("Where the text comes from and how it is cut."),
  tokenizer: tokenizer.prefault({}).describe("From text to tokens."),
  model: model.prefault({}).describe("The transformer."),
  train: train.prefault({}).describe("How long and how much at once."),
  optimizer: optimizer.prefault({}).describe("The update of the parameters."),
  schedule: schedule.prefault({}).describe("The learning rate over the steps."),
  eval: evaluation.prefault({}).describe("Evaluation during training."),
  sample: sample.prefault({}).describe("The text generated at the end."),
  output: output.prefault({}).describe("What is written, and where."),
  track,
  capture,
  hooks: hooks.prefault({}).describe("Code of your own, and the keys it declares."),
});

/**
 * The definition of a configuration: every key typed and defaulted, unknown keys refused. It checks one key at a
 * time and throws the validator's own error; `resolveConfig` also checks keys against one another and throws one line.
 *
 * @example
 * ```ts
 * import { configSchema } from "./schema.ts";
 * configSchema.parse({ name: "tiny", model: { dim: 32 } }).model.heads; // 4
 * ```
 */
export const configSchema: ConfigSchema = definition;

/** The JSON Schema of one run's configuration: a section's keys are `properties`, a list's entries `items`. */
export function runJsonSchema(): JsonSchema {
  const { required: _, ...schema } = z.toJSONSchema(
    definition,
    {
      io: "input",
      title: "heed configuration",
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        const { def } = zodSchema._zod;
        // Zod leaves out a default that stands before a conversion; ours converts nothing but numbers in quotes.
        if (def.type === "default") jsonSchema.default = def.defaultValue as typeof jsonSchema.default;
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      },
    } as Parameters<typeof z.toJSONSchema>[1],
  );
  return schema as JsonSchema;
}
