// Caches trained byte-pair encodings in the cache folder, keyed by a hash of the text and settings.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { sha256Hex } from "../base/hash.ts";
import { bpeTokenizer, bpeTokenizerOf } from "./byte_tokenizers.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** The version of the trainer. Increase it if the trainer learns other merges than before from the same text. */
const ALGORITHM = 1;

/** Returns the hash of everything on which the merges depend, or undefined if the text has lone surrogates. */
function keyOf(text: Iterable<string>, size: number): string | undefined {
  const hash = createHash("sha256");
  // The hash includes V8's version, because pre-tokenisation depends on V8's Unicode tables.
  hash.update(`byte pairs ${ALGORITHM}, V8 ${Deno.version.v8}, size ${size}\n`);
  for (const piece of text) {
    if (!piece.isWellFormed()) return undefined;
    hash.update(piece);
  }
  return hash.digest("hex");
}

/**
 * Reads a cached tokenizer from a file, which contains the hash of the tokenizer's JSON, then the JSON itself. Returns undefined
 * if the file is missing or damaged.
 */
async function read(path: string): Promise<Tokenizer | undefined> {
  try {
    const text = await Deno.readTextFile(path);
    const [sha256, json] = [text.slice(0, 64), text.slice(65, -1)];
    if (sha256Hex(json) !== sha256) return undefined;
    return bpeTokenizerOf(JSON.parse(json));
  } catch {
    return undefined;
  }
}

/** Writes a tokenizer to the cache atomically. If that fails, the tokenizer is trained again the next time. */
async function keep(folder: string, path: string, tokenizer: Tokenizer): Promise<void> {
  const permission = await Deno.permissions.query({ name: "write", path });
  if (permission.state !== "granted") return;
  const json = JSON.stringify(tokenizer);
  const partial = `${path}.${crypto.randomUUID()}.partial`;
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(partial, `${sha256Hex(json)}\n${json}\n`);
    await Deno.rename(partial, path);
  } catch {
    await Deno.remove(partial).catch(() => {});
  }
}

/**
 * Returns the tokenizer that `bpeTokenizer` trains on a text. The pieces of the text are iterated more than once. If `cache` is
 * given, the tokenizer is stored in that folder and read from there the next time. A damaged file in the cache is ignored and
 * replaced.
 */
export async function cachedTokenizer(
  text: Iterable<string>,
  { size, cache }: { size: number; cache?: string },
): Promise<Tokenizer> {
  const key = cache === undefined ? undefined : keyOf(text, size);
  if (cache === undefined || key === undefined) return bpeTokenizer(text, { size });
  const folder = join(cache, "byte_pairs");
  const path = join(folder, `${key}.json`);
  const cached = await read(path);
  if (cached) return cached;
  const tokenizer = bpeTokenizer(text, { size });
  await keep(folder, path, tokenizer);
  return tokenizer;
}
