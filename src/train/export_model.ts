// A checkpoint becomes a folder that Hugging Face's libraries load: GPT-2's names and shapes, and its tokenizer.
import { byteCharacters, type Tokenizer } from "../data/mod.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { toGpt2Config, toGpt2Tensors } from "./gpt2.ts";
import { createFolder } from "./model_folder.ts";
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

/** Byte-level byte-pair encoding in Hugging Face's form: the bytes under their characters, then what each merge makes. */
function byteLevelTokenizer(merges: readonly string[]): unknown {
  const words = byteCharacters().toSorted((a, b) => a.byte - b.byte).map(({ character }) => character);
  const pairs = merges.map((merge) => {
    const [left, right] = merge.split(" ").map((id) => words[Number(id)]);
    words.push(left + right);
    return [left, right];
  });
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab: Object.fromEntries(words.map((word, id) => [word, id])), merges: pairs },
  };
}

/** A tokenizer in Hugging Face's form, or undefined where it has none. */
function huggingFaceTokenizer(tokenizer: Tokenizer): unknown {
  const file = tokenizer.toJSON();
  switch (file.kind) {
    case "char":
      return characterTokenizer(file);
    case "byte":
      return byteLevelTokenizer([]);
    case "bpe":
      return byteLevelTokenizer(file.merges);
    case "huggingface":
      return file.tokenizer;
  }
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
  checkpoint: Pick<Checkpoint, "architecture" | "tokenizer" | "tensors">,
  out: string,
): Promise<string[]> {
  const { architecture, tokenizer, tensors } = checkpoint;
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  const files: Record<string, Uint8Array | string> = { "config.json": json(toGpt2Config(architecture)) };
  files["model.safetensors"] = encodeSafetensors(toGpt2Tensors(tensors, architecture), { format: "pt" });
  const text = huggingFaceTokenizer(tokenizer);
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
