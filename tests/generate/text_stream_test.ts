// Streaming: the pieces of a text concatenate to the text, and none is changed later.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { beforeStop, continuationOf, textStreams } from "../../src/generate/text_stream.ts";
import {
  bpeTokenizer,
  byteTokenizer,
  charTokenizer,
  huggingfaceTokenizer,
  type Tokenizer,
} from "../../src/data/mod.ts";
import { readGolden, unlessRefused, wholeFile } from "../data/tokenizer_goldens.ts";

/** Streams random ids and ids of texts; asserts that the pieces concatenate to the text. */
function assertStreams(tokenizer: Tokenizer, what: string, rounds: number): void {
  const rng = randomStream(1, `stream ${what}`);
  const held = Array.from({ length: tokenizer.size }, (_, id) => id)
    .filter((id) => tokenizer.hasToken?.(id) ?? true);
  const few = Array.from({ length: 4 }, () => held[rng.below(held.length)]);
  for (let round = 0; round < rounds; round++) {
    const from = rng.below(2) ? held : few;
    const ids = Array.from({ length: 1 + rng.below(24) }, () => from[rng.below(from.length)]);
    const start = ids.splice(0, 1 + rng.below(2));
    const before = tokenizer.decode(start);
    const text = continuationOf(tokenizer, before, start, ids);
    const at = rng.below(text.length + 1);
    const stop = rng.below(2) && at < text.length ? [text.slice(at, at + 1 + rng.below(3)), "zq"] : [];
    const pieces: string[] = [];
    const stream = textStreams(tokenizer, stop, Infinity)(start, (piece) => void pieces.push(piece));
    ids.forEach((_, n) => stream.grown(ids.slice(0, n + 1)));
    const expected = beforeStop(text, stop);
    stream.end(expected);
    assert.equal(pieces.join(""), before + expected, `${what}: ${JSON.stringify({ start, ids, stop })}`);
  }
}

Deno.test("characters of several bytes are streamed complete, whatever tokens they are split over", () => {
  const text = "né漢字😀 naïve 漢字 née 😀😀 ".repeat(5);
  for (const tokenizer of [byteTokenizer(), bpeTokenizer(text, { size: 300 }), charTokenizer(text)]) {
    assertStreams(tokenizer, tokenizer.kind, 300);
    const ids = [...tokenizer.encode(text)];
    const pieces: string[] = [];
    const stream = textStreams(tokenizer, [], Infinity)(ids.slice(0, 1), (piece) => void pieces.push(piece));
    ids.forEach((_, n) => n > 0 && stream.grown(ids.slice(1, n + 1)));
    assert.ok(pieces.length > 5, `${pieces.length}`);
    for (const piece of pieces) assert.doesNotMatch(piece, /\ufffd/);
  }
});

Deno.test("a possible stop string is held back until it is decided", () => {
  const tokenizer = charTokenizer("abcd");
  const given: string[] = [];
  const stream = textStreams(tokenizer, ["cd"], Infinity)([0], (piece) => void given.push(piece));
  const after = (added: string) => {
    stream.grown([...tokenizer.encode(added)]);
    return given.join("");
  };
  assert.deepEqual(["b", "bc", "bca", "bcac", "bcacd"].map(after), ["ab", "ab", "abca", "abca", "abca"]);
  stream.end("bca");
  assert.equal(given.join(""), "abca");
});

Deno.test("texts of Hugging Face's decoders stream as they decode, with byte fallback and word suffixes", async () => {
  const golden = await readGolden();
  let streamed = 0;
  for (const [n, entry] of golden.files.entries()) {
    if (n % 20 !== 1) continue;
    const { value } = unlessRefused(() => huggingfaceTokenizer(wholeFile(entry, golden)));
    if (!value) continue;
    assertStreams(value, `file ${n} ${entry.family}`, 4);
    streamed++;
  }
  assert.ok(streamed > 20, `${streamed}`);
});
