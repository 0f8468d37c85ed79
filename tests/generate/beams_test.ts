// Beam search against exhaustive search, and against its definition without a device.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { beamSearch } from "../../src/generate/beams.ts";
import { generateTexts } from "../../src/generate/generate.ts";
import { type NextLogits, nextLogits } from "../../src/generate/next_logits.ts";
import { largest, logSoftmax } from "../../src/generate/sampling.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { TINY } from "../nn/options.ts";
import { randomModel } from "../interpret/random_model.ts";

const V = 4;

/** Every text of `length` tokens over V, as lists of ids. */
function allTexts(length: number): number[][] {
  if (length === 0) return [[]];
  return allTexts(length - 1).flatMap((text) => Array.from({ length: V }, (_, id) => [...text, id]));
}

/** Sum of ln p of the tokens added to the prompt, each given the full text before it. */
async function logProbability(
  reader: NextLogits,
  prompt: number[],
  added: readonly number[],
): Promise<number> {
  let sum = 0;
  for (let n = 0; n < added.length; n++) {
    const [logits] = await reader.next([[...prompt, ...added.slice(0, n)]]);
    sum += logSoftmax(logits)[added[n]];
  }
  return sum;
}

Deno.test("with enough beams beamSearch() finds the most likely of all texts, in order", async () => {
  using device = referenceDevice({ precision: "f64" });
  for (let seed = 0; seed < 5; seed++) {
    const model = randomModel(device, { ...TINY, vocabulary: V }, `beams ${seed}`);
    const prompt = [1, 2];
    const tokens = 3;
    using uncached = await nextLogits(device, model, 1, { cache: false });
    const all: { added: number[]; sum: number }[] = [];
    for (const added of allTexts(tokens)) {
      all.push({ added, sum: await logProbability(uncached, prompt, added) });
    }
    all.sort((a, b) => b.sum - a.sum);
    using reader = await nextLogits(device, model, V ** (tokens - 1));
    const actual = await beamSearch(reader, prompt, { beams: V ** (tokens - 1), tokens });
    assert.deepEqual(
      actual.map(({ added }) => [...added]),
      all.slice(0, actual.length).map(({ added }) => added),
    );
    // Float64 sums in another order.
    actual.forEach(({ logProbability }, n) => assert.ok(Math.abs(logProbability - all[n].sum) < 1e-10));
  }
});

/** The definition, on the host: every live text is continued by every token. */
function reference(
  logits: (text: readonly number[]) => number[],
  beams: number,
  tokens: number,
  end: number,
  penalty: number,
): number[] {
  type Text = { added: number[]; sum: number };
  const score = ({ added, sum }: Text) => sum / added.length ** penalty;
  let live: Text[] = [{ added: [], sum: 0 }];
  const done: Text[] = [];
  for (let n = 0; n < tokens; n++) {
    const next = live.flatMap(({ added, sum }) => {
      const l = logits(added);
      const total = Math.log(l.reduce((a, x) => a + Math.exp(x), 0));
      return l.map((x, id) => ({ added: [...added, id], sum: sum + x - total }));
    }).sort((a, b) => b.sum - a.sum).slice(0, 2 * beams);
    next.forEach((text, rank) => {
      if (text.added.at(-1) === end && rank < beams) done.push(text);
    });
    live = next.filter(({ added }) => added.at(-1) !== end).slice(0, beams);
  }
  return [...done, ...live].reduce((a, b) => score(b) > score(a) ? b : a).added;
}

/** A reader whose logits are a hash of the text; it also checks how rows are reordered. */
function hashed(rows: number, spread: number, seed: number) {
  const logits = (text: readonly number[]) => {
    const rng = randomStream(seed, `text ${text.join()}`);
    return Array.from({ length: 7 }, () => spread * rng.normal());
  };
  let before: number[][] = [];
  const reader: NextLogits = {
    tokenizer: charTokenizer("abcdefg"),
    whole: undefined,
    next(texts) {
      assert.equal(texts.length, rows);
      if (before.length > 0) {
        texts.forEach((text, row) => assert.deepEqual(text.slice(0, before[row].length), before[row]));
      }
      before = texts.map((text) => [...text]);
      return Promise.resolve(texts.map((text) => logits(text.slice(1))));
    },
    reorder(parents) {
      before = parents.map((parent) => before[parent]);
      return Promise.resolve();
    },
    [Symbol.dispose]() {},
  };
  return { reader, logits };
}

Deno.test("beamSearch() equals its definition for any width, length penalty and end, and its cached rows follow their texts", async () => {
  const rng = randomStream(2, "beams");
  let ended = 0;
  for (let round = 0; round < 200; round++) {
    const [beams, tokens] = [1 + rng.below(4), 1 + rng.below(6)];
    const lengthPenalty = [0, 0.5, 1, 2][rng.below(4)];
    const { reader, logits } = hashed(beams, 0.2 + 3 * rng.uniform(), round);
    const options = { beams, tokens, lengthPenalty, ends: (added: readonly number[]) => added.at(-1) === 3 };
    const [best] = await beamSearch(reader, [0], options);
    assert.deepEqual(best.added, reference(logits, beams, tokens, 3, lengthPenalty), `round ${round}`);
    assert.equal(best.ended, best.added.at(-1) === 3);
    ended += Number(best.ended);
  }
  assert.ok(ended > 20 && ended < 180, `${ended} of 200 ended by themselves`);
});

Deno.test("one beam gives the text of temperature 0, and beams stop before a stop string", async () => {
  using device = referenceDevice();
  const model = randomModel(device, TINY, "one beam");
  const options = { tokens: 4, seed: 1, temperature: 0 };
  const [greedy] = await generateTexts(device, model, ["abc"], options);
  const [beam] = await generateTexts(device, model, ["abc"], { ...options, beams: 1 });
  assert.deepEqual([beam.text, beam.ended], [greedy.text, "tokens"]);
  // Sums of four float64 numbers.
  assert.ok(Math.abs(beam.logProbability - greedy.logProbability) < 1e-12);
  const stop = [greedy.continuation[2]];
  const [stopped] = await generateTexts(device, model, ["abc"], { ...options, beams: 1, stop });
  assert.deepEqual([stopped.continuation, stopped.ended], [
    greedy.continuation.slice(0, greedy.continuation.indexOf(stop[0])),
    "stop",
  ]);
});

Deno.test("largest() returns the first entries of a stable sort", () => {
  const rng = randomStream(3, "largest");
  for (let round = 0; round < 100; round++) {
    const values = Array.from({ length: 1 + rng.below(30) }, () => rng.below(8));
    const k = 1 + rng.below(10);
    const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]);
    assert.deepEqual(largest(values, k), order.slice(0, k));
  }
});
