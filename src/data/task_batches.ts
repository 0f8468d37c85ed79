// Batches of a synthetic task. Each row has one sample, padded on the right. Either the whole sample or only the answer counts
// for the loss.
import { atPlace, UserError } from "../base/errors.ts";
import { blankBatch, checkSizes, checkStep, evaluationOf, splitNamed } from "./batches.ts";
import type { Batch, Source } from "./batches.ts";
import { drawSample } from "./synthetic.ts";
import type { Sample, Task, TaskSplit } from "./task.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** How a task is divided into batches. */
export interface TaskSourceOptions {
  /** Positions per row, at least the number of tokens of every sample. */
  context: number;
  /** Rows per batch, one sample each. */
  batch: number;
  /** The run's seed. */
  seed: number;
  /** True if only the answer counts for the loss. Unless a sample has `answers`, the newline after the answer is part of it. */
  answerOnly: boolean;
}

const EVALUATED_SAMPLES = 256;
const END = "\n";

/** Returns the parts of the answer as ranges of code points; throws UserError unless they are in order and inside the sample. */
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
 * Returns the tokens of a sample, including the newline at its end, and for each token whether it belongs to the answer. The
 * question and the answer are encoded separately, so that no token is part of both.
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

/** A tokenized sample. */
interface DrawnSample extends ReturnType<typeof tokensOf> {
  readonly place: string;
  readonly counted: readonly boolean[];
  /** A lower bound on the sum of the losses of the sample's counted targets, in nats; undefined if it is unknown. */
  readonly nats: number | undefined;
}

/** Returns a function that draws a sample of the task and tokenizes it. */
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

/** Returns the sample; throws UserError if it does not fit in a row. */
function fitting(sample: DrawnSample, { kind }: Tokenizer, context: number): DrawnSample {
  const length = sample.tokens.length - 1;
  if (length <= context) return sample;
  const unit = kind === "char" ? "characters" : "tokens";
  throw new UserError(
    `${sample.place} has ${length} ${unit}, more than context = ${context}; use a larger model.context.`,
  );
}

/**
 * Returns the total number of tokens of the samples, and in `floorNats` the sum of their `nats` divided by their number of
 * counted targets, or undefined if the `nats` of any sample are unknown.
 */
function sizeAndFloor(samples: readonly DrawnSample[]): { tokens: number; floorNats: number | undefined } {
  let [tokens, targets, total] = [0, 0, 0];
  for (const { tokens: sampleTokens, counted, nats = NaN } of samples) {
    tokens += sampleTokens.length;
    targets += counted.filter(Boolean).length;
    total += nats;
  }
  return { tokens, floorNats: Number.isNaN(total) ? undefined : total / targets };
}

/**
 * Returns batches of a synthetic task with one sample per row. The target of each token is the next token, and the target of the
 * last token is the newline that ends a sample. The rest of the row consists of newlines with targets IGNORE. With `answerOnly`
 * or in a `masked` sample, targets outside the answer are IGNORE too; unless the sample has `answers`, the newline at its end is
 * part of the answer. In a batch of an evaluation, the field `answers` marks the answer, regardless of which targets count for
 * the loss.
 *
 * Batch `step` contains the samples step * batch to step * batch + batch - 1, so no sample is repeated. The split "val" has 256
 * separate samples, which are the same at every evaluation; evaluation("train") reads the first 256 training samples.
 * `entropyFloor` is -ln p of the samples of "val", divided by their number of counted targets; it is 0 if only answers count.
 *
 * @param tokenizer any tokenizer that can encode the task's alphabet and the newline, such as `taskTokenizer(task)`
 * @throws UserError for a size out of range, a character unknown to the tokenizer, a sample longer than
 *   context, or an answer that starts outside its sample
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
  const { tokens, floorNats } = sizeAndFloor(seen);
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
