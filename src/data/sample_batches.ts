// Ragged text: samples of unequal length (files, lines, n lines), one a row, padded right under a target mask.
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
 * Files as samples: whole files ("file"), lines ("line") or so many lines ("4 lines"), each with the newline it ends in.
 * A sample is of one file; the last one of a file may have fewer lines. The CR of CR LF is no part of a line; whole files
 * keep it.
 *
 * @throws UserError where `unit` is none of these
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

/** Samples one after another, and the rows that they are cut into: where each starts and how many targets it has. */
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

/** The padding is the row's last token again: any id would do, for nothing looks ahead. */
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
 * Batches of ragged samples, one a row from its first token on, padded right with targets that are IGNORE. A sample of
 * more than context + 1 tokens takes several rows, each of its tokens but the first a target once. The splits are cut by
 * order and by number of samples, or given.
 *
 * With "windows" each row comes once an epoch in seeded order, with "crops" rows are drawn one by one. Samples of fewer
 * than two tokens have nothing to predict and are left out.
 *
 * @throws UserError at a size or fraction out of range, and where a split has no sample of two tokens
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
    Object.fromEntries(Object.entries(cut).map(([name, own]) => [name, joinIds(own)])),
    options,
  );
}

/** @internal The batches that `sampleSource` makes, of splits whose samples lie one after another. */
export function rowSource(
  samples: Readonly<Record<string, SampleIds>>,
  options: Omit<TextSourceOptions, "given" | "split">,
): Source {
  checkSizes(options);
  const { context, batch } = options;
  const splits = Object.fromEntries(
    Object.entries(samples).map(([name, own]) => {
      const rows = rowsOf(own, context);
      if (rows.starts.length > 0) return [name, rows];
      throw new UserError(
        `${name} split has ${own.ends.length} samples, none of two tokens or more; use more text or another data.split.`,
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
