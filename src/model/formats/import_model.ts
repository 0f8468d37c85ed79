// Imports a GPT-2 model from a Hugging Face folder as a checkpoint in the format of a run's checkpoints.
import { basename, dirname, join, resolve } from "node:path";
import { resolveConfig } from "../../config/mod.ts";
import { describeValue, isMapping } from "../../base/show.ts";
import { idsTokenizer, type Tokenizer } from "../../data/mod.ts";
import { UserError } from "../../base/errors.ts";
import { reportProgress } from "../../base/progress.ts";
import { descriptionFiles, sealFiles, tokenizerAt } from "../checkpoint.ts";
import { modelOf } from "../model.ts";
import { fromGpt2Config, fromGpt2Tensors } from "./gpt2.ts";
import { bytesOf, checkFree, createFolder, jsonOf } from "./model_folder.ts";
import { exists } from "../../runs/run_folder.ts";
import { decodeSafetensors, encodeSafetensors, type TensorData } from "./safetensors.ts";
import { byteLevelJson } from "./tokenizer_json.ts";

const EXPECTED =
  "expected the folder of a model: config.json, model.safetensors, and tokenizer.json or vocab.json and merges.txt";
const WEIGHTS = "model.safetensors";

/** An imported model. */
export interface ImportedModel {
  /** The checkpoint's folder. */
  readonly path: string;
  /** Number of trainable parameters. */
  readonly parameters: number;
  /** The tokenizer in the folder; if there is none, an ids tokenizer, which reads and writes text as lists of token ids. */
  readonly tokenizer: Tokenizer;
  /** A description of its layers, heads, width, context and vocabulary in one line. */
  readonly about: string;
}

/**
 * Reads the tokenizer of a folder from tokenizer.json, else from vocab.json and merges.txt. Without these files, returns an
 * ids tokenizer with `size` ids.
 */
async function tokenizerOf(folder: string, size: number): Promise<Tokenizer> {
  const places = ["tokenizer.json", "vocab.json", "merges.txt"].map((name) => join(folder, name));
  let [file, place] = [await jsonOf(places[0]), places[0]];
  if (file === undefined) {
    const [vocab, merges] = [await jsonOf(places[1]), await bytesOf(places[2])];
    if (vocab === undefined && !merges) return idsTokenizer(size);
    if (vocab === undefined || !merges) {
      const [missing, there] = merges ? [places[1], places[2]] : [places[2], places[1]];
      throw new UserError(`${missing}: no such file, and ${there} alone is not a tokenizer.`);
    }
    const lines = new TextDecoder().decode(merges).split(/\r?\n/);
    const pairs = lines.filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
    [file, place] = [byteLevelJson(vocab, pairs), places[1]];
  }
  const tokenizer = tokenizerAt(place, file);
  if (tokenizer.size <= size) return tokenizer;
  throw new UserError(`${place}: it has ${tokenizer.size} ids, but vocab_size in config.json is ${size}.`);
}

/**
 * Reads the tensors of sharded files; throws UserError unless each tensor is in the file that the index names for it, and in
 * no other file.
 */
async function shardedTensors(index: unknown, place: string): Promise<Map<string, TensorData>> {
  const named = isMapping(index) && isMapping(index.weight_map) ? index.weight_map : {};
  const files = [...new Set(Object.values(named))];
  const odd = files.find((file) => typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file));
  if (files.length === 0 || odd !== undefined) {
    const actual = odd === undefined ? "no mapping" : describeValue(odd);
    throw new UserError(
      `${place}: weight_map: found ${actual}, expected a mapping from tensors to names of .safetensors files.`,
    );
  }
  const tensors = new Map<string, TensorData>();
  for (const file of files as string[]) {
    const path = join(dirname(place), file);
    const bytes = await bytesOf(path);
    if (!bytes) throw new UserError(`${path}: no such file; ${place} names it.`);
    for (const [name, tensor] of decodeSafetensors(bytes, path).tensors) {
      const indexed = Object.hasOwn(named, name) ? named[name] : undefined;
      if (indexed !== file) {
        const difference = indexed === undefined ? "does not name it" : `has it in ${indexed}`;
        throw new UserError(`${path}: tensor ${name} is in this file, but ${place} ${difference}.`);
      }
      tensors.set(name, tensor);
    }
  }
  const missing = Object.keys(named).find((name) => !tensors.has(name));
  if (missing === undefined) return tensors;
  throw new UserError(
    `${join(dirname(place), String(named[missing]))}: tensor ${missing} is missing; ${place} names it.`,
  );
}

const SAVED_AGAIN =
  "written by Python's transformers: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder)";

/** How to convert weight files of other formats, keyed by file name. heed reads no pickles, because they can run code. */
const OTHER_WEIGHTS: Readonly<Record<string, string>> = {
  "pytorch_model.bin": SAVED_AGAIN,
  "pytorch_model.bin.index.json": SAVED_AGAIN,
  "tf_model.h5": SAVED_AGAIN,
  "flax_model.msgpack": SAVED_AGAIN,
  "ckpt.pt": "written by tools/nanogpt_to_safetensors.py from a nanoGPT checkpoint",
};

/** Throws UserError if a folder has weights only in other formats. */
async function refuseOtherWeights(folder: string): Promise<void> {
  const has = (name: string) => exists(join(folder, name));
  if (await has(WEIGHTS) || await has(`${WEIGHTS}.index.json`)) return;
  for (const [name, remedy] of Object.entries(OTHER_WEIGHTS)) {
    if (!await has(name)) continue;
    throw new UserError(
      `${join(folder, name)}: weights in an unsupported format; expected ${WEIGHTS}, ${remedy}.`,
    );
  }
}

/** Reads the tensors of a folder from one file or several. Also returns the path to show in messages about the tensors. */
async function tensorsOf(folder: string): Promise<{ tensors: Map<string, TensorData>; place: string }> {
  const [single, place] = [WEIGHTS, `${WEIGHTS}.index.json`].map((name) => join(folder, name));
  const bytes = await bytesOf(single);
  if (bytes) return { tensors: decodeSafetensors(bytes, single).tensors, place: single };
  const index = await jsonOf(place);
  if (index === undefined) throw new UserError(`${single}: no such file, ${EXPECTED}.`);
  return { tensors: await shardedTensors(index, place), place };
}

/**
 * Imports a GPT-2 model from a folder in Hugging Face's layout as a checkpoint for generation, verification, training
 * (`train.from`) and analysis.
 *
 * The checkpoint's configuration contains the model's sizes and, for fine-tuning, a constant learning rate of 3e-5.
 *
 * @param folder a folder with config.json, model.safetensors of any float dtype (or the files that
 * model.safetensors.index.json names), and tokenizer.json, or vocab.json and merges.txt
 * @param out the checkpoint's folder, which must not exist
 * @param name the name in the configuration. Default: the folder's name.
 * @throws {UserError} if a file is missing or damaged, the model is not a GPT-2 that heed supports, or `out` exists
 *
 * @example
 * ```ts
 * import { importModel, UserError } from "../../../mod.ts";
 * try {
 *   const { path, parameters } = await importModel("downloads/gpt2", "runs/gpt2");
 *   console.log(path, parameters);
 * } catch (error) {
 *   if (error instanceof UserError) console.error(error.message);
 * }
 * ```
 * @category Models
 */
export async function importModel(
  folder: string,
  out: string,
  name: string = basename(resolve(folder)),
): Promise<ImportedModel> {
  await checkFree(out);
  await refuseOtherWeights(folder);
  const place = join(folder, "config.json");
  const raw = await jsonOf(place);
  if (raw === undefined) throw new UserError(`${place}: no such file, ${EXPECTED}.`);
  const model = fromGpt2Config(raw, place);
  const weights = await tensorsOf(folder);
  reportProgress({ what: "importing tensors" });
  const parameters = fromGpt2Tensors(weights.tensors, model, weights.place);
  const tokenizer = await tokenizerOf(folder, model.vocabulary!);
  const config = resolveConfig({
    name,
    model,
    tokenizer: tokenizer.kind === "ids"
      ? { kind: "ids" }
      : { kind: "huggingface", file: join(out, "tokenizer.json") },
    train: { batch: 4, steps: 100 },
    optimizer: { lr: 3e-5 },
    schedule: { name: "constant", warmup: 0 },
    sample: { prompt: tokenizer.kind === "ids" ? "0" : "The", tokens: 20 },
  }, { place, name });
  const imported = modelOf(config, tokenizer);
  const stored = Object.fromEntries(
    [...parameters].map(([key, { shape, data }]): [string, TensorData] => {
      return [key, { dtype: "F32", shape: [...shape], data }];
    }),
  );
  reportProgress({ what: "hashing the checkpoint" });
  const { files } = sealFiles({
    [WEIGHTS]: encodeSafetensors(stored, { format: "heed", step: "0" }),
    ...descriptionFiles(imported),
  }, { step: 0, counter: 0, best: null, val_loss: null, device: "imported" });
  await createFolder(out, files);
  const { dim, layers, heads, context } = config.model;
  const about =
    `${layers} layers of ${heads} heads, dim ${dim}, context ${context}, vocabulary ${model.vocabulary}`;
  return { path: out, parameters: imported.parameters, tokenizer, about };
}
