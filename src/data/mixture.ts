// Batches of several sources at once. The source of each row is drawn by weight from the seed and the row's index: a batch
// is a pure function of (seed, index), as for other sources, so a run can resume at any batch.
import { randomStream } from "../base/random.ts";
import { maximum } from "../base/extremes.ts";
import { blankBatch, checkStep, evaluationOf, IGNORE, splitNamed } from "./batches.ts";
import type { Batch, Evaluation, MixedSource, Source, TextSourceOptions } from "./batches.ts";

/** A source of a mixture, and its weight. Each batch of the source has one row. */
export interface MixedPart {
  /** Name of the corpus, task or file. */
  readonly name: string;
  /** The weight of the source. Its share of the training rows is this weight divided by the sum of all weights. */
  readonly weight: number;
  /** The source; its batch k consists of its row k. */
  readonly source: Source;
}

type Sizes = Pick<TextSourceOptions, "context" | "batch" | "seed">;

/** Number of rows whose sources are drawn from one random stream. */
const BLOCK = 1024;
/** Number of rows of each source whose targets are counted to estimate the source's share of all targets. */
const COUNTED = 256;

/**
 * Returns the seed of source `part`. The sources have different seeds, so that two sources of the same length do not draw the
 * same rows.
 */
export const partSeed = (seed: number, part: number): number =>
  randomStream(seed, `source ${part}`).below(2 ** 31);

/** Divides each number by the sum of all numbers. The sum itself is not computed, because it may overflow. */
function sharesOfAll(numbers: readonly number[]): number[] {
  const most = maximum(numbers);
  const sum = numbers.reduce((total, x) => total + x / most, 0);
  return numbers.map((x) => x / most / sum);
}

/**
 * Returns a function that maps the index of a row to the index of the row's source (`part`) and to the row's index within that
 * source (`sourceRow`).
 */
function drawnSources(weights: readonly number[], seed: number) {
  let sum = 0;
  const ends = sharesOfAll(weights).map((share) => sum += share);
  ends[ends.length - 1] = 1;
  const first = () => ({
    block: -1,
    parts: new Uint16Array(BLOCK),
    rows: new Float64Array(BLOCK),
    counts: weights.map(() => 0),
  });
  let held = first();
  return (row: number) => {
    const block = Math.floor(row / BLOCK);
    // The number of rows of each source before a block depends on all earlier blocks, so for an earlier block the draws start
    // again at block 0.
    if (block < held.block) held = first();
    while (held.block < block) {
      const rng = randomStream(seed, `mixture ${++held.block}`);
      for (let i = 0; i < BLOCK; i++) {
        const x = rng.uniform();
        const part = ends.findIndex((end) => x < end);
        held.parts[i] = part;
        held.rows[i] = held.counts[part]++;
      }
    }
    return { part: held.parts[row % BLOCK], sourceRow: held.rows[row % BLOCK] };
  };
}

function copyRow(from: Batch, into: Batch, row: number, context: number): void {
  const at = row * context;
  into.ids.set(from.ids, at);
  into.targets.set(from.targets, at);
  if (!from.answers) return;
  into.answers ??= new Uint8Array(into.ids.length);
  into.answers.set(from.answers, at);
}

const targetsOf = (batch: Batch): number =>
  batch.targets.reduce((sum, id) => sum + (id === IGNORE ? 0 : 1), 0);

function sharesOf(parts: readonly MixedPart[]): MixedSource[] {
  const heaviest = maximum(parts.map(({ weight }) => weight));
  const counts = parts.map(({ weight, source }) => {
    let sum = 0;
    for (let row = 0; row < COUNTED; row++) sum += targetsOf(source.train(row));
    return weight / heaviest * sum;
  });
  const [weights, shares] = [sharesOfAll(parts.map(({ weight }) => weight)), sharesOfAll(counts)];
  return parts.map(({ name }, i) => ({ name, weight: weights[i], share: shares[i] }));
}

/**
 * Returns the batches of a mixture of sources, each of which gives one row per batch. Training row n comes from source i with
 * probability weight_i / sum of weights; the draw depends only on the seed and n. The rows of a source keep their order, so with
 * "windows" each row is used once per epoch of its source. An evaluation reads the complete split of one source after the other,
 * and each batch has rows of one source only. The loss of an evaluation is the mean over all tokens and does not depend on the
 * weights.
 */
export function mixtureSource(parts: readonly MixedPart[], { context, batch, seed }: Sizes): Source {
  const drawn = drawnSources(parts.map(({ weight }) => weight), seed);
  const names = Object.keys(parts[0].source.splits).filter((name) => {
    return parts.every(({ source }) => Object.hasOwn(source.splits, name));
  });
  const total = (of: (source: Source) => number) => parts.reduce((sum, { source }) => sum + of(source), 0);
  const splits = Object.fromEntries(names.map((name) => [name, total((source) => source.splits[name])]));
  return {
    splits,
    sources: sharesOf(parts),
    rows: parts.every(({ source }) => source.rows) ? total(({ rows }) => rows!) : undefined,
    train: (index) => {
      checkStep(index);
      const into: Batch = { ...blankBatch(batch, context), sources: new Uint16Array(batch) };
      for (let row = 0; row < batch; row++) {
        const { part, sourceRow } = drawn(index * batch + row);
        into.sources![row] = part;
        copyRow(parts[part].source.train(sourceRow), into, row, context);
      }
      return into;
    },
    evaluation: (split) => {
      splitNamed(splits, split);
      return chainedPasses(parts.map(({ source }) => source.evaluation(split)), { context, batch });
    },
  };
}

/**
 * Concatenates the passes of several sources, whose batches have one row each, and groups the rows of each source into larger
 * batches.
 */
function chainedPasses(passes: readonly Evaluation[], sizes: Omit<Sizes, "seed">): Evaluation {
  const batched = passes.map((pass, part) =>
    evaluationOf(pass.count, sizes, (row, into, at) => {
      into.sources ??= new Uint16Array(sizes.batch).fill(part);
      copyRow(pass.batch(row), into, at, sizes.context);
    })
  );
  const count = batched.reduce((sum, pass) => sum + pass.count, 0);
  return {
    count,
    answers: passes.some(({ answers }) => answers),
    parts: batched.map((pass) => pass.count),
    batch(index) {
      let first = 0;
      for (const pass of batched) {
        if (index < first + pass.count) return pass.batch(index - first);
        first += pass.count;
      }
      throw new RangeError(`Batch ${index} is out of range; expected 0 to ${count - 1}`);
    },
  };
}
