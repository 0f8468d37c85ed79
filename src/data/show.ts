// Shows batches as text: each row's tokens, their ids, and the targets that count for the loss.
import { maximum } from "../base/extremes.ts";
import { escapeControls } from "../base/terminal.ts";
import { IGNORE, type MixedSource, type Source } from "./batches.ts";
import { textBehind, type Tokenizer } from "./tokenizer.ts";

/** One row of a batch. */
export interface ShownSample {
  /** The split to which the row belongs. */
  readonly split: string;
  /** The index of the row in the order of the split, counted from 0. */
  readonly sample: number;
  /** For a mixture: the name of the row's source; otherwise undefined. */
  readonly source: string | undefined;
  /** The text of each token, without padding. */
  readonly tokens: readonly string[];
  /** The ids of the tokens. */
  readonly ids: readonly number[];
  /** The target at each position; null if the loss ignores it. */
  readonly targets: readonly (number | null)[];
  /** Number of padding positions after the tokens. */
  readonly padding: number;
}

/**
 * Yields the first rows of a split, in the order in which training or evaluation reads them.
 *
 * @param split the name of the split: with "train", the rows are read from the training batches 0, 1, ...; with any other split,
 * from the batches of its evaluation
 * @throws UserError if there is no such split
 *
 * @example
 * ```ts
 * import { loadConfig, prepare, shownLines, shownSamples } from "../../mod.ts";
 * const { source, tokenizer } = await prepare(await loadConfig("copy", []));
 * const [first] = shownSamples(source, tokenizer, "train", { samples: 1, context: 128 });
 * console.log(shownLines(first, tokenizer).join("\n"));
 * ```
 * @category Data
 */
export function* shownSamples(
  source: Source,
  tokenizer: Tokenizer,
  split: string,
  { samples, context }: { samples: number; context: number },
): Generator<ShownSample> {
  const pass = split === "train" ? undefined : source.evaluation(split);
  let shown = 0;
  for (let step = 0; shown < samples && step < (pass?.count ?? Infinity); step++) {
    const { ids, targets, sources } = pass ? pass.batch(step) : source.train(step);
    for (let at = 0; at < ids.length && shown < samples; at += context) {
      const row = ids.subarray(at, at + context);
      const rowTargets = targets.subarray(at, at + context);
      // The rows that fill up the last batch of a pass are not samples.
      const isLast = step + 1 === pass?.count || sources !== undefined;
      if (pass && isLast && rowTargets.every((id) => id === IGNORE)) break;
      // A row is padded with newlines (tasks) or with its last token (texts), whose targets are ignored.
      const fills = (i: number) => {
        return rowTargets[i] === IGNORE && (row[i] === row[i - 1] || tokenizer.decode([row[i]]) === "\n");
      };
      let end = context;
      while (end > 1 && fills(end - 1)) end--;
      yield {
        split,
        sample: shown++,
        source: sources && source.sources?.[sources[at / context]].name,
        tokens: Array.from(row.subarray(0, end), (id, i) => textBehind(tokenizer, row[i - 1], [id])),
        ids: [...row.subarray(0, end)],
        targets: Array.from(rowTargets.subarray(0, end), (id) => id === IGNORE ? null : id),
        padding: context - end,
      };
    }
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

/** Returns one line with each source's share of a mixture's rows and targets.
 * @category Data */
export function sourcesLine(sources: readonly MixedSource[]): string {
  const each = sources.map(({ name, weight, share }) => {
    return `${name} ${percent(weight)} of the rows, ${percent(share)} of the targets`;
  });
  return `sources: ${each.join("; ")}`;
}

const WIDTH = 100;

/** Returns the text of a token with visible symbols in place of spaces and control characters. */
function visible(text: string): string {
  return escapeControls(JSON.stringify(text).slice(1, -1)).replaceAll(" ", "\u2423").replaceAll('\\"', '"');
}

/**
 * Formats a sample as lines for a terminal: first its length, then aligned rows with its tokens, their ids and the targets. A
 * target that the loss ignores is shown as `-`.
 *
 * @example
 * ```ts
 * import { shownLines } from "../../mod.ts";
 * import { byteTokenizer } from "./mod.ts";
 * const sample = { split: "val", sample: 0, source: undefined, tokens: ["a"], ids: [97], targets: [null], padding: 3 };
 * console.log(shownLines(sample, byteTokenizer()).join("\n"));
 * ```
 * @category Data
 */
export function shownLines(shown: ShownSample, tokenizer: Tokenizer): string[] {
  const { split, sample, source, tokens, ids, targets, padding } = shown;
  const counting = targets.filter((id) => id !== null).length;
  const row = `${split} ${sample}${source === undefined ? "" : ` of ${source}`}`;
  const lines = [
    `${row}: ${ids.length} tokens, ${counting} counted targets, ${padding} positions of padding`,
  ];
  const columns = ids.map((id, i) => {
    const target = targets[i];
    const cells = [
      visible(tokens[i]),
      String(id),
      target === null ? "-" : visible(textBehind(tokenizer, ids[i], [target])),
    ];
    const width = maximum(cells.map((cell) => cell.length));
    return { width, cells: cells.map((cell) => cell.padEnd(width)) };
  });
  for (let from = 0; from < columns.length;) {
    let [to, width] = [from, 9];
    while (to < columns.length && (to === from || width + columns[to].width < WIDTH)) {
      width += columns[to++].width + 1;
    }
    ["token", "id", "target"].forEach((name, row) => {
      const cells = columns.slice(from, to).map(({ cells }) => cells[row]);
      lines.push(`  ${name.padEnd(6)} ${cells.join(" ")}`.trimEnd());
    });
    from = to;
  }
  return lines;
}
