// Synthetic tasks: text made by rule, of which the right answer is known. A task is a record, so that a
// user's own is one as well; sample i depends on the seed and i alone.
import { randomStream } from "../base/random.ts";
import { isMapping } from "../base/show.ts";
import { didYouMean, refuseRenamed, UserError } from "../base/errors.ts";
import { describe } from "../base/user_file.ts";
import { charTokenizer } from "./char_tokenizer.ts";
import type { Sample, Task, TaskSplit } from "./task.ts";
import { TASKS } from "./tasks.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * The task of a name.
 *
 * @throws UserError where there is none, with the nearest name
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
 * Sample `index` of a task under a seed: drawn from `randomStream(seed, "<name> sample <index>")`, of the
 * split "val" from `"<name> val sample <index>"`.
 *
 * @param index 0, 1, 2, ... without end
 * @param split "train" unless told
 * @throws UserError where the generator gives something else
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

/** What each field of a sample may be, in words, and whether it is that. */
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

/** A sample as a task drew it; throws UserError where it is none, or a field of it is of another type. */
export function checkSample(place: string, sample: unknown): Sample {
  const expected = "expected { text, answerStart }, text and a number";
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
 * The tokenizer of a task: its alphabet, and the newline that ends a sample and pads a row.
 *
 * @example
 * ```ts
 * import { findTask, taskTokenizer } from "./synthetic.ts";
 * taskTokenizer(findTask("copy")).size; // 65: [a-zA-Z0-9], space, colon, newline
 * ```
 */
export const taskTokenizer = (task: Task): Tokenizer => charTokenizer(taskCharacters(task));

/** Every character of a task's samples: its alphabet, and the newline that ends one. */
export const taskCharacters = ({ alphabet }: Task): string => `${alphabet}\n`;
