// The character tokenizer: round trips over every kind of code point, and errors at unknown ones.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { charTokenizer, tokenizerFromJSON } from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

/** Text of code points from ASCII, the full plane, emoji and lone surrogates. */
function randomText(index: number): string {
  const rng = randomStream(7, `tokenizer text ${index}`);
  const ranges = [[0, 128], [0, 0x110000], [0x1f600, 80], [0xd800, 0x800]];
  let text = "";
  for (let i = 1 + rng.below(60); i > 0; i--) {
    const [from, count] = ranges[rng.below(ranges.length)];
    text += String.fromCodePoint(Math.min(from + rng.below(count), 0x10ffff));
  }
  return text;
}

function fails(work: () => unknown, message: string): void {
  assert.throws(work, (error) => error instanceof UserError && (assert.equal(error.message, message), true));
}

Deno.test("decode(encode(x)) is x over 500 texts with emoji and lone surrogates, also through JSON", () => {
  for (let i = 0; i < 500; i++) {
    const text = randomText(i);
    const tokenizer = charTokenizer(text);
    const reread = tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
    assert.equal(tokenizer.size, new Set(text).size);
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    assert.deepEqual(reread.encode(text), tokenizer.encode(text));
    assert.equal(reread.decode(tokenizer.encode(text)), text);
    assert.deepEqual(reread.toJSON(), tokenizer.toJSON());
  }
});

Deno.test("ids follow code points, not UTF-16 units", () => {
  // U+FFFD sorts before U+1F600, although the emoji's first unit, 0xD83D, is smaller.
  const tokenizer = charTokenizer("😀\ufffdba\ud83d");
  const { vocabulary } = tokenizer.toJSON() as { vocabulary: string[] };
  assert.deepEqual(vocabulary, ["a", "b", "\ud83d", "\ufffd", "😀"]);
  assert.deepEqual([...tokenizer.encode("a😀b")], [0, 4, 1]);
});

Deno.test("an unknown character is an error with the character and its position in code points", () => {
  const known = (size: number) =>
    `expected one of the tokenizer's ${size} characters, or a tokenizer with unknown "token".`;
  fails(
    () => charTokenizer("😀ab").encode("😀a é"),
    `Text has the unknown character " " (U+0020) at position 2; ${known(3)}`,
  );
  fails(
    () => charTokenizer("ab").encode("ab\ud83d"),
    `Text has the unknown character "\\ud83d" (U+D83D) at position 2; ${known(2)}`,
  );
  fails(
    () => charTokenizer("a").encode("😀"),
    `Text has the unknown character "😀" (U+1F600) at position 0; ${known(1)}`,
  );
});

Deno.test("with unknown 'token' the last id represents every unknown character and decodes to <unk>", () => {
  const tokenizer = charTokenizer("ba", { unknown: "token" });
  assert.equal(tokenizer.size, 3);
  assert.deepEqual([...tokenizer.encode("a😀bz")], [0, 2, 1, 2]);
  assert.equal(tokenizer.decode([0, 2, 1]), "a<unk>b");
  assert.equal(tokenizerFromJSON(tokenizer.toJSON()).size, 3);
});

Deno.test("an id outside the vocabulary is an error in decode", () => {
  assert.throws(() => charTokenizer("ab").decode([0, 2]), RangeError);
});

Deno.test("an empty text is an error", () => {
  fails(() => charTokenizer(""), "Text is empty; a tokenizer needs at least one character.");
});

Deno.test("each invalid field of a tokenizer file is named", () => {
  const file = { kind: "char", vocabulary: ["a", "b"], unknown: "error" };
  const faults: [unknown, RegExp][] = [
    [null, /is null; expected an object/],
    [[file], /is a list; expected an object/],
    [{ ...file, kind: "chars" }, /kind is "chars"; expected .*Did you mean "char"\?/],
    [{ ...file, unknown: "tokn" }, /unknown is "tokn".* Did you mean "token"\?/],
    [{ ...file, vocabulary: "ab" }, /vocabulary is "ab"; expected a list/],
    [{ ...file, vocabulary: [] }, /vocabulary is \[\]; expected a list/],
    [{ ...file, vocabulary: ["a", "bc"] }, /vocabulary\[1\] is "bc"; expected one character/],
    [{ ...file, vocabulary: ["a", 3] }, /vocabulary\[1\] is 3; expected one character/],
    [{ ...file, vocabulary: ["b", "a"] }, /vocabulary\[1\] is "a" \(U\+0061\) after "b"/],
    [{ ...file, vocabulary: ["a", "a"] }, /vocabulary\[1\] is "a" \(U\+0061\) after "a"/],
  ];
  for (const [fault, message] of faults) {
    assert.throws(
      () => tokenizerFromJSON(fault),
      (error) => error instanceof UserError && message.test(error.message),
    );
  }
  assert.equal(tokenizerFromJSON(file).size, 2);
});
