// The built-in synthetic tasks. Each task is a record with a name, an alphabet and a short function that draws a sample from a
// random stream. The files of users may export such records too (see task_files.ts).
import type { RandomStream } from "../base/random.ts";
import type { Sample, Task } from "./task.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const DIGITS = "0123456789";
const LETTERS_AND_DIGITS = LETTERS + LETTERS.toUpperCase() + DIGITS;
const SEPARATOR = " :: ";

const ln = Math.log;

/** Returns a uniformly random integer from `least` to `most`, both inclusive. */
const between = (rng: RandomStream, least: number, most: number): number =>
  least + rng.below(most - least + 1);

const draw = (rng: RandomStream, alphabet: string, length: number): string =>
  Array.from({ length }, () => alphabet[rng.below(alphabet.length)]).join("");

/** Returns `count` distinct random integers from 0 to n - 1, in random order. */
function distinct(rng: RandomStream, count: number, n: number): number[] {
  const all = Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = between(rng, i, n - 1);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.slice(0, count);
}

/**
 * Returns a sample that consists of a question, a separator and an answer. `nats` is -ln p of the question after its first
 * character.
 */
const answered = (question: string, answer: string, nats: number, separator = SEPARATOR): Sample => ({
  text: question + separator + answer,
  answerStart: question.length + separator.length,
  nats,
});

/** A task whose question is a random word and whose answer is a function of it. */
function wordTask(
  name: string,
  { from, alphabet = "", least, most }: { from: string; alphabet?: string; least: number; most: number },
  answerOf: (word: string) => string,
): Task {
  return {
    name,
    alphabet: from + alphabet + SEPARATOR,
    sample: (rng) => {
      const word = draw(rng, from, between(rng, least, most));
      return answered(word, answerOf(word), ln(most - least + 1) + (word.length - 1) * ln(from.length));
    },
  };
}

const WORD = { from: LETTERS_AND_DIGITS, least: 10, most: 60 };
const COUNTED = { from: LETTERS, alphabet: DIGITS + LETTERS.toUpperCase(), least: 10, most: 80 };

function countsOf(items: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** Writes a count in base 36 as one character, so that each character of the answer belongs to one letter of the question. */
const base36 = (count: number): string => count.toString(36).toUpperCase();

const sorted = (word: string): string => [...word].sort().join("");

function histogram(word: string): string {
  const counts = countsOf(word);
  return [...word].map((letter) => base36(counts.get(letter)!)).join("");
}

function doubleHistogram(word: string): string {
  const counts = countsOf(word);
  const lettersWith = countsOf([...counts.values()].map(String));
  return [...word].map((letter) => base36(lettersWith.get(String(counts.get(letter)))!)).join("");
}

const copy = wordTask("copy", WORD, (word) => word);

const maskedCopy: Task = {
  ...copy,
  name: "masked_copy",
  sample: (rng) => ({ ...copy.sample(rng), masked: rng.below(10) > 0 }),
};

const addition: Task = {
  name: "addition",
  alphabet: DIGITS + "+=",
  sample: (rng) => {
    const [a, b] = [0, 0].map(() => draw(rng, DIGITS.slice(1), 1) + draw(rng, DIGITS, between(rng, 1, 19)));
    const nats = 2 * ln(19) + ln(9) + (a.length + b.length - 2) * ln(10);
    return answered(`${a}+${b}`, String(BigInt(a) + BigInt(b)), nats, "=");
  },
};

const numberSort: Task = {
  name: "number_sort",
  alphabet: DIGITS + SEPARATOR,
  sample: (rng) => {
    const numbers = Array.from({ length: between(rng, 10, 30) }, () => draw(rng, DIGITS, 3));
    const nats = ln(21) + (3 * numbers.length - 1) * ln(10);
    return answered(numbers.join(" "), numbers.toSorted().join(" "), nats);
  },
};

/** Length of an induction sample in characters. */
const INDUCTION = 64;

const induction: Task = {
  name: "induction",
  alphabet: LETTERS_AND_DIGITS,
  sample: (rng) => {
    const length = between(rng, 8, INDUCTION / 2);
    const word = distinct(rng, length, LETTERS_AND_DIGITS.length).map((i) => LETTERS_AND_DIGITS[i]);
    let nats = ln(INDUCTION / 2 - 7);
    for (let i = 1; i < length; i++) nats += ln(LETTERS_AND_DIGITS.length - i);
    // The start of the repetition is unpredictable; everything after it is predictable.
    const text = Array.from({ length: INDUCTION }, (_, i) => word[i % length]).join("");
    return { text, answerStart: length + 1, nats };
  },
};

/**
 * The sizes of multi-query associative recall: `pairs` is the number of key-value pairs in a sample, `kinds` is the number of
 * possible keys and also of possible values, and `length` is the number of characters in a sample.
 */
const RECALL = { pairs: 4, kinds: 128, length: 64 };
/** 256 letters from U+0100 on: 128 keys, then 128 values. */
const SYMBOLS = String.fromCodePoint(...Array.from({ length: 2 * RECALL.kinds }, (_, i) => 0x100 + i));
const VALUES = SYMBOLS.slice(RECALL.kinds);

const recall: Task = {
  name: "recall",
  alphabet: SYMBOLS,
  sample: (rng) => {
    const { pairs, kinds, length } = RECALL;
    const bound = distinct(rng, pairs, kinds).map((key) => SYMBOLS[key] + draw(rng, VALUES, 1));
    let nats = pairs * ln(kinds);
    for (let i = 1; i < pairs; i++) nats += ln(kinds - i);
    let text = bound.join("");
    const asked = distinct(rng, pairs, pairs);
    const answers: [number, number][] = [];
    // The queries are placed uniformly at random after the pairs; the remaining positions are random values.
    for (let slots = length - 3 * pairs; slots > 0; slots--) {
      const open = pairs - answers.length;
      const asks = rng.below(slots) < open;
      nats += -ln(asks ? open / slots : 1 - open / slots) + (asks ? ln(open) : ln(kinds));
      text += asks ? bound[asked[answers.length]] : draw(rng, VALUES, 1);
      if (asks) answers.push([text.length - 1, text.length]);
    }
    return { text, answerStart: answers[0][0], answers, nats };
  },
};

/** The modulus of modular addition, a prime of two digits. */
const MODULUS = 97;

const modularAddition: Task = {
  name: "modular_addition",
  alphabet: DIGITS + "+=",
  sample: (rng) => {
    const [a, b] = [rng.below(MODULUS), rng.below(MODULUS)];
    const [x, y, sum] = [a, b, (a + b) % MODULUS].map((n) => String(n).padStart(2, "0"));
    const sameFirst = a < 90 ? 10 : MODULUS - 90;
    return answered(`${x}+${y}`, sum, ln(MODULUS) + ln(sameFirst), "=");
  },
};

const BRACKETS = ["()", "[]", "{}", "<>"];

/**
 * Returns a task whose question is 10 to 40 brackets of `kinds` kinds and whose answer is the brackets that close the brackets
 * still open.
 */
function dyck(kinds: number): Task {
  const pairs = BRACKETS.slice(0, kinds);
  return {
    name: `dyck_${kinds}`,
    alphabet: pairs.join("") + SEPARATOR,
    sample: (rng) => {
      let [question, nats] = ["", ln(31) - ln(kinds)];
      const open: string[] = [];
      for (let left = between(rng, 10, 40); left > 0; left--) {
        const closes = open.length > 0 && rng.below(2) === 0;
        if (open.length > 0) nats += ln(2);
        if (!closes) nats += ln(kinds);
        const pair = closes ? open.pop()! : pairs[rng.below(kinds)];
        if (!closes) open.push(pair);
        question += pair[closes ? 1 : 0];
      }
      return answered(question, open.reverse().map((pair) => pair[1]).join(""), nats);
    },
  };
}

const LIST: readonly Task[] = [
  copy,
  maskedCopy,
  wordTask("reverse", WORD, (word) => [...word].reverse().join("")),
  wordTask("sort", WORD, sorted),
  numberSort,
  wordTask("histogram", COUNTED, histogram),
  wordTask("double_histogram", COUNTED, doubleHistogram),
  addition,
  modularAddition,
  induction,
  recall,
  ...[1, 2, 3, 4].map(dyck),
];

/**
 * The built-in synthetic tasks, keyed by name. In the list, `w` is a word of 10 to 60 characters of [a-zA-Z0-9], whose length and
 * characters are uniformly random. The answer follows the separator ` :: ` (or `=`).
 *
 * - `copy`: the question is w, and the answer is w. `masked_copy`: the same, but in 9 of 10 samples only the answer counts for
 *   the loss.
 * - `reverse`: the question is w, and the answer is w reversed. `sort`: the question is w, and the answer is the characters of w
 *   sorted by code point.
 * - `number_sort`: the question is 10 to 30 numbers from 000 to 999, and the answer is the same numbers in ascending order.
 * - `histogram`: the question is 10 to 80 letters, and the answer gives for each position how often its letter occurs in the
 *   question. `double_histogram`: the answer gives for each position the number of distinct letters that occur as often as its
 *   letter. Each of these numbers is one digit in base 36.
 * - `addition`: `a+b=sum`, where a and b have 2 to 20 digits. `modular_addition`: `a+b=c`, where c is the sum modulo 97 and all
 *   three numbers have two digits.
 * - `induction`: 8 to 32 distinct characters, repeated to length 64; the answer begins at the second repeated character.
 * - `recall`: multi-query associative recall. A sample of 64 characters has 4 keys, each followed by its value, and then, among
 *   random values, each key once more with its value after it. The answers are these repeated values. There are 256 possible
 *   characters: 128 keys and 128 values.
 * - `dyck_1` to `dyck_4`: the question is 10 to 40 brackets of 1 to 4 kinds, and the answer is the brackets that close the
 *   brackets still open.
 *
 * @example
 * ```ts
 * import { TASKS } from "../../mod.ts";
 * import { drawSample } from "./mod.ts";
 * console.log(drawSample(TASKS.addition, 1, 0).text); // 123+45=168, with other numbers
 * ```
 * @category Data
 */
export const TASKS: Readonly<Record<string, Task>> = Object.fromEntries(
  LIST.map((task) => [task.name, task]),
);
