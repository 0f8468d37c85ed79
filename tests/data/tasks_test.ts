// Every synthetic task against an independent solution, and the stated information of its samples.
import assert from "node:assert/strict";
import {
  byteTokenizer,
  drawSample,
  findTask,
  gpt2Tokenizer,
  IGNORE,
  loadTasks,
  type Task,
  taskOverrides,
  TASKS,
  taskSource,
  taskTokenizer,
} from "../../src/data/mod.ts";
import { SYNTHETIC_SOURCES } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";

const ln = Math.log;
const count = (text: string, letter: string) => text.split(letter).length - 1;
const sumOf = (terms: readonly number[]) => terms.reduce((a, b) => a + b, 0);

/** ln(n (n - 1) ... (n - k + 1)). */
const lnFalling = (n: number, k: number) => sumOf(Array.from({ length: k }, (_, i) => ln(n - i)));

/** The answer to a question, and -ln p of the question after its first character. */
type Oracle = (question: string) => [answer: string, nats: number];

const wordNats = (w: string) => ln(51) + (w.length - 1) * ln(62);
const lettersNats = (w: string) => ln(71) + (w.length - 1) * ln(26);
const digit = (n: number) => "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n];

function closing(question: string, kinds: number): [string, number] {
  const [open, close] = ["([{<", ")]}>"];
  let rest = "";
  let nats = ln(31) - ln(kinds);
  for (const c of question) {
    if (rest !== "") nats += ln(2);
    if (open.includes(c)) {
      nats += ln(kinds);
      rest = close[open.indexOf(c)] + rest;
    } else {
      assert.equal(c, rest[0]);
      rest = rest.slice(1);
    }
  }
  return [rest, nats];
}

const ORACLES: Readonly<Record<string, Oracle>> = {
  copy: (w) => [w, wordNats(w)],
  masked_copy: (w) => [w, wordNats(w)],
  reverse: (w) => [w.split("").reduceRight((all, c) => all + c, ""), wordNats(w)],
  sort: (w) => [w.split("").sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0)).join(""), wordNats(w)],
  histogram: (w) => [w.replace(/./g, (c) => digit(count(w, c))), lettersNats(w)],
  double_histogram: (w) => [
    w.replace(/./g, (c) => digit([...new Set(w)].filter((other) => count(w, other) === count(w, c)).length)),
    lettersNats(w),
  ],
  number_sort: (w) => [
    w.split(" ").map(Number).sort((a, b) => a - b).map((n) => `00${n}`.slice(-3)).join(" "),
    ln(21) + (3 * w.split(" ").length - 1) * ln(10),
  ],
  addition: (w) => {
    const [a, b] = w.split("+");
    assert.match(w, /^[1-9]\d{1,19}\+[1-9]\d{1,19}$/);
    return [`${BigInt(a) + BigInt(b)}`, 2 * ln(19) + ln(9) + (w.length - 3) * ln(10)];
  },
  modular_addition: (w) => {
    const [a, b] = w.split("+").map(Number);
    assert.ok(a < 97 && b < 97);
    const same = Array.from({ length: 97 }, (_, n) => `0${n}`.slice(-2)[0]).filter((c) => c === w[0]).length;
    return [`0${(a + b) % 97}`.slice(-2), 2 * ln(97) + ln(same / 97)];
  },
  ...Object.fromEntries([1, 2, 3, 4].map((k) => [`dyck_${k}`, (w: string) => closing(w, k)])),
};

for (const [name, oracle] of Object.entries(ORACLES)) {
  Deno.test(`${name}: 1,000 samples have the right answer and information`, () => {
    const task = findTask(name);
    const alphabet = new Set(task.alphabet);
    const separator = name.endsWith("addition") ? "=" : " :: ";
    const lengths = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      const { text, answerStart, nats } = drawSample(task, 1, i);
      const question = text.slice(0, answerStart - separator.length);
      const [answer, expected] = oracle(question);
      assert.equal(text, question + separator + answer);
      // A sum of a hundred logarithms: 1e-9 is far above its rounding error.
      assert.ok(Math.abs(nats! - expected) < 1e-9, `${text}: ${nats}, expected ${expected}`);
      for (const c of text) assert.ok(alphabet.has(c), text);
      lengths.add(text.length);
    }
    assert.ok(lengths.size > (name === "modular_addition" ? 0 : 15), `${lengths.size} lengths`);
  });
}

Deno.test("masked_copy counts the question in one of ten samples", () => {
  const unmasked = Array.from({ length: 2000 }, (_, i) => drawSample(TASKS.masked_copy, 1, i)).filter((s) =>
    !s.masked
  );
  // 200 expected, standard deviation 13.4; the limit is five of them.
  assert.ok(Math.abs(unmasked.length - 200) < 67, `${unmasked.length}`);
  const source = taskSource(TASKS.masked_copy, taskTokenizer(TASKS.masked_copy), {
    context: 124,
    batch: 50,
    seed: 1,
    answerOnly: false,
  });
  const { targets } = source.train(0);
  for (let row = 0; row < 50; row++) {
    const { masked } = drawSample(TASKS.masked_copy, 1, row);
    assert.equal(targets[124 * row] === IGNORE, masked);
  }
});

Deno.test("induction repeats distinct characters to length 64, and the answer is all predictable characters", () => {
  const lengths = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const { text, answerStart, nats } = drawSample(TASKS.induction, 1, i);
    const word = text.slice(0, answerStart - 1);
    assert.equal(new Set(word).size, word.length);
    assert.equal(text, word.repeat(8).slice(0, 64));
    assert.ok(Math.abs(nats! - (ln(25) + lnFalling(62, word.length) - ln(62))) < 1e-9);
    lengths.add(word.length);
  }
  assert.deepEqual([...lengths].sort((a, b) => a - b), Array.from({ length: 25 }, (_, i) => i + 8));
});

Deno.test("recall queries each of four keys once, among noise without keys", () => {
  // Keys except the first, values, positions and order of the queries, noise.
  const places = lnFalling(52, 4) - lnFalling(4, 4);
  const nats = lnFalling(127, 3) + 4 * ln(128) + places + lnFalling(4, 4) + 48 * ln(128);
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    const sample = drawSample(TASKS.recall, 1, i);
    const codes = [...sample.text].map((c) => c.codePointAt(0)! - 0x100);
    const pairs = new Map([0, 2, 4, 6].map((at) => [codes[at], codes[at + 1]]));
    assert.deepEqual([codes.length, pairs.size, sample.answers!.length], [64, 4, 4]);
    assert.ok([...pairs].every(([key, value]) => key < 128 && value >= 128 && value < 256));
    assert.equal(sample.answerStart, sample.answers![0][0]);
    const asked = sample.answers!.map(([from, to]) => {
      assert.equal(to, from + 1);
      assert.equal(pairs.get(codes[from - 1]), codes[from]);
      seen.add(from);
      return codes[from - 1];
    });
    assert.deepEqual(new Set(asked), new Set(pairs.keys()));
    assert.equal(codes.filter((code) => code < 128).length, 8);
    assert.ok(Math.abs(sample.nats! - nats) < 1e-9, `${sample.nats}, expected ${nats}`);
  }
  assert.deepEqual([...seen].sort((a, b) => a - b), Array.from({ length: 55 }, (_, i) => i + 9));
});

Deno.test("every task is a valid source, fits in a row and is deterministic", () => {
  assert.deepEqual(SYNTHETIC_SOURCES, Object.keys(TASKS));
  for (const task of Object.values(TASKS)) {
    const options = { context: 256, batch: 4, seed: 5, answerOnly: false };
    const source = taskSource(task, taskTokenizer(task), options);
    assert.deepEqual(source.train(3), taskSource(task, taskTokenizer(task), options).train(3));
    const masked = taskSource(task, taskTokenizer(task), { ...options, answerOnly: true });
    assert.equal(masked.entropyFloor, 0);
    assert.ok(
      source.entropyFloor! > 0 && source.entropyFloor! < ln(task.alphabet.length),
      `${task.name} ${source.entropyFloor}`,
    );
  }
});

Deno.test("the entropy floor is the loss of a model that knows the rule: for copy, the question's nats over all targets", () => {
  const task = TASKS.copy;
  const source = taskSource(task, taskTokenizer(task), {
    context: 124,
    batch: 8,
    seed: 1,
    answerOnly: false,
  });
  let [nats, targets] = [0, 0];
  for (let i = 0; i < 256; i++) {
    const word = drawSample(task, 1, i, "val").text.split(" :: ")[0];
    nats += wordNats(word);
    targets += 2 * word.length + 4;
  }
  assert.ok(Math.abs(source.entropyFloor! - nats / targets) < 1e-12);
});

Deno.test("an evaluation marks the answer's targets, regardless of what counts for the loss and of the tokenizer", () => {
  for (const tokenizer of [taskTokenizer(TASKS.recall), byteTokenizer(), gpt2Tokenizer()]) {
    for (const task of [TASKS.recall, TASKS.copy]) {
      if (tokenizer.kind === "char" && task !== TASKS.recall) continue;
      const options = { context: 300, batch: 10, seed: 1, answerOnly: false };
      const { ids, targets, answers } = taskSource(task, tokenizer, options).evaluation("val").batch(0);
      for (let row = 0; row < 10; row++) {
        const at = row * 300;
        const sample = drawSample(task, 1, row, "val");
        const marked = [...targets.subarray(at, at + 300)].filter((_, i) => answers![at + i] === 1);
        const expected = sample.answers
          ? sample.answers.map(([from, to]) => [...sample.text].slice(from, to).join("")).join("")
          : [...sample.text].slice(sample.answerStart).join("") + "\n";
        assert.equal(tokenizer.decode(marked), expected);
        const length = targets.subarray(at, at + 300).filter((id) => id !== IGNORE).length;
        assert.equal(tokenizer.decode(ids.subarray(at, at + length)), sample.text);
      }
    }
  }
});

Deno.test("answers out of order or range, and invalid samples, are errors", () => {
  const make = (sample: unknown) => () => {
    const task = { name: "odd", alphabet: "ab", sample: () => sample } as Task;
    taskSource(task, taskTokenizer(task), { context: 8, batch: 1, seed: 0, answerOnly: true });
  };
  const cases: [unknown, RegExp][] = [
    [
      { text: "abab", answerStart: 1, answers: [[2, 1]] },
      /has an answer from 2 to 1; expected parts in order from 1 to 4/,
    ],
    [{ text: "abab", answerStart: 1, answers: [[1, 3], [2, 4]] }, /answer from 2 to 4; .* from 3 to 4\.$/],
    [{ text: "abab", answerStart: 1, answers: [[1, 5]] }, /answer from 1 to 5/],
    [{ text: "abab", answerStart: 1, answers: [[0, 2]] }, /answer from 0 to 2/],
    [
      { text: 3, answerStart: 1 },
      /odd task: sample 0: expected \{ text, answerStart \}, .*; text: expected text, found 3\.$/,
    ],
    [undefined, /odd task: sample 0: expected \{ text, answerStart \}, .* found nothing\.$/],
  ];
  for (const [sample, message] of cases) {
    assert.throws(make(sample), (error) => error instanceof UserError && message.test(error.message));
  }
});

Deno.test("a user's file exports tasks by name: functions, records, a default export; errors name what is missing", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/parity.ts`;
  try {
    await Deno.writeTextFile(
      file,
      `export function double(rng) {
         const word = "abc"[rng.below(3)];
         return { text: word + "=" + word + word, answerStart: 2 };
       }
       export const other = { alphabet: "xyz01", sample: () => ({ text: "x0", answerStart: 1 }) };
       export default (rng) => ({ text: "0" + rng.below(2), answerStart: 1 });
       export const size = 3;`,
    );
    const tasks = await loadTasks(file);
    assert.deepEqual(Object.keys(tasks).sort(), ["double", "other", "parity"]);
    assert.deepEqual(
      ["double", "other", "parity"].map((name) => [tasks[name].name, tasks[name].alphabet]),
      [["double", "=abc"], ["other", "xyz01"], ["parity", "01"]],
    );
    const overrides = await taskOverrides(file);
    assert.equal(overrides[0], `data.tasks=${JSON.stringify(file)}`);
    assert.ok(["double", "other", "parity"].some((name) => overrides[1] === `data.source="${name}"`));
    await Deno.writeTextFile(`${folder}/none.ts`, "export const size = 3;");
    await assert.rejects(
      () => loadTasks(`${folder}/none.ts`),
      /^UserError: data\.tasks: expected .*none\.ts to export a function .* or a task, found size\.$/,
    );
    await assert.rejects(
      () => loadTasks(`${folder}/gone.ts`),
      /^UserError: data\.tasks: .*gone\.ts cannot be loaded/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
