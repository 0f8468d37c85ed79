// Entry points of training: from a configuration to a run folder, or from the last checkpoint of a run.
import { dirname } from "node:path";
import { chooseDevice, type Chosen } from "../device/choose.ts";
import type { Device } from "../device/device.ts";
import { DeviceLostError } from "../device/gpu_memory.ts";
import { deviceChoice } from "../device/open.ts";
import { type Graph, type Plan, plan } from "../device/plan.ts";
import { isReference } from "../device/reference.ts";
import { type Config, configWarnings, dumpConfig } from "../config/mod.ts";
import { sourcesLine } from "../data/mod.ts";
import { refuseRenamed, UserError } from "../base/errors.ts";
import { formatRecord, type RunRecord, type WarningRecord } from "../log/records.ts";
import { openRunLog, type RunLog } from "../log/run_log.ts";
import { showBytes, showFlops } from "../base/units.ts";
import { reportProgress } from "../base/progress.ts";
import { VERSION } from "../base/version.ts";
import { acceptChanges } from "./changes.ts";
import { type Checkpoint, loadCheckpoint } from "../model/checkpoint.ts";
import { prepare } from "./experiment.ts";
import type { Experiment, Model } from "../model/model.ts";
import { layerTable } from "./layer_table.ts";
import { optimizerStates } from "./optimizers.ts";
import { initialGraph } from "../model/layout.ts";
import type { TrainOptions } from "./progress.ts";
import { compileRun } from "./compile.ts";
import { checkedLog, type LogScan } from "./log_check.ts";
import { lockFolder } from "../runs/lock.ts";
import { type LoopResult, trainRun } from "./run.ts";
import { checkpointRecord, recordsCheckpoint } from "./stops.ts";
import { resolveRun } from "../runs/resolve_run.ts";
import { checkpointSteps, createRunFolder, type RunFolder, SWEEP_FOLDER } from "../runs/run_folder.ts";
import { withNumber } from "../model/sizes.ts";
import { graphsOf, otherWork, type RunGraphs, runWork } from "./work.ts";
import { experimentOf } from "./start_from.ts";

/** Says what a process that holds the lock of a run's folder is doing; other processes show this text in their error message. */
const WRITING = "writing this run";

/** A run that has ended.
 * @category Training */
export interface TrainResult extends LoopResult {
  /** The folder with everything that the run wrote. */
  readonly folder: RunFolder;
}

/** The cost of a run, which is announced before its first step and partly logged in its first record. */
export interface Cost {
  /** Bytes of memory for each purpose. */
  readonly memory: RunRecord["memory"];
  /** Floating point operations per step. */
  readonly flops: number;
  /** Dispatches per step; 0 on the CPU. */
  readonly dispatches: number;
}

/**
 * Plans the programs of a run's steps and evaluations without a device. Returns memory in bytes and operations per step.
 *
 * @example
 * ```ts
 * import { loadConfig, prepare } from "../../mod.ts";
 * import { costOf } from "./mod.ts";
 * const { memory, flops } = costOf(await prepare(await loadConfig("copy", [])));
 * console.log(memory.total / 2 ** 20, flops / 1e9); // MiB, GFLOP per step
 * ```
 */
export function costOf(model: Model & Partial<Experiment>): Cost {
  return costOfPlans(model, plansOf(graphsOf(model), plan));
}

/**
 * Returns the plans of a run's steps (that of the most frequent step last), then the plan of its evaluation. Each plan
 * allocates its own memory.
 */
function plansOf({ steps, evaluation }: RunGraphs, plan: (graph: Graph) => Plan): Plan[] {
  return [...steps.values(), evaluation].map((graph) => plan(graph));
}

function costOfPlans({ config, layout }: Model, plans: readonly Plan[]): Cost {
  const { flops, dispatches } = plans.at(-2)!;
  const sum = (of: "states" | "activations" | "inputs") =>
    plans.reduce((total, p) => total + p.memory[of], 0);
  const parameters = 4 * layout.size;
  const optimizer = optimizerStates(config.optimizer, layout).length * parameters;
  const activations = sum("activations");
  // All programs share the parameters, and the step programs also share the optimizer's states. Each program has its own
  // tables.
  const shared = (plans.length - 1) * parameters + (plans.length - 2) * optimizer;
  const memory = {
    parameters,
    optimizer,
    activations,
    total: sum("states") - shared + activations + sum("inputs"),
  };
  return { memory, flops, dispatches };
}

function announcement(
  experiment: Experiment,
  device: Device,
  reason: string,
  { memory, flops, dispatches }: Cost,
): string[] {
  const { config: { name, train, model }, parameters, architecture, source } = experiment;
  const work = device.target ? `, ${dispatches} dispatches` : "";
  return [
    `${name}: ${parameters.toLocaleString("en")} parameters, vocabulary ${architecture.vocabulary}, ` +
    `${train.steps} steps of ${train.batch * train.accumulate} x ${model.context} tokens`,
    `memory: parameters ${showBytes(memory.parameters)}, optimizer ${showBytes(memory.optimizer)}, ` +
    `activations ${showBytes(memory.activations)}, total ${showBytes(memory.total)}; ${
      showFlops(flops)
    } per step${work}`,
    ...(source.sources ? [sourcesLine(source.sources)] : []),
    `device: ${reason}`,
    ...configWarnings(experiment.config).map((warning) => `warning: ${warning}`),
  ];
}

/** Returns the hash of the commit that is checked out in the current folder; null if it cannot be read. */
async function gitCommit(): Promise<string | null> {
  try {
    const head = (await Deno.readTextFile(".git/HEAD")).trim();
    return head.startsWith("ref: ") ? (await Deno.readTextFile(`.git/${head.slice(5)}`)).trim() : head;
  } catch {
    return null;
  }
}

async function runRecord(
  experiment: Experiment,
  device: Device,
  { memory }: Cost,
  now: Date,
): Promise<RunRecord> {
  const { config, parameters, unigramNats, source } = experiment;
  const { kind, adapter, software, threads, blas, estimates } = device;
  return {
    type: "run",
    name: config.name,
    time: now.toISOString(),
    heed: VERSION,
    deno: Deno.version.deno,
    device: {
      ...{ kind, adapter, software },
      ...(threads ? { threads } : {}),
      ...(blas ? { blas } : {}),
      ...(estimates ? { estimates } : {}),
    },
    seed: config.seed,
    config,
    parameters,
    tokens_per_step: config.train.batch * config.train.accumulate * config.model.context,
    memory,
    git: await gitCommit(),
    unigram_nats: unigramNats ?? null,
    ...(source.sources ? { sources: source.sources } : {}),
  };
}

/** Returns a log that writes every record to the run's log, then to the second writer. */
function teeLog(file: RunLog, other: TrainOptions["records"]): Pick<RunLog, "write" | "sync"> {
  return {
    sync: file.sync,
    write(...records) {
      file.write(...records);
      other?.write(...records);
    },
  };
}

/** What a run resumes from. */
interface ResumedRun {
  readonly logged: LogScan;
  readonly checkpoint: Checkpoint;
  readonly folder: RunFolder;
  /** Warnings about accepted changes since the checkpoint. */
  readonly warnings: readonly WarningRecord[];
}

/** A device and the cost of a run on it. */
interface ChosenDevice extends Chosen {
  readonly cost: Cost;
  /** Throws a `UserError` if the device's memory is too small for any part of the run, the final sample included. */
  check(): void;
}

/** Chooses and opens the device for the remaining steps of a run of which `done` steps are completed. */
async function deviceFor(
  experiment: Experiment,
  done: number,
  requested: Pick<TrainOptions, "device" | "threads" | "blas"> = {},
): Promise<ChosenDevice> {
  const { config, layout } = experiment;
  const choice = requested.device === undefined ? config.device : deviceChoice(requested.device);
  const threads = requested.threads ?? config.train.threads ?? undefined;
  reportProgress({ what: "planning the run" });
  const graphs = graphsOf(experiment);
  const { blas } = requested;
  const chosen = await chooseDevice(choice, () => runWork(experiment, done, graphs), { threads, blas });
  using opened = new DisposableStack();
  const device = opened.use(chosen.device);
  const plans = withNumber(config, () => plansOf(graphs, device.plan));
  const check = () => {
    const others = otherWork(experiment);
    withNumber(config, () => {
      device.check([device.plan(initialGraph(layout, config.seed))]);
      device.check([...plans, ...others.map(({ graph }) => device.plan(graph))]);
    });
  };
  opened.move();
  return { ...chosen, cost: costOfPlans(experiment, plans), check };
}

/** The plan of a run that has not begun. */
export interface PlannedRun extends Pick<RunRecord, "parameters" | "memory"> {
  /** The device it would use: `webgpu`, `cpu` or `reference`. */
  readonly device: string;
}

/**
 * Plans a run on the device that it would use; nothing is compiled or written.
 *
 * @throws {UserError} for the errors that `train` throws before its first step, such as invalid data or sizes or a missing
 * device
 *
 * @example
 * ```ts
 * import { loadConfig } from "../../mod.ts";
 * import { planRun } from "./mod.ts";
 * const { parameters, memory } = await planRun(await loadConfig("default", ["device=cpu"]));
 * console.log(parameters, memory.total);
 * ```
 */
export async function planRun(
  config: Config,
  options: Pick<TrainOptions, "blas"> = {},
): Promise<PlannedRun> {
  const experiment = await experimentOf(config);
  const { device: opened, cost: { memory }, check } = await deviceFor(experiment, 0, options);
  using device = opened;
  check();
  return { parameters: experiment.parameters, memory, device: device.kind };
}

async function start(
  experiment: Experiment,
  options: TrainOptions,
  from?: ResumedRun,
): Promise<TrainResult | undefined> {
  refuseRenamed("train", options);
  const { config } = experiment;
  const done = from?.checkpoint.state.step ?? 0;
  const { device: opened, reason, cost, check } = await deviceFor(experiment, done, options);
  using device = opened;
  const warned = from?.warnings.map(({ message }) => `warning: ${message}`) ?? [];
  const announce = () => options.onStart?.([...warned, ...announcement(experiment, device, reason, cost)]);
  // A dry run prints the cost even if the device is too small.
  if (options.dryRun) {
    announce();
    options.onStart?.(["", ...layerTable(experiment)]);
  }
  check();
  if (options.dryRun) return undefined;
  announce();
  // The run is compiled before anything is written, so that an error of the device or the checkpoint leaves no files behind.
  using ready = await compileRun(experiment, device, from?.checkpoint);
  const now = new Date();
  const firstRecord = await runRecord(experiment, device, cost, now);
  const folder = from?.folder ?? await newFolder(config, now, firstRecord);
  using _ = from ? undefined : await lockFolder(folder.path, WRITING);
  using file = openRunLog(folder.log, from?.checkpoint.state);
  const log = teeLog(file, options.records);
  if (!from) options.records?.write(firstRecord);
  if (from && !from.logged.recorded.has(done) && recordsCheckpoint(done, config)) {
    // The run was killed between the checkpoint and its record.
    const { files, val_loss } = from.checkpoint.state;
    log.write(checkpointRecord(done, files["model.safetensors"], val_loss));
  }
  if (from?.warnings.length) log.write(...from.warnings);
  const { signal, onProgress, onWarning, onEvaluation } = options;
  // The log was truncated to this checkpoint; it still has the final sample only if the sample is from the same step.
  const sampled = from?.logged.sampled === done;
  const run = { device, folder, log, sampled, signal, onProgress, onWarning, onEvaluation };
  try {
    return { ...await trainRun(experiment, ready, run), folder };
  } catch (error) {
    throw error instanceof DeviceLostError ? await resumable(error, folder) : error;
  }
}

const inSweep = ({ path }: RunFolder): boolean => SWEEP_FOLDER.test(dirname(dirname(path)));

/** Returns the error to throw when the device is lost, with the command that resumes the run. */
async function resumable({ lost }: DeviceLostError, folder: RunFolder): Promise<UserError> {
  const step = (await checkpointSteps(folder)).at(-1);
  if (step === undefined) return new UserError(`${lost}; ${folder.path} has no checkpoint yet: start again.`);
  const command = inSweep(folder)
    ? "run the sweep's command again"
    : `deno task train --resume ${folder.path}`;
  return new UserError(`${lost}; to resume from step ${step}: ${command}`);
}

/** Creates the folder of a new run with its configuration and the first record of its log, atomically. */
async function newFolder(config: Config, now: Date, opening: RunRecord): Promise<RunFolder> {
  const id = crypto.randomUUID().slice(0, 8);
  const files = { "config.yaml": dumpConfig(config), "log.ndjson": formatRecord(opening) + "\n" };
  return await createRunFolder(config.output.dir, config.name, now, id, files);
}

/**
 * Trains a model from a configuration: chooses the device, creates the run's folder, and writes its log, checkpoints,
 * sample and charts there. With `train.from` it starts from a checkpoint's parameters and tokenizer; if the new context is
 * shorter, it uses only the first learned position embeddings of the checkpoint.
 *
 * @returns the run, or undefined after a dry run
 * @throws {UserError} for any user error, such as invalid data or sizes, a missing device or a full disk
 *
 * @example
 * ```ts
 * import { loadConfig, train } from "../../mod.ts";
 * const config = await loadConfig("default", ["train.steps=10", "eval.batches=2"]);
 * const trained = await train(config, { onProgress: ({ step, loss }) => console.error(step, loss) });
 * console.log(trained?.folder.path, trained?.best?.val_loss);
 * ```
 * @category Training
 */
export async function train(config: Config, options: TrainOptions = {}): Promise<TrainResult | undefined> {
  return await start(await experimentOf(config), options);
}

/** Returns the device of a checkpoint's configuration; if that is "auto", the device that was chosen when the run started. */
const deviceOf = ({ config: { device }, state: { device_kind: kind } }: Checkpoint): Config["device"] =>
  device === "auto" && kind !== undefined ? deviceChoice(kind) : device;

/**
 * Returns a checkpoint's configuration, with `device` set to the device on which the run continues. A run that the reference
 * device computed can continue only on that device. In older configurations that device is called `cpu`, which is now the
 * name of another device.
 */
function continuedOn(
  chosen: Config["device"],
  { config, state }: Checkpoint,
  folder: RunFolder,
): Config {
  if (chosen === "reference" || !isReference(state.device)) return { ...config, device: chosen };
  const then = inSweep(folder) ? ", then run the sweep's command again" : "";
  throw new UserError(
    `${folder.path}: the TypeScript device, now called "reference", computed this run; to resume: ` +
      `deno task train --resume ${folder.path} --device reference${then}`,
  );
}

/**
 * Resumes a run from its last checkpoint. The log continues with the records that an uninterrupted run would have.
 *
 * @param path a run's folder, `runs/latest`, or a run's name
 * @throws {UserError} if the run does not exist, has no checkpoint, has a damaged file or has ended, if its data or code has
 * changed (unless `acceptChanges` is set), if the reference device computed the run and another device is to continue it, or
 * if another process is writing the run
 *
 * @example
 * ```ts
 * import { loadConfig, resume, train } from "../../mod.ts";
 * const stop = new AbortController();
 * const config = await loadConfig("default", ["train.steps=3", "eval.batches=1", "sample.tokens=0"]);
 * const stopped = await train(config, { signal: stop.signal, onProgress: () => stop.abort() });
 * console.log((await resume(stopped!.folder.path))?.finished); // true
 * ```
 * @category Training
 */
export async function resume(path: string, options: TrainOptions = {}): Promise<TrainResult | undefined> {
  const requested = options.device === undefined ? undefined : deviceChoice(options.device);
  const { run: folder, checkpoint: last } = await resolveRun(path);
  if (!folder || !last) throw new UserError(`${path}: there is no checkpoint to resume from.`);
  using _ = options.dryRun ? undefined : await lockFolder(folder.path, WRITING);
  // Whether trusted code has changed is checked below.
  const loaded = await loadCheckpoint(last, { acceptChanges: true });
  const { step } = loaded.state;
  const logged = await checkedLog(folder, loaded.state);
  const checkpoint = { ...loaded, config: continuedOn(requested ?? deviceOf(loaded), loaded, folder) };
  if (step > checkpoint.config.train.steps) throw new UserError(`${last}: step ${step} is past train.steps.`);
  const { acceptChanges: accepted = false } = options;
  const warnings = acceptChanges(checkpoint, { code: checkpoint.code }, accepted);
  const experiment = await prepare(checkpoint.config, checkpoint.tokenizer, (data) => {
    warnings.push(...acceptChanges(checkpoint, { data }, accepted));
  });
  return await start(experiment, options, { logged, checkpoint, folder, warnings });
}
