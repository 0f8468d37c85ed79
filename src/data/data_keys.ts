// The configuration keys of the data and the tokenizer.
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
      "Dataset: a corpus (brown or tiny_shakespeare) or a synthetic task (such as copy, induction or sort).",
  },
  tasks: {
    is: "text",
    default: null,
    doc: "TypeScript file that defines further synthetic tasks, which source can name; null: none.",
  },
  files: {
    ...FILES,
    doc: "Local text files or directories, relative to the working directory; they replace source.",
  },
  field: {
    is: "text",
    default: null,
    doc:
      "For files of JSON lines: the field that holds the text (a.b: field b of the object a); null: the files are plain text.",
  },
  sources: {
    entries: {
      source: {
        is: "text",
        default: null,
        doc: "Corpus or synthetic task; null: the entry has files instead.",
      },
      files: { ...FILES, doc: "Text files or directories, instead of source; see data.files." },
      field: { is: "text", default: null, doc: "The same as data.field, for these files." },
      weight: {
        is: "positive",
        default: 1,
        doc: "The source's share of the rows is weight / sum of all weights.",
      },
    },
    expected: "a list of entries such as {source: brown, weight: 3} or {files: [a.txt], weight: 1}",
    doc:
      "Several sources mixed by weight, instead of source and files: each row comes from one source, drawn at random with " +
      "the seed. Each source is split separately; the validation loss is the mean over the tokens of all sources. []: none.",
  },
  split: {
    keys: {
      val: {
        is: "fraction",
        default: 0.1,
        doc: "Fraction of the text, after the training part, for validation.",
      },
      test: { is: "fraction", default: 0.05, doc: "Fraction of the text, at its end, for testing." },
    },
    doc:
      "Fractions of a text's characters (of its samples if data.sample is set), cut in order; not for synthetic tasks.",
  },
  split_files: {
    keys: {
      val: { ...FILES, doc: "Files or directories for validation, instead of a fraction of the text." },
      test: { ...FILES, doc: "Files or directories for testing, instead of a fraction of the text." },
    },
    doc: "Separate files for the splits.",
  },
  sample: {
    matches: /^(file|line|[1-9]\d* lines)$/,
    expected: 'file, line, "n lines" or null',
    default: null,
    doc:
      "Each row is a file, a line, or n lines (for example 4 lines), padded on the right; null: a window of the whole text.",
  },
  sampling: {
    oneOf: SAMPLINGS,
    default: "crops",
    doc:
      "crops: random crops with replacement (as in nanoGPT). windows: every window once per epoch, in seeded order.",
  },
  answer_only: { is: "flag", default: false, doc: "Synthetic tasks: computes the loss on the answer only." },
  cache: { is: "text", default: ".cache", doc: "Directory for downloaded corpora." },
} as const satisfies Keys;

/** The keys of `tokenizer` in a configuration. */
export const TOKENIZER_KEYS = {
  kind: {
    oneOf: TOKENIZER_KINDS,
    default: "char",
    doc:
      "char: one token per code point that occurs in any split. byte: one per byte of UTF-8. bpe: byte-pair encoding " +
      "trained on the train split. gpt2: GPT-2's. huggingface: a tokenizer.json. ids: the text is token ids separated by spaces.",
  },
  unknown: {
    oneOf: UNKNOWN_POLICIES,
    default: "error",
    doc: "Whether unknown characters (with char, or if crop is true) are an error or become the token <unk>.",
  },
  size: { least: 256, default: 1000, doc: "Vocabulary size of bpe, including the 256 bytes." },
  file: { is: "text", default: null, doc: "Path of the tokenizer.json, for huggingface." },
  crop: { is: "flag", default: false, doc: "Keeps only the tokens that occur in the text." },
} as const satisfies Keys;

/** The section `data` of a configuration, see {@link DATA_KEYS}. */
export type DataOptions = KeyValues<typeof DATA_KEYS>;

/** One source of a mixture, see {@link DATA_KEYS}. */
export type MixedOptions = DataOptions["sources"][number];

/** The section `tokenizer` of a configuration, see {@link TOKENIZER_KEYS}. */
export type TokenizerOptions = KeyValues<typeof TOKENIZER_KEYS>;
