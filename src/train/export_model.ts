// A checkpoint becomes a folder that Hugging Face's libraries load: GPT-2's names and shapes, and its tokenizer.
import { join } from "node:path";
import type { Tokenizer } from "../data/mod.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { toGpt2Config, toGpt2Tensors } from "./gpt2.ts";
import { createFolder, jsonOf } from "./model_folder.ts";
import { encodeSafetensors } from "./safetensors.ts";

/** A character tokenizer in Hugging Face's form: every code point is a word. An unknown one has no id, or `<unk>`'s. */
function characterTokenizer({ vocabulary, unknown }: { vocabulary: string[]; unknown: string }): unknown {
  const words = unknown === "token" ? [...vocabulary, "<unk>"] : vocabulary;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Split", pattern: { Regex: "[\\s\\S]" }, behavior: "Isolated", invert: false },
    post_processor: null,
    decoder: { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: "<unk>",
    },
  };
}

/** A checkpoint's tokenizer in Hugging Face's form, or undefined where it has none: a tokenizer of ids. */
async function huggingFaceTokenizer(tokenizer: Tokenizer, path: string): Promise<unknown> {
  const file = tokenizer.toJSON();
  if (file.kind === "char") return characterTokenizer(file);
  return await jsonOf(join(path, "tokenizer.huggingface.json"));
}

/**
 * Writes a model as a folder that `transformers` loads: config.json, model.safetensors in GPT-2's names and shapes, and
 * tokenizer.json with tokenizer_config.json where the tokenizer has such a form.
 *
 * @param checkpoint the model and its parameters
 * @param out the folder, which must not be there yet
 * @returns the names of the files
 * @throws {UserError} where GPT-2's format has no place for the model (naming the key), or `out` exists
 *
 * @example
 * ```ts
 * import { exportModel, loadCheckpoint } from "../../mod.ts";
 * const tiny = await loadCheckpoint("runs/latest");
 * console.log(await exportModel(tiny, "exported")); // config.json, model.safetensors, ...
 * ```
 */
export async function exportModel(
  checkpoint: Pick<Checkpoint, "architecture" | "tokenizer" | "tensors" | "path">,
  out: string,
): Promise<string[]> {
  const { architecture, tokenizer, tensors, path } = checkpoint;
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  const files: Record<string, Uint8Array | string> = { "config.json": json(toGpt2Config(architecture)) };
  files["model.safetensors"] = encodeSafetensors(toGpt2Tensors(tensors, architecture), { format: "pt" });
  const text = await huggingFaceTokenizer(tokenizer, path);
  if (text !== undefined) {
    files["tokenizer.json"] = json(text);
    files["tokenizer_config.json"] = json({
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: architecture.context,
      clean_up_tokenization_spaces: false,
    });
  }
  await createFolder(out, files);
  return Object.keys(files);
}
