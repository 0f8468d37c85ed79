// What a training step reads. A batch is a pure function of (seed, step): resume needs nothing but the step,
// and no state of a loader is ever saved. Evaluation reads every token of a split once, in order.
import { randomStream, shuffle } from "../base/random.ts";
import { didYouMean, UserError } from "../base/errors.ts";
import type { Numbers } from "./ids.ts";

/** Target id of a position that counts for nothing.
 * @category Data */
export const IGNORE = 0xffffffff;

/** Rows of tokens and, at each position, the token that comes next.
 * @category Data */
export interface Batch {
  /** Token ids, [batch * context], row after row. */
  ids: Uint32Array;
  /** The next token of each position or IGNORE, [batch * context]. */
  targets: Uint32Array;
  /** Of a synthetic task: 1 where the target is part of the answer, [batch * context]. */
  answers?: Uint8Array;
  /** Of a mixture: which of `Source.sources` each row is from, [batch]. */
  sources?: Uint16Array;
}

/** One of the sources of a mixture. */
export interface MixedSource {
  /** Corpus, task or file. */
  readonly name: string;
  /** Share of the rows, of 1 in all. */
  readonly weight: number;
  /** Share of the targets, of 1 in all, by the first rows of each source: rows have fewer targets where texts are short. */
  readonly share: number;
}

/** The batches of one pass over a split. */
export interface Evaluation {
  /** Number of batches. */
  count: number;
  /** Whether its batches mark answers. */
  answers?: boolean;
  /** Of a mixture: how many of its batches are of each source, in their order. */
  parts?: readonly number[];
  /** Batch 0 to count - 1; rows past the end are id 0 with every target IGNORE. Throws RangeError outside. */
  batch(index: number): Batch;
}

/** Indices of at most so many of `count` batches, evenly spread, the first among them; of all where `most` is 0. */
export function spread(count: number, most: number): number[] {
  const chosen = most === 0 ? count : Math.min(most, count);
  return Array.from({ length: chosen }, (_, i) => Math.floor(i * count / chosen));
}

/** At most so many batches of a pass, evenly spread, the first among them; all where `most` is 0.
 * @category Data */
export function spreadBatches(pass: Evaluation, most: number): Batch[] {
  return spread(pass.count, most).map((index) => pass.batch(index));
}

/** Where training and evaluation get their batches. */
export interface Source {
  /** Tokens of each split; Infinity where samples are drawn without end. */
  readonly splits: Readonly<Record<string, number>>;
  /** Of a mixture: what it is made of. */
  readonly sources?: readonly MixedSource[];
  /** Rows of one pass over "train", where they are not of `context` targets each. */
  readonly rows?: number;
  /** The loss on "val" that no model can fall below, in nats per token, where it is known. */
  readonly entropyFloor?: number;
  /** Batch number `index`, counted from 0 over the whole run (`accumulate` a step): a pure function of (seed, index). */
  train(index: number): Batch;
  /** One pass over a split; throws UserError where there is no such split. */
  evaluation(split: string): Evaluation;
}

/** How a text is cut into batches. */
export interface TextSourceOptions {
  /** Positions of a row. */
  context: number;
  /** Rows of a batch. */
  batch: number;
  /** Batches of a step, 1 by default: the rows of a step are the same in whatever batches they come. */
  accumulate?: number;
  /** The run's seed. */
  seed: number;
  /** Fractions of the text, 0 for no such split: train comes first, then val, then test. */
  split: { val: number; test: number };
  /** Splits that are texts of their own; their fractions do not count. */
  given?: { val?: Numbers; test?: Numbers };
  /** "crops": uniformly random offsets; "windows": every window once an epoch, in random order. */
  sampling: keyof typeof SAMPLINGS;
}

/** @internal A batch of id 0 and targets IGNORE, for rows to be written into. */
export function blankBatch(rows: number, context: number): Batch {
  try {
    return { ids: new Uint32Array(rows * context), targets: new Uint32Array(rows * context).fill(IGNORE) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UserError(
      `Batches: ${rows} rows of ${context} tokens are more than the system gives memory for; use a smaller ` +
        "train.batch or model.context.",
    );
  }
}

/** @internal Throws UserError unless both numbers are whole and at least 1. */
export function checkSizes(sizes: { context: number; batch: number }): void {
  for (const [name, value] of Object.entries({ context: sizes.context, batch: sizes.batch })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new UserError(`Batches: ${name} is ${value}; expected a whole number of at least 1.`);
    }
  }
}

/** @internal Throws RangeError unless `step` counts batches. */
export function checkStep(step: number): void {
  if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`Step ${step} is not a count of batches`);
}

/** @internal The pass over `windows` rows in batches of `rows`; `write` fills one row. */
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
        throw new RangeError(`Batch ${index} is not among 0 to ${count - 1}`);
      }
      const into = blankBatch(rows, context);
      for (let row = 0; row < rows && index * rows + row < windows; row++) {
        write(index * rows + row, into, row);
      }
      return into;
    },
  };
}

/** @internal The split of a name; throws UserError with the nearest one. */
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

/** What can be cut by order: tokens, samples, a text. */
export interface Cuttable<T> {
  readonly length: number;
  /** The parts between these places, ascending, and what is before the first and after the last. */
  cut(places: readonly number[]): T[];
}

const cuttable = <T>(length: number, part: (from: number, to?: number) => T): Cuttable<T> => ({
  length,
  cut: (places) => [0, ...places].map((from, i) => part(from, places[i])),
});

export const cuttableList = <T>(list: readonly T[]): Cuttable<readonly T[]> =>
  cuttable<readonly T[]>(list.length, (from, to) => list.slice(from, to));

/** @internal Ids that can be cut, without a copy. */
export const cuttableIds = (ids: Numbers): Cuttable<Numbers> =>
  cuttable<Numbers>(ids.length, (from, to) => ids.subarray(from, to));

/** Tokens, samples or a text cut by order into train, val and test; throws UserError at fractions out of range. */
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
      `Batches: data.split.val + data.split.test is ${sum}; expected below 1, the rest is the train split.`,
    );
  }
  // The slack gives 91 where 100 (1 - 0.02 - 0.07) is a hair below 91 in floating point.
  const boundary = (fraction: number) => Math.floor(all.length * fraction + 1e-6);
  const parts = all.cut([boundary(1 - val - test), boundary(1 - test)]);
  const splits: Record<string, T> = { train: parts[0] };
  if (val > 0) splits.val = parts[1];
  if (test > 0) splits.test = parts[2];
  return splits;
}

/** @internal The splits of tokens, of samples or of a text: cut by order, or given apart. */
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

/** Which of `count` places the rows of each batch take. */
type Draw = (
  count: number,
  options: Pick<TextSourceOptions, "batch" | "accumulate" | "seed">,
) => (index: number) => number[];

interface Sampling {
  /** Windows of a text begin at every token, or one behind another. */
  readonly overlapping: boolean;
  readonly draw: Draw;
}

/** Each place uniformly and independently. */
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

/** Each place once an epoch, where a batch may take its last rows from the next epoch. */
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

/** How rows of training are drawn, by name: `data.sampling`. */
export const SAMPLINGS = { crops, windows };

/** How rows are drawn; throws UserError at a name that no way has. */
export function samplingOf({ sampling }: Pick<TextSourceOptions, "sampling">): Sampling {
  if (Object.hasOwn(SAMPLINGS, sampling)) return SAMPLINGS[sampling];
  throw new UserError(
    `Batches: sampling is "${sampling}".${didYouMean(String(sampling), Object.keys(SAMPLINGS))}`,
  );
}

/**
 * Batches of a text, cut by order into train, then val, then test.
 *
 * Training rows are windows of context + 1 tokens, inputs and targets one apart: with "crops" at offsets
 * uniform over the train split, all of a step drawn from `randomStream(seed, "batches " + step)` (nanoGPT's way); with
 * "windows" those at 0, context, 2 context, ..., each once an epoch in a permutation drawn from (seed,
 * epoch); tokens past the last whole window are not trained on. Evaluation has the same windows in order and
 * the last partial one, so that every token of a split but its first is a target exactly once.
 *
 * @throws UserError at a size or fraction out of range, and where a split has fewer than context + 1 tokens
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

/** Ids below this are counted in a table. */
const TABLED = 2 ** 24;

/**
 * The entropy of the token frequencies, -sum_v p_v ln p_v in nats: the loss of the best model that ignores
 * context. No floor: a model that uses context falls below it.
 *
 * @param ids tokens, at least one
 * @throws RangeError where there are none
 *
 * @example
 * ```ts
 * import { unigramEntropy } from "./batches.ts";
 * unigramEntropy([0, 1, 0, 1]); // 0.6931...: ln 2
 * ```
 */
export function unigramEntropy(ids: ArrayLike<number>): number {
  if (ids.length === 0) throw new RangeError("No tokens have no frequencies");
  let most = 0;
  for (let i = 0; i < ids.length; i++) if (ids[i] > most) most = ids[i];
  const counts: { [id: number]: number } = most < TABLED ? new Float64Array(most + 1) : {};
  // In the order in which they first occur: the sum is the same to the last bit, whatever holds the counts.
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
