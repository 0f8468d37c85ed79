// Any tokenizer.json of Hugging Face's. Byte-level byte-pair encoding, which is most of them, is read into heed's own;
// the rest goes through Hugging Face's package.
import { Tokenizer as HuggingFace } from "@huggingface/tokenizers";
import { UserError } from "../errors.ts";
import { byteCharacters, byteCoder, checkWellFormed, type Merge } from "./byte_bpe.ts";
import { inParts } from "./huggingface/cut.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;

const isObject = (x: unknown): x is Json => typeof x === "object" && x !== null && !Array.isArray(x);

/** Ids that a file may have: a model has a row for each. */
const MOST_IDS = 2 ** 22;

const isId = (x: unknown): x is number =>
  Number.isInteger(x) && (x as number) >= 0 && (x as number) < MOST_IDS;

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly plain: boolean;
}

function addedTokens(file: Json): AddedToken[] {
  const { added_tokens: added = [] } = file;
  if (!Array.isArray(added)) throw new UserError("tokenizer.json: added_tokens: expected a list.");
  return added.map((token: unknown, i) => {
    const { id, content, single_word, lstrip, rstrip, normalized, special } = isObject(token)
      ? token
      : {} as Json;
    if (!isId(id) || typeof content !== "string" || content === "") {
      throw new UserError(`tokenizer.json: added_tokens[${i}]: expected an id and a content.`);
    }
    const plain = [single_word, lstrip, rstrip].every((flag) => !flag) && (special === true || !normalized);
    return { id, content, plain };
  });
}

/** The vocabulary of a model that has one by token, checked; other models have lists. */
function checkedVocabulary(model: Json): [token: string, id: number][] {
  const { vocab } = model;
  if (Array.isArray(vocab)) {
    vocab.forEach((entry: unknown, i) => {
      if (Array.isArray(entry) && typeof entry[0] === "string" && Number.isFinite(entry[1])) return;
      throw new UserError(`tokenizer.json: model.vocab[${i}]: expected a token and its score.`);
    });
    return vocab.map((entry, id): [string, number] => [entry[0], id]);
  }
  if (!isObject(vocab) || Object.keys(vocab).length === 0) {
    throw new UserError("tokenizer.json: model.vocab: expected tokens.");
  }
  const entries = Object.entries(vocab);
  for (const [token, id] of entries) {
    if (!isId(id)) {
      const found = JSON.stringify(id);
      throw new UserError(
        `tokenizer.json: model.vocab: ${JSON.stringify(token)} is ${found}; expected an id.`,
      );
    }
  }
  return entries as [string, number][];
}

/** Whether heed's own byte-level coder does what the file asks for. */
function isByteLevel(file: Json, added: readonly AddedToken[]): boolean {
  const { normalizer, pre_tokenizer: pieces, decoder, model } = file;
  if (!isObject(model) || !isObject(pieces) || !isObject(decoder)) return false;
  const plain = ["dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"];
  return (normalizer === null || normalizer === undefined) && decoder.type === "ByteLevel" &&
    pieces.type === "ByteLevel" && pieces.add_prefix_space === false && pieces.use_regex !== false &&
    model.type === "BPE" && isObject(model.vocab) && plain.every((key) => !model[key]) &&
    !model.ignore_merges && added.every((token) => token.plain);
}

/** Two tokens of a merge: "a b", or a list of two. */
function mergeOf(written: unknown, i: number, ids: ReadonlyMap<string, number>): Merge {
  const parts: unknown[] = typeof written === "string"
    ? written.split(" ")
    : Array.isArray(written)
    ? written
    : [];
  const [left, right] = parts.map((part) => ids.get(String(part)));
  const token = parts.length === 2 ? ids.get(parts.join("")) : undefined;
  if (left === undefined || right === undefined || token === undefined) {
    const found = JSON.stringify(written);
    throw new UserError(
      `tokenizer.json: model.merges[${i}] is ${found}; expected two tokens that make a third.`,
    );
  }
  return { left, right, token };
}

function byteLevel(model: Json, vocabulary: readonly [string, number][], added: readonly AddedToken[]) {
  const ids = new Map(vocabulary);
  const byteOf = new Map(byteCharacters().map(({ byte, character }) => [character, byte]));
  const bytes: number[] = [];
  for (const [character, byte] of byteOf) {
    const id = ids.get(character);
    if (id === undefined) {
      throw new UserError(
        `tokenizer.json: model.vocab has no token for the byte ${byte}, ${JSON.stringify(character)}.`,
      );
    }
    bytes[byte] = id;
  }
  const tokens: Uint8Array[] = [];
  const special = new Map<string, number>();
  const utf8 = new TextEncoder();
  for (const [token, id] of vocabulary) {
    tokens[id] = Uint8Array.from(
      [...token].flatMap((c) => byteOf.has(c) ? [byteOf.get(c)!] : [...utf8.encode(c)]),
    );
  }
  for (const { id, content } of added) {
    tokens[id] = utf8.encode(content);
    special.set(content, id);
  }
  // An id that no token has stands for no text.
  for (let id = 0; id < tokens.length; id++) tokens[id] ??= new Uint8Array();
  if (!Array.isArray(model.merges)) throw new UserError("tokenizer.json: model.merges: expected a list.");
  const merges = model.merges.map((written, i) => mergeOf(written, i, ids));
  return byteCoder({ tokens, bytes, merges, special });
}

/** What the package throws at a file that it cannot use is the file's fault. */
function guarded<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError || error instanceof RangeError && what === "decode") throw error;
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ");
    throw new UserError(`tokenizer.json: it cannot ${what}: ${reason}.`);
  }
}

function throughPackage(file: Json, size: number): Pick<Tokenizer, "encode" | "decode"> {
  const whole = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
  };
  const tokenizer = guarded("be used", () => new HuggingFace({ ...whole, ...file }, {}));
  return {
    encode: (text) => {
      checkWellFormed(text);
      const ids = guarded("encode", () => tokenizer.encode(text, { add_special_tokens: false }).ids);
      ids.forEach((id, i) => {
        if (isId(id) && id < size) return;
        throw new UserError(
          `tokenizer.json: token ${i} of a text has the id ${id}; expected one below ${size}.`,
        );
      });
      return Uint32Array.from(ids);
    },
    decode: (ids) => {
      checkIds(ids, size);
      if (ids.length === 0) return "";
      const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
      return guarded("decode", () => tokenizer.decode(Array.from(ids), options));
    },
  };
}

/**
 * The tokenizer of a Hugging Face `tokenizer.json`. No special tokens are added around a text; those written in it are
 * found. Byte-level byte-pair encoding (GPT-2, Llama 3 and their kin) gives every text back; a normaliser may not.
 *
 * @param file the parsed file
 * @throws UserError where the file is no such tokenizer, with the field that is wrong; `encode` at a lone surrogate
 *
 * @example
 * ```ts
 * import { byteCharacters, huggingfaceTokenizer } from "../../mod.ts";
 * const vocab = Object.fromEntries(byteCharacters().map(({ character }, id) => [character, id]));
 * const tokenizer = huggingfaceTokenizer({
 *   pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
 *   decoder: { type: "ByteLevel" },
 *   model: { type: "BPE", vocab: { ...vocab, he: 256 }, merges: ["h e"] },
 * });
 * tokenizer.encode("hey").length; // 2
 * ```
 */
export function huggingfaceTokenizer(file: object): Tokenizer {
  const json = file as Json;
  if (!isObject(json.model)) {
    throw new UserError("tokenizer.json: model: expected a mapping; this is no tokenizer.");
  }
  const added = addedTokens(json);
  const vocabulary = checkedVocabulary(json.model);
  const size = Math.max(
    ...[vocabulary, added.map(({ id, content }) => [content, id] as const)].map((entries) =>
      entries.reduce((most, [, id]) => Math.max(most, id), -1)
    ),
  ) + 1;
  const coder = isByteLevel(json, added)
    ? byteLevel(json.model, vocabulary, added)
    : throughPackage(json, size);
  const ids = new Set([...vocabulary.map(([, id]) => id), ...added.map(({ id }) => id)]);
  return {
    kind: "huggingface",
    size,
    hasToken: ids.size < size ? (id) => ids.has(id) : undefined,
    ...coder,
    ...inParts(json, coder.encode),
    toJSON: () => ({ kind: "huggingface", tokenizer: file }),
  };
}

/** @internal The tokenizer that a checkpoint's tokenizer.json holds. */
export function huggingfaceTokenizerOf({ tokenizer }: Json): Tokenizer {
  if (!isObject(tokenizer)) {
    throw new UserError("Tokenizer file: tokenizer: expected a tokenizer.json of Hugging Face's.");
  }
  return huggingfaceTokenizer(tokenizer);
}
