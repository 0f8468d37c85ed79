// The door of the data room: text in (tokenizers, corpora, files, synthetic tasks), batches out.
export {
  charTokenizer,
  type IdsTokenizerFile,
  type Tokenizer,
  type TokenizerFile,
  tokenizerFromJSON,
  type UnknownPolicy,
} from "./tokenizer.ts";
export { idsTokenizer, idsTokenizerOf } from "./ids_tokenizer.ts";
export { plainBrown } from "./brown.ts";
export { readFiles, type TextFile } from "./files.ts";
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
export {
  drawSample,
  findTask,
  type Sample,
  type Task,
  TASKS,
  type TaskSplit,
  taskTokenizer,
} from "./synthetic.ts";
export {
  type Batch,
  type Evaluation,
  IGNORE,
  type Source,
  textSource,
  type TextSourceOptions,
  unigramEntropy,
} from "./batches.ts";
export { taskSource, type TaskSourceOptions } from "./task_batches.ts";
export type { RandomStream } from "../../kernels/random/threefry.ts";
