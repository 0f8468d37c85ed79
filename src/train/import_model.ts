// A GPT-2 from a folder that Hugging Face's libraries wrote becomes a checkpoint like those of a run.
import { basename, join, resolve } from "node:path";
import { resolveConfig } from "../config/mod.ts";
import { idsTokenizer, type Tokenizer, tokenizerFromJSON } from "../data/mod.ts";
import { UserError } from "../errors.ts";
import { descriptionFiles, sealFiles } from "./checkpoint.ts";
import { modelOf } from "./experiment.ts";
import { fromGpt2Config, fromGpt2Tensors } from "./gpt2.ts";
import { bytesOf, checkFree, createFolder, jsonOf } from "./model_folder.ts";
import { decodeSafetensors, encodeSafetensors, type TensorData } from "./safetensors.ts";

const EXPECTED =
  "expected the folder of a model: config.json, model.safetensors, and tokenizer.json or vocab.json and merges.txt";

/** A model that has been imported. */
export interface ImportedModel {
  /** The checkpoint's folder. */
  readonly path: string;
  /** Number of trained values. */
  readonly parameters: number;
  /** Its tokenizer: that of the folder, or one of ids where the folder has none. */
  readonly tokenizer: Tokenizer;
  /** The configuration of its model, in a line: sizes. */
  readonly about: string;
}

/** GPT-2's one token that no merge makes. */
const END_OF_TEXT = "<|endoftext|>";

/** GPT-2's own two files as one of the newer kind: byte-level BPE. */
function fromVocabularyAndMerges(vocab: unknown, merges: string): unknown {
  const lines = merges.split("\n").map((line) => line.replace(/\r$/, ""));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const id = (vocab as Record<string, unknown> | null)?.[END_OF_TEXT];
  const end = { id, content: END_OF_TEXT, single_word: false, lstrip: false, rstrip: false, special: true };
  const pairs = lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: id === undefined ? [] : [end],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges: pairs },
  };
}

/** The tokenizer of a folder: that of its file, or of the two older ones; of ids where it has neither. */
async function tokenizerOf(folder: string, size: number): Promise<Tokenizer> {
  let [file, place] = [await jsonOf(join(folder, "tokenizer.json")), join(folder, "tokenizer.json")];
  if (file === undefined) {
    const vocab = await jsonOf(join(folder, "vocab.json"));
    const merges = await bytesOf(join(folder, "merges.txt"));
    if (vocab === undefined || !merges) return idsTokenizer(size);
    [file, place] = [
      fromVocabularyAndMerges(vocab, new TextDecoder().decode(merges)),
      join(folder, "vocab.json"),
    ];
  }
  try {
    return tokenizerFromJSON(file);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`${place}: ${error.message}`) : error;
  }
}

/**
 * Imports a GPT-2 from a folder in Hugging Face's layout as a checkpoint that generation, verification, training
 * (`train.from`) and analysis take like any other.
 *
 * The checkpoint's configuration has the model's shape, and for training on it a rate of 3e-5 without warmup or decay.
 *
 * @param folder config.json, model.safetensors of any float dtype, and tokenizer.json or vocab.json and merges.txt
 * @param out the checkpoint's folder, which must not be there yet
 * @param name of the model, its folder's where none is given
 * @throws {UserError} where a file is missing or damaged, the model is no GPT-2 that heed computes, or `out` exists
 *
 * @example
 * ```ts
 * import { importModel, UserError } from "../../mod.ts";
 * try {
 *   const { path, parameters } = await importModel("downloads/gpt2", "runs/gpt2");
 *   console.log(path, parameters);
 * } catch (error) {
 *   if (error instanceof UserError) console.error(error.message);
 * }
 * ```
 */
export async function importModel(
  folder: string,
  out: string,
  name: string = basename(resolve(folder)),
): Promise<ImportedModel> {
  await checkFree(out);
  const place = (file: string) => join(folder, file);
  const found = await jsonOf(place("config.json"));
  const bytes = found === undefined ? undefined : await bytesOf(place("model.safetensors"));
  if (!bytes) {
    const missing = found === undefined ? "config.json" : "model.safetensors";
    throw new UserError(`${place(missing)}: no such file, ${EXPECTED}.`);
  }
  const model = fromGpt2Config(found, place("config.json"));
  const { tensors } = decodeSafetensors(bytes, place("model.safetensors"));
  const parameters = fromGpt2Tensors(tensors, model, place("model.safetensors"));
  const tokenizer = await tokenizerOf(folder, model.vocabulary!);
  const config = resolveConfig({
    name,
    model,
    tokenizer: tokenizer.kind === "ids"
      ? { kind: "ids" }
      : { kind: "huggingface", file: place("tokenizer.json") },
    train: { batch: 4, steps: 100 },
    optimizer: { lr: 3e-5 },
    schedule: { name: "constant", warmup: 0 },
    sample: { prompt: tokenizer.kind === "ids" ? "0" : "The", tokens: 20 },
  }, { place: place("config.json"), name });
  const made = modelOf(config, tokenizer);
  const stored = Object.fromEntries(
    [...parameters].map(([key, { shape, data }]): [string, TensorData] => {
      return [key, { dtype: "F32", shape: [...shape], data }];
    }),
  );
  const { files } = sealFiles({
    "model.safetensors": encodeSafetensors(stored, { format: "heed", step: "0" }),
    ...descriptionFiles(made),
  }, { step: 0, counter: 0, best: null, val_loss: null, device: "imported" });
  await createFolder(out, files);
  const { dim, layers, heads, context } = config.model;
  const about =
    `${layers} layers of ${heads} heads, dim ${dim}, context ${context}, vocabulary ${model.vocabulary}`;
  return { path: out, parameters: made.parameters, tokenizer, about };
}
