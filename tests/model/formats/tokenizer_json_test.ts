// Tokenizers in Hugging Face's format, read back by heed, which reads it like `tokenizers` (tests/data/huggingface_test.ts).
import assert from "node:assert/strict";
import {
  bpeTokenizer,
  byteTokenizer,
  charTokenizer,
  cropTokenizer,
  gpt2Tokenizer,
  idsTokenizer,
  tokenizerFromJSON,
} from "../../../src/data/mod.ts";
import { tokenizerJson } from "../../../src/model/formats/tokenizer_json.ts";

Deno.test("exported tokenizers give the same ids and text in Hugging Face's format as in heed's", () => {
  const corpus = "the cat and the hat; the bat. It’s 12 o'clock, 日本 <|endoftext|>\n\n  😀 the cat";
  const texts = [corpus, "hat the", " <|endoftext|><|endoftext|> a", "\t\u0085é\u0000"];
  for (
    const original of [
      bpeTokenizer(corpus, { size: 270 }),
      byteTokenizer(),
      gpt2Tokenizer(),
      charTokenizer(texts.join()),
    ]
  ) {
    const file = JSON.parse(JSON.stringify(tokenizerJson(original)));
    const read = tokenizerFromJSON(file);
    for (const text of texts) {
      const ids = [...original.encode(text)];
      assert.deepEqual([...read.encode(text)], ids, `${original.kind}: ${text}`);
      assert.equal(read.decode(ids), text);
    }
  }
  assert.equal(tokenizerJson(cropTokenizer(gpt2Tokenizer(), [1, 2])), undefined);
  assert.equal(tokenizerJson(idsTokenizer(5)), undefined);
  // "ab" + "c" and "a" + "bc" are two ids of one text.
  const ambiguous = { kind: "bpe", merges: ["97 98", "98 99", "256 99", "97 257"] };
  assert.equal(tokenizerJson(tokenizerFromJSON(ambiguous)), undefined);
});
