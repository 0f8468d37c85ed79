/**
 * Data: tokenizers, corpora, files and synthetic tasks, cut into splits and served as batches.
 *
 * @example
 * ```ts
 * import { charTokenizer } from "./mod.ts";
 * const tokenizer = charTokenizer("hello");
 * tokenizer.decode(tokenizer.encode("hole")); // "hole"
 * ```
 *
 * @module
 */

export {
  textBehind,
  type Tokenizer,
  type TokenizerFile,
  type TokenizerKind,
  type UnknownPolicy,
} from "./tokenizer.ts";
export type { TextPieces } from "./text_bytes.ts";
export type { Numbers } from "./ids.ts";
export { charTokenizer } from "./char_tokenizer.ts";
export { bpeTokenizer, byteTokenizer, gpt2Pairs, gpt2Tokenizer } from "./byte_tokenizers.ts";
export { trainMerges } from "./bpe_trainer.ts";
export { byteCharacters } from "./byte_bpe.ts";
export { huggingfaceTokenizer } from "./huggingface_tokenizer.ts";
export { idsTokenizer } from "./ids_tokenizer.ts";
export { cropTokenizer } from "./crop_tokenizer.ts";
export { makeTokenizer, tokenizerFromJSON, type TokenizerOptions } from "./tokenizer_file.ts";
export { plainBrown } from "./brown.ts";
export { readFiles, type TextFile } from "./files.ts";
export type { DownloadOptions, FileProof } from "./download.ts";
export {
  CATALOGUE,
  type Catalogue,
  type DownloadCorpus,
  type LoadedText,
  type LoadEnvironment,
  loadText,
  type PackageCorpus,
  type TextRequest,
} from "./corpora.ts";
export { drawSample, findTask, taskTokenizer } from "./synthetic.ts";
export type { Sample, Task, TaskSplit } from "./task.ts";
export { TASKS } from "./tasks.ts";
export { loadTasks, taskOverrides } from "./task_files.ts";
export {
  type DataOptions,
  type DataSizes,
  loadData,
  type LoadDataOptions,
  type LoadedData,
  type MixedOptions,
} from "./load_data.ts";
export { samplesOf, sampleSource } from "./sample_batches.ts";
export { shownLines, type ShownSample, shownSamples, sourcesLine } from "./show.ts";
export {
  type Batch,
  type Evaluation,
  IGNORE,
  type MixedSource,
  type Source,
  spread,
  spreadBatches,
  textSource,
  type TextSourceOptions,
  unigramEntropy,
} from "./batches.ts";
export { taskSource, type TaskSourceOptions } from "./task_batches.ts";
