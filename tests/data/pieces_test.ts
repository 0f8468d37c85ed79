// Texts in parts: cutting a text where the tokenizer allows it does not change its ids.
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
import { readGolden, wholeFile } from "./tokenizer_goldens.ts";
import { UserError } from "../../src/base/errors.ts";
import { randomStream } from "../../src/base/random.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** Texts that pre-tokenization treats differently, and special tokens, complete and broken. */
const PARTS = [
  ..."'stmdrevl  \n\t\u0085\ufeff\u00a0\u2003.,-<|>12½Ⅷé\u0301中文。🙂𝔸abcab",
  "\r\n",
  "'ve",
  "<|endoftext|>",
  "<|endof",
  "text|>",
  "<end of it>",
  "end of it",
  ..."a b ab c ".repeat(3).split(/(?<= )/),
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

const characters = [...new Set(PARTS.join(""))];
const SPACE = "▁";

/** A tokenizer.json of one family, on the characters of the texts. */
const FAMILIES: Record<string, object> = {
  BERT: {
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    model: {
      type: "WordPiece",
      vocab: idsOf(["[UNK]", "a", "##b", "b", "c", "##c", "end"]),
      unk_token: "[UNK]",
    },
  },
  T5: {
    pre_tokenizer: { type: "Metaspace", replacement: SPACE, prepend_scheme: "always" },
    model: {
      type: "Unigram",
      vocab: [["<unk>", 0], [SPACE, -2], ...characters.map((c) => [c, -4]), ["ab", -5], [`${SPACE}ab`, -3]],
      unk_id: 0,
    },
    added_tokens: [{ id: characters.length + 4, content: "12", special: true }],
  },
  "Llama 2": {
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: SPACE },
        { type: "Replace", pattern: { String: " " }, content: SPACE },
      ],
    },
    model: {
      type: "BPE",
      vocab: idsOf(["<unk>", SPACE, ...characters, "ab", `${SPACE}ab`, `${SPACE}${SPACE}`]),
      merges: ["a b", `${SPACE} ab`, `${SPACE} ${SPACE}`],
      unk_token: "<unk>",
      fuse_unk: true,
    },
  },
  Qwen: {
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            Regex: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" +
              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          },
          behavior: "Isolated",
        },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: idsOf([...byteCharacters().map(({ character }) => character), "ab"]),
      merges: ["a b"],
    },
  },
};

function idsOf(tokens: string[]): Record<string, number> {
  return Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
}

const CORPUS = PARTS.join("").repeat(3) + " ab ab 've 've  \n\n  12 12 中文中文";

const TOKENIZERS: Record<string, () => Tokenizer> = {
  char: () => charTokenizer(PARTS.join("")),
  byte: byteTokenizer,
  bpe: () => bpeTokenizer(CORPUS, { size: 330 }),
  gpt2: gpt2Tokenizer,
  huggingface: () => byteLevel(["<|endoftext|>", "<end of it>", "end of it>2"]),
  ...Object.fromEntries(
    Object.entries(FAMILIES).map(([name, file]) => [name, () => huggingfaceTokenizer(file)]),
  ),
  cropped: () => cropTokenizer(gpt2Tokenizer(), gpt2Tokenizer().encode("ab 12"), { unknown: "token" }),
};

for (const [name, make] of Object.entries(TOKENIZERS)) {
  Deno.test(`a text cut where the tokenizer ${name} allows it has the ids of the complete text`, () => {
    const tokenizer = make();
    const rng = randomStream(8, name);
    let cuts = 0;
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: 1 + rng.below(24) }, () => PARTS[rng.below(PARTS.length)]).join("");
      const expected = [...tokenizer.encode(text)];
      for (let end = 1; end <= text.length; end++) {
        const at = tokenizer.cut!(text.slice(0, end));
        if (at === 0) continue;
        cuts++;
        const left = tokenizer.encode(text.slice(0, at));
        const right = tokenizer.encode(text.slice(at), left.length);
        assert.deepEqual([...left, ...right], expected, `${JSON.stringify(text)} of ${end} at ${at}`);
      }
    }
    assert.ok(cuts > 500, `${cuts} cuts`);
  });
}

Deno.test("a tokenizer.json whose tokens or pieces may cross a space has no cut", () => {
  const changed = (family: string, change: (file: Json) => void) => {
    const file = structuredClone(FAMILIES[family]) as Json;
    change(file);
    return huggingfaceTokenizer(file).cut;
  };
  assert.equal(changed("BERT", (file) => file.pre_tokenizer = { type: "Punctuation" }), undefined);
  assert.equal(
    changed("T5", (file) => file.normalizer = { type: "Strip", strip_left: true, strip_right: false }),
    undefined,
  );
  assert.equal(changed("T5", (file) => file.pre_tokenizer.split = false), undefined);
  assert.equal(changed("Llama 2", (file) => file.model.vocab[`a${SPACE}`] = 99), undefined);
  assert.equal(
    changed("Qwen", (file) => file.pre_tokenizer.pretokenizers[0].pattern.Regex = "a b|c"),
    undefined,
  );
});

Deno.test("files of every family with any option keep the ids wherever they allow a cut", async () => {
  const golden = await readGolden();
  const rng = randomStream(8, "golden files");
  let [files, cuts] = [0, 0];
  for (const [n, entry] of golden.files.entries()) {
    const file = wholeFile(entry, golden) as Json;
    const tokenizer = unlessUserError(() => huggingfaceTokenizer(file));
    if (!tokenizer?.cut) continue;
    files++;
    const added = (file.added_tokens ?? []).map(({ content }: { content: string }) => content);
    const texts = [...golden.texts.map((text) => text.slice(0, 60)), ...added, ...added];
    const text = Array.from({ length: 5 }, () => texts[rng.below(texts.length)]).join(" ");
    const expected = unlessUserError(() => tokenizer.encode(text));
    if (!expected) continue;
    for (let end = 1, last = 0; end <= text.length; end++) {
      const at: number = tokenizer.cut(text.slice(0, end));
      if (at <= last) continue;
      last = at;
      cuts++;
      const left: Uint32Array = tokenizer.encode(text.slice(0, at));
      const right: Uint32Array = tokenizer.encode(text.slice(at), Math.max(1, left.length));
      assert.deepEqual([...left, ...right], [...expected], `file ${n}, ${JSON.stringify(text)} at ${at}`);
    }
  }
  assert.ok(files > 500 && cuts > 1000, `${files} files, ${cuts} cuts`);
});

/** The result of `work`; undefined if a file or a text is refused. */
function unlessUserError<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof UserError);
  }
}

Deno.test("ids are cut between numbers, and errors count from the start of a text", () => {
  const ids = idsTokenizer(1000);
  assert.deepEqual(["12 345", "12 ", "12", " "].map((text) => ids.cut!(text)), [3, 3, 0, 1]);
  assert.throws(() => ids.encode("7 x", 40), /has "x" at position 41;/);
  assert.throws(() => charTokenizer("ab").encode("a😀", 40), /"😀" \(U\+1F600\) at position 41;/);
  const cropped = cropTokenizer(byteTokenizer(), [97]);
  assert.throws(() => cropped.encode("ab", 40), /has the token "b" at position 41,/);
});
