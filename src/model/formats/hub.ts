// Models of the Hugging Face hub. The user places their files in the cache folder, or heed downloads them into it. A file is
// compared with the size and SHA-256 that data/models.json or (for large files) the hub states, or with the SHA-256 that was
// recorded beside the file when it was first used.
import { join } from "node:path";
import models from "../../../data/models.json" with { type: "json" };
import { download, fault, HTML_PAGE, isHtmlPage } from "../../data/download.ts";
import type { DownloadOptions, FileProof } from "../../data/download.ts";
import { describeValue } from "../../base/show.ts";
import { didYouMean, UserError } from "../../base/errors.ts";
import { sha256Hex } from "../../base/hash.ts";
import { exists, writeFileAtomic } from "../../runs/run_folder.ts";
import { bytesOf } from "./model_folder.ts";

/** A model of the hub. */
export interface HubModel {
  /** A description in one sentence. */
  readonly about: string;
  /** `owner/name` on the hub. */
  readonly repository: string;
  /** A commit of the repository. Default: the newest commit of `main`. */
  readonly revision?: string;
  /** Known sizes and hashes of its files. */
  readonly files?: Readonly<Record<string, FileProof>>;
}

/** The models that heed knows by name. */
export const MODELS: Readonly<Record<string, HubModel>> = models;

/** Options of a download. */
export interface HubOptions extends DownloadOptions {
  /** The cache folder. Default: `.cache`. */
  readonly cache?: string;
}

const HUB = "https://huggingface.co";
/**
 * The files in download order. The weights are last, so that an error in a small file is reported before the weights are
 * loaded.
 */
const FILES = ["config.json", "tokenizer.json", "model.safetensors"];

/** Maps a model's file to the file that the user may provide instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  "tokenizer.json": "vocab.json",
  "model.safetensors": "model.safetensors.index.json",
};

/** Name of the file that records the SHA-256 of each of a model's files when it is first used, in the format of `sha256sum`. */
const RECORD = "SHA256SUMS";

async function recordedIn(folder: string): Promise<Map<string, string>> {
  const path = join(folder, RECORD);
  const text = new TextDecoder().decode(await bytesOf(path) ?? new Uint8Array());
  return new Map(
    text.split(/\r?\n/).filter((line) => line !== "").map((line) => {
      const [, sha256, file] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
      if (file !== undefined) return [file, sha256];
      throw new UserError(
        `${path}: found ${describeValue(line)}, expected lines of a SHA-256, two spaces and a file.`,
      );
    }),
  );
}

async function record(folder: string, recorded: ReadonlyMap<string, string>): Promise<void> {
  const lines = [...recorded].map(([file, sha256]) => `${sha256}  ${file}\n`);
  await writeFileAtomic(join(folder, RECORD), lines.join(""));
}

/**
 * Returns the folder of the model called `name`: `<cache>/models/<name>`, with config.json, model.safetensors and
 * tokenizer.json. Missing files are downloaded. Every file is checked against its known size and SHA-256 (`HubModel.files`).
 * If none is known, the file's SHA-256 is recorded in SHA256SUMS beside it when it is first used; a file that later differs
 * from this record is rejected, whether it was changed in the folder or downloaded again.
 *
 * @param name a key of `MODELS`, or `owner/name` on the Hugging Face hub
 * @throws {UserError} if the name is unknown, a download fails (the message says which files to put where), or a file differs
 * from the known or recorded size or hash or is an HTML page
 *
 * @example
 * ```ts
 * import { modelFolder, UserError } from "../../../mod.ts";
 * const fetch = () => Promise.reject(new Error("offline"));
 * await modelFolder("gpt2", { fetch }).catch((error: UserError) => console.error(error.message));
 * ```
 * @category Models
 */
export async function modelFolder(name: string, options: HubOptions = {}): Promise<string> {
  const known = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  // A name that begins with a dot, such as ".." or "./models", is the path of a folder.
  if (!known && !/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(name)) {
    throw new UserError(
      `${name}: no such folder, and no model of that name.${didYouMean(name, Object.keys(MODELS))}`,
    );
  }
  const repository = known?.repository ?? name;
  const folder = join(options.cache ?? ".cache", "models", ...name.split("/"));
  const url = `${HUB}/${repository}/resolve/${known?.revision ?? "main"}`;
  const remedy = `put ${FILES.join(", ")} of ${HUB}/${repository} in ${folder}`;
  const recorded = await recordedIn(folder);
  for (const file of FILES) {
    // The user may have provided other files instead: vocab.json and merges.txt, or sharded weights.
    const instead = INSTEAD[file];
    if (instead !== undefined && await exists(join(folder, instead))) continue;
    const path = join(folder, file);
    const pinned = known?.files?.[file];
    const first = recorded.get(file);
    const proof = pinned ?? (first === undefined ? {} : { sha256: first, recorded: join(folder, RECORD) });
    const cached = await cachedFile(path, proof, remedy);
    const fetched = async () => {
      await Deno.mkdir(folder, { recursive: true });
      return await download(`${url}/${file}`, path, proof, options);
    };
    const sha256 = cached ?? await fetched().catch((error: Error) => {
      const reason = error.message.replace(/\s+/g, " ").replace(/[.:]$/, "").slice(0, 400);
      const absent = !known && file === FILES[0] && first === undefined;
      const what = absent ? `no such folder, and ${file} of a model of that name` : file;
      throw new UserError(`${name}: ${what} cannot be downloaded (${reason}); ${remedy}.`);
    });
    if (pinned || sha256 === first) continue;
    recorded.set(file, sha256);
    await record(folder, recorded);
  }
  return folder;
}

/**
 * Returns the SHA-256 of a file in the cache, or undefined if the file does not exist; throws UserError if it is not the
 * expected file.
 */
async function cachedFile(path: string, proof: FileProof, remedy: string): Promise<string | undefined> {
  const bytes = await bytesOf(path);
  if (!bytes) return undefined;
  const sha256 = sha256Hex(bytes);
  if (isHtmlPage(bytes)) throw new UserError(`${path}: ${HTML_PAGE}; remove it, and ${remedy}.`);
  const wrong = fault(proof, bytes.length, sha256);
  if (wrong) throw new UserError(`${path} has ${wrong}; remove it, and ${remedy}.`);
  return sha256;
}
