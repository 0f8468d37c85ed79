// Random damage to a tokenizer.json: the result is a working tokenizer or a one-line error.
import assert from "node:assert/strict";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import {
  bpeTokenizer,
  charTokenizer,
  cropTokenizer,
  gpt2Tokenizer,
  type Tokenizer,
  tokenizerFromJSON,
} from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import golden from "../golden/tokenizer_ids.json" with { type: "json" };

const TEXT = golden.lines.slice(0, 20).join("\n");
const JUNK: readonly unknown[] = [null, true, -1, 0, 0.5, 1e9, 1e300, "", "x", "\ud83d", [], {}, [1, 2], [
  "a",
  "b",
], { a: 1 }];

type Json = Record<string, unknown>;

/** Every list and mapping in a value; of long ones only the first members, so that each kind of place is covered. */
function places(value: unknown): Json[] {
  if (typeof value !== "object" || value === null) return [];
  return [value as Json, ...Object.values(value).slice(0, 40).flatMap(places)];
}

function damaged(file: object, rng: RandomStream): unknown {
  const copy = structuredClone(file) as Json;
  for (let edits = 1 + rng.below(2); edits > 0; edits--) {
    const all = places(copy);
    const place = all[rng.below(all.length)];
    const keys = Object.keys(place);
    if (keys.length === 0) continue;
    const key = keys[rng.below(Math.min(keys.length, 300))];
    const kind = rng.below(4);
    if (kind === 0) delete place[key];
    else if (kind === 1) place[`${key}x`] = place[key];
    else if (kind === 2) place[key] = place[keys[rng.below(keys.length)]];
    else place[key] = structuredClone(JUNK[rng.below(JUNK.length)]);
  }
  // As in a file: no holes, no unescaped lone surrogates.
  return JSON.parse(JSON.stringify(copy));
}

/** A violated expectation in one line, or undefined. */
function complaint(work: () => unknown, input: string): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof UserError, `${error instanceof Error ? error.stack : error}\n${input}`);
    assert.doesNotMatch(error.message, /[\n\r]/, input);
    return error.message;
  }
}

const SOURCES: Readonly<Record<string, object>> = {
  char: charTokenizer("héllo 😀").toJSON(),
  bpe: bpeTokenizer(TEXT, { size: 300 }).toJSON(),
  cropped: cropTokenizer(gpt2Tokenizer(), gpt2Tokenizer().encode(TEXT)).toJSON(),
  "Hugging Face's bpe": golden.files.bpe,
  "Hugging Face's word_piece": golden.files.word_piece,
  "Hugging Face's unigram": golden.files.unigram,
};

for (const [name, file] of Object.entries(SOURCES)) {
  Deno.test(`${name}: 2,000 damaged files are refused in one line or give a working tokenizer`, () => {
    const rng = randomStream(3, `damage ${name}`);
    let accepted = 0;
    for (let round = 0; round < 2000; round++) {
      const damage = damaged(file, rng);
      const input = JSON.stringify(damage).slice(0, 2000);
      let tokenizer: Tokenizer | undefined;
      if (complaint(() => tokenizer = tokenizerFromJSON(damage), input)) continue;
      accepted++;
      const { size } = tokenizer!;
      assert.ok(Number.isSafeInteger(size) && size > 0, input);
      let ids: Uint32Array = new Uint32Array();
      complaint(() => ids = tokenizer!.encode("hello, 😀 12\n\t" + TEXT.slice(0, 200)), input);
      assert.ok(ids.every((id) => id < size), input);
      complaint(() => tokenizer!.decode(ids), input);
      complaint(() => tokenizer!.decode([0, size - 1]), input);
      tokenizerFromJSON(JSON.parse(JSON.stringify(tokenizer)));
    }
    // Both outcomes must occur, or the test proves nothing.
    assert.ok(accepted > 20 && accepted < 1980, `${accepted} of 2000 accepted`);
  });
}
