// Every tokenizer against Hugging Face's ids, and decode(encode(x)) = x over all of Unicode.
import assert from "node:assert/strict";
import {
  bpeTokenizer,
  byteCharacters,
  byteTokenizer,
  charTokenizer,
  cropTokenizer,
  gpt2Tokenizer,
  huggingfaceTokenizer,
  makeTokenizer,
  type Tokenizer,
  tokenizerFromJSON,
} from "../../src/data/mod.ts";
import { piecesOf } from "../../src/data/byte_bpe.ts";
import { UserError } from "../../src/base/errors.ts";
import golden from "../golden/tokenizer_ids.json" with { type: "json" };
import { randomText } from "./random_text.ts";

const LINES: readonly string[] = golden.lines;
const CORPUS = LINES.join("\n");
const FILES: Readonly<Record<string, object>> = golden.files;

/** The tokenizer after a round trip through a checkpoint's file. */
const reread = (tokenizer: Tokenizer): Tokenizer => tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));

/** FNV-1a over the bytes of the ids, little-endian. */
function hash(ids: Uint32Array): string {
  let h = 0x811c9dc5;
  for (const byte of new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)) {
    h = Math.imul(h ^ byte, 0x01000193);
  }
  return (h >>> 0).toString(16).padStart(8, "0");
}

function fails(work: () => unknown, message: string | RegExp): void {
  assert.throws(
    work,
    (error) =>
      error instanceof UserError &&
      (typeof message === "string"
        ? assert.equal(error.message, message)
        : assert.match(error.message, message),
        true),
  );
}

const MAKERS: Readonly<Record<keyof typeof golden.hashes, () => Tokenizer>> = {
  char: () => charTokenizer(LINES.join("")),
  byte: byteTokenizer,
  gpt2: gpt2Tokenizer,
  bpe: () => huggingfaceTokenizer(FILES.bpe),
  word_piece: () => huggingfaceTokenizer(FILES.word_piece),
  unigram: () => huggingfaceTokenizer(FILES.unigram),
};

for (const [name, make] of Object.entries(MAKERS)) {
  Deno.test(`${name}: 1,000 mixed lines have Hugging Face's ids, also after a checkpoint`, () => {
    const tokenizer = reread(make());
    const hashes = golden.hashes[name as keyof typeof golden.hashes];
    LINES.forEach((line, i) => {
      const ids = tokenizer.encode(line);
      const place = `line ${i}, ${JSON.stringify(line)}: ${ids}`;
      assert.equal(hash(ids), hashes.slice(8 * i, 8 * i + 8), place);
      assert.ok(ids.every((id) => id < tokenizer.size), place);
    });
  });
}

Deno.test("merges in heed's form give Hugging Face's ids too, up to renumbering", () => {
  const { model } = FILES.bpe as { model: { vocab: Record<string, number>; merges: [string, string][] } };
  const theirs = huggingfaceTokenizer(FILES.bpe);
  const newIds = new Map<string, number>();
  for (const { byte, character } of byteCharacters()) newIds.set(character, byte);
  const merges = model.merges.map(([left, right], i) => {
    newIds.set(left + right, 256 + i);
    return `${newIds.get(left)} ${newIds.get(right)}`;
  });
  const ours = tokenizerFromJSON({ kind: "bpe", merges });
  const number = new Map(Object.entries(model.vocab).map(([token, id]) => [newIds.get(token)!, id]));
  for (const line of LINES) {
    assert.deepEqual(ours.encode(line).map((id) => number.get(id)!), theirs.encode(line), line);
  }
});

/** Tokenizers that can encode every text. */
const TOTAL: Readonly<Record<string, () => Tokenizer>> = {
  byte: byteTokenizer,
  bpe: () => bpeTokenizer(CORPUS, { size: 2000 }),
  gpt2: gpt2Tokenizer,
  huggingface: () => huggingfaceTokenizer(FILES.bpe),
};

for (const [name, make] of Object.entries(TOTAL)) {
  Deno.test(`${name}: decode(encode(x)) is x over 10,000 random texts`, () => {
    const tokenizer = reread(make());
    for (let i = 0; i < 10_000; i++) {
      const text = randomText(i, name);
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    }
  });
}

Deno.test("char and cropped: decode(encode(x)) is x over 10,000 random texts of the corpus's characters", () => {
  const texts = Array.from({ length: 10_000 }, (_, i) => randomText(i, "cropped"));
  const text = texts.join("\n");
  const bpe = bpeTokenizer(text.slice(0, 20_000).toWellFormed(), { size: 600 });
  const used = new Set(texts.flatMap((text) => [...bpe.encode(text)]));
  for (const tokenizer of [charTokenizer(text), cropTokenizer(bpe, used)].map(reread)) {
    for (const text of texts) assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  }
});

Deno.test("a lone surrogate has no UTF-8: all kinds except char refuse it with its position", () => {
  for (const make of Object.values(TOTAL)) {
    fails(
      () => make().encode("😀a\ud83d!"),
      'Text has the lone surrogate U+D83D at position 2; expected well-formed Unicode, or the tokenizer "char".',
    );
  }
});

Deno.test("invalid UTF-8 decodes to U+FFFD, and ids out of range are a RangeError", () => {
  assert.equal(byteTokenizer().decode([0xe2, 0x82, 0x41]), "\ufffdA");
  assert.equal(byteTokenizer().decode([0xef, 0xbb, 0xbf, 0x41]), "\ufeffA");
  const all = { ...TOTAL, cropped: () => cropTokenizer(byteTokenizer(), [1, 2]) };
  for (const make of Object.values(all)) {
    const tokenizer = make();
    for (const id of [tokenizer.size, -1, 0.5]) assert.throws(() => tokenizer.decode([0, id]), RangeError);
  }
});

/** The definition: recount every pair, join the most frequent one, ties by the lowest ids. */
function naiveMerges(words: number[][], count: number): string[] {
  const merges: string[] = [];
  while (merges.length < count) {
    const counts = new Map<string, number>();
    for (const word of words) {
      word.slice(1).forEach((id, i) =>
        counts.set(`${word[i]} ${id}`, (counts.get(`${word[i]} ${id}`) ?? 0) + 1)
      );
    }
    const order = (pair: string) => pair.split(" ").map(Number);
    const [best] = [...counts].sort(([a, m], [b, n]) =>
      n - m || order(a)[0] - order(b)[0] || order(a)[1] - order(b)[1]
    );
    if (!best || best[1] < 2) break;
    const [left, right] = order(best[0]);
    const token = 255 + merges.push(best[0]);
    words = words.map((word) => {
      const merged: number[] = [];
      for (let i = 0; i < word.length; i++) {
        const isPair = word[i] === left && word[i + 1] === right;
        merged.push(isPair ? token : word[i]);
        if (isPair) i++;
      }
      return merged;
    });
  }
  return merges;
}

Deno.test("training joins the most frequent pair each time, as recounting does, and is deterministic", () => {
  for (
    const text of ["aaaa aaa abab ababa", LINES.slice(0, 20).join("\n"), LINES.slice(900, 960).join("\n")]
  ) {
    const { merges } = bpeTokenizer(text, { size: 356 }).toJSON() as { merges: string[] };
    assert.deepEqual(
      merges,
      naiveMerges(piecesOf(text).map((piece) => [...new TextEncoder().encode(piece)]), 100),
    );
    assert.deepEqual(bpeTokenizer(text, { size: 356 }).toJSON(), { kind: "bpe", merges });
  }
});

Deno.test("a megabyte of text trains 1,000 tokens and encodes within seconds, and so do long runs", () => {
  const text = Array.from({ length: 10_000 }, (_, i) => randomText(i, "speed")).join(" ").slice(0, 1_000_000);
  const began = performance.now();
  const tokenizer = bpeTokenizer(text, { size: 1000 });
  assert.equal(tokenizer.size, 1000);
  assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
  // One piece of 300,000 characters: rescanning for the best pair after each merge would take hours.
  const run = "a".repeat(300_000) + " ".repeat(300_000);
  assert.equal(tokenizer.decode(tokenizer.encode(run)), run);
  // It takes 3 s on an idle machine; the limit allows for a busy one.
  assert.ok(performance.now() - began < 30_000, `${performance.now() - began} ms`);
});

Deno.test("a size that a text of its length cannot reach is refused before training, up to 65,536 it is accepted", () => {
  const text = "the cat and the hat ".repeat(50);
  assert.ok(bpeTokenizer(text, { size: 65536 }).size < 400);
  assert.throws(
    () => bpeTokenizer(text, { size: 1e9 }),
    {
      name: "UserError",
      message:
        /^tokenizer\.size: 1000000000 tokens are more .* from 1000 bytes of text; expected at most 65536\.$/,
    },
  );
  const long = text.repeat(100);
  assert.ok(bpeTokenizer([long.slice(0, 7), long.slice(7)], { size: 100_256 }).size < 400);
  assert.throws(
    () => bpeTokenizer([long.slice(0, 7), long.slice(7)], { size: 100_257 }),
    /expected at most 100256\.$/,
  );
});

Deno.test("crop keeps the tokens of the corpus in order; others are an error or become <unk>", async () => {
  const options = { kind: "gpt2", unknown: "error", size: 1000, file: null, crop: true } as const;
  const tokenizer = reread(await makeTokenizer(options, ["the cat", " and the hat"]));
  const gpt2 = gpt2Tokenizer();
  const used = [...new Set(gpt2.encode("the cat and the hat"))].sort((a, b) => a - b);
  assert.deepEqual(tokenizer.toJSON(), {
    kind: "cropped",
    of: { kind: "gpt2" },
    ids: used,
    unknown: "error",
  });
  assert.deepEqual([tokenizer.size, tokenizer.decode(tokenizer.encode("the hat"))], [5, "the hat"]);
  fails(
    () => tokenizer.encode("the dog"),
    'Text has the token " dog" at position 1, which the corpus does not contain; expected one of the 5 that were kept, ' +
      'or a tokenizer with unknown "token".',
  );
  const lenient = await makeTokenizer({ ...options, unknown: "token" }, ["the cat and the hat"]);
  assert.deepEqual([lenient.size, lenient.decode(lenient.encode("the dog and"))], [6, "the<unk> and"]);
});

Deno.test("an id without a token in a tokenizer.json decodes to nothing and is recognised", () => {
  const { model, ...rest } = FILES.bpe as { model: { vocab: Record<string, number> } };
  const added = [{ id: 700, content: "<end>", special: true }];
  const vocab = { ...model.vocab, "<end>": 700 };
  const tokenizer = huggingfaceTokenizer({ ...rest, added_tokens: added, model: { ...model, vocab } });
  assert.equal(tokenizer.size, 701);
  assert.equal(tokenizer.decode([...tokenizer.encode("a<end>b"), 650]), "a<end>b");
  assert.deepEqual([650, 700].map((id) => tokenizer.hasToken!(id)), [false, true]);
});

Deno.test("GPT-2's end of text is one token, and what it decodes to", () => {
  const tokenizer = gpt2Tokenizer();
  assert.deepEqual([...tokenizer.encode("Hello world<|endoftext|>")], [15496, 995, 50256]);
  assert.equal(tokenizer.decode([15496, 995, 50256]), "Hello world<|endoftext|>");
  assert.equal(tokenizer.size, 50257);
});

Deno.test("a tokenizer has the token that texts start with, if there is one, also when cropped", () => {
  const gpt2 = gpt2Tokenizer();
  assert.equal(gpt2.first, 50256);
  assert.equal(cropTokenizer(gpt2, [3, 50256]).first, 1);
  assert.equal(cropTokenizer(gpt2, [3, 4]).first, undefined);
  assert.equal(byteTokenizer().first, undefined);
  const vocab = { a: 0, "<s>": 1, "[CLS]": 2, "<|endoftext|>": 3 };
  const starts = (post_processor: unknown, model: object = vocab) =>
    huggingfaceTokenizer({ post_processor, model: { type: "BPE", vocab: model, merges: [] } }).first;
  const template = (single: object[]) => ({
    type: "TemplateProcessing",
    single,
    pair: [],
    special_tokens: {},
  });
  const [special, text] = [{ SpecialToken: { id: "<s>", type_id: 0 } }, {
    Sequence: { id: "A", type_id: 0 },
  }];
  assert.equal(starts(template([special, text])), 1);
  assert.equal(starts({ type: "BertProcessing", sep: ["a", 0], cls: ["[CLS]", 2] }), 2);
  // A token added after the text is not a start token: then a well-known one is used.
  assert.equal(starts(template([text, special]), { a: 0, "<|endoftext|>": 1 }), 1);
  assert.equal(starts(null, { a: 0 }), undefined);
});

Deno.test("a tokenizer.json of heed or of Hugging Face is read from its file; errors name the file", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/tokenizer.json`;
  const options = { kind: "huggingface", unknown: "error", size: 1000, file, crop: false } as const;
  try {
    await assert.rejects(
      () => makeTokenizer(options, []),
      /^UserError: .*tokenizer\.json cannot be read \(.*\); expected/,
    );
    await Deno.writeTextFile(file, "{");
    await assert.rejects(
      () => makeTokenizer(options, []),
      /^UserError: .*json is not valid JSON; expected a tokenizer/,
    );
    await Deno.writeTextFile(file, '{"model":{}}');
    await assert.rejects(
      () => makeTokenizer(options, []),
      /^UserError: .*json: tokenizer\.json: model\.type is missing; supported: "BPE"/,
    );
    await Deno.writeTextFile(file, JSON.stringify(FILES.bpe));
    assert.equal((await makeTokenizer(options, [])).size, 600);
    await Deno.writeTextFile(file, JSON.stringify(bpeTokenizer("abab", { size: 300 })));
    assert.equal((await makeTokenizer(options, [])).size, 257);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
