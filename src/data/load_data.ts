// Makes batches from the section `data` of a configuration: selects the text or task, the tokenizer and the source of batches.
import { maximum } from "../base/extremes.ts";
import { didYouMean, placed, UserError } from "../base/errors.ts";
import { cuttableIds, splitsOf, textSource, unigramEntropy } from "./batches.ts";
import type { Source, TextSourceOptions } from "./batches.ts";
import { isBinary, loadIds } from "./binary_ids.ts";
import { CATALOGUE, loadBytes } from "./corpora.ts";
import type { DataOptions, MixedOptions, TokenizerOptions } from "./data_keys.ts";
import { mixtureIdentity, taskIdentity, textIdentity } from "./identity.ts";
import { encodeTexts } from "./ids.ts";
import { idsTokenizer } from "./ids_tokenizer.ts";
import { type MixedPart, mixtureSource, partSeed } from "./mixture.ts";
import { rowSource } from "./sample_batches.ts";
import { taskCharacters } from "./synthetic.ts";
import type { Task } from "./task.ts";
import { taskSource } from "./task_batches.ts";
import { loadTasks } from "./task_files.ts";
import { TASKS } from "./tasks.ts";
import {
  chained,
  countSamples,
  cutAtSamples,
  cutAtUnits,
  linesOfSample,
  samplesOfText,
  unitsOfText,
} from "./text_bytes.ts";
import type { TextBytes, TextPieces } from "./text_bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { makeTokenizer } from "./tokenizer_file.ts";

/** The result of `loadData`. */
export interface LoadedData {
  /** The tokenizer. */
  readonly tokenizer: Tokenizer;
  /** The source of batches. */
  readonly source: Source;
  /** The entropy of the token frequencies in the train split, in nats; undefined for synthetic tasks and mixtures. */
  readonly unigramNats: number | undefined;
  /** SHA-256 that identifies the data, independent of its location. */
  readonly sha256: string;
}

/** Options of `loadData` besides the configuration. */
export interface LoadDataOptions {
  /** The tokenizer of a checkpoint. Default: a tokenizer made from the data. */
  readonly tokenizer?: Tokenizer;
  /**
   * Called with the data's SHA-256 before the data is tokenized. If this function throws an error, `loadData` throws the same
   * error.
   */
  readonly identified?: (sha256: string) => void;
}

/** The number of positions per row, of rows per batch and of batches per step, and the run's seed. */
export type DataSizes = Pick<TextSourceOptions, "context" | "batch" | "accumulate" | "seed">;

interface ReadData {
  readonly sha256: string;
  /**
   * The texts from which a tokenizer is made: `train` has the texts of the train split, `others` has the texts of all other
   * splits.
   */
  readonly train: Iterable<TextPieces>;
  readonly others: Iterable<TextPieces>;
  /** The largest id in the data; given only for ids from .bin files. */
  readonly largest?: number;
  batches(tokenizer: Tokenizer, sizes: DataSizes): Pick<LoadedData, "source" | "unigramNats">;
}

function readTask(task: Task, data: DataOptions, seed: number): ReadData {
  return {
    sha256: taskIdentity(task, seed),
    train: [],
    others: [taskCharacters(task)],
    batches: (tokenizer, sizes) => ({
      source: taskSource(task, tokenizer, { ...sizes, answerOnly: data.answer_only }),
      unigramNats: undefined,
    }),
  };
}

/** Throws UserError if the options require a text from which the tokenizer is made, because a task has no text. */
function checkTrainable(task: Task, { kind, crop }: TokenizerOptions): void {
  if (kind !== "bpe" && kind !== "ids" && !crop) return;
  const [key, what] = crop ? ["crop", "true"] : ["kind", kind];
  throw new UserError(
    `tokenizer.${key}: ${what} needs a text, but data.source ${task.name} is a synthetic task.`,
  );
}

/**
 * Returns the text of each split. A text is split before it is encoded, so that a tokenizer is trained on the train split only
 * and the splits do not depend on the tokenizer. A text of integer ids is split after it is encoded, so that no number is cut in
 * two.
 */
async function splitTexts(data: DataOptions, areIds: boolean) {
  const { cache, sample, split, split_files } = data;
  const field = data.field ?? undefined;
  const load = async (files: readonly string[]) =>
    files.length > 0 ? await loadBytes({ files, field, separate: sample !== null }) : undefined;
  const main = await load(data.files) ?? await loadBytes({ source: data.source, cache });
  const [val, test] = [await load(split_files.val), await load(split_files.test)];
  const sha256 = textIdentity([main, val, test], sample !== null);
  const given = { val: val?.files, test: test?.files };
  const text = main.files;
  if (sample !== null) {
    const lines = linesOfSample(sample);
    const samples = {
      length: countSamples(text, lines),
      cut: (at: readonly number[]) => cutAtSamples(text, lines, at),
    };
    return { texts: splitsOf<TextBytes>(samples, split, given), sha256 };
  }
  const units = { length: unitsOfText(text), cut: (at: readonly number[]) => cutAtUnits(text, at) };
  return { texts: splitsOf<TextBytes>(units, areIds ? { val: 0, test: 0 } : split, given), sha256 };
}

const mapped = <T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));

async function readText(data: DataOptions, areIds: boolean): Promise<ReadData> {
  const binary = data.files.find(isBinary);
  if (binary !== undefined && data.field === null) {
    if (areIds) return await readBinary(data);
    throw new UserError(
      `data.files: ${binary} is not text; token ids of two bytes each, as nanoGPT writes them, need tokenizer.kind=ids.`,
    );
  }
  const { texts, sha256 } = await splitTexts(data, areIds);
  const lines = data.sample === null ? undefined : linesOfSample(data.sample);
  const { train, ...others } = mapped(texts, (text) => samplesOfText(text, lines, "making the tokenizer"));
  const batches = (tokenizer: Tokenizer, sizes: DataSizes) => {
    const ids = mapped(texts, (text) => {
      const capacity = {
        // There are at most as many tokens as bytes, unless a normaliser lengthens the text.
        ids: text.reduce((sum, { length }) => sum + length, 0),
        texts: lines === undefined ? 1 : countSamples(text, lines),
      };
      return encodeTexts(tokenizer, samplesOfText(text, lines, "encoding text"), capacity);
    });
    const options = { ...sizes, sampling: data.sampling };
    const source = lines !== undefined ? rowSource(ids, options) : textSource(ids.train.ids, {
      ...options,
      split: areIds ? data.split : { val: 0, test: 0 },
      given: { val: ids.val?.ids, test: ids.test?.ids },
    });
    return { source, unigramNats: unigramEntropy(ids.train.ids) };
  };
  return { sha256, train, others: chained(Object.values(others)), batches };
}

/** Reads ids from .bin files, without converting them to text. */
async function readBinary(data: DataOptions): Promise<ReadData> {
  const { sample, split, split_files, sampling } = data;
  if (sample !== null) {
    throw new UserError(`data.sample: ${sample}; expected null for ids in .bin files.`);
  }
  const load = async (files: readonly string[]) => files.length > 0 ? await loadIds(files) : undefined;
  const main = await loadIds(data.files);
  const [val, test] = [await load(split_files.val), await load(split_files.test)];
  const largest = maximum([main, val, test].map((loaded) => maximum(loaded?.ids ?? [], 0)));
  const batches = (tokenizer: Tokenizer, sizes: DataSizes) => {
    if (largest >= tokenizer.size) {
      throw new UserError(
        `data.files: found the id ${largest}; expected ids from 0 to ${tokenizer.size - 1}.`,
      );
    }
    const options = { ...sizes, sampling, split, given: { val: val?.ids, test: test?.ids } };
    const trained = splitsOf(cuttableIds(main.ids), split, options.given).train;
    return { source: textSource(main.ids, options), unigramNats: unigramEntropy(trained) };
  };
  return { sha256: textIdentity([main, val, test], false), train: [], others: [], largest, batches };
}

async function tokenizerOf(options: TokenizerOptions, read: readonly ReadData[], cache: string) {
  const largest = read.flatMap((source) => source.largest ?? []);
  if (largest.length === 0) {
    return await makeTokenizer(
      options,
      chained(read.map(({ train }) => train)),
      chained(read.map(({ others }) => others)),
      { cache },
    );
  }
  if (largest.length === read.length) return idsTokenizer(maximum(largest) + 1);
  throw new UserError("data.sources: ids in .bin files and texts cannot be mixed; expected one kind.");
}

/** Calls `act` for source `part` of a mixture, and adds `data.sources.<part>` to the errors that it throws. */
async function ofSource<T>(part: number, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw placed(`data.sources.${part}`, error);
  }
}

function nameOf({ source, files }: MixedOptions): string {
  return source ?? (files.length === 1 ? files[0] : `${files[0]} and ${files.length - 1} more`);
}

async function loadMixture(
  data: DataOptions,
  tokenizerOptions: TokenizerOptions,
  sizes: DataSizes,
  { tokenizer: given, identified }: LoadDataOptions,
): Promise<LoadedData> {
  const tasks = await tasksOf(data);
  const seeds = data.sources.map((_, i) => partSeed(sizes.seed, i));
  const areIds = isIds(tokenizerOptions, given);
  const read: ReadData[] = [];
  for (const [i, { source, files, field }] of data.sources.entries()) {
    const sourceOptions = { ...data, source: source ?? data.source, files, field };
    read.push(
      await ofSource(i, async () => {
        const task = taskNamed(sourceOptions, tasks, "source");
        return task ? readTask(task, sourceOptions, seeds[i]) : await readText(sourceOptions, areIds);
      }),
    );
  }
  const weights = data.sources.map(({ weight }) => weight);
  const sha256 = mixtureIdentity(read.map((source) => source.sha256), weights);
  identified?.(sha256);
  const tokenizer = given ?? await tokenizerOf(tokenizerOptions, read, data.cache);
  const parts: MixedPart[] = [];
  for (const [i, sourceData] of read.entries()) {
    // Each source gives batches of one row, because the mixture combines the rows into batches.
    const single = { ...sizes, batch: 1, accumulate: 1, seed: seeds[i] };
    const { source } = await ofSource(i, () => sourceData.batches(tokenizer, single));
    parts.push({ name: nameOf(data.sources[i]), weight: weights[i], source });
  }
  return { tokenizer, source: mixtureSource(parts, sizes), unigramNats: undefined, sha256 };
}

const isIds = (options: TokenizerOptions, given: Tokenizer | undefined): boolean =>
  options.kind === "ids" || given?.kind === "ids";

async function tasksOf({ tasks }: DataOptions): Promise<Readonly<Record<string, Task>>> {
  return tasks === null ? TASKS : { ...TASKS, ...await loadTasks(tasks) };
}

/**
 * Returns the task that `source` names, or undefined if `source` names a corpus or `files` are given. Throws UserError if
 * `source` names neither a task nor a corpus.
 */
function taskNamed(
  { files, source }: Pick<DataOptions, "files" | "source">,
  tasks: Readonly<Record<string, Task>>,
  key = "data.source",
): Task | undefined {
  if (files.length > 0) return undefined;
  if (Object.hasOwn(tasks, source)) return tasks[source];
  const known = [...Object.keys(CATALOGUE), ...Object.keys(tasks)];
  if (known.includes(source)) return undefined;
  throw new UserError(`${key}: no corpus or task is called "${source}".${didYouMean(source, known)}`);
}

/**
 * Loads the data of a configuration.
 *
 * @throws UserError if there is no such corpus, task or file, or the data does not fit the sizes
 *
 * @example
 * ```ts
 * import { loadConfig, loadData } from "../../mod.ts";
 * const { data, tokenizer, seed } = await loadConfig("default", ["data.sample=line"]);
 * const loaded = await loadData(data, tokenizer, { context: 64, batch: 4, seed });
 * console.log(loaded.tokenizer.decode(loaded.source.train(0).ids.slice(0, 64))); // a line of the Brown corpus
 * ```
 * @category Data
 */
export async function loadData(
  data: DataOptions,
  tokenizerOptions: TokenizerOptions,
  sizes: DataSizes,
  options: LoadDataOptions = {},
): Promise<LoadedData> {
  if (data.sources.length > 0) return await loadMixture(data, tokenizerOptions, sizes, options);
  const { tokenizer: given, identified } = options;
  const task = data.files.length > 0 ? undefined : taskNamed(data, await tasksOf(data));
  if (task && !given) checkTrainable(task, tokenizerOptions);
  const read = task ? readTask(task, data, sizes.seed) : await readText(data, isIds(tokenizerOptions, given));
  identified?.(read.sha256);
  const tokenizer = given ?? await tokenizerOf(tokenizerOptions, [read], data.cache);
  return { tokenizer, ...read.batches(tokenizer, sizes), sha256: read.sha256 };
}
