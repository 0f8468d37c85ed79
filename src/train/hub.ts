// Models by name: their files in the cache folder, where somebody put them or where they are downloaded once. A file is
// trusted by its size and SHA-256: those of data/models.json, or those that the hub states of a large file.
import { createHash } from "node:crypto";
import { join } from "node:path";
import models from "../../data/models.json" with { type: "json" };
import { suggestion, UserError } from "../errors.ts";
import { sha256Hex } from "./run_folder.ts";
import { bytesOf, exists } from "./model_folder.ts";

/** What a file must be. */
export interface FileProof {
  /** Its size. */
  readonly bytes?: number;
  /** Its SHA-256, in lower-case hexadecimal. */
  readonly sha256?: string;
}

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
export interface HubOptions {
  /** Folder of the cache, `.cache` unless told. */
  readonly cache?: string;
  /** Told as bytes come: the file, how many so far, and how many in all where the hub says. */
  readonly progress?: (file: string, bytes: number, total: number | undefined) => void;
  /** How a URL is fetched; tests give their own. */
  readonly fetch?: (url: string, init: { redirect: "manual" }) => Promise<Response>;
}

const HUB = "https://huggingface.co";
/** Without a byte for so long, a download has failed. */
const SILENCE_MS = 30_000;
/** The weights come last: all else fails first. */
const FILES = ["config.json", "tokenizer.json", "model.safetensors"];

/** "12 bytes, expected 13", or undefined where a file is as it must be. */
function fault({ bytes, sha256 }: FileProof, foundBytes: number, foundSha256: string): string | undefined {
  if (bytes !== undefined && bytes !== foundBytes) return `${foundBytes} bytes, expected ${bytes}`;
  if (sha256 !== undefined && sha256 !== foundSha256) return `SHA-256 ${foundSha256}, expected ${sha256}`;
}

/** Follows redirects by hand: what the hub states of a large file stands in its own answer, not in the store's. */
async function open(url: string, get: NonNullable<HubOptions["fetch"]>) {
  const proof: { bytes?: number; sha256?: string } = {};
  let at = url;
  for (let hops = 0; hops < 8; hops++) {
    const response = await get(at, { redirect: "manual" });
    const linked = response.headers.get("x-linked-etag")?.replaceAll('"', "");
    if (linked && /^[0-9a-f]{64}$/.test(linked)) proof.sha256 = linked;
    const size = Number(response.headers.get("x-linked-size") ?? NaN);
    if (size > 0) proof.bytes = size;
    const next = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && next) {
      await response.body?.cancel();
      at = new URL(next, at).href;
      continue;
    }
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw new Error(`HTTP status ${response.status}`);
    }
    const length = Number(response.headers.get("content-length") ?? NaN);
    return { body: response.body, proof, total: proof.bytes ?? (length > 0 ? length : undefined) };
  }
  throw new Error("too many redirects");
}

/** The next part of a stream, or an error where none comes. */
async function nextPart(reader: ReadableStreamDefaultReader<Uint8Array>) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no byte for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Downloads a file under a name of its own, checks it and renames it; what fails leaves nothing. */
async function download(
  url: string,
  path: string,
  known: FileProof,
  file: string,
  { fetch: get = fetch, progress }: HubOptions,
): Promise<void> {
  const { body, proof, total } = await open(url, get);
  const partial = `${path}.${crypto.randomUUID()}.partial`;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    using out = await Deno.open(partial, { write: true, createNew: true });
    const reader = body.getReader();
    for (let part = await nextPart(reader); !part.done; part = await nextPart(reader)) {
      for (let done = 0; done < part.value.length;) done += await out.write(part.value.subarray(done));
      hash.update(part.value);
      bytes += part.value.length;
      progress?.(file, bytes, total);
    }
    const wrong = fault({ ...proof, ...known }, bytes, hash.digest("hex"));
    if (wrong) throw new Error(`it has ${wrong}`);
    await Deno.rename(partial, path);
  } catch (error) {
    await body.cancel().catch(() => {});
    await Deno.remove(partial).catch(() => {});
    throw error;
  }
}

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
  if (!known && !/^[\w.-]+\/[\w.-]+$/.test(name)) {
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
    // The two files of older tokenizers stand for the newer one.
    if (file === "tokenizer.json" && await exists(join(folder, "vocab.json"))) continue;
    const held = await bytesOf(path);
    if (held) {
      const wrong = fault(proof, held.length, proof.sha256 ? sha256Hex(held) : "");
      if (wrong) throw new UserError(`${path} has ${wrong}; remove it, and ${remedy}.`);
      continue;
    }
    try {
      await Deno.mkdir(folder, { recursive: true });
      await download(`${url}/${file}`, path, proof, file, options);
    } catch (error) {
      const reason = (error as Error).message.replace(/\s+/g, " ").replace(/[.:]$/, "").slice(0, 160);
      throw new UserError(`${name}: ${file} cannot be downloaded (${reason}); ${remedy}.`);
    }
  }
  return folder;
}
