// Batches of a synthetic task: one sample a row, padded right, the loss on all of it or on the answer alone.
import { atPlace, UserError } from "../base/errors.ts";
import { blankBatch, checkSizes, checkStep, evaluationOf, splitNamed } from "./batches.ts";
import type { Batch, Source } from "./batches.ts";
import { drawSample } from "./synthetic.ts";
import type { Sample, Task, TaskSplit } from "./task.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** How a task is cut into batches. */
export interface TaskSourceOptions {
  /** Positions of a row; a sample needs as many as it has tokens. */
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

/** The parts of the answer, in order and inside the sample, or UserError. */
function answerSpans({ answerStart, answers }: Sample, length: number, place: string): (readonly number[])[] {
  if (!Number.isSafeInteger(answerStart) || answerStart < 1 || answerStart > length) {
    throw new UserError(`${place} has answerStart ${answerStart}; expected 1 to its length, ${length}.`);
  }
  if (answers === undefined) return [[answerStart, length + 1]];
  let end = 1;
  for (const [from, to] of answers) {
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < end || to <= from || to > length) {
      throw new UserError(
        `${place} has an answer from ${from} to ${to}; expected parts in order from ${end} to ${length}.`,
      );
    }
    end = to;
  }
  return [...answers];
}

/**
 * A sample as tokens, its end included, and which of them belong to the answer. Question and answer become tokens apart, so
 * that no token is part of both.
 */
function tokensOf(sample: Sample, tokenizer: Tokenizer, place: string) {
  const characters = [...sample.text];
  const spans = answerSpans(sample, characters.length, place);
  characters.push(END);
  const [tokens, isAnswer]: [number[], boolean[]] = [[], []];
  let at = 0;
  const add = (to: number, answer: boolean) => {
    const text = characters.slice(at, to).join("");
    for (const id of atPlace(place, () => tokenizer.encode(text))) {
      tokens.push(id);
      isAnswer.push(answer);
    }
    at = to;
  };
  for (const [from, to] of spans) {
    add(from, false);
    add(to, true);
  }
  add(characters.length, false);
  return { tokens, isAnswer };
}

/** A sample made ready for a row. */
interface DrawnSample extends ReturnType<typeof tokensOf> {
  readonly place: string;
  readonly counted: readonly boolean[];
  /** The least that its counted targets can cost. */
  readonly nats: number | undefined;
}

/** Draws a task's samples as tokens. */
function sampler(task: Task, tokenizer: Tokenizer, { seed, answerOnly }: TaskSourceOptions) {
  return (split: TaskSplit, index: number): DrawnSample => {
    const place = `${task.name} task: ${split} sample ${index}`;
    const sample = drawSample(task, seed, index, split);
    const { tokens, isAnswer } = tokensOf(sample, tokenizer, place);
    const masked = answerOnly || sample.masked === true;
    const counted = isAnswer.map((answer, i) => i > 0 && (answer || !masked));
    const nats = masked && sample.nats !== undefined ? 0 : sample.nats;
    return { place, tokens, isAnswer, counted, nats };
  };
}

/** The sample, or UserError where it does not fit a row. */
function fitting(sample: DrawnSample, { kind }: Tokenizer, context: number): DrawnSample {
  const length = sample.tokens.length - 1;
  if (length <= context) return sample;
  const unit = kind === "char" ? "characters" : "tokens";
  throw new UserError(
    `${sample.place} has ${length} ${unit}, more than context = ${context}; use a larger model.context.`,
  );
}

/** Tokens of some samples and the mean of their `nats` over the targets that count, undefined where they have none. */
function measured(samples: readonly DrawnSample[]): { tokens: number; floorNats: number | undefined } {
  let [tokens, targets, total] = [0, 0, 0];
  for (const { tokens: own, counted, nats = NaN } of samples) {
    tokens += own.length;
    targets += counted.filter(Boolean).length;
    total += nats;
  }
  return { tokens, floorNats: Number.isNaN(total) ? undefined : total / targets };
}

/**
 * Batches of a synthetic task, one sample a row: the sample's tokens are the inputs, each one's target is the next and
 * the last one's the newline that ends a sample. The rest of the row is newlines whose targets are IGNORE; with
 * `answerOnly`, and in a sample that is `masked`, so are the targets that are no part of the answer (its end, the
 * newline, does count). `answers` of an evaluation's batch marks the answer whatever counts for the loss.
 *
 * Batch `step` has the samples step * batch to step * batch + batch - 1, none ever again. "val" is 256
 * samples of their own, the same at every evaluation; evaluation("train") reads the first 256 training
 * samples. `floorNats` is the mean -ln p of "val", 0 where only answers count.
 *
 * @param tokenizer of the task's alphabet and the newline, as `taskTokenizer` makes it, or of any text
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
  const { context, batch } = options;
  const end = tokenizer.encode(END)[0];
  const drawn = sampler(task, tokenizer, options);
  const writeRow = ({ tokens, isAnswer, counted }: DrawnSample, into: Batch, row: number) => {
    const at = row * context;
    into.ids.fill(end, at, at + context);
    into.ids.set(tokens.slice(0, -1), at);
    for (let i = 1; i < tokens.length; i++) {
      if (counted[i]) into.targets[at + i - 1] = tokens[i];
      if (into.answers && isAnswer[i]) into.answers[at + i - 1] = 1;
    }
  };
  const seen = Array.from({ length: EVALUATED_SAMPLES }, (_, i) => drawn("val", i));
  fitting(seen.reduce((a, b) => b.tokens.length > a.tokens.length ? b : a), tokenizer, context);
  const { tokens, floorNats } = measured(seen);
  const splits: Record<TaskSplit, number> = { train: Infinity, val: tokens };
  return {
    splits,
    entropyFloor: floorNats,
    train: (step) => {
      checkStep(step);
      const into = blankBatch(batch, context);
      for (let row = 0; row < batch; row++) {
        writeRow(fitting(drawn("train", step * batch + row), tokenizer, context), into, row);
      }
      return into;
    },
    evaluation: (split) => {
      splitNamed(splits, split);
      const pass = evaluationOf(EVALUATED_SAMPLES, options, (index, into, row) => {
        into.answers ??= new Uint8Array(batch * context);
        writeRow(fitting(drawn(split as TaskSplit, index), tokenizer, context), into, row);
      });
      return { ...pass, answers: true };
    },
  };
}
