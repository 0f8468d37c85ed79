// Synthetic tasks. A task generates texts by a rule, and the answer in each text is known. A task is a plain record, which users
// can write too. Sample i of a task depends only on the seed and i.
import { randomStream } from "../base/random.ts";
import { isMapping } from "../base/show.ts";
import { didYouMean, refuseRenamed, UserError } from "../base/errors.ts";
import { describe } from "../base/user_file.ts";
import { charTokenizer } from "./char_tokenizer.ts";
import type { Sample, Task, TaskSplit } from "./task.ts";
import { TASKS } from "./tasks.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Returns the built-in task called `name`.
 *
 * @throws UserError with the most similar name if there is no such task
 *
 * @example
 * ```ts
 * import { findTask } from "./synthetic.ts";
 * findTask("copy").name; // "copy"
 * ```
 */
export function findTask(name: string): Task {
  if (Object.hasOwn(TASKS, name)) return TASKS[name];
  throw new UserError(`Text: no synthetic task is called "${name}".${didYouMean(name, Object.keys(TASKS))}`);
}

/**
 * Draws sample `index` of a task for a seed. All randomness comes from `randomStream(seed, "<name> sample <index>")`, or for the
 * split "val" from `randomStream(seed, "<name> val sample <index>")`.
 *
 * @param index 0, 1, 2, ..., without upper bound
 * @param split Default: "train".
 * @throws UserError if the generator does not return a valid sample
 *
 * @example
 * ```ts
 * import { drawSample, findTask } from "./synthetic.ts";
 * drawSample(findTask("copy"), 1, 0).text === drawSample(findTask("copy"), 1, 0).text; // true
 * ```
 */
export function drawSample(task: Task, seed: number, index: number, split: TaskSplit = "train"): Sample {
  const purpose = split === "train"
    ? `${task.name} sample ${index}`
    : `${task.name} ${split} sample ${index}`;
  return checkSample(`${task.name} task: sample ${index}`, task.sample(randomStream(seed, purpose)));
}

const isPart = (part: unknown): boolean =>
  Array.isArray(part) && part.length === 2 && part.every(Number.isFinite);

/** For each field of a sample: its expected value in words, and a function that returns true for a valid value. */
const SAMPLE_FIELDS: Readonly<Record<keyof Sample, readonly [string, (value: unknown) => boolean]>> = {
  text: ["text", (value) => typeof value === "string"],
  answerStart: ["a number", (value) => typeof value === "number"],
  answers: [
    "nothing or a list of [from, to]",
    (value) => value === undefined || Array.isArray(value) && value.every(isPart),
  ],
  masked: ["nothing, true or false", (value) => value === undefined || typeof value === "boolean"],
  nats: ["nothing or a number", (value) => value === undefined || typeof value === "number"],
};

/** Checks a value that a task returned; throws UserError if it is not a sample or a field has the wrong type. */
export function checkSample(place: string, sample: unknown): Sample {
  const expected = "expected { text, answerStart }, a text and a number";
  if (!isMapping(sample) || sample instanceof Promise) {
    throw new UserError(`${place}: ${expected}, found ${describe(sample)}.`);
  }
  refuseRenamed(place, sample);
  for (const [name, [what, holds]] of Object.entries(SAMPLE_FIELDS)) {
    if (holds(sample[name])) continue;
    throw new UserError(`${place}: ${expected}; ${name}: expected ${what}, found ${describe(sample[name])}.`);
  }
  return sample as unknown as Sample;
}

/**
 * Returns the character tokenizer of a task. Its vocabulary is the task's alphabet and the newline, which ends samples and pads
 * rows.
 *
 * @example
 * ```ts
 * import { findTask, taskTokenizer } from "./synthetic.ts";
 * taskTokenizer(findTask("copy")).size; // 65: [a-zA-Z0-9], space, colon, newline
 * ```
 */
export const taskTokenizer = (task: Task): Tokenizer => charTokenizer(taskCharacters(task));

/** Returns all characters of a task's samples: the task's alphabet and the newline that ends a sample. */
export const taskCharacters = ({ alphabet }: Task): string => `${alphabet}\n`;
