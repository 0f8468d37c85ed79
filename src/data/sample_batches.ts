// Batches of samples of unequal length (files, lines or n lines). Each row has one sample, padded on the right with targets that
// the loss ignores.
import { UserError } from "../base/errors.ts";
import { joinIds, numberList, type Numbers, type SampleIds } from "./ids.ts";
import { linesOfSample, samplesOfPieces } from "./text_bytes.ts";
import {
  blankBatch,
  checkSizes,
  checkStep,
  cuttableList,
  evaluationOf,
  samplingOf,
  splitNamed,
  splitsOf,
} from "./batches.ts";
import type { Batch, Source, TextSourceOptions } from "./batches.ts";

/**
 * Splits files into samples: complete files ("file"), lines ("line") or n lines ("4 lines"), each with its final newline. A
 * sample does not span files; the last sample of a file may have fewer lines. CR LF becomes LF, except in complete files.
 *
 * @throws UserError if `unit` is none of these
 *
 * @example
 * ```ts
 * import { samplesOf } from "./mod.ts";
 * samplesOf(["a\nb\nc\n"], "2 lines"); // ["a\nb\n", "c\n"]
 * ```
 */
export function samplesOf(files: readonly string[], unit: string): string[] {
  const lines = linesOfSample(unit);
  if (lines === Infinity) return [...files];
  return files.flatMap((file) => [...samplesOfPieces([file], lines)].map((parts) => parts.join("")));
}

/**
 * Concatenated samples (`tokens`). For each row into which they are cut, `starts` has the index of the row's first token, and
 * `counts` the row's number of targets.
 */
interface Rows {
  readonly tokens: Numbers;
  readonly starts: Numbers;
  readonly counts: Numbers;
}

function rowsOf({ ids: tokens, ends }: SampleIds, context: number): Rows {
  let rows = 0;
  for (let i = 0, start = 0; i < ends.length; start = ends[i++]) {
    rows += Math.ceil(Math.max(0, ends[i] - start - 1) / context);
  }
  const [starts, counts] = [numberList(tokens.length, rows), numberList(context, rows)];
  for (let i = 0, start = 0; i < ends.length; start = ends[i++]) {
    for (let from = start; from < ends[i] - 1; from += context) {
      starts.push(from);
      counts.push(Math.min(context, ends[i] - 1 - from));
    }
  }
  return { tokens, starts: starts.all(), counts: counts.all() };
}

/**
 * Writes a row into a batch and pads it with its last token. Any id would do as padding, because no position attends to later
 * positions.
 */
function writeRow(
  { tokens, starts, counts }: Rows,
  index: number,
  context: number,
  into: Batch,
  row: number,
) {
  const [start, count] = [starts[index], counts[index]];
  const at = row * context;
  into.ids.fill(tokens[start + count - 1], at, at + context);
  into.ids.set(tokens.subarray(start, start + count), at);
  into.targets.set(tokens.subarray(start + 1, start + 1 + count), at);
}

/**
 * Returns batches of samples of unequal length. Each row has one sample, padded on the right with targets IGNORE. A sample of
 * more than context + 1 tokens takes several rows; each of its tokens except the first is a target once. The splits are fractions
 * of the list of samples, in order, or are passed in `given`.
 *
 * With "windows" each row is used once per epoch in seeded order; with "crops" rows are drawn with replacement. Samples of
 * fewer than two tokens have nothing to predict and are left out.
 *
 * @throws UserError if a size or fraction is out of range, or if a split has no sample of at least two tokens
 *
 * @example
 * ```ts
 * import { charTokenizer } from "../../mod.ts";
 * import { samplesOf, sampleSource } from "./mod.ts";
 * const tokenizer = charTokenizer("abc\n");
 * const samples = samplesOf(["a\nbb\nccc\n"], "line").map((line) => tokenizer.encode(line));
 * const split = { val: 0, test: 0 };
 * const source = sampleSource(samples, { context: 4, batch: 3, seed: 1, split, sampling: "windows" });
 * source.train(0).targets.filter((id) => id < tokenizer.size).length; // 6: what follows each first character
 * ```
 */
export function sampleSource(
  samples: readonly Uint32Array[],
  options: Omit<TextSourceOptions, "given"> & {
    given?: { val?: readonly Uint32Array[]; test?: readonly Uint32Array[] };
  },
): Source {
  const cut = splitsOf<readonly Uint32Array[]>(cuttableList(samples), options.split, options.given);
  return rowSource(
    Object.fromEntries(Object.entries(cut).map(([name, samples]) => [name, joinIds(samples)])),
    options,
  );
}

/** @internal Returns the batches of `sampleSource`, given the concatenated samples of each split. */
export function rowSource(
  samples: Readonly<Record<string, SampleIds>>,
  options: Omit<TextSourceOptions, "given" | "split">,
): Source {
  checkSizes(options);
  const { context, batch } = options;
  const splits = Object.fromEntries(
    Object.entries(samples).map(([name, ids]) => {
      const rows = rowsOf(ids, context);
      if (rows.starts.length > 0) return [name, rows];
      throw new UserError(
        `${name} split has ${ids.ends.length} samples, none of two tokens or more; use more text or another data.split.`,
      );
    }),
  );
  const { train } = splits;
  const drawn = samplingOf(options).draw(train.starts.length, options);
  return {
    splits: Object.fromEntries(Object.entries(splits).map(([name, { tokens }]) => [name, tokens.length])),
    rows: train.starts.length,
    train: (step) => {
      checkStep(step);
      const into = blankBatch(batch, context);
      drawn(step).forEach((index, row) => writeRow(train, index, context, into, row));
      return into;
    },
    evaluation: (split) => {
      const rows = splitNamed(splits, split);
      return evaluationOf(
        rows.starts.length,
        options,
        (index, into, row) => writeRow(rows, index, context, into, row),
      );
    },
  };
}
