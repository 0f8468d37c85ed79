// Reads tests/golden/tokenizer_files.json.gz and compares heed's result for each of its files.
import assert from "node:assert/strict";
import { huggingfaceTokenizer, type Tokenizer } from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

type Json = Record<string, unknown>;

/** A text by its index, and the hashes of its ids and of the decoded text; null if tokenizers itself fails. */
type Case = [text: number, ids: string | null, decoded: string | null];

/** A file in the golden, with the model and the character maps by name. */
export interface GoldenFile {
  family: string | null;
  file: Json & { model: Json & { base: string; drop?: string[] } };
  cases: Case[];
}

interface Golden {
  texts: string[];
  models: Record<string, Json>;
  charsmaps: Record<string, string>;
  files: GoldenFile[];
}

/** The golden, unpacked. */
export async function readGolden(
  path: string | URL = new URL("../golden/tokenizer_files.json.gz", import.meta.url),
): Promise<Golden> {
  const packed = await Deno.open(path);
  return await new Response(packed.readable.pipeThrough(new DecompressionStream("gzip"))).json();
}

/** The tokenizer.json of a golden file. */
export function wholeFile({ file }: GoldenFile, { models, charsmaps }: Golden): Json {
  const { base, drop = [], ...options } = file.model;
  const model = Object.fromEntries(
    Object.entries({ ...models[base], ...options }).filter(([key]) => !drop.includes(key)),
  );
  const filled = (key: string, value: unknown) =>
    key === "precompiled_charsmap" ? charsmaps[String(value).slice(1)] : value;
  const rest = JSON.parse(JSON.stringify({ ...file, model: null }), filled);
  return { ...rest, model };
}

/** FNV-1a over bytes. */
function fnv(bytes: Uint8Array): string {
  let h = 0x811c9dc5;
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
  return (h >>> 0).toString(16).padStart(8, "0");
}

/** The result of `work`, or its one-line error. */
export function unlessRefused<T>(work: () => T): { value?: T; refusal?: string } {
  try {
    return { value: work() };
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.doesNotMatch(error.message, /[\n\r]/);
    return { refusal: error.message };
  }
}

/** The outcome of a file: the error at load, or the cases with wrong results. */
export type Outcome = { refusal: string } | { wrong: string[] };

/** Loads a golden file and compares all its cases. */
export function outcomeOf(entry: GoldenFile, golden: Golden): Outcome {
  const { value: tokenizer, refusal } = unlessRefused(() => huggingfaceTokenizer(wholeFile(entry, golden)));
  if (refusal !== undefined) return { refusal };
  const wrong = entry.cases.flatMap((one) => differences(tokenizer!, golden.texts[one[0]], one));
  return { wrong };
}

function differences(tokenizer: Tokenizer, text: string, [, ids, decoded]: Case): string[] {
  const encoded = unlessRefused(() => tokenizer.encode(text));
  const said = (what: string) => [`${JSON.stringify(text)}: ${what}`];
  if (ids === null) return encoded.value ? said(`[${encoded.value}], where tokenizers has no answer`) : [];
  if (!encoded.value) return said(encoded.refusal!);
  const { buffer, byteOffset, byteLength } = encoded.value;
  if (fnv(new Uint8Array(buffer, byteOffset, byteLength)) !== ids) {
    return said(`wrong ids [${encoded.value}]`);
  }
  // If tokenizers panics, there is no text to compare with.
  if (decoded === null) return [];
  const back = tokenizer.decode(encoded.value);
  return fnv(new TextEncoder().encode(back)) === decoded ? [] : said(`wrong text ${JSON.stringify(back)}`);
}
