// Tokenizers in the format of Hugging Face's tokenizer.json, to export them, and to read GPT-2's vocab.json and merges.txt.
import { byteCharacters, gpt2Pairs, type Tokenizer } from "../../data/mod.ts";

/** GPT-2's only token that is neither a byte nor the result of a merge. */
const END_OF_TEXT = "<|endoftext|>";

const PLAIN = { version: "1.0", truncation: null, padding: null, normalizer: null, post_processor: null };

/**
 * Returns a character tokenizer, in which every code point is a token. A code point outside the vocabulary has the id of
 * `<unk>`, or no id if the vocabulary lacks `<unk>`.
 */
function characterTokenizer({ vocabulary, unknown }: { vocabulary: string[]; unknown: string }): object {
  const words = unknown === "token" ? [...vocabulary, "<unk>"] : vocabulary;
  return {
    ...PLAIN,
    added_tokens: [],
    pre_tokenizer: { type: "Split", pattern: { Regex: "[\\s\\S]" }, behavior: "Isolated", invert: false },
    decoder: { type: "Fuse" },
    model: {
      type: "WordLevel",
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: "<unk>",
    },
  };
}

/**
 * Returns a tokenizer for byte-level byte-pair encoding with GPT-2's pre-tokenisation. `vocab` maps tokens, with each byte
 * written as GPT-2's character for it, to ids; `<|endoftext|>`, if present, is a special token. Each of `merges` is a pair of
 * tokens, written as "a b" or as a list of two.
 */
export function byteLevelJson(vocab: unknown, merges: readonly unknown[]): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const id = (vocab as Record<string, unknown> | null)?.[END_OF_TEXT];
  const end = { id, content: END_OF_TEXT, single_word: false, lstrip: false, rstrip: false };
  return {
    ...PLAIN,
    added_tokens: id === undefined ? [] : [{ ...end, normalized: false, special: true }],
    pre_tokenizer: byteLevel,
    decoder: byteLevel,
    model: { type: "BPE", dropout: null, unk_token: null, vocab, merges },
  };
}

/**
 * Returns {@link byteLevelJson} for tokens that are listed in order of id; undefined if two tokens have the same text,
 * because `vocab` is keyed by text.
 */
function byteLevelTokenizer(words: readonly string[], pairs: readonly (readonly [string, string])[]) {
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  return Object.keys(vocab).length === words.length ? byteLevelJson(vocab, pairs) : undefined;
}

/** Returns a tokenizer with bytes and trained merges. A merge is written as "left right", the ids of the two merged tokens. */
function trainedTokenizer(merges: readonly string[]) {
  const words = byteCharacters().toSorted((a, b) => a.byte - b.byte).map(({ character }) => character);
  const pairs = merges.map((merge): [string, string] => {
    const [left, right] = merge.split(" ").map((id) => words[Number(id)]);
    words.push(left + right);
    return [left, right];
  });
  return byteLevelTokenizer(words, pairs);
}

function gpt2Tokenizer() {
  const pairs = gpt2Pairs();
  const characters = byteCharacters().map(({ character }) => character);
  return byteLevelTokenizer([...characters, ...pairs.map((pair) => pair.join("")), END_OF_TEXT], pairs);
}

/**
 * Converts a tokenizer to the format of Hugging Face's tokenizer.json; the ids of tokens stay the same. Returns undefined for
 * tokenizers that the format cannot express: cropped tokenizers, whose intermediate merges have no ids, and ids tokenizers,
 * whose texts are lists of ids.
 */
export function tokenizerJson(tokenizer: Tokenizer): object | undefined {
  const file = tokenizer.toJSON();
  switch (file.kind) {
    case "char":
      return characterTokenizer(file);
    case "byte":
      return trainedTokenizer([]);
    case "bpe":
      return trainedTokenizer(file.merges);
    case "gpt2":
      return gpt2Tokenizer();
    case "huggingface":
      return file.tokenizer;
    case "ids":
    case "cropped":
      return undefined;
  }
}
