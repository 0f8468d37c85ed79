// From a file to a tokenizer: the one that a checkpoint carries, and the one that a configuration asks for.
import { readWhole } from "../base/whole_file.ts";
import { atPlace, closestString, didYouMean, UserError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { bpeTokenizerOf, byteTokenizer, gpt2Tokenizer } from "./byte_tokenizers.ts";
import { charTokenizer, charTokenizerOf } from "./char_tokenizer.ts";
import { croppedTokenizerOf, cropTokenizer } from "./crop_tokenizer.ts";
import { decodeUtf8, oneLine } from "./files.ts";
import { partsOf } from "./ids.ts";
import { idsTokenizerFromJSON, idsTokenizerOf } from "./ids_tokenizer.ts";
import { huggingfaceTokenizer, huggingfaceTokenizerOf } from "./huggingface_tokenizer.ts";
import { keptTokenizer } from "./kept_merges.ts";
import { chained, piecesOfAll, type TextPieces } from "./text_bytes.ts";
import { refuseLfsPointer } from "./lfs_pointer.ts";
import type { TokenizerOptions } from "./data_keys.ts";
import type { Tokenizer, TokenizerKind } from "./tokenizer.ts";

const READERS: Readonly<Record<TokenizerKind, (file: Readonly<Record<string, unknown>>) => Tokenizer>> = {
  char: charTokenizerOf,
  byte: byteTokenizer,
  bpe: bpeTokenizerOf,
  gpt2: gpt2Tokenizer,
  huggingface: huggingfaceTokenizerOf,
  ids: idsTokenizerFromJSON,
  cropped: (file) => croppedTokenizerOf(file, uncropped),
};

/** One crop is enough: a file of crops within crops is damaged. */
function uncropped(file: unknown): Tokenizer {
  const tokenizer = tokenizerFromJSON(file);
  if (tokenizer.kind !== "cropped") return tokenizer;
  throw new UserError("Tokenizer file: a cropped tokenizer is made of another one.");
}

/**
 * The tokenizer that a parsed tokenizer.json describes: the inverse of `toJSON`. A tokenizer.json as Hugging Face writes
 * it is taken as well.
 *
 * @param file what JSON.parse gave; every field is checked
 * @throws UserError naming the field, what was found and what was expected
 *
 * @example
 * ```ts
 * import { charTokenizer } from "../../mod.ts";
 * import { tokenizerFromJSON } from "./mod.ts";
 * const file = JSON.stringify(charTokenizer("abc"));
 * tokenizerFromJSON(JSON.parse(file)).size; // 3
 * ```
 */
export function tokenizerFromJSON(file: unknown): Tokenizer {
  if (typeof file !== "object" || file === null || Array.isArray(file)) {
    const found = file === null ? "null" : Array.isArray(file) ? "a list" : `a ${typeof file}`;
    throw new UserError(`Tokenizer file is ${found}; expected an object with the kind of a tokenizer.`);
  }
  const fields = file as Record<string, unknown>;
  if (fields.kind === undefined && fields.model !== undefined) return huggingfaceTokenizer(fields);
  const kinds = Object.keys(READERS);
  const kind = String(fields.kind);
  if (typeof fields.kind === "string" && Object.hasOwn(READERS, kind)) {
    return READERS[kind as TokenizerKind](fields);
  }
  const near = closestString(kind, kinds);
  const expected = near === undefined
    ? `one of ${kinds.join(", ")}.`
    : `"${near}".${didYouMean(kind, kinds)}`;
  throw new UserError(`Tokenizer file: kind is ${JSON.stringify(fields.kind)}; expected ${expected}`);
}

/** Reads a tokenizer.json of Hugging Face's (or of a checkpoint); throws UserError with its path where it is none. */
async function readTokenizer(path: string): Promise<Tokenizer> {
  const bytes = await readWhole(path).catch((error) => {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} cannot be read (${oneLine(error)}); expected a tokenizer.json.`);
  });
  refuseLfsPointer(bytes, path);
  let parsed: unknown;
  try {
    parsed = parseJson(decodeUtf8(bytes, path));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} is not valid JSON; expected a tokenizer.json.`);
  }
  return atPlace(path, () => tokenizerFromJSON(parsed));
}

/**
 * The tokenizer that a configuration asks for, of some texts. Byte-pair encoding learns from the train split alone;
 * characters, ids and `crop` take in what any text has, so that every split can be encoded.
 *
 * @param train the texts of the train split, each whole or in pieces
 * @param others those of the other splits
 * @param learned `cache`: a folder where byte pairs that were learned are kept and found again; by default they are learned anew
 * @throws UserError where there is no text to be learnt from, or a tokenizer.json cannot be read or is none
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { makeTokenizer } from "./mod.ts";
 * const { tokenizer } = await loadConfig("default", ["tokenizer.kind=gpt2", "tokenizer.crop=true"]);
 * (await makeTokenizer(tokenizer, ["the cat", "and the hat"])).size; // 5
 * ```
 */
export async function makeTokenizer(
  options: TokenizerOptions,
  train: Iterable<TextPieces>,
  others: Iterable<TextPieces> = [],
  { cache }: { cache?: string } = {},
): Promise<Tokenizer> {
  const { kind, unknown, size, file, crop } = options;
  const all = chained([train, others]);
  if (kind === "char") return charTokenizer(piecesOfAll(all), { unknown });
  const whole = kind === "byte"
    ? byteTokenizer()
    : kind === "bpe"
    ? await keptTokenizer(piecesOfAll(train), { size, cache })
    : kind === "gpt2"
    ? gpt2Tokenizer()
    : kind === "ids"
    ? idsTokenizerOf(all)
    : await readTokenizer(file ?? "tokenizer.json");
  if (!crop) return whole;
  const used = new Set<number>();
  for (const text of all) {
    for (const part of partsOf(text, whole.cut)) for (const id of whole.encode(part)) used.add(id);
  }
  return cropTokenizer(whole, used, { unknown });
}
