// Batches of a text: a pure function of (seed, step), each token evaluated once, the same splits as
// nanoGPT.
import assert from "node:assert/strict";
import { type Batch, IGNORE, type Source, spread, textSource, unigramEntropy } from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

/** Token i is i, so that a batch shows its offset. */
const counting = (length: number) => Uint32Array.from({ length }, (_, i) => i);
const OPTIONS = {
  context: 8,
  batch: 3,
  seed: 5,
  split: { val: 0.1, test: 0.05 },
  sampling: "crops" as "crops" | "windows",
};

function fails(work: () => unknown, message: string): void {
  assert.throws(work, (error) => error instanceof UserError && (assert.equal(error.message, message), true));
}

/** First tokens of the rows; checks that inputs and targets are consecutive. */
function rowStarts({ ids, targets }: Batch, context: number): number[] {
  assert.equal(ids.length % context, 0);
  assert.equal(targets.length, ids.length);
  ids.forEach((id, i) => assert.equal(id, ids[i - i % context] + i % context));
  targets.forEach((target, i) => assert.equal(target, ids[i] + 1));
  return Array.from({ length: ids.length / context }, (_, row) => ids[row * context]);
}

/** Targets of a pass over a split that are not IGNORE, in order. */
function evaluated(source: Source, split: string): number[] {
  const pass = source.evaluation(split);
  return Array.from({ length: pass.count }, (_, i) => [...pass.batch(i).targets]).flat().filter((t) =>
    t !== IGNORE
  );
}

Deno.test("splits are cut in order and cover the text: train, val, test", () => {
  const source = textSource(counting(1000), OPTIONS);
  assert.deepEqual(source.splits, { train: 850, val: 100, test: 50 });
  assert.deepEqual(evaluated(source, "train"), [...counting(850)].slice(1));
  assert.deepEqual(evaluated(source, "val"), [...counting(950)].slice(851));
  assert.deepEqual(evaluated(source, "test"), [...counting(1000)].slice(951));
  // 100 (1 - 0.02 - 0.07) is slightly below 91 in floating point.
  const rounded = textSource(counting(100), { ...OPTIONS, context: 1, split: { val: 0.02, test: 0.07 } });
  assert.deepEqual(rounded.splits, { train: 91, val: 2, test: 7 });
});

Deno.test("val 0.1 splits a text of tiny_shakespeare's length as nanoGPT does", () => {
  const source = textSource(new Uint32Array(1115394), { ...OPTIONS, split: { val: 0.1, test: 0 } });
  assert.deepEqual(source.splits, { train: 1003854, val: 111540 });
});

Deno.test("val 0 gives no val split, and an unknown split is an error with the nearest name", () => {
  const source = textSource(counting(100), { ...OPTIONS, split: { val: 0, test: 0.2 } });
  assert.deepEqual(source.splits, { train: 80, test: 20 });
  fails(() => source.evaluation("tset"), 'Batches: there is no split "tset". Did you mean "test"?');
  fails(
    () => source.evaluation("validation"),
    'Batches: there is no split "validation". Known: train, test.',
  );
});

Deno.test("every token of a split except the first is evaluated once, the last batch is padded", () => {
  for (let length = 9; length <= 60; length++) {
    for (const batch of [1, 3]) {
      const source = textSource(counting(length), { ...OPTIONS, batch, split: { val: 0, test: 0 } });
      assert.deepEqual(evaluated(source, "train"), [...counting(length)].slice(1));
      const pass = source.evaluation("train");
      assert.equal(pass.count, Math.ceil(Math.ceil((length - 1) / 8) / batch));
      for (let i = 0; i < pass.count; i++) {
        const { ids, targets } = pass.batch(i);
        assert.equal(ids.length, batch * 8);
        // A target follows its input, unless it is IGNORE.
        targets.forEach((target, at) =>
          assert.ok(target === IGNORE ? ids[at] < length : target === ids[at] + 1)
        );
      }
      assert.throws(() => pass.batch(pass.count), RangeError);
      assert.throws(() => pass.batch(-1), RangeError);
    }
  }
});

Deno.test("crops are full windows of the train split, uniform over all offsets", () => {
  const source = textSource(counting(60), { ...OPTIONS, batch: 10, split: { val: 0.5, test: 0 } });
  // 30 train tokens have the offsets 0 to 21.
  const counts = new Map<number, number>();
  for (let step = 0; step < 2200; step++) {
    for (const start of rowStarts(source.train(step), 8)) counts.set(start, (counts.get(start) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort((a, b) => a - b), [...counting(22)]);
  // 1000 expected of each, standard deviation 31: a false alarm beyond six of them is less likely than one in
  // 10^7.
  for (const count of counts.values()) assert.ok(Math.abs(count - 1000) < 186, `${count}`);
});

Deno.test("windows visit each full window once per epoch, in a different order each epoch", () => {
  const source = textSource(counting(100), {
    ...OPTIONS,
    batch: 5,
    split: { val: 0, test: 0 },
    sampling: "windows",
  });
  // 99 targets are 12 full windows of 8: 12 batches of 5 are 5 epochs, and some batches span two.
  const starts = Array.from({ length: 12 }, (_, step) => rowStarts(source.train(step), 8)).flat();
  const orders = new Set<string>();
  for (let epoch = 0; epoch < 5; epoch++) {
    const visited = starts.slice(epoch * 12, epoch * 12 + 12);
    assert.deepEqual(visited.toSorted((a, b) => a - b), [...counting(12)].map((i) => i * 8));
    orders.add(visited.join());
  }
  assert.equal(orders.size, 5);
});

Deno.test("train(step) depends only on seed and step, in any order and from a new source", () => {
  for (const sampling of ["crops", "windows"] as const) {
    const make = (seed: number) => textSource(counting(500), { ...OPTIONS, seed, sampling });
    const source = make(5);
    const forward = Array.from({ length: 60 }, (_, step) => source.train(step));
    for (const step of [59, 3, 40, 0, 17]) {
      assert.deepEqual(source.train(step), forward[step]);
      assert.deepEqual(make(5).train(step), forward[step]);
    }
    assert.equal(new Set(forward.map(({ ids }) => ids.join())).size, 60);
    assert.notDeepEqual(make(6).train(0), forward[0]);
    assert.throws(() => source.train(-1), RangeError);
    assert.throws(() => source.train(0.5), RangeError);
  }
});

Deno.test("a split shorter than context + 1 tokens is an error with its length, the required length and the remedy", () => {
  const options = { ...OPTIONS, context: 64 };
  fails(
    () => textSource(counting(400), { ...options, split: { val: 0.1, test: 0 } }),
    "val split has 40 tokens, fewer than context + 1 = 65; " +
      "use a longer text, a smaller model.context or a larger data.split.val.",
  );
  fails(
    () => textSource(counting(64), { ...options, split: { val: 0, test: 0 } }),
    "train split has 64 tokens, fewer than context + 1 = 65; " +
      "use a longer text, a smaller model.context or smaller data.split.val and data.split.test.",
  );
  assert.deepEqual(textSource(counting(65), { ...options, split: { val: 0, test: 0 } }).splits, {
    train: 65,
  });
});

Deno.test("invalid sizes, fractions and samplings are errors that name them", () => {
  const make = (change: object) => () => textSource(counting(100), { ...OPTIONS, ...change });
  fails(make({ context: 0 }), "Batches: context is 0; expected a whole number of at least 1.");
  fails(make({ batch: 1.5 }), "Batches: batch is 1.5; expected a whole number of at least 1.");
  fails(
    make({ split: { val: -0.1, test: 0 } }),
    "Batches: data.split.val is -0.1; expected a fraction from 0 to below 1.",
  );
  fails(
    make({ split: { val: 0.5, test: 0.5 } }),
    "Batches: data.split.val + data.split.test is 1; expected below 1, since the rest is the train split.",
  );
  fails(
    make({ split: { val: 0.1, test: 0.1 }, sampling: "crop" }),
    'Batches: sampling is "crop". Did you mean "crops"?',
  );
});

Deno.test("unigramEntropy is ln n for n equally frequent tokens, 0 for one, and the sum by hand for others", () => {
  // The sums have a handful of terms: 1e-12 is far above their rounding.
  const close = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 1e-12, `${actual}`);
  close(unigramEntropy(counting(65)), Math.log(65));
  close(unigramEntropy([3, 3, 3]), 0);
  close(unigramEntropy(new Uint32Array([1, 2, 1, 1])), 0.75 * Math.log(4 / 3) + 0.25 * Math.log(4));
  assert.throws(() => unigramEntropy([]), RangeError);
});

Deno.test("spread() takes evenly spaced batches from the first on, and all for 0 or more than there are", () => {
  assert.deepEqual(spread(10, 4), [0, 2, 5, 7]);
  assert.deepEqual(spread(3, 1), [0]);
  assert.deepEqual([spread(3, 0), spread(3, 9)], [[0, 1, 2], [0, 1, 2]]);
  assert.deepEqual(spread(0, 4), []);
});
