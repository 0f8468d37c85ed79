// Exports a checkpoint as a folder that Hugging Face's libraries can load, with GPT-2's names and shapes and the tokenizer.
import { reportProgress } from "../../base/progress.ts";
import { checkParameters, type Checkpoint } from "../checkpoint.ts";
import { toGpt2Config, toGpt2Tensors } from "./gpt2.ts";
import { createFolder } from "./model_folder.ts";
import { encodeSafetensors } from "./safetensors.ts";
import { tokenizerJson } from "./tokenizer_json.ts";

/**
 * Writes a model as a folder that `transformers` loads: config.json, model.safetensors with GPT-2's names and shapes,
 * tokenizer.json and tokenizer_config.json. The last two are omitted for a tokenizer with a cropped vocabulary and for the
 * tokenizer `ids`, because the format cannot express these.
 *
 * @param out the folder, which must not exist
 * @returns the names of the files
 * @throws {UserError} if GPT-2's format cannot represent the model (the error names the key), a tensor is missing, has
 * another shape or is not finite, or `out` exists
 *
 * @example
 * ```ts
 * import { exportModel, loadCheckpoint } from "../../../mod.ts";
 * const tiny = await loadCheckpoint("runs/latest");
 * console.log(await exportModel(tiny, "exported")); // config.json, model.safetensors, ...
 * ```
 * @category Models
 */
export async function exportModel(
  checkpoint: Pick<Checkpoint, "architecture" | "tokenizer" | "tensors" | "path">,
  out: string,
): Promise<string[]> {
  checkParameters(checkpoint);
  const { architecture, tokenizer, tensors } = checkpoint;
  const json = (value: unknown) => JSON.stringify(value, null, 2) + "\n";
  const files: Record<string, Uint8Array | string> = { "config.json": json(toGpt2Config(architecture)) };
  reportProgress({ what: "exporting tensors" });
  files["model.safetensors"] = encodeSafetensors(toGpt2Tensors(tensors, architecture), { format: "pt" });
  const text = tokenizerJson(tokenizer);
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
