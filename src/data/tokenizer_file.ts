// Makes tokenizers from a checkpoint's file and from a configuration.
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
import { cachedTokenizer } from "./kept_merges.ts";
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

/** Reads a tokenizer to crop, which must not be cropped itself. */
function uncropped(file: unknown): Tokenizer {
  const tokenizer = tokenizerFromJSON(file);
  if (tokenizer.kind !== "cropped") return tokenizer;
  throw new UserError("Tokenizer file: of is a cropped tokenizer; expected one of another kind.");
}

/**
 * Builds a tokenizer from a parsed tokenizer.json: the inverse of `toJSON`. Hugging Face's tokenizer.json is accepted
 * too.
 *
 * @param file the result of JSON.parse; every field is checked
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
    const type = file === null ? "null" : Array.isArray(file) ? "a list" : `a ${typeof file}`;
    throw new UserError(`Tokenizer file is ${type}; expected an object with the field kind.`);
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

/**
 * Reads a tokenizer.json of Hugging Face or of a checkpoint; throws UserError with the file's path if the file cannot be read or
 * is invalid.
 */
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
 * Makes the tokenizer that a configuration describes. Byte-pair encoding is trained on the train split only; characters, ids and
 * `crop` use the texts of all splits, so that every split can be encoded.
 *
 * @param train the texts of the train split
 * @param others the texts of the other splits
 * @param learned `cache`: a folder that stores trained byte-pair encodings. Default: none, so that they are trained each time
 * @throws UserError if there is no text to train on, or a tokenizer.json cannot be read or is invalid
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
  const tokenizer = kind === "byte"
    ? byteTokenizer()
    : kind === "bpe"
    ? await cachedTokenizer(piecesOfAll(train), { size, cache })
    : kind === "gpt2"
    ? gpt2Tokenizer()
    : kind === "ids"
    ? idsTokenizerOf(all)
    : await readTokenizer(file ?? "tokenizer.json");
  if (!crop) return tokenizer;
  const used = new Set<number>();
  for (const text of all) {
    for (const part of partsOf(text, tokenizer.cut)) for (const id of tokenizer.encode(part)) used.add(id);
  }
  return cropTokenizer(tokenizer, used, { unknown });
}
