// The keys that say which data is wanted, and between what and what a tokenizer translates.
import type { Keys, KeyValues } from "../base/keys.ts";
import { SAMPLINGS } from "./batches.ts";
import { TOKENIZER_KINDS, UNKNOWN_POLICIES } from "./tokenizer.ts";

const FILES = { list: "text", default: [], expected: "a list of files or folders" } as const;

/** The keys of `data` in a configuration. */
export const DATA_KEYS = {
  source: {
    is: "text",
    default: "brown",
    doc:
      "What to learn: a corpus of the catalogue (brown, tiny_shakespeare) or a synthetic task (copy, induction, sort).",
  },
  tasks: {
    is: "text",
    default: null,
    doc: "A TypeScript file of synthetic tasks of your own, for source to name; null: none.",
  },
  files: {
    ...FILES,
    doc: "Local text files or folders, relative to the working folder; where given they replace source.",
  },
  field: {
    is: "text",
    default: null,
    doc:
      "Files of JSON lines: the field of each line's object that holds the text (a.b for b of a); null: files are text.",
  },
  sources: {
    entries: {
      source: { is: "text", default: null, doc: "A corpus or a synthetic task; null: files." },
      files: { ...FILES, doc: "Text files or folders instead, as data.files." },
      field: { is: "text", default: null, doc: "As data.field, for these files." },
      weight: { is: "positive", default: 1, doc: "Its share of the rows is weight / sum of all weights." },
    },
    expected: "a list of entries such as {source: brown, weight: 3} or {files: [a.txt], weight: 1}",
    doc:
      "Several sources mixed by weight, instead of source and files: each row is of one of them, drawn by the seed. " +
      "Splits are cut from each, the validation loss is the mean over the tokens of all. []: none.",
  },
  split: {
    keys: {
      val: {
        is: "fraction",
        default: 0.1,
        doc: "Fraction of the text, after the training part, to validate on.",
      },
      test: { is: "fraction", default: 0.05, doc: "Fraction of the text, at its end, kept for testing." },
    },
    doc:
      "How a text is divided, by order, in characters (with data.sample in samples); a synthetic task needs no split.",
  },
  split_files: {
    keys: {
      val: { ...FILES, doc: "Files or folders to validate on, instead of a fraction of the text." },
      test: { ...FILES, doc: "Files or folders kept for testing, instead of a fraction of the text." },
    },
    doc: "Splits that are files of their own.",
  },
  sample: {
    matches: /^(file|line|[1-9]\d* lines)$/,
    expected: 'file, line, "n lines" or null',
    default: null,
    doc:
      "What a row holds, padded right: a file, a line, or n lines (4 lines); null: any part of the whole text.",
  },
  sampling: {
    oneOf: SAMPLINGS,
    default: "crops",
    doc:
      "crops: random crops with replacement (nanoGPT's). windows: every window once an epoch, in seeded order.",
  },
  answer_only: { is: "flag", default: false, doc: "Synthetic tasks: count the loss on the answer alone." },
  cache: { is: "text", default: ".cache", doc: "Folder for downloaded corpora." },
} as const satisfies Keys;

/** The keys of `tokenizer` in a configuration. */
export const TOKENIZER_KEYS = {
  kind: {
    oneOf: TOKENIZER_KINDS,
    default: "char",
    doc:
      "char: one token for each code point of the text, all splits. byte: each byte of UTF-8. bpe: byte-pair encoding " +
      "trained on the train split. gpt2: GPT-2's. huggingface: a tokenizer.json. ids: the text is ids, separated by spaces.",
  },
  unknown: {
    oneOf: UNKNOWN_POLICIES,
    default: "error",
    doc: "An unknown character (for char and where crop is on) is an error, or becomes the token <unk>.",
  },
  size: { least: 256, default: 1000, doc: "Tokens of bpe, its 256 bytes among them." },
  file: { is: "text", default: null, doc: "The tokenizer.json of huggingface." },
  crop: { is: "flag", default: false, doc: "Keep only the tokens that the text uses." },
} as const satisfies Keys;

/** Which data is wanted: the section `data` of a configuration, see {@link DATA_KEYS}. */
export type DataOptions = KeyValues<typeof DATA_KEYS>;

/** One source of a mixture, see {@link DATA_KEYS}. */
export type MixedOptions = DataOptions["sources"][number];

/** Which tokenizer is wanted: the section `tokenizer` of a configuration, see {@link TOKENIZER_KEYS}. */
export type TokenizerOptions = KeyValues<typeof TOKENIZER_KEYS>;
