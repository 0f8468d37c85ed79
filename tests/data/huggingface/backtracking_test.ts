// Expressions of a tokenizer.json with catastrophic backtracking are refused at load, in one line; those of
// common tokenizers are accepted, and none takes excessive time.
import assert from "node:assert/strict";
import { byteCharacters } from "../../../src/data/byte_bpe.ts";
import { huggingfaceTokenizer } from "../../../src/data/huggingface_tokenizer.ts";
import { UserError } from "../../../src/base/errors.ts";

const VOCAB = Object.fromEntries(byteCharacters().map(({ character }, id) => [character, id]));
const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false });

function fileOf(part: "pre_tokenizer" | "normalizer" | "decoder", Regex: string): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const replace = { type: "Replace", pattern: { Regex }, content: "x" };
  return {
    normalizer: part === "normalizer" ? replace : null,
    pre_tokenizer: part === "pre_tokenizer"
      ? { type: "Sequence", pretokenizers: [split(Regex), byteLevel] }
      : byteLevel,
    decoder: part === "decoder"
      ? { type: "Sequence", decoders: [replace, { type: "Fuse" }] }
      : { type: "ByteLevel" },
    model: { type: "BPE", vocab: VOCAB, merges: [] },
  };
}

/** Expressions, each with a text that makes it backtrack catastrophically. */
const ENDLESS: [string, string][] = [
  ["(a+)+$", "aaaa...b"],
  ["(?:a|a)*b", "aaaa"],
  ["(?:a|aa)+$", "aaaa...b"],
  ["(?:\\w+\\s?)+!", "a word without a mark"],
  ["(?:[a-z]+[0-9]?)+!", "aaaa"],
  ["(?:\\r\\n|\\r|\\n)+x", "empty lines of Windows"],
  ["(?:.*,){20}P", "a,a,a,a"],
  ["(?:(?:a+)+b)+", "aaaa"],
  ["(?=(?:a+)+b)", "aaaa"],
  ["(?<=b(?:a+)+)c", "aaaac"],
  ["(?>(?:a+)+b)", "aaaa"],
  ["(?i:(?:x|X)+)y", "xxxx"],
  ["(?:\\p{L}|é)+!", "éééé"],
  ["(?:a?){30}a{30}", "a, 29 times"],
  ["(?:ab)?".repeat(30) + "x", "ab, 30 times"],
  ["a{0,50}".repeat(4) + "b", "a, 50 times"],
  ["(?:a{1,3}){1,9}b", "aaaa"],
  ["\\s*\\s*x", "spaces, their number cubed"],
  ["[^x]*[^y]*z", "any text, its length cubed"],
];

/** GPT-2, Llama 3, cl100k as tiktoken writes it, o200k, Qwen, DeepSeek, BLOOM, groups of three digits from the right. */
const USED = [
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
  ["*", "+"].map((end) =>
    `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]${end === "*" ? "+" : "*"}` +
    `[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]${end}(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
  ).join("|") + "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  " ?[^(\\s|[.,!?…。，、।۔،])]+",
  "\\d{1,3}(?=(?:\\d{3})*\\b)",
  "(?<=\\d)(?=(?:\\d{3})+(?!\\d))",
  "(?:\\w+\\s?)+",
];

Deno.test("an expression with catastrophic backtracking is refused at load, with the field", () => {
  for (const [pattern, text] of ENDLESS) {
    const load = () => huggingfaceTokenizer(fileOf("pre_tokenizer", pattern));
    assert.throws(
      load,
      /pre_tokenizer\.pretokenizers\[0\]\.pattern\.Regex is .*backtracks catastrophically/,
      `${pattern}: ${text}`,
    );
  }
  for (const part of ["normalizer", "decoder"] as const) {
    const load = () => huggingfaceTokenizer(fileOf(part, "(?:a|a)*b"));
    assert.throws(
      load,
      (error) => error instanceof UserError && /backtracks catastrophically/.test(error.message),
      part,
    );
  }
});

Deno.test("the expressions of common tokenizers are accepted, also for long runs", () => {
  const [spaces, letters, lines] = [" ", "語", "\n"].map((character) => character.repeat(60_000));
  for (const pattern of USED) {
    const tokenizer = huggingfaceTokenizer(fileOf("pre_tokenizer", pattern));
    const text = "It's 1234567 words,\r\n  you'LL see: naïve 日本語!\n\n";
    for (const given of [text, spaces, letters.slice(0, 10_000), lines]) {
      assert.equal(tokenizer.decode(tokenizer.encode(given)), given, pattern);
    }
  }
});

Deno.test("an expression that rereads a long run from each of its characters ends in a one-line error", () => {
  const tokenizer = huggingfaceTokenizer(fileOf("pre_tokenizer", "\\s+$|x"));
  assert.equal(tokenizer.decode(tokenizer.encode("x  x ")), "x  x ");
  assert.throws(
    () => tokenizer.encode(" ".repeat(60_000) + "y"),
    /^UserError: tokenizer\.json: ".*" takes more than 2 s for 60,001 characters; expected /,
  );
});
