// Models by name: their files in the cache folder, where somebody put them or where they are downloaded once. A file is
// trusted by its size and SHA-256: those of data/models.json, or those that the hub states of a large file.
import { join } from "node:path";
import models from "../../data/models.json" with { type: "json" };
import { download, type DownloadOptions, fault, type FileProof } from "../data/download.ts";
import { suggestion, UserError } from "../errors.ts";
import { sha256Hex } from "./run_folder.ts";
import { bytesOf, exists } from "./model_folder.ts";

/** A model of the hub. */
export interface HubModel {
  /** One sentence for people. */
  readonly about: string;
  /** `owner/name` on the hub. */
  readonly repository: string;
  /** A commit of it; without one the newest. */
  readonly revision?: string;
  /** What is known of its files. */
  readonly files?: Readonly<Record<string, FileProof>>;
}

/** The models that heed knows by name. */
export const MODELS: Readonly<Record<string, HubModel>> = models;

/** How a model is fetched. */
export interface HubOptions extends DownloadOptions {
  /** Folder of the cache, `.cache` unless told. */
  readonly cache?: string;
}

const HUB = "https://huggingface.co";
/** The weights come last: all else fails first. */
const FILES = ["config.json", "tokenizer.json", "model.safetensors"];

/** What stands for a file of a model's where somebody put it there. */
const INSTEAD: Readonly<Record<string, string>> = {
  "tokenizer.json": "vocab.json",
  "model.safetensors": "model.safetensors.index.json",
};

/**
 * The folder of a model by name: `<cache>/models/<name>` with config.json, model.safetensors and tokenizer.json, where
 * missing files are downloaded. Files that somebody put there are taken as they are, but for those whose size and
 * SHA-256 are known.
 *
 * @param name a key of `MODELS`, or `owner/name` on the Hugging Face hub
 * @throws {UserError} for an unknown name; where a download fails, in one line that says where to put which files; and
 * where a file is not the one that is known
 *
 * @example
 * ```ts
 * import { modelFolder, UserError } from "../../mod.ts";
 * const fetch = () => Promise.reject(new Error("offline"));
 * await modelFolder("gpt2", { fetch }).catch((error: UserError) => console.error(error.message));
 * ```
 */
export async function modelFolder(name: string, options: HubOptions = {}): Promise<string> {
  const known = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  // What begins with a dot is a folder: "..", "./models".
  if (!known && !/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(name)) {
    throw new UserError(
      `${name}: no such folder, and no model of that name.${suggestion(name, Object.keys(MODELS))}`,
    );
  }
  const repository = known?.repository ?? name;
  const folder = join(options.cache ?? ".cache", "models", ...name.split("/"));
  const url = `${HUB}/${repository}/resolve/${known?.revision ?? "main"}`;
  const remedy = `put ${FILES.join(", ")} of ${HUB}/${repository} in ${folder}`;
  for (const file of FILES) {
    const path = join(folder, file);
    const proof = known?.files?.[file] ?? {};
    // Files that somebody put there may stand for others: the two of older tokenizers, weights in several files.
    const instead = INSTEAD[file];
    if (instead !== undefined && await exists(join(folder, instead))) continue;
    const held = await bytesOf(path);
    if (held) {
      const wrong = fault(proof, held.length, proof.sha256 ? sha256Hex(held) : "");
      if (wrong) throw new UserError(`${path} has ${wrong}; remove it, and ${remedy}.`);
      continue;
    }
    try {
      await Deno.mkdir(folder, { recursive: true });
      await download(`${url}/${file}`, path, proof, options);
    } catch (error) {
      const reason = (error as Error).message.replace(/\s+/g, " ").replace(/[.:]$/, "").slice(0, 160);
      const first = !known && file === FILES[0];
      const what = first ? `no such folder, and ${file} of a model of that name` : file;
      throw new UserError(`${name}: ${what} cannot be downloaded (${reason}); ${remedy}.`);
    }
  }
  return folder;
}
