// Batches for training and evaluation. A training batch is a pure function of (seed, step): resuming needs only the step,
// and no data-loader state is saved. Evaluation reads every token of a split once, in order.
import { randomStream, shuffle } from "../base/random.ts";
import { didYouMean, UserError } from "../base/errors.ts";
import type { Numbers } from "./ids.ts";

/** Target id of a position that the loss ignores.
 * @category Data */
export const IGNORE = 0xffffffff;

/** Rows of tokens and, for each position, the next token.
 * @category Data */
export interface Batch {
  /** The token ids of all rows, concatenated; the length is batch * context. */
  ids: Uint32Array;
  /** For each position, the id of the next token, or IGNORE; the length is batch * context. */
  targets: Uint32Array;
  /** Only for a synthetic task: 1 at positions whose target is part of the answer, otherwise 0; the length is batch * context. */
  answers?: Uint8Array;
  /** Only for a mixture: for each of the `batch` rows, the index of its source in `Source.sources`. */
  sources?: Uint16Array;
}

/** One of the sources of a mixture. */
export interface MixedSource {
  /** Name of the corpus, task or file. */
  readonly name: string;
  /** The fraction of the training rows that come from this source. These fractions sum to 1 over all sources. */
  readonly weight: number;
  /**
   * The fraction of the training targets that come from this source, estimated from the source's first rows. It differs from
   * `weight` if short texts do not fill their rows.
   */
  readonly share: number;
}

/** The batches of one pass over a split. */
export interface Evaluation {
  /** Number of batches. */
  count: number;
  /** True if the batches have the field `answers`. */
  answers?: boolean;
  /** For a mixture: the number of batches of each source, in the order of `Source.sources`. */
  parts?: readonly number[];
  /**
   * Returns batch `index`, from 0 to count - 1; throws RangeError for any other index. Rows that only fill up a batch have ids 0
   * and targets IGNORE.
   */
  batch(index: number): Batch;
}

/**
 * Returns the indices of at most `most` out of `count` batches, evenly spaced and starting at 0. If `most` is 0, it returns all
 * indices.
 */
export function spread(count: number, most: number): number[] {
  const chosen = most === 0 ? count : Math.min(most, count);
  return Array.from({ length: chosen }, (_, i) => Math.floor(i * count / chosen));
}

/** Returns at most `most` batches of a pass, evenly spaced and starting with the first. If `most` is 0, it returns all batches.
 * @category Data */
export function spreadBatches(pass: Evaluation, most: number): Batch[] {
  return spread(pass.count, most).map((index) => pass.batch(index));
}

/** The source of batches for training and evaluation. */
export interface Source {
  /** Number of tokens in each split; Infinity if samples are generated without end. */
  readonly splits: Readonly<Record<string, number>>;
  /** The sources of a mixture; absent if there is only one source. */
  readonly sources?: readonly MixedSource[];
  /** Number of rows in one pass over the split "train". It is given only if rows may have fewer than `context` targets. */
  readonly rows?: number;
  /** A lower bound on the loss of any model on the split "val", in nats per token; absent if it is unknown. */
  readonly entropyFloor?: number;
  /**
   * Returns training batch `index`, counted from 0 over the whole run, in which each step has `accumulate` batches. The batch
   * depends only on the seed and the index.
   */
  train(index: number): Batch;
  /** Returns one pass over a split; throws UserError if there is no such split. */
  evaluation(split: string): Evaluation;
}

/** How a text is divided into batches. */
export interface TextSourceOptions {
  /** Positions per row. */
  context: number;
  /** Rows per batch. */
  batch: number;
  /** Batches per step. Default: 1. The rows of a step do not depend on how they are divided into batches. */
  accumulate?: number;
  /** The run's seed. */
  seed: number;
  /**
   * The fractions of the text for validation and testing; 0 means that there is no such split. The rest of the text is the train
   * split. In the text, the train split comes first, then val, then test.
   */
  split: { val: number; test: number };
  /** Splits that are given as separate texts. For these splits, the fractions in `split` are ignored. */
  given?: { val?: Numbers; test?: Numbers };
  /**
   * How training rows are drawn. With "crops", they start at uniformly random offsets; with "windows", every window is used once
   * per epoch, in random order.
   */
  sampling: keyof typeof SAMPLINGS;
}

/** @internal Returns a batch with ids 0 and targets IGNORE, into which rows are then written. */
export function blankBatch(rows: number, context: number): Batch {
  try {
    return { ids: new Uint32Array(rows * context), targets: new Uint32Array(rows * context).fill(IGNORE) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `Batches: not enough memory for ${rows} rows of ${context} tokens; use a smaller ` +
        "train.batch or model.context.",
    );
  }
}

/** @internal Throws UserError unless both sizes are integers of at least 1. */
export function checkSizes(sizes: { context: number; batch: number }): void {
  for (const [name, value] of Object.entries({ context: sizes.context, batch: sizes.batch })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new UserError(`Batches: ${name} is ${value}; expected a whole number of at least 1.`);
    }
  }
}

/** @internal Throws RangeError unless `step`, the index of a batch, is a non-negative safe integer. */
export function checkStep(step: number): void {
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new RangeError(`Step ${step} is not the index of a batch`);
  }
}

/**
 * @internal Returns a pass over `windows` rows, grouped into batches of `batch` rows. The function `write` writes row `window` of
 * the pass into row `row` of the batch `into`.
 */
export function evaluationOf(
  windows: number,
  { context, batch: rows }: { context: number; batch: number },
  write: (window: number, into: Batch, row: number) => void,
): Evaluation {
  const count = Math.ceil(windows / rows);
  return {
    count,
    batch: (index) => {
      if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
        throw new RangeError(`Batch ${index} is out of range; expected 0 to ${count - 1}`);
      }
      const into = blankBatch(rows, context);
      for (let row = 0; row < rows && index * rows + row < windows; row++) {
        write(index * rows + row, into, row);
      }
      return into;
    },
  };
}

/** @internal Returns the split called `name`. If there is no such split, it throws UserError with the most similar name. */
export function splitNamed<T>(splits: Readonly<Record<string, T>>, name: string): T {
  if (!Object.hasOwn(splits, name)) {
    throw new UserError(`Batches: there is no split "${name}".${didYouMean(name, Object.keys(splits))}`);
  }
  return splits[name];
}

function writeWindow(tokens: Numbers, start: number, context: number, into: Batch, row: number): void {
  into.ids.set(tokens.subarray(start, start + context), row * context);
  into.targets.set(tokens.subarray(start + 1, start + 1 + context), row * context);
}

/** A sequence that can be cut at indices: tokens, samples or a text. */
export interface Cuttable<T> {
  readonly length: number;
  /** Cuts the sequence at the ascending indices `places` and returns the places.length + 1 parts. */
  cut(places: readonly number[]): T[];
}

const cuttable = <T>(length: number, part: (from: number, to?: number) => T): Cuttable<T> => ({
  length,
  cut: (places) => [0, ...places].map((from, i) => part(from, places[i])),
});

export const cuttableList = <T>(list: readonly T[]): Cuttable<readonly T[]> =>
  cuttable<readonly T[]>(list.length, (from, to) => list.slice(from, to));

/** @internal Returns the ids as a `Cuttable` whose parts are views, not copies. */
export const cuttableIds = (ids: Numbers): Cuttable<Numbers> =>
  cuttable<Numbers>(ids.length, (from, to) => ids.subarray(from, to));

/**
 * Cuts tokens, samples or a text into consecutive splits: train, then val, then test. Throws UserError if a fraction is out of
 * range.
 */
function cutSplits<T>(all: Cuttable<T>, { val, test }: TextSourceOptions["split"]): Record<string, T> {
  for (const [name, fraction] of Object.entries({ val, test })) {
    if (!(fraction >= 0 && fraction < 1)) {
      throw new UserError(
        `Batches: data.split.${name} is ${fraction}; expected a fraction from 0 to below 1.`,
      );
    }
  }
  const sum = val + test;
  if (!(sum < 1)) {
    throw new UserError(
      `Batches: data.split.val + data.split.test is ${sum}; expected below 1, since the rest is the train split.`,
    );
  }
  // Without the tolerance of 1e-6, 100 (1 - 0.02 - 0.07), which is slightly below 91 in floating point, would become 90.
  const boundary = (fraction: number) => Math.floor(all.length * fraction + 1e-6);
  const parts = all.cut([boundary(1 - val - test), boundary(1 - test)]);
  const splits: Record<string, T> = { train: parts[0] };
  if (val > 0) splits.val = parts[1];
  if (test > 0) splits.test = parts[2];
  return splits;
}

/**
 * @internal Returns the splits of tokens, samples or a text. A split in `given` is used as it is; the other splits are cut from
 * `all`.
 */
export function splitsOf<T>(
  all: Cuttable<T>,
  { val, test }: TextSourceOptions["split"],
  given: { val?: T; test?: T } = {},
): Record<string, T> {
  const cut = cutSplits(all, { val: given.val ? 0 : val, test: given.test ? 0 : test });
  const apart = Object.entries(given).filter((entry): entry is [string, T] => entry[1] !== undefined);
  return { ...cut, ...Object.fromEntries(apart) };
}

function checkLengths(splits: Record<string, Numbers>, context: number): void {
  for (const [name, { length }] of Object.entries(splits)) {
    if (length > context) continue;
    const remedy = name === "train"
      ? "smaller data.split.val and data.split.test"
      : `a larger data.split.${name}`;
    throw new UserError(
      `${name} split has ${length} tokens, fewer than context + 1 = ${context + 1}; ` +
        `use a longer text, a smaller model.context or ${remedy}.`,
    );
  }
}

function permutation(length: number, seed: number, purpose: string): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  shuffle(randomStream(seed, purpose), order);
  return order;
}

/** Returns a function that maps the index of a batch to the numbers (0 to count - 1) of the windows or rows in that batch. */
type Draw = (
  count: number,
  options: Pick<TextSourceOptions, "batch" | "accumulate" | "seed">,
) => (index: number) => number[];

interface Sampling {
  /** True if windows of a text may start at every token; false if windows follow each other without overlap. */
  readonly overlapping: boolean;
  readonly draw: Draw;
}

/** Windows or rows are drawn uniformly, with replacement. */
const crops: Sampling = {
  overlapping: true,
  draw(count, { batch, accumulate = 1, seed }) {
    let last: { step: number; rows: number[] } = { step: -1, rows: [] };
    return (index) => {
      const step = Math.floor(index / accumulate);
      if (last.step !== step) {
        const rng = randomStream(seed, `batches ${step}`);
        last = { step, rows: Array.from({ length: batch * accumulate }, () => rng.below(count)) };
      }
      const first = batch * (index % accumulate);
      return last.rows.slice(first, first + batch);
    };
  },
};

/** Each window or row is drawn once per epoch; the last batch of an epoch is filled up with rows of the next epoch. */
const windows: Sampling = {
  overlapping: false,
  draw(count, { batch, seed }) {
    let cached: { epoch: number; order: Uint32Array } = { epoch: -1, order: new Uint32Array(0) };
    const at = (drawn: number) => {
      const epoch = Math.floor(drawn / count);
      if (cached.epoch !== epoch) {
        cached = { epoch, order: permutation(count, seed, `windows epoch ${epoch}`) };
      }
      return cached.order[drawn % count];
    };
    return (index) => Array.from({ length: batch }, (_, row) => at(index * batch + row));
  },
};

/** The ways to draw training rows, keyed by their names in `data.sampling`. */
export const SAMPLINGS = { crops, windows };

/** Returns the sampling called `sampling`; throws UserError for an unknown name. */
export function samplingOf({ sampling }: Pick<TextSourceOptions, "sampling">): Sampling {
  if (Object.hasOwn(SAMPLINGS, sampling)) return SAMPLINGS[sampling];
  throw new UserError(
    `Batches: sampling is "${sampling}".${didYouMean(String(sampling), Object.keys(SAMPLINGS))}`,
  );
}

/**
 * Returns batches of a text, which is cut into train, val and test, in this order.
 *
 * Training rows are windows of context + 1 tokens; targets are the inputs shifted by one. With "crops" the offsets are uniform
 * over the train split, and those of a step are drawn from `randomStream(seed, "batches " + step)` (as in nanoGPT); with
 * "windows" the offsets are 0, context, 2 context, ..., each used once per epoch in a permutation drawn from (seed, epoch);
 * tokens past the last full window are not trained on. Evaluation reads the windows at the offsets 0, context, 2 context, ... of
 * a split in order, and then the last partial window, so that every token of the split except the first is a target exactly once.
 *
 * @throws UserError if a size or fraction is out of range, or if a split has fewer than context + 1 tokens
 *
 * @example
 * ```ts
 * import { textSource } from "./batches.ts";
 * const ids = Uint32Array.from({ length: 100 }, (_, i) => i % 7);
 * const split = { val: 0.1, test: 0 };
 * const source = textSource(ids, { context: 8, batch: 4, seed: 1, split, sampling: "crops" });
 * source.train(0).ids.length; // 32
 * source.evaluation("val").count; // 1: windows at 0 and 8 of 10 tokens, in one batch
 * ```
 */
export function textSource(ids: Numbers, options: TextSourceOptions): Source {
  checkSizes(options);
  const { context, batch } = options;
  const splits = splitsOf(cuttableIds(ids), options.split, options.given);
  checkLengths(splits, context);
  const { overlapping, draw } = samplingOf(options);
  const { train } = splits;
  const stride = overlapping ? 1 : context;
  const starts = draw(Math.floor((train.length - 1 - context) / stride) + 1, options);
  return {
    splits: Object.fromEntries(Object.entries(splits).map(([name, tokens]) => [name, tokens.length])),
    train: (step) => {
      checkStep(step);
      const into = blankBatch(batch, context);
      starts(step).forEach((place, row) => writeWindow(train, place * stride, context, into, row));
      return into;
    },
    evaluation: (split) => {
      const tokens = splitNamed(splits, split);
      return evaluationOf(
        Math.ceil((tokens.length - 1) / context),
        options,
        (window, into, row) => writeWindow(tokens, window * context, context, into, row),
      );
    },
  };
}

/** If the largest id is below this number, ids are counted in an array, otherwise in an object with one key per id. */
const TABLED = 2 ** 24;

/**
 * The entropy of the token frequencies, -sum_v p_v ln p_v in nats: the loss of the best model that ignores
 * context. It is not a lower bound: a model that uses context can have a smaller loss.
 *
 * @param ids the token ids, at least one
 * @throws RangeError if `ids` is empty
 *
 * @example
 * ```ts
 * import { unigramEntropy } from "./batches.ts";
 * unigramEntropy([0, 1, 0, 1]); // 0.6931...: ln 2
 * ```
 */
export function unigramEntropy(ids: ArrayLike<number>): number {
  if (ids.length === 0) throw new RangeError("The entropy of no tokens is undefined");
  let most = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i] > most) most = ids[i];
  const counts: { [id: number]: number } = most < TABLED ? new Float64Array(most + 1) : {};
  // The terms are summed in the order in which the ids first occur, so that the result is bitwise the same for both kinds of
  // `counts`.
  const order: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const before = counts[ids[i]] ?? 0;
    if (before === 0) order.push(ids[i]);
    counts[ids[i]] = before + 1;
  }
  let entropy = 0;
  for (const id of order) entropy -= counts[id] / ids.length * Math.log(counts[id] / ids.length);
  return entropy;
}
