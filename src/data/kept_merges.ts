// Byte pairs are learned once: what a text gave is kept in the cache folder under the hash of what it was learned from.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { sha256Hex } from "../base/hash.ts";
import { bpeTokenizer, bpeTokenizerOf } from "./byte_tokenizers.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** To be raised where a text gives other merges than before. */
const ALGORITHM = 1;

/** The hash of all that merges depend on; undefined for a text that has no UTF-8. */
function keyOf(text: Iterable<string>, size: number): string | undefined {
  const hash = createHash("sha256");
  // What a letter is, pieces are cut by, V8's tables of Unicode say.
  hash.update(`byte pairs ${ALGORITHM}, V8 ${Deno.version.v8}, size ${size}\n`);
  for (const piece of text) {
    if (!piece.isWellFormed()) return undefined;
    hash.update(piece);
  }
  return hash.digest("hex");
}

/** The tokenizer that was kept, behind its own hash; undefined where there is none, or the file is damaged. */
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

/** Keeps a tokenizer, whole or not at all; one that cannot be kept will be learned again. */
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
 * The tokenizer that `bpeTokenizer` learns from a text, whose pieces are iterated more than once. With `cache` it is kept in
 * that folder, and the next time it is read there: the same tokenizer, sooner. A kept file that is damaged is learned anew.
 */
export async function keptTokenizer(
  text: Iterable<string>,
  { size, cache }: { size: number; cache?: string },
): Promise<Tokenizer> {
  const key = cache === undefined ? undefined : keyOf(text, size);
  if (cache === undefined || key === undefined) return bpeTokenizer(text, { size });
  const folder = join(cache, "byte_pairs");
  const path = join(folder, `${key}.json`);
  const kept = await read(path);
  if (kept) return kept;
  const tokenizer = bpeTokenizer(text, { size });
  await keep(folder, path, tokenizer);
  return tokenizer;
}
