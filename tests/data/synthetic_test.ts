// The copy task and its batches: the form of a sample, what counts for the loss, and that nothing
// repeats.
import assert from "node:assert/strict";
import { drawSample, findTask, IGNORE, type Task, taskSource, taskTokenizer } from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

const copy = findTask("copy");
const tokenizer = taskTokenizer(copy);
const OPTIONS = { context: 124, batch: 8, seed: 3, answerOnly: false };
const END = tokenizer.encode("\n")[0];

function fails(work: () => unknown, message: string): void {
  assert.throws(work, (error) => error instanceof UserError && (assert.equal(error.message, message), true));
}

Deno.test("a copy sample is w, ' :: ', w: every length of 10 to 60, every letter and digit", () => {
  const lengths = new Set<number>();
  const characters = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const { text, answerStart } = drawSample(copy, 1, i);
    const word = text.slice(answerStart);
    assert.match(word, /^[a-zA-Z0-9]{10,60}$/);
    assert.equal(text, `${word} :: ${word}`);
    lengths.add(word.length);
    for (const character of word) characters.add(character);
  }
  assert.equal(lengths.size, 51);
  assert.equal(characters.size, 62);
  assert.equal(tokenizer.size, 65);
});

Deno.test("a sample depends only on seed and index, and equals the recorded one", () => {
  assert.deepEqual(drawSample(copy, 1, 7), drawSample(copy, 1, 7));
  assert.notDeepEqual(drawSample(copy, 1, 7), drawSample(copy, 1, 8));
  assert.notDeepEqual(drawSample(copy, 1, 7), drawSample(copy, 2, 7));
  assert.notDeepEqual(drawSample(copy, 1, 7), drawSample(copy, 1, 7, "val"));
  assert.equal(
    drawSample(copy, 1, 0).text,
    "4FeSgzthdHpfHWOB7nVn10OBgMF2VbfP3H9waVYyWu1LOaB :: 4FeSgzthdHpfHWOB7nVn10OBgMF2VbfP3H9waVYyWu1LOaB",
  );
});

Deno.test("each row is one sample and its end, padded on the right with ignored targets", () => {
  const source = taskSource(copy, tokenizer, OPTIONS);
  for (const step of [0, 1, 9]) {
    const { ids, targets } = source.train(step);
    assert.equal(ids.length, 8 * 124);
    for (let row = 0; row < 8; row++) {
      const { text } = drawSample(copy, 3, step * 8 + row);
      const tokens = [...tokenizer.encode(text)];
      const rest = 124 - tokens.length;
      const at = row * 124;
      assert.deepEqual([...ids.slice(at, at + 124)], [...tokens, ...new Array(rest).fill(END)]);
      assert.deepEqual(
        [...targets.slice(at, at + 124)],
        [...tokens.slice(1), END, ...new Array(rest).fill(IGNORE)],
      );
    }
  }
});

Deno.test("with answerOnly the counted targets are the answer and its end, at the same positions", () => {
  const all = taskSource(copy, tokenizer, OPTIONS).train(2);
  const answers = taskSource(copy, tokenizer, { ...OPTIONS, answerOnly: true }).train(2);
  assert.deepEqual(answers.ids, all.ids);
  for (let row = 0; row < 8; row++) {
    const { text, answerStart } = drawSample(copy, 3, 16 + row);
    const targets = answers.targets.slice(row * 124, row * 124 + 124);
    assert.equal(tokenizer.decode(targets.filter((id) => id !== IGNORE)), text.slice(answerStart) + "\n");
    targets.forEach((id, i) => assert.ok(id === IGNORE || id === all.targets[row * 124 + i]));
  }
});

Deno.test("the start of an answer is in code points, and rows are padded with newlines, not id 0", () => {
  const sample = () => ({ text: "😉=a", answerStart: 2 });
  const task: Task = { name: "wink", alphabet: "\t😉a=", sample };
  const wink = taskTokenizer(task);
  const { ids, targets } = taskSource(task, wink, { context: 5, batch: 1, seed: 0, answerOnly: true }).train(
    0,
  );
  assert.deepEqual([...ids], [...wink.encode("😉=a\n\n")]);
  assert.deepEqual([...targets], [IGNORE, ...wink.encode("a\n"), IGNORE, IGNORE]);
});

Deno.test("validation has 256 separate samples, the last batch is padded", () => {
  const source = taskSource(copy, tokenizer, { ...OPTIONS, batch: 100 });
  const pass = source.evaluation("val");
  assert.equal(pass.count, 3);
  const rows: string[] = [];
  let counted = 0;
  for (let i = 0; i < pass.count; i++) {
    const { ids, targets } = pass.batch(i);
    for (let row = 0; row < 100; row++) {
      const kept = targets.slice(row * 124, row * 124 + 124).filter((id) => id !== IGNORE);
      counted += kept.length;
      if (kept.length > 0) rows.push(tokenizer.decode(ids.slice(row * 124, row * 124 + kept.length)));
      else assert.ok(i === 2 && row >= 56);
    }
  }
  assert.deepEqual(rows, Array.from({ length: 256 }, (_, i) => drawSample(copy, 3, i, "val").text));
  // The first character of a sample is not a target, its end is.
  assert.equal(source.splits.val, counted + 256);
  assert.equal(source.splits.train, Infinity);
  const trained = new Set(Array.from({ length: 20_000 }, (_, i) => drawSample(copy, 3, i).text));
  assert.equal(rows.filter((text) => trained.has(text)).length, 0);
});

Deno.test("evaluation of train reads the first 256 training samples", () => {
  const source = taskSource(copy, tokenizer, OPTIONS);
  const pass = source.evaluation("train");
  assert.equal(pass.count, 32);
  const { ids, targets } = pass.batch(5);
  assert.deepEqual({ ids, targets }, source.train(5));
});

Deno.test("unknown names, long samples and misplaced answers are errors with the remedy", () => {
  fails(() => findTask("cpoy"), 'Text: no synthetic task is called "cpoy". Did you mean "copy"?');
  const task = (text: string, answerStart: number): Task => ({
    name: "fixed",
    alphabet: "ab",
    sample: () => ({ text, answerStart }),
  });
  const make = (of: Task) => () => taskSource(of, taskTokenizer(of), { ...OPTIONS, context: 4 });
  fails(
    make(task("ababa", 1)),
    "fixed task: val sample 0 has 5 characters, more than context = 4; use a larger model.context.",
  );
  fails(make(task("abab", 0)), "fixed task: val sample 0 has answerStart 0; expected 1 to its length, 4.");
  fails(make(task("abab", 5)), "fixed task: val sample 0 has answerStart 5; expected 1 to its length, 4.");
  assert.throws(
    make(task("abc", 1)),
    /^UserError: fixed task: val sample 0: Text has the unknown character "c"/,
  );
  // The complete evaluation is checked first, so that the stated context is large enough for it.
  const longest = Math.max(
    ...Array.from({ length: 256 }, (_, i) => drawSample(copy, 3, i, "val").text.length),
  );
  assert.throws(
    () => taskSource(copy, tokenizer, { ...OPTIONS, seed: 3, context: 20 }),
    new RegExp(`has ${longest} characters, more than context = 20`),
  );
  fails(
    () => taskSource(copy, tokenizer, OPTIONS).evaluation("test"),
    'Batches: there is no split "test". Known: train, val.',
  );
});
