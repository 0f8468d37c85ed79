// The door of the training room.
export {
  type Best,
  type Checkpoint,
  loadCheckpoint,
  putModel,
  type RunState,
  saveCheckpoint,
} from "../model/checkpoint.ts";
export { captureCharts } from "../track/capture_charts.ts";
export { divergedRemedy, type NonFinite } from "./divergence.ts";
export { exportModel } from "../model/formats/export_model.ts";
export {
  type FloatTensor,
  fromGpt2Config,
  fromGpt2Tensors,
  type ModelChoices,
  toGpt2Config,
  toGpt2Tensors,
} from "../model/formats/gpt2.ts";
export { type HubModel, type HubOptions, modelFolder, MODELS } from "../model/formats/hub.ts";
export { type ImportedModel, importModel } from "../model/formats/import_model.ts";
export { type AnswerScore, type Evaluated, type Evaluator, evaluator, type TargetLoss } from "./evaluate.ts";
export { type Experiment, generatorOf, type Model, modelOf, prepare } from "./experiment.ts";
export { findRuns, type FoundRun, loadRunConfig, type RunQuery } from "../runs/find_runs.ts";
export {
  flat,
  initialise,
  type Layout,
  layout,
  parameterViews,
  readParameters,
  type Slot,
  STATES,
  writeParameters,
} from "../model/layout.ts";
export {
  evaluationGraph,
  logitsGraph,
  rowsOf,
  stepFeeds,
  type StepGraph,
  stepGraph,
  type StepOptions,
  type Table,
} from "./step_graph.ts";
export {
  exportsHooks,
  type Hooks,
  type LoadedHooks,
  loadHooks,
  type Metric,
  type MetricContext,
  type StepContext,
} from "../model/hooks.ts";
export { type OptimizerState, optimizerStates } from "./optimizers.ts";
export { type OpenModel, openModel, type OpenModelOptions } from "../model/open_model.ts";
export type { Progress } from "./progress.ts";
export { experimentOf } from "./start_from.ts";
export type { LoopResult } from "./run.ts";
export { findLog, type ResolvedRun, resolveRun } from "../runs/resolve_run.ts";
export {
  checkWritable,
  createRunFolder,
  freePath,
  makeFolder,
  type RunFolder,
  writeFileAtomic,
} from "../runs/run_folder.ts";
export {
  type DecodedSafetensors,
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
  type TensorDtype,
  type TensorStorage,
  toFloat32,
} from "../model/formats/safetensors.ts";
export type { StatColumn, StatisticsPlan, StatisticsTable } from "../track/step_statistics.ts";
export { learningRate, type Schedule } from "./schedule.ts";
export {
  isJob,
  type Job,
  type JobResult,
  planTable,
  runJob,
  runSweep,
  type SweepCallbacks,
  sweepFolder,
  sweepJobs,
  type SweepOutcome,
} from "./sweep.ts";
export {
  type Cost,
  costOf,
  type PlannedRun,
  planRun,
  resume,
  train,
  type TrainOptions,
  type TrainResult,
} from "./train.ts";
export { type CodeFile, codeLine, codeNamed, type NamedCode, trustCode } from "../model/trust.ts";
export { type Check, verifyCheckpoint } from "./verify.ts";
export { forwardWork, type Passes, runWork } from "./work.ts";
export {
  checkComparable,
  checkStudied,
  compareBackwards,
  comparisonRecords,
  jacobianOfCheckpoints,
  type JacobianStudyOptions,
  jacobianWhileTraining,
  keptCheckpoints,
  type StepCheckpoint,
} from "../jacobian/study.ts";
