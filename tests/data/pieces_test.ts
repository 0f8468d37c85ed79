// Texts in parts: where a tokenizer says that a text may be cut, its ids stay those of the whole.
import assert from "node:assert/strict";
import {
  bpeTokenizer,
  byteCharacters,
  byteTokenizer,
  charTokenizer,
  cropTokenizer,
  gpt2Tokenizer,
  huggingfaceTokenizer,
  idsTokenizer,
  type Tokenizer,
} from "../../src/data/mod.ts";
import { randomStream } from "../../kernels/random/threefry.ts";

/** What pre-tokenization treats apart, and special texts whole and broken. */
const PARTS = [
  ..."'stmdrevl  \n\t\u0085\ufeff\u00a0\u2003.,-<|>12½Ⅷé\u0301中文。🙂𝔸abcab",
  "\r\n",
  "'ve",
  "<|endoftext|>",
  "<|endof",
  "text|>",
  "<end of it>",
  "end of it",
];

const byteLevel = (added: string[]) =>
  huggingfaceTokenizer({
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: { ...Object.fromEntries(byteCharacters().map(({ character }, id) => [character, id])), ab: 256 },
      merges: ["a b"],
    },
    added_tokens: added.map((content, i) => ({ id: 257 + i, content, special: true })),
  });

const CORPUS = PARTS.join("").repeat(3) + " ab ab 've 've  \n\n  12 12 中文中文";

const TOKENIZERS: Record<string, () => Tokenizer> = {
  char: () => charTokenizer(PARTS.join("")),
  byte: byteTokenizer,
  bpe: () => bpeTokenizer(CORPUS, { size: 330 }),
  gpt2: gpt2Tokenizer,
  huggingface: () => byteLevel(["<|endoftext|>", "<end of it>", "end of it>2"]),
  cropped: () => cropTokenizer(gpt2Tokenizer(), gpt2Tokenizer().encode("ab 12"), { unknown: "token" }),
};

for (const [name, make] of Object.entries(TOKENIZERS)) {
  Deno.test(`a text cut where the tokenizer ${name} allows it has the ids of the whole`, () => {
    const tokenizer = make();
    const rng = randomStream(8, name);
    let cuts = 0;
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: 1 + rng.below(24) }, () => PARTS[rng.below(PARTS.length)]).join("");
      const whole = [...tokenizer.encode(text)];
      for (let end = 1; end <= text.length; end++) {
        const at = tokenizer.cut!(text.slice(0, end));
        if (at === 0) continue;
        cuts++;
        const left = tokenizer.encode(text.slice(0, at));
        const right = tokenizer.encode(text.slice(at), left.length);
        assert.deepEqual([...left, ...right], whole, `${JSON.stringify(text)} of ${end} at ${at}`);
      }
    }
    assert.ok(cuts > 2000, `${cuts} cuts`);
  });
}

Deno.test("ids are cut between numbers, and errors count from the start of a text", () => {
  const ids = idsTokenizer(1000);
  assert.deepEqual(["12 345", "12 ", "12", " "].map((text) => ids.cut!(text)), [3, 3, 0, 1]);
  assert.throws(() => ids.encode("7 x", 40), /has "x" at place 41;/);
  assert.throws(() => charTokenizer("ab").encode("a😀", 40), /"😀" \(U\+1F600\) at position 41;/);
  const cropped = cropTokenizer(byteTokenizer(), [97]);
  assert.throws(() => cropped.encode("ab", 40), /has the token "b" at position 41,/);
});
