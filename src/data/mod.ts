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
  TOKENIZER_KINDS,
  type TokenizerFile,
  type TokenizerKind,
  UNKNOWN_POLICIES,
  type UnknownPolicy,
} from "./tokenizer.ts";
export type { TextPieces } from "./text_bytes.ts";
export type { Numbers } from "./ids.ts";
export { charTokenizer } from "./char_tokenizer.ts";
export { bpeTokenizer, byteTokenizer, gpt2Pairs, gpt2Tokenizer } from "./byte_tokenizers.ts";
export * from "./bpe_trainer.ts";
export { byteCharacters } from "./byte_bpe.ts";
export { huggingfaceTokenizer } from "./huggingface_tokenizer.ts";
export { idsTokenizer } from "./ids_tokenizer.ts";
export { cropTokenizer } from "./crop_tokenizer.ts";
export * from "./tokenizer_file.ts";
export * from "./brown.ts";
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
export * from "./task.ts";
export * from "./tasks.ts";
export * from "./task_files.ts";
export * from "./load_data.ts";
export { samplesOf, sampleSource } from "./sample_batches.ts";
export * from "./show.ts";
export {
  type Batch,
  type Evaluation,
  IGNORE,
  type MixedSource,
  SAMPLINGS,
  type Source,
  spread,
  spreadBatches,
  textSource,
  type TextSourceOptions,
  unigramEntropy,
} from "./batches.ts";
export * from "./task_batches.ts";
export * from "./data_keys.ts";
