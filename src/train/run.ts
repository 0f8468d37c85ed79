// A training run: the loop, its log, its evaluations and checkpoints. Numbers are read back a window of steps at a time
// while the device works on the next window; nothing the loop keeps grows with the steps.
import { join } from "node:path";
import { generate } from "../analysis/generate.ts";
import { runCharts } from "../chart/mod.ts";
import type { Config } from "../config/mod.ts";
import type { Device, Program } from "../device/device.ts";
import type { Values } from "../graph/tensor.ts";
import type { EvalRecord, LogRecord, LogWriter, StatRecord } from "../track/records.ts";
import { dueAt } from "../track/selectors.ts";
import {
  type Best,
  type Checkpoint,
  putModel,
  putOptimizer,
  type RunState,
  saveCheckpoint,
} from "./checkpoint.ts";
import { type Evaluator, evaluator } from "./evaluate.ts";
import { type Experiment, generatorOf, type Model } from "./experiment.ts";
import { type Capture, capturer } from "./capture.ts";
import { captureCharts } from "./capture_charts.ts";
import { freezeFeeds, freezes } from "./freeze.ts";
import { transformed } from "./hooks.ts";
import { optimizerStates } from "./optimizers.ts";
import { inductionProbe, type Probe } from "./probe.ts";
import { initialise, readParameters } from "./parameters.ts";
import { rowsOf, stepFeeds, type StepGraph, stepGraph, type Table } from "./programs.ts";
import { checkpointSteps, pointTo, removeCheckpoint, type RunFolder, writeFileAtomic } from "./run_folder.ts";
import { learningRate, type Schedule } from "./schedule.ts";
import { looksOf, STATISTICS_ROWS, type StatisticsTable, statRecords, subjectsOf } from "./tracked.ts";

/** How far a run is. */
export interface Progress {
  /** Steps made. */
  readonly step: number;
  /** Steps in all. */
  readonly steps: number;
  /** Of the last step, in nats a token. */
  readonly loss: number;
  /** Over the last window of steps. */
  readonly tokensPerSecond: number;
  /** Estimated from the last window of steps. */
  readonly secondsLeft: number;
}

/** What a run is given besides its experiment. */
export interface RunOptions {
  /** Where it computes. */
  readonly device: Device;
  /** Where it writes. */
  readonly folder: RunFolder;
  /** Takes every record, in order. */
  readonly log: Pick<LogWriter, "write">;
  /** Whether the log has a sample of the end already: the run was stopped between it and the last record. */
  readonly sampled?: boolean;
  /** Aborted: the run saves where it stands and ends. */
  readonly signal?: AbortSignal;
  /** Told after each window of steps. */
  readonly progress?: (progress: Progress) => void;
}

/** How a run ended. */
export interface Outcome {
  /** Steps made. */
  readonly step: number;
  /** False where the signal ended it. */
  readonly finished: boolean;
  /** The best evaluation; null where there was none of a finite loss. */
  readonly best: Best | null;
  /** The last evaluation since the run began or went on. */
  readonly last: EvalRecord | undefined;
  /** The text it ended with; undefined where it was stopped, or no tokens were asked for. */
  readonly sample: string | undefined;
}

/** Everything about a run that changes while it goes. */
interface Progressing {
  step: number;
  counter: number;
  best: Best | null;
  /** Evaluations since the best one. */
  stale: number;
  /** Times that a plateau has lowered the learning rate. */
  reductions: number;
  last: EvalRecord | undefined;
  /** Steps that hold a checkpoint of this run. */
  kept: Set<number>;
  /** Milliseconds a step, of the last two windows. */
  ms: number;
  /** When the numbers of the last windows came, and how many steps each had. */
  marks: readonly { at: number; count: number }[];
}

/** Numbers that each record adds to the counter: loss, lr, grad_norm; loss, perplexity, accuracy. */
const VALUES_A_RECORD = 3;

/** Fields of a `stat` record that are no values: type, step, kind, tap, layer, head. */
const STAT_LABELS = 6;

/** Steps that one window may take: about a quarter of a second of them, to keep progress and Ctrl-C lively. */
function windowSize(ms: number): number {
  return ms === 0 ? 1 : Math.max(1, Math.min(STATISTICS_ROWS, Math.round(250 / ms)));
}

/** The next step that is a multiple of one of some periods, or the last; a period of 0 has no steps. */
function nextOf(step: number, last: number, periods: readonly number[]): number {
  const after = (period: number) => period > 0 ? (Math.floor(step / period) + 1) * period : Infinity;
  return Math.min(last, ...periods.map(after));
}

/** The next step at which the loop must stop and look: an evaluation, a checkpoint, a metric, a capture, the end. */
function nextStop(step: number, { config, hooks }: Experiment): number {
  const periods = [...hooks?.metrics ?? [], ...config.capture].map(({ every }) => every);
  return nextOf(step, config.train.steps, [config.eval.every, config.output.checkpoint_every, ...periods]);
}

/** Whether a step ends with an evaluation. */
function evaluates(step: number, { train, eval: { every } }: Config): boolean {
  return step % every === 0 || step === train.steps;
}

/** Whether a step ends with a checkpoint that has a record; those of an interrupted run have none. */
export function recordsCheckpoint(step: number, { train, eval: { every }, output }: Config): boolean {
  return step > 0 && nextOf(step - 1, train.steps, [every, output.checkpoint_every]) === step;
}

function scheduleOf({ optimizer, schedule, train }: Config, reductions: number): Schedule {
  return { ...schedule, lr: optimizer.lr, steps: schedule.steps ?? train.steps, reductions };
}

/** A window of steps on its way: the device has them, the numbers have not been read. */
interface Window {
  readonly first: number;
  readonly count: number;
  /** What each of its steps looks at, if anything. */
  readonly looked: readonly (StatisticsTable | undefined)[];
  /** Its numbers, those of each table of statistics, and when they came: milliseconds of performance.now(). */
  readonly values: Promise<{ rows: Values; statistics: ReadonlyMap<StatisticsTable, Values>; at: number }>;
}

/** Starts the steps of one window. The copy of its rows is ordered before the next window overwrites them. */
function startWindow(
  experiment: Experiment,
  { device }: RunOptions,
  { steps, table }: ReadyRun,
  { reductions }: Progressing,
  first: number,
  count: number,
): Window {
  const { config, source, hooks } = experiment;
  const schedule = scheduleOf(config, reductions);
  const { accumulate } = config.train;
  const looked: (StatisticsTable | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const step = first + i;
    const own = Array.from({ length: accumulate }, (_, k) => source.train(step * accumulate + k));
    const batches = transformed(hooks, config.seed, step + 1, own);
    const feeds = stepFeeds(config, batches, { step, lr: learningRate(schedule, step), slot: i });
    const { program, statistics } = steps.get(dueAt(config.track, step + 1).join())!;
    program.run({ ...feeds, ...freezeFeeds(experiment, step + 1) });
    looked.push(statistics);
  }
  const tables = [...new Set(looked.filter((look) => look !== undefined))];
  const values = device.read([table.name, ...tables.map(({ name }) => name)]).then(([rows, ...found]) => ({
    rows,
    statistics: new Map(tables.map((own, i) => [own, found[i]])),
    at: performance.now(),
  }));
  // Where the window before it fails, nobody comes back for this one.
  values.catch(() => {});
  return { first, count, looked, values };
}

/** Writes the records of a window whose numbers have come. */
async function finishWindow(
  experiment: Experiment,
  options: RunOptions,
  table: Table,
  window: Window,
  state: Progressing,
): Promise<void> {
  const { config, source } = experiment;
  const { log, progress } = options;
  const { train, model, optimizer } = config;
  const schedule = scheduleOf(config, state.reductions);
  const { rows, statistics, at } = await window.values;
  // Over two windows: WebGPU says that the first of two is done only when both are.
  const [before, last = before] = state.marks;
  state.ms = (at - before.at) / (window.count + (last === before ? 0 : last.count));
  state.marks = [last, { at, count: window.count }];
  const samplesPerStep = train.batch * train.accumulate;
  const tokensPerSecond = 1000 * samplesPerStep * model.context / state.ms;
  rowsOf(table, rows, window.count).forEach(({ loss, squared_norm }, i) => {
    const step = window.first + i + 1;
    const samples = step * samplesPerStep;
    const norm = Math.sqrt(squared_norm);
    state.counter += VALUES_A_RECORD;
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
      const message =
        `The loss is ${loss} and the gradient norm ${norm}: lower optimizer.lr or set optimizer.clip.`;
      log.write({ type: "warning", step, code: "non_finite", message, tap: null });
    }
    log.write({
      type: "step",
      step,
      samples,
      tokens: samples * model.context,
      counter: state.counter,
      epoch: samples * model.context / source.splits.train,
      loss,
      lr: learningRate(schedule, step - 1),
      grad_norm: norm,
      clipped: optimizer.clip > 0 && norm > optimizer.clip,
      ms: state.ms,
      tokens_per_s: tokensPerSecond,
    });
    const looked = window.looked[i];
    if (looked) {
      const row = statistics.get(looked)!.subarray(i * looked.width, (i + 1) * looked.width);
      writeStatistics(statRecords(looked, row, step), options, state);
    }
    state.step = step;
    const secondsLeft = (train.steps - step) * state.ms / 1000;
    if (i === window.count - 1) progress?.({ step, steps: train.steps, loss, tokensPerSecond, secondsLeft });
  });
}

/** Records of tensors, all in one write. */
function writeStatistics(records: readonly StatRecord[], { log }: RunOptions, state: Progressing): void {
  for (const record of records) state.counter += Object.keys(record).length - STAT_LABELS;
  log.write(...records);
}

/** Evaluates, and records what was found. */
async function evaluateNow(
  { config, source }: Experiment,
  { log }: RunOptions,
  evaluation: Evaluator,
  state: Progressing,
): Promise<void> {
  const { loss, perplexity, accuracy, tokens, answer } = await evaluation.evaluate();
  state.counter += VALUES_A_RECORD;
  state.last = {
    type: "eval",
    step: state.step,
    split: config.eval.split,
    loss,
    perplexity,
    accuracy,
    tokens,
  };
  if (answer) Object.assign(state.last, { answer_accuracy: answer.accuracy, exact_match: answer.exact });
  if (source.floorNats !== undefined && config.eval.split === "val") {
    state.last.entropy_floor = source.floorNats;
  }
  log.write(state.last);
  const least = state.best?.val_loss ?? Infinity;
  state.stale = loss < least ? 0 : state.stale + 1;
  if (loss < least) state.best = { step: state.step, val_loss: loss };
  const { name, patience } = config.schedule;
  if (name === "plateau" && state.stale > 0 && state.stale % patience === 0) state.reductions++;
  if (stopsEarly(state, config) && state.step < config.train.steps) {
    const message = `No better loss in ${state.stale} evaluations: the run ends before train.steps.`;
    log.write({ type: "warning", step: state.step, code: "early_stop", message, tap: null });
  }
}

/** Whether the last evaluations were too many without a better loss. */
function stopsEarly({ stale }: Progressing, { train: { stop } }: Config): boolean {
  return stop !== null && stale >= stop;
}

/** The numbers of a user's own metrics that are due. */
async function writeMetrics(
  { hooks, layout }: Experiment,
  options: RunOptions,
  state: Progressing,
): Promise<void> {
  const { step } = state;
  for (const { name, every, fn } of hooks?.metrics ?? []) {
    if (step % every !== 0) continue;
    const found = await fn({
      step,
      keys: hooks!.keys,
      parameters: () => readParameters(options.device, layout),
    });
    const values = typeof found === "number" ? { value: found } : found;
    const record: StatRecord = {
      type: "stat",
      step,
      kind: "metric",
      tap: name,
      layer: null,
      head: null,
      ...values,
    };
    writeStatistics([record], options, state);
  }
}

/** Saves where the run stands, points "last" (and "best") at it, and removes what nothing points at any more. */
async function saveNow(
  experiment: Experiment,
  options: RunOptions,
  state: Progressing,
  recorded: boolean,
): Promise<void> {
  const { folder, device, log } = options;
  const { step, counter, best, stale, reductions, last } = state;
  const val_loss = last?.step === step && Number.isFinite(last.loss) ? last.loss : null;
  const sha256 = await saveCheckpoint(device, folder, experiment, {
    step,
    counter,
    best,
    val_loss,
    stale,
    reductions,
  });
  await pointTo(folder, "last", step);
  if (best?.step === step) await pointTo(folder, "best", step);
  if (recorded) log.write(checkpointRecord(step, sha256, val_loss));
  state.kept.add(step);
  const every = experiment.config.output.checkpoint_every;
  for (const old of state.kept) {
    if (old === step || old === best?.step || (every > 0 && old > 0 && old % every === 0)) continue;
    await removeCheckpoint(folder, old);
    state.kept.delete(old);
  }
}

/** The record of a checkpoint; its path is relative to the run's folder, so that a folder can be moved. */
export function checkpointRecord(step: number, sha256: string, val_loss: number | null): LogRecord {
  return { type: "checkpoint", step, path: join("checkpoints", String(step)), sha256, val_loss };
}

/** A step's program, and where its statistics are found. */
interface StepProgram {
  readonly program: Program;
  readonly statistics: StatisticsTable | undefined;
}

/** A run with its programs compiled and its parameters on the device: what can be refused before step 1 has been. */
export interface ReadyRun extends Disposable {
  /** One step, for each set of entries of `track` that is due together (see `looksOf`). */
  readonly steps: ReadonlyMap<string, StepProgram>;
  /** Where steps write their numbers. */
  readonly table: Table;
  /** Evaluates the split. */
  readonly evaluation: Evaluator;
  /** Looks for induction heads, where patterns are tracked. */
  readonly probe: Probe | undefined;
  /** Stores attention patterns. */
  readonly capture: Capture | undefined;
  /** The checkpoint it goes on from. */
  readonly from: Checkpoint | undefined;
}

/** The graphs of a run's steps: one for each set of entries of `track` that is due together. */
export function stepGraphs(model: Model): Map<string, StepGraph> {
  const { config, architecture, layout } = model;
  const states = optimizerStates(config.optimizer, layout);
  const looks = looksOf(config.track, config.train.steps, () => subjectsOf(architecture, layout, states));
  return new Map([...looks].map(([due, look]) => {
    return [due, stepGraph(architecture, layout, config, { look, freezes: freezes(model) })];
  }));
}

/**
 * Makes a run ready: fresh parameters or a checkpoint's on the device, the programs compiled. Nothing is written.
 *
 * @throws {UserError} where the device is too small for the model, or the checkpoint is damaged or of another shape
 */
export async function readyRun(
  experiment: Experiment,
  device: Device,
  from: Checkpoint | undefined,
): Promise<ReadyRun> {
  const { config, layout } = experiment;
  if (from) {
    putModel(device, from);
    await putOptimizer(device, from);
  } else {
    const states = optimizerStates(config.optimizer, layout).map(({ name }) => name);
    await initialise(device, layout, config.seed, states);
    if (experiment.start) putModel(device, { layout, ...experiment.start });
  }
  using stack = new DisposableStack();
  const steps = new Map<string, StepProgram>();
  let table: Table | undefined;
  for (const [due, { graph, table: own, statistics }] of stepGraphs(experiment)) {
    table = own;
    steps.set(due, { program: stack.use(await device.compile(graph)), statistics });
  }
  const evaluation = stack.use(await evaluator(device, experiment));
  const probe = await inductionProbe(device, experiment);
  if (probe) stack.use(probe);
  const capture = config.capture.length > 0 ? stack.use(await capturer(device, experiment)) : undefined;
  const owned = stack.move();
  return { steps, table: table!, evaluation, probe, capture, from, [Symbol.dispose]: () => owned.dispose() };
}

const START: Omit<RunState, "val_loss" | "device" | "files"> = { step: 0, counter: 0, best: null };

/** Where a run stands as it begins. One that was killed may have left "best" behind, and checkpoints to be removed. */
async function begin(folder: RunFolder, from: Checkpoint | undefined): Promise<Progressing> {
  const { step, counter, best, stale = 0, reductions = 0 } = from?.state ?? START;
  const steps = from ? await checkpointSteps(folder) : [];
  if (best && steps.includes(best.step)) await pointTo(folder, "best", best.step);
  const kept = new Set(steps.filter((old) => old <= step));
  return { step, counter, best, stale, reductions, last: undefined, kept, ms: 0, marks: [] };
}

/** The steps from where the run stands to the next stop, in overlapped windows. Returns when all are recorded. */
async function stepsUntil(
  stop: number,
  experiment: Experiment,
  options: RunOptions,
  ready: ReadyRun,
  state: Progressing,
): Promise<void> {
  // A processor has nothing to overlap with: its window is finished before the next one starts.
  const overlapped = options.device.kind === "webgpu";
  state.marks = [{ at: performance.now(), count: 0 }];
  let started = state.step;
  let pending: Window | undefined;
  while (pending || (started < stop && !options.signal?.aborted)) {
    let next: Window | undefined;
    if (started < stop && !options.signal?.aborted && (overlapped || !pending)) {
      const count = Math.min(windowSize(state.ms), stop - started);
      next = startWindow(experiment, options, ready, state, started, count);
      started += count;
    }
    if (pending) await finishWindow(experiment, options, ready.table, pending, state);
    pending = next;
    // Lets signals be heard where the device is this thread.
    await new Promise((resume) => setTimeout(resume, 0));
  }
}

/**
 * Trains: from the start, or from a checkpoint on, to the last step, an early stop or the signal. Writes the log, checkpoints
 * ("best" and "last"), a sample and the loss chart into the run's folder.
 *
 * A run repeats: one configuration, seed and device give the same records (times aside), also when the run was stopped
 * and went on.
 */
export async function trainRun(
  experiment: Experiment,
  ready: ReadyRun,
  options: RunOptions,
): Promise<Outcome> {
  const { config } = experiment;
  const { folder, signal } = options;
  const began = performance.now();
  const state = await begin(folder, ready.from);
  const over = () => state.step === config.train.steps || stopsEarly(state, config);
  while (!over() && !signal?.aborted) {
    const stop = nextStop(state.step, experiment);
    await stepsUntil(stop, experiment, options, ready, state);
    if (state.step < stop) break;
    await writeMetrics(experiment, options, state);
    await ready.capture?.at(stop, folder);
    if (evaluates(stop, config)) {
      await evaluateNow(experiment, options, ready.evaluation, state);
      if (ready.probe) writeStatistics(await ready.probe.records(stop), options, state);
    }
    if (recordsCheckpoint(stop, config)) await saveNow(experiment, options, state, true);
  }
  if (!state.kept.has(state.step)) await saveNow(experiment, options, state, false);
  const { step, best, last } = state;
  const sample = over() ? await sampleNow(experiment, options) : undefined;
  // A sample that the signal cut short is drawn anew when the run goes on.
  const finished = over() && !signal?.aborted;
  if (finished) await finish(experiment, options, state, sample, began);
  return { step, finished, best, last, sample: finished ? sample : undefined };
}

/** What the model writes as the configuration asks, or undefined where it asks for nothing. */
async function sampleNow(
  experiment: Experiment,
  { device, signal }: RunOptions,
): Promise<string | undefined> {
  const { prompt, tokens, temperature, top_k: topK, seed } = experiment.config.sample;
  if (tokens === 0) return undefined;
  return await generate(device, generatorOf(experiment), { prompt, tokens, temperature, topK, seed, signal });
}

/** The end of a run: its sample, its charts, the last record. */
async function finish(
  { config }: Experiment,
  { folder, log, sampled }: RunOptions,
  { step, best }: Progressing,
  text: string | undefined,
  began: number,
): Promise<void> {
  const { prompt, temperature, top_k, seed } = config.sample;
  const charts = { ...await runCharts(folder.log), ...await captureCharts(folder) };
  for (const [file, svg] of Object.entries(charts)) await writeFileAtomic(join(folder.charts, file), svg);
  if (text !== undefined && !sampled) {
    log.write({ type: "sample", step, prompt, text, temperature, top_k, nucleus: null, seed });
  }
  const seconds = (performance.now() - began) / 1000;
  const files = ["config.yaml", "log.ndjson", ...Object.keys(charts).sort().map((file) => `charts/${file}`)];
  if (best) files.push("checkpoints/best");
  files.push("checkpoints/last");
  log.write({ type: "done", step, seconds, best, files });
}
