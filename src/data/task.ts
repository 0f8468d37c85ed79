// The types of synthetic tasks and their samples.
import type { RandomStream } from "../base/random.ts";

/** A sample: a question and its answer in one text.
 * @category Data */
export interface Sample {
  /** Question and answer, without the newline that ends a sample. */
  text: string;
  /** Index, in code points, of the first character of the answer. */
  answerStart: number;
  /**
   * The parts of the answer, as half-open ranges [from, to) of code points. They are given only if the answer is not everything
   * from `answerStart` on. The newline at the end is then not part of the answer.
   */
  answers?: readonly (readonly [from: number, to: number])[];
  /** True if only the answer counts for the loss, regardless of the configuration. */
  masked?: boolean;
  /**
   * -ln p in nats, where p is the probability of the text after its first character. It is given only if p is known and the
   * question determines the answer.
   */
  nats?: number;
}

/** A generator of samples.
 * @category Data */
export interface Task {
  /** The name used in configurations. */
  name: string;
  /** All characters that samples may contain, except the newline, which ends a sample. */
  alphabet: string;
  /** Draws one sample, with all randomness from `rng`. */
  sample(rng: RandomStream): Sample;
}

/** The splits of a task, each with separate random streams. */
export type TaskSplit = "train" | "val";
