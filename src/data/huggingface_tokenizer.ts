// Makes tokenizers from Hugging Face's tokenizer.json. It combines the components in huggingface/ in the same way as the library
// tokenizers 0.23.
import { cached, checkWellFormed } from "./byte_bpe.ts";
import { numberList } from "./ids.ts";
import { type AddedToken, addedTokensOf, finderOf, type Section } from "./huggingface/added_tokens.ts";
import { bpe } from "./huggingface/bpe.ts";
import { inParts } from "./huggingface/cut.ts";
import { decoderOf } from "./huggingface/decoders.ts";
import { componentOf, fieldsOf, isObject, refuse } from "./huggingface/fields.ts";
import type { Fields, Json, Makers } from "./huggingface/fields.ts";
import { type Normalizer, normalizerOf } from "./huggingface/normalizers.ts";
import { firstToken } from "./huggingface/post_processor.ts";
import { preTokenizerOf } from "./huggingface/pre_tokenizers.ts";
import { unigram } from "./huggingface/unigram.ts";
import type { Model } from "./huggingface/vocabulary.ts";
import { wordLevel, wordPiece } from "./huggingface/words.ts";
import { checkIds, type Tokenizer } from "./tokenizer.ts";
import { UserError } from "../base/errors.ts";

/** Start tokens of well-known models, which are used if the post-processor of a file adds no start token. */
const STARTS = ["<|begin_of_text|>", "<bos>", "<s>", "<|endoftext|>"];

const MODELS: Makers<Model> = { BPE: bpe, WordPiece: wordPiece, WordLevel: wordLevel, Unigram: unigram };

/** Returns the model of a file. Old files do not state the type of the model, which is then inferred from the model's fields. */
function modelOf(model: unknown): Model {
  if (!isObject(model) || model.type !== undefined) return componentOf(model, "model", MODELS);
  const type = "merges" in model
    ? "BPE"
    : "max_input_chars_per_word" in model
    ? "WordPiece"
    : Array.isArray(model.vocab)
    ? "Unigram"
    : "unk_token" in model
    ? "WordLevel"
    : undefined;
  return componentOf({ ...model, type }, "model", MODELS);
}

/** Throws UserError if the file has a version other than 1.0, or uses truncation or padding, which heed does not support. */
function checkSupported(file: Fields): void {
  const version = file.any("version") ?? "1.0";
  if (version !== "1.0") refuse("version", version, '"1.0"');
  for (const key of ["truncation", "padding"]) {
    const value = file.any(key) ?? null;
    if (value !== null) refuse(key, value, "null (neither truncation nor padding)");
  }
}

/**
 * Returns a function that encodes a text. It splits the text at added tokens; the text between them is normalized, pre-tokenized
 * and passed to the model.
 */
function encoderOf(file: Fields, model: Model, added: readonly AddedToken[], normalize?: Normalizer) {
  const cutter = preTokenizerOf(file.any("pre_tokenizer"), normalize !== undefined);
  const findPlain = finderOf(added.filter(({ normalized }) => !normalized));
  const findNormalized = finderOf(added.filter(({ normalized }) => normalized), normalize);
  const { finish = (piece: string) => piece } = cutter ?? {};
  const encodePiece = cached((piece) => model.encode(finish(piece)));
  return (text: string): Uint32Array => {
    checkWellFormed(text);
    const ids = numberList(0xffffffff, text.length);
    const model = ({ text, first }: Exclude<Section, number>) => {
      for (const piece of cutter ? cutter.split(text, first).pieces : [text]) ids.add(encodePiece(piece));
    };
    for (const section of findPlain(text)) {
      if (typeof section === "number") ids.push(section);
      else {
        for (const inner of findNormalized(normalize ? normalize(section.text) : section.text)) {
          if (typeof inner === "number") ids.push(inner);
          else model({ text: inner.text, first: section.first && inner.first });
        }
      }
    }
    return ids.all() as Uint32Array;
  };
}

/**
 * Returns the tokenizer that a Hugging Face `tokenizer.json` describes. It gives the same ids and texts as the library tokenizers
 * 0.23. No special tokens are added around a text, but special tokens that are written in the text are recognised. With
 * byte-level byte-pair encoding (GPT-2, Llama 3 and similar), ids decode to the original text; with a normaliser, the decoded
 * text may differ from the original.
 *
 * @throws UserError naming the field if the file is not such a tokenizer or uses an unsupported feature; `encode` throws at a
 * lone surrogate, and at text for which the tokenizer has no token
 *
 * @example
 * ```ts
 * import { byteCharacters, huggingfaceTokenizer } from "./mod.ts";
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
  const fields = fieldsOf(file, "");
  checkSupported(fields);
  const starts = firstToken(fields.any("post_processor"));
  const model = modelOf(fields.any("model"));
  const added = addedTokensOf(fields.any("added_tokens"), model);
  const normalize = normalizerOf(fields.any("normalizer"));
  const encode = encoderOf(fields, model, added, normalize);
  const decodeTokens = decoderOf(fields.any("decoder"));
  fields.done();
  const tokens = new Map(model.tokens);
  for (const { id, content, normalized } of added) {
    tokens.set(id, normalized && normalize ? normalize(content) : content);
  }
  let most = -1;
  for (const id of tokens.keys()) most = Math.max(most, id);
  const size = most + 1;
  const first = [starts, ...STARTS].map((token) =>
    added.find(({ content }) => content === token)?.id ??
      (token === undefined ? undefined : model.ids.get(token))
  );
  return {
    kind: "huggingface",
    size,
    first: first.find((id) => id !== undefined),
    hasToken: tokens.size < size ? (id) => tokens.has(id) : undefined,
    ...inParts(file as Json, encode),
    decode(ids) {
      checkIds(ids, size);
      // Ids without a token decode to nothing.
      return decodeTokens(Array.from(ids, (id) => tokens.get(id)).filter((token) => token !== undefined));
    },
    toJSON: () => ({ kind: "huggingface", tokenizer: file }),
  };
}

export function huggingfaceTokenizerOf({ tokenizer }: Json): Tokenizer {
  if (!isObject(tokenizer)) {
    throw new UserError("Tokenizer file: tokenizer: expected a tokenizer.json of Hugging Face.");
  }
  return huggingfaceTokenizer(tokenizer);
}
