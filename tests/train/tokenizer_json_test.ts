// Tokenizers in Hugging Face's form, read back by heed and by Hugging Face's own package.
import assert from "node:assert/strict";
import { Tokenizer as HuggingFace } from "@huggingface/tokenizers";
import {
  bpeTokenizer,
  byteTokenizer,
  charTokenizer,
  cropTokenizer,
  gpt2Tokenizer,
  idsTokenizer,
  tokenizerFromJSON,
} from "../../src/data/mod.ts";
import { tokenizerJson } from "../../src/train/tokenizer_json.ts";

/** A tokenizer.json as Hugging Face's own package reads it. */
function packaged(file: Record<string, unknown>) {
  const tokenizer = new HuggingFace(file, {});
  const plain = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
  return {
    encode: (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    decode: (ids: number[]) => tokenizer.decode(ids, plain),
  };
}

Deno.test("exported tokenizers give in Hugging Face's form the ids and the text that they give in heed's", () => {
  const corpus = "the cat and the hat; the bat. It’s 12 o'clock, 日本 <|endoftext|>\n\n  😀 the cat";
  const texts = [corpus, "hat the", " <|endoftext|><|endoftext|> a", "\t\u0085é\u0000"];
  for (
    const own of [
      bpeTokenizer(corpus, { size: 270 }),
      byteTokenizer(),
      gpt2Tokenizer(),
      charTokenizer(texts.join()),
    ]
  ) {
    const file = JSON.parse(JSON.stringify(tokenizerJson(own)));
    for (const read of [tokenizerFromJSON(file), packaged(file)]) {
      for (const text of texts) {
        const ids = [...own.encode(text)];
        assert.deepEqual([...read.encode(text)], ids, `${own.kind}: ${text}`);
        assert.equal(read.decode(ids), text);
      }
    }
  }
  assert.equal(tokenizerJson(cropTokenizer(gpt2Tokenizer(), [1, 2])), undefined);
  assert.equal(tokenizerJson(idsTokenizer(5)), undefined);
  // "ab" + "c" and "a" + "bc" are two ids of one text.
  const ambiguous = { kind: "bpe", merges: ["97 98", "98 99", "256 99", "97 257"] };
  assert.equal(tokenizerJson(tokenizerFromJSON(ambiguous)), undefined);
});
