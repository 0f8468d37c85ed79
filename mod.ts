/**
 * heed: a toolkit for people who study attention. It trains small transformers with its own WGSL kernels on Deno's
 * WebGPU, tracks statistics of their tensors at every step, and analyses softmax and sigmoid attention.
 *
 * A model is a pure function of symbolic tensors. Calling it once builds a graph; `grad` appends the backward pass;
 * a device plans, compiles and runs the graph.
 *
 * @example A gradient
 * ```ts
 * import { referenceDevice, grad, input, multiply, sumAll } from "./mod.ts";
 * const x = input("x", [3]);
 * const [dx] = grad(sumAll(multiply(x, x)), [x]);
 * using device = referenceDevice();
 * using program = await device.compile({ outputs: { dx } });
 * program.run({ x: Float32Array.of(1, 2, 3) });
 * console.log(await program.read(["dx"])); // 2, 4, 6
 * ```
 *
 * @example A training run
 * ```ts
 * import { loadConfig, train } from "./mod.ts";
 * const trained = await train(await loadConfig("default", ["train.steps=20", "sample.tokens=20"]));
 * console.log(trained?.folder.path);
 * ```
 *
 * @module
 */

// Training
export {
  divergedRemedy,
  evaluator,
  experimentOf,
  isJob,
  planTable,
  prepare,
  type Progress,
  resume,
  runJob,
  runSweep,
  type SweepCallbacks,
  sweepJobs,
  type TargetLoss,
  train,
  type TrainOptions,
  type TrainResult,
  verifyCheckpoint,
} from "./src/train/mod.ts";
export {
  type Experiment,
  exportsHooks,
  forwardWork,
  type Hooks,
  languageModelOf,
  type MetricContext,
  type StepContext,
} from "./src/model/mod.ts";
export { containsToken, type HookContext } from "./src/nn/mod.ts";

// Configuration
export {
  type Config,
  configJsonSchema,
  configWarnings,
  diffConfigs,
  dumpConfig,
  keyLines,
  loadConfig,
  loadSweep,
  resolveConfig,
  type Sweep,
  type SweepRun,
} from "./src/config/mod.ts";

// Data
export {
  type Batch,
  charTokenizer,
  gpt2Tokenizer,
  IGNORE,
  loadData,
  loadText,
  readFiles,
  type Sample,
  shownLines,
  shownSamples,
  sourcesLine,
  spreadBatches,
  type Task,
  taskOverrides,
  TASKS,
  textBehind,
  type Tokenizer,
} from "./src/data/mod.ts";
export { type RandomStream, randomStream } from "./src/base/mod.ts";

// Models
export * as nn from "./src/nn/mod.ts";
export * as models from "./src/model/mod.ts";
export { decoder, findModifier, type UserModifier } from "./src/nn/mod.ts";
export {
  type Checkpoint,
  exportModel,
  importModel,
  type LanguageModel,
  loadCheckpoint,
  modelFolder,
  type OpenModel,
  openModel,
  type TextOrIds,
} from "./src/model/mod.ts";
export { generate, generateTexts, type TextPiece } from "./src/generate/mod.ts";

// Runs
export {
  checkWritable,
  createRunFolder,
  findLog,
  findRuns,
  freePath,
  loadRunConfig,
  makeFolder,
  resolveRun,
  type RunFolder,
  writeFileAtomic,
} from "./src/runs/mod.ts";

// Questions
export {
  ablateHeads,
  type Ablation,
  ABLATION_METHODS,
  type AttentionMap,
  type AttentionMaps,
  attentionMaps,
  attributeLogit,
  type Contribution,
  embeddings,
  extremeLosses,
  forward,
  type LogitLens,
  logitLens,
  nextTokenFields,
  nextTokens,
  PATCH_SITES,
  patchActivations,
  type Patching,
  type Perplexity,
  perplexityOf,
  textBatches,
  tokenLosses,
} from "./src/interpret/mod.ts";

// Attention
export {
  attention,
  type AttentionActivation,
  attentionNames,
  type AttentionOptions,
  type Mask,
  type ScoreModifier,
} from "./kernels/mod.ts";
export { type AttentionInput, type LayerOptions, type Matrix } from "./src/check/mod.ts";
export { mask, modifier } from "./kernels/masks.ts";
export * as masks from "./kernels/masks.ts";
export * as check from "./src/check/mod.ts";
export * as jacobian from "./src/jacobian/mod.ts";

// Tensors
export * as graph from "./src/graph/mod.ts";
export { apply, constant, input, type Op, reshape, state, type Tensor } from "./src/graph/mod.ts";
export {
  add,
  crossEntropy,
  elementwise,
  grad,
  layerNorm,
  linear,
  matmul,
  multiply,
  rmsNorm,
  scale,
  sumAll,
} from "./kernels/mod.ts";
export * as expr from "./kernels/expression/mod.ts";

// Devices
export {
  type Device,
  findAdapter,
  findBlas,
  openDevice,
  type Program,
  referenceDevice,
  webgpuDevice,
} from "./src/device/mod.ts";

// Logs
export {
  type AnyRecord,
  ClosedPipe,
  type EvalRecord,
  findLogs,
  formatResults,
  type JacobianRecord,
  type LogRecord,
  logSummariser,
  type LogWriter,
  openLog,
  readLog,
  replacedRuns,
  type ResultTable,
  resultTable,
  type RunResult,
  runResult,
  shortNumber,
  showLoss,
  STAT_FORMATS,
  statRows,
  type StatSelection,
  statWriter,
  stdoutLog,
  summaryLines,
  TASK_FIELDS,
  type TaskRecord,
  type WarningRecord,
} from "./src/log/mod.ts";
export { interval } from "./src/base/mod.ts";
export { KINDS } from "./src/track/mod.ts";

// Charts
export {
  barChart,
  type ChartedRun,
  graphDiagram,
  heatMap,
  lineChart,
  mapSheet,
  metricChart,
  progressUnit,
  resultsChart,
  runCharts,
  runReport,
} from "./src/chart/mod.ts";
export { captureCharts } from "./src/track/mod.ts";

// Scripts
export {
  alignedRows,
  didYouMean,
  escapeControls,
  exportsOf,
  fileError,
  leadProgress,
  messageLine,
  reportProgress,
  showSeconds,
  UserError,
  VERSION,
} from "./src/base/mod.ts";
export * as cli from "./src/cli/mod.ts";
