// Every code point through the components that look up characters, each with its version of Unicode.
import assert from "node:assert/strict";
import { normalizerOf } from "../../../src/data/huggingface/normalizers.ts";
import { preTokenizerOf } from "../../../src/data/huggingface/pre_tokenizers.ts";
import unicode from "../../golden/tokenizer_unicode.json" with { type: "json" };

const CHARACTERS = Array.from({ length: 0x110000 }, (_, code) => code)
  .filter((code) => code < 0xd800 || code > 0xdfff).map((code) => String.fromCodePoint(code));
const APART = CHARACTERS.join("|");
const BESIDE = CHARACTERS.join("");

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

Deno.test("normalizers and pre-tokenizers treat all 1,112,064 code points like tokenizers", async () => {
  for (const [component, hash] of unicode.normalizers) {
    assert.equal(await sha256(normalizerOf(component)!(APART)), hash, JSON.stringify(component));
  }
  const marked = CHARACTERS.map((character) => `a\u0345${character}`).join("|");
  for (const [component, hash] of unicode.order) {
    assert.equal(await sha256(normalizerOf(component)!(marked)), hash, JSON.stringify(component));
  }
  for (const [component, hash] of unicode.pre_tokenizers) {
    const { split, finish = (piece: string) => piece } = preTokenizerOf(component, false)!;
    const pieces = split(BESIDE, true).pieces.map(finish).join("\n");
    assert.equal(await sha256(pieces), hash, JSON.stringify(component));
  }
});

Deno.test("character classes of expressions have the same code points as in tokenizers", async () => {
  for (const [expression, hash] of unicode.expressions) {
    const replace = normalizerOf({ type: "Replace", pattern: { Regex: expression }, content: "|" })!;
    assert.equal(await sha256(replace(BESIDE)), hash, expression);
  }
});
