// What a synthetic task is.
import type { RandomStream } from "../base/random.ts";

/** One sample: a question and its answer in one text.
 * @category Data */
export interface Sample {
  /** Question and answer, without the newline that ends a sample. */
  text: string;
  /** Index, in code points, of the first character of the answer. */
  answerStart: number;
  /**
   * Where the answer is not all that follows `answerStart`: its parts, each from a code point to before another. The end
   * of the sample is then no part of it.
   */
  answers?: readonly (readonly [from: number, to: number])[];
  /** Only the answer counts for the loss, whatever the configuration says. */
  masked?: boolean;
  /** -ln p of the text after its first character, where that is known and the answer follows from the question. */
  nats?: number;
}

/** A generator of samples.
 * @category Data */
export interface Task {
  /** The name that configurations use. */
  name: string;
  /** Every character a sample may have; never a newline, which ends a sample. */
  alphabet: string;
  /** Draws one sample; all its randomness comes from `rng`. */
  sample(rng: RandomStream): Sample;
}

/** Samples of "train" and "val" are drawn from streams of their own. */
export type TaskSplit = "train" | "val";
