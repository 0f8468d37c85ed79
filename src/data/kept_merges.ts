// Caches trained byte-pair encodings in the cache folder, keyed by a hash of the text and settings.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { sha256Hex } from "../base/hash.ts";
import { bpeTokenizer, bpeTokenizerOf } from "./byte_tokenizers.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Increase this if the trainer changes its merges for a given text. */
const ALGORITHM = 1;

/** The hash of everything that the merges depend on; undefined for a text with lone surrogates. */
function keyOf(text: Iterable<string>, size: number): string | undefined {
  const hash = createHash("sha256");
  // Pre-tokenisation depends on V8's Unicode tables.
  hash.update(`byte pairs ${ALGORITHM}, V8 ${Deno.version.v8}, size ${size}\n`);
  for (const piece of text) {
    if (!piece.isWellFormed()) return undefined;
    hash.update(piece);
  }
  return hash.digest("hex");
}

/** Reads a cached tokenizer from a file that has its hash, then its JSON; undefined if the file is missing or damaged. */
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

/** Writes a tokenizer to the cache atomically; if that fails, it is trained again next time. */
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
 * The tokenizer that `bpeTokenizer` trains on a text, whose pieces are iterated more than once. With `cache` it is stored in
 * that folder and read from there the next time. A damaged file is ignored and replaced.
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
