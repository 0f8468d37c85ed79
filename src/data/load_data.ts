// From the section `data` of a configuration to batches: which text or task, which tokenizer, which source.
import { maximum } from "../extremes.ts";
import { suggestion, UserError } from "../errors.ts";
import {
  cuttableIds,
  type Source,
  splitsOf,
  textSource,
  type TextSourceOptions,
  unigramEntropy,
} from "./batches.ts";
import { isBinary, largestId, loadIds } from "./binary_ids.ts";
import { CATALOGUE, loadBytes } from "./corpora.ts";
import { taskIdentity, textIdentity } from "./identity.ts";
import { encodeTexts } from "./ids.ts";
import { idsTokenizer } from "./ids_tokenizer.ts";
import { rowSource } from "./sample_batches.ts";
import { type Task, taskTokenizer } from "./synthetic.ts";
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
  type TextBytes,
  unitsOfText,
} from "./text_bytes.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { makeTokenizer, type TokenizerOptions } from "./tokenizer_file.ts";

/** Which data is wanted: the section `data` of a configuration. */
export interface DataOptions {
  /** A corpus or a task. */
  source: string;
  /** Files instead. */
  files: readonly string[];
  /** Fractions of the text. */
  split: { val: number; test: number };
  /** Files of a split's own; none: its fraction. */
  split_files: { val: readonly string[]; test: readonly string[] };
  /** How rows are drawn. */
  sampling: "crops" | "windows";
  /** "file", "line", "n lines"; null: one text. */
  sample: string | null;
  /** A TypeScript file of tasks. */
  tasks: string | null;
  /** Whether only answers count. */
  answer_only: boolean;
  /** Folder of downloaded corpora. */
  cache: string;
}

/** Data that is ready. */
export interface LoadedData {
  /** Between text and token ids. */
  readonly tokenizer: Tokenizer;
  /** Its batches. */
  readonly source: Source;
  /** Entropy of the token frequencies of a text's train split, in nats. */
  readonly unigramNats: number | undefined;
  /** SHA-256 that tells this data from other data, wherever it lies. */
  readonly sha256: string;
}

/** What data is loaded with besides its configuration. */
export interface LoadDataOptions {
  /** The tokenizer of a checkpoint; made from the data by default. */
  readonly tokenizer?: Tokenizer;
  /** Called with the data's SHA-256 before the data becomes tokens; what it throws, `loadData` throws. */
  readonly identified?: (sha256: string) => void;
}

/** Positions of a row, rows of a batch, batches of a step, the run's seed. */
export type DataSizes = Pick<TextSourceOptions, "context" | "batch" | "accumulate" | "seed">;

async function taskData(
  task: Task,
  data: DataOptions,
  wanted: TokenizerOptions,
  sizes: DataSizes,
  { tokenizer: given, identified }: LoadDataOptions,
): Promise<LoadedData> {
  if (!given && (wanted.kind === "bpe" || wanted.kind === "ids" || wanted.crop)) {
    const [key, what] = wanted.crop ? ["crop", "true"] : ["kind", wanted.kind];
    throw new UserError(
      `tokenizer.${key}: ${what} needs a text, data.source ${task.name} is a synthetic task.`,
    );
  }
  const { kind, unknown } = wanted;
  const tokenizer = given ??
    (kind === "char" ? taskTokenizer(task, { unknown }) : await makeTokenizer(wanted, []));
  const sha256 = taskIdentity(task, sizes.seed);
  identified?.(sha256);
  const source = taskSource(task, tokenizer, { ...sizes, answerOnly: data.answer_only });
  return { tokenizer, source, unigramNats: undefined, sha256 };
}

/**
 * The text of each split. They are cut before they are tokens: what a tokenizer learns from the train split knows nothing of
 * the others, and these are the same whatever the tokenizer. But ids are cut as tokens, not to cut a number in two.
 */
async function splitTexts(
  data: DataOptions,
  areIds: boolean,
): Promise<{ texts: Record<string, TextBytes>; sha256: string }> {
  const { cache, sample, split, split_files } = data;
  const load = async (files: readonly string[]) => files.length > 0 ? await loadBytes({ files }) : undefined;
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

async function textData(
  data: DataOptions,
  wanted: TokenizerOptions,
  sizes: DataSizes,
  { tokenizer: given, identified }: LoadDataOptions,
): Promise<LoadedData> {
  const areIds = wanted.kind === "ids" || given?.kind === "ids";
  const binary = data.files.find(isBinary);
  if (binary !== undefined) {
    if (areIds) return await binaryData(data, sizes, { tokenizer: given, identified });
    throw new UserError(
      `data.files: ${binary} is no text; token ids of two bytes each, as nanoGPT writes them, need tokenizer.kind=ids.`,
    );
  }
  const { texts, sha256 } = await splitTexts(data, areIds);
  identified?.(sha256);
  const lines = data.sample === null ? undefined : linesOfSample(data.sample);
  const { train, ...others } = mapped(texts, (text) => samplesOfText(text, lines));
  const tokenizer = given ?? await makeTokenizer(wanted, train, chained(Object.values(others)));
  const ids = mapped(texts, (text) => {
    const capacity = {
      // A token has a byte or more, but for what a normaliser writes out.
      ids: text.reduce((sum, { length }) => sum + length, 0),
      texts: lines === undefined ? 1 : countSamples(text, lines),
    };
    return encodeTexts(tokenizer, samplesOfText(text, lines), capacity);
  });
  const options = { ...sizes, sampling: data.sampling };
  const source = lines !== undefined ? rowSource(ids, options) : textSource(ids.train.ids, {
    ...options,
    split: areIds ? data.split : { val: 0, test: 0 },
    given: { val: ids.val?.ids, test: ids.test?.ids },
  });
  return { tokenizer, source, unigramNats: unigramEntropy(ids.train.ids), sha256 };
}

/** Ids from .bin files, of which no text is made. */
async function binaryData(
  data: DataOptions,
  sizes: DataSizes,
  { tokenizer: given, identified }: LoadDataOptions,
): Promise<LoadedData> {
  const { sample, split, split_files, sampling } = data;
  if (sample !== null) {
    throw new UserError(`data.sample: ids in .bin files have no ${sample}; expected null.`);
  }
  const load = async (files: readonly string[]) => files.length > 0 ? await loadIds(files) : undefined;
  const main = await loadIds(data.files);
  const [val, test] = [await load(split_files.val), await load(split_files.test)];
  const sha256 = textIdentity([main, val, test], false);
  identified?.(sha256);
  const most = maximum([main, val, test].map((loaded) => loaded ? largestId(loaded.ids) : 0));
  const tokenizer = given ?? idsTokenizer(most + 1);
  if (most >= tokenizer.size) {
    throw new UserError(`data.files: found the id ${most}; expected ids from 0 to ${tokenizer.size - 1}.`);
  }
  const options = { ...sizes, sampling, split, given: { val: val?.ids, test: test?.ids } };
  const trained = splitsOf(cuttableIds(main.ids), split, options.given).train;
  return {
    tokenizer,
    source: textSource(main.ids, options),
    unigramNats: unigramEntropy(trained),
    sha256,
  };
}

/**
 * Loads the data of a configuration.
 *
 * @param data the section `data`
 * @param wanted the section `tokenizer`
 * @param sizes positions of a row, rows of a batch, batches of a step, the run's seed
 * @param options the tokenizer of a checkpoint, and who wants the data's SHA-256
 * @throws UserError where there is no such corpus, task or file, or it does not suit the sizes
 *
 * @example
 * ```ts
 * import { loadConfig, loadData } from "../../mod.ts";
 * const { data, tokenizer, seed } = await loadConfig("default", ["data.sample=line"]);
 * const loaded = await loadData(data, tokenizer, { context: 64, batch: 4, seed });
 * console.log(loaded.tokenizer.decode(loaded.source.train(0).ids.slice(0, 64))); // a line of the Brown corpus
 * ```
 */
export async function loadData(
  data: DataOptions,
  wanted: TokenizerOptions,
  sizes: DataSizes,
  options: LoadDataOptions = {},
): Promise<LoadedData> {
  if (data.files.length > 0) return await textData(data, wanted, sizes, options);
  const tasks = data.tasks === null ? TASKS : { ...TASKS, ...await loadTasks(data.tasks) };
  const { source } = data;
  if (Object.hasOwn(tasks, source)) return await taskData(tasks[source], data, wanted, sizes, options);
  const known = [...Object.keys(CATALOGUE), ...Object.keys(tasks)];
  if (known.includes(source)) return await textData(data, wanted, sizes, options);
  throw new UserError(`data.source: no corpus or task is called "${source}".${suggestion(source, known)}`);
}
