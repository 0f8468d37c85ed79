// Batches of a synthetic task: one sample a row, padded right, the loss on all of it or on the answer alone.
import { UserError } from "../errors.ts";
import {
  type Batch,
  blankBatch,
  checkSizes,
  checkStep,
  evaluationOf,
  type Source,
  splitNamed,
} from "./batches.ts";
import { drawSample, type Task, type TaskSplit } from "./synthetic.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** How a task is cut into batches. */
export interface TaskSourceOptions {
  /** Positions of a row; a sample needs as many as it has characters. */
  context: number;
  /** Rows of a batch, one sample each. */
  batch: number;
  /** The run's seed. */
  seed: number;
  /** Whether only the answer, its end included, counts for the loss. */
  answerOnly: boolean;
}

const EVALUATED_SAMPLES = 256;
const END = "\n";

/**
 * Batches of a synthetic task, one sample a row: the sample's characters are the inputs, each one's target is
 * the next and the last one's the newline that ends a sample. The rest of the row is newlines whose targets
 * are IGNORE; with `answerOnly` so are the targets before the answer (the answer's end, the newline, does
 * count).
 *
 * Batch `step` has the samples step * batch to step * batch + batch - 1, none ever again. "val" is 256
 * samples of their own, the same at every evaluation; evaluation("train") reads the first 256 training
 * samples.
 *
 * @param task the generator
 * @param tokenizer of the task's alphabet and the newline, as `taskTokenizer` makes it
 * @param options context and batch size, seed, what counts
 * @throws UserError at a size out of range, a character the tokenizer does not know, a sample longer than
 *   context, an answer that starts outside its sample
 *
 * @example
 * ```ts
 * import { findTask, taskTokenizer } from "./synthetic.ts";
 * import { taskSource } from "./task_batches.ts";
 * const task = findTask("copy");
 * const options = { context: 128, batch: 2, seed: 1, answerOnly: true };
 * taskSource(task, taskTokenizer(task), options).train(0).ids.length; // 256
 * ```
 */
export function taskSource(task: Task, tokenizer: Tokenizer, options: TaskSourceOptions): Source {
  checkSizes(options);
  const { context, batch, seed, answerOnly } = options;
  const end = tokenizer.encode(END)[0];

  const tokensOf = (split: TaskSplit, index: number) => {
    const { text, answerFrom } = drawSample(task, seed, index, split);
    const place = `${task.name} task: ${split} sample ${index}`;
    const tokens = tokenizer.encode(text + END);
    const length = tokens.length - 1;
    if (length > context) {
      throw new UserError(
        `${place} has ${length} characters, more than context = ${context}; use a larger model.context.`,
      );
    }
    if (!Number.isSafeInteger(answerFrom) || answerFrom < 1 || answerFrom > length) {
      throw new UserError(`${place} has answerFrom ${answerFrom}; expected 1 to its length, ${length}.`);
    }
    return { tokens, firstTarget: answerOnly ? answerFrom - 1 : 0 };
  };
  const writeRow = (split: TaskSplit, index: number, into: Batch, row: number) => {
    const { tokens, firstTarget } = tokensOf(split, index);
    const at = row * context;
    into.ids.fill(end, at, at + context);
    into.ids.set(tokens.subarray(0, -1), at);
    into.targets.set(tokens.subarray(firstTarget + 1), at + firstTarget);
  };

  let valTokens = 0;
  for (let i = 0; i < EVALUATED_SAMPLES; i++) valTokens += tokensOf("val", i).tokens.length;
  const splits: Record<TaskSplit, number> = { train: Infinity, val: valTokens };
  return {
    splits,
    train: (step) => {
      checkStep(step);
      const into = blankBatch(batch, context);
      for (let row = 0; row < batch; row++) writeRow("train", step * batch + row, into, row);
      return into;
    },
    evaluation: (split) => {
      splitNamed(splits, split);
      return evaluationOf(
        EVALUATED_SAMPLES,
        options,
        (index, into, row) => writeRow(split as TaskSplit, index, into, row),
      );
    },
  };
}
