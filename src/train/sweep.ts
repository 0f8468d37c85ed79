// A sweep on disk: a folder with its runs, an index of the runs that have ended and a chart that compares them. The folder's
// name contains a hash of the runs, so that the same command finds the same folder and continues where it stopped.

import { readWholeText } from "../base/whole_file.ts";
import { join, relative } from "node:path";
import { resultsChart } from "../chart/mod.ts";
import { type Config, configKeys, diffConfigs, type Sweep, type SweepRun } from "../config/mod.ts";
import { writeValue } from "../config/yaml.ts";
import { fileError, refuseRenamed, UserError } from "../base/errors.ts";
import { leadProgress } from "../base/progress.ts";
import { parseJson } from "../base/json.ts";
import { object, text } from "../log/field_kinds.ts";
import { readLog } from "../log/log_file.ts";
import type { EvalRecord, WarningRecord } from "../log/records.ts";
import { type ResultTable, type RunResult, runResult } from "../log/results.ts";
import { showBytes } from "../base/units.ts";
import { changesOf } from "./changes.ts";
import { readState } from "../model/checkpoint.ts";
import { loadRunConfig } from "../runs/find_runs.ts";
import { lockFolder } from "../runs/lock.ts";
import type { Progress, TrainOptions } from "./progress.ts";
import { sha256Hex } from "../base/hash.ts";
import { checkpointSteps, runFolder, SWEEP_FOLDER, writeFileAtomic } from "../runs/run_folder.ts";
import { codeFiles, codeNamed } from "../model/trust.ts";
import { planRun, resume, train, type TrainResult } from "./train.ts";

/** Callbacks of a sweep, and the options that its runs share.
 * @category Training */
export interface SweepCallbacks extends Pick<TrainOptions, "records" | "signal" | "blas"> {
  /** Called after each window of steps; `index` counts runs from 0. */
  readonly onProgress?: (run: SweepRun, index: number, progress: Progress) => void;
  /** Called with each divergence warning when it is logged. */
  readonly onWarning?: (run: SweepRun, index: number, warning: WarningRecord) => void;
  /** Called with the record of each evaluation. */
  readonly onEvaluation?: (run: SweepRun, index: number, record: EvalRecord) => void;
  /** Called when a run has ended; `before` is true if the run had ended before this call of `runSweep`. */
  readonly onRunEnd?: (run: SweepRun, index: number, result: RunResult, before: boolean) => void;
}

/** How a sweep ended. */
export interface SweepOutcome {
  /** Folder of the sweep. */
  readonly folder: string;
  /** The results of the runs that have ended, in the order of the sweep's runs. */
  readonly results: readonly RunResult[];
  /** The run that the signal stopped; undefined if all have ended. */
  readonly stopped: TrainResult | undefined;
  /** Number of runs in the chart (only the best if there are too many); 0 if the sweep was stopped or the chart failed. */
  readonly charted: number;
  /** Failures of the index and the chart, one sentence per failure. */
  readonly failures: readonly string[];
}

/**
 * Returns a configuration without those of its keys that later versions added and that have their default values, so that the
 * ids of older sweeps stay valid.
 */
function withoutNewKeys(config: Config): object {
  const { head, ...model } = config.model;
  const { stop_nonfinite, threads, ...train } = config.train;
  const { sources, field, ...data } = config.data;
  const older = {
    ...config,
    data: { ...data, ...(sources.length > 0 ? { sources } : {}), ...(field === null ? {} : { field }) },
    ...(head.method === null ? { model } : {}),
    train: {
      ...train,
      ...(stop_nonfinite === 10 ? {} : { stop_nonfinite }),
      ...(threads === null ? {} : { threads }),
    },
  };
  const isYoung = (key: string, value: unknown) => (key === "score" || key === "mask") && value === null;
  return JSON.parse(JSON.stringify(older, (key, value) => isYoung(key, value) ? undefined : value));
}

/**
 * Returns the folder of a sweep, `<output.dir>/<name>-sweep-<id>`. The id is a hash of the resolved runs, so that only the
 * same command finds the folder again.
 *
 * @example
 * ```ts
 * import { loadSweep } from "../../mod.ts";
 * import { sweepFolder } from "./mod.ts";
 * sweepFolder(await loadSweep("default", ["seed=[1, 2]"])); // "runs/default-sweep-..."
 * ```
 */
export function sweepFolder({ name, runs }: Sweep): string {
  const what = JSON.stringify(runs.map(({ name, config }) => [name, withoutNewKeys(config)]));
  const id = sha256Hex(what).slice(0, 8);
  return join(runs[0].config.output.dir, `${name}-sweep-${id}`);
}

/** One run of a sweep as a command, for a job scheduler. */
export interface Job {
  /** The type of the record. */
  readonly type: "job";
  /** Index of the run, from 1. */
  readonly run: number;
  /** Name of the run. */
  readonly name: string;
  /** The command and its arguments. */
  readonly command: readonly string[];
}

/**
 * Returns the runs of a sweep as independent commands, each of which writes into the sweep's folder. A job that was stopped
 * or killed continues when its command is run again. When all jobs have ended, the command of the sweep finds their results
 * and compares them. If the configuration's device is "auto", the device is chosen here for the first run, and every command
 * names it.
 *
 * @example
 * ```ts
 * import { loadSweep, sweepJobs } from "../../mod.ts";
 * import { formatRecord } from "../log/mod.ts";
 * for (const job of await sweepJobs(await loadSweep("default", ["seed=[1, 2]"]))) console.log(formatRecord(job));
 * ```
 * @category Training
 */
export async function sweepJobs(
  sweep: Sweep,
  { blas }: Pick<TrainOptions, "blas"> = {},
): Promise<Job[]> {
  const folder = sweepFolder(sweep);
  const [{ config }] = sweep.runs;
  const device = config.device === "auto" ? (await planRun(config, { blas })).device : undefined;
  return sweep.runs.map(({ name, file, overrides }, i) => {
    const target = sweep.swept ? [`name=${writeValue(name)}`, `output.dir=${writeValue(folder)}`] : [];
    const chosen = device === undefined ? [] : ["--device", device];
    const [task, library] = blas ? ["train_native", ["--blas", blas.path]] : ["train", []];
    const command = ["deno", "task", task, file, ...overrides, ...target, ...chosen, ...library];
    return { type: "job", run: i + 1, name, command };
  });
}

/** Returns the result of `act`. If `act` throws a `UserError`, the run's name is put before the error's message. */
async function named<T>(name: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${name}: ${error.message}`);
    throw error;
  }
}

/**
 * Plans the runs of a sweep and returns a table with the columns `name`, `parameters`, `memory` (the total), `steps` and
 * `device`. Nothing is written.
 *
 * @throws {UserError} for the errors that `train` raises before its first step, with the run's name
 *
 * @example
 * ```ts
 * import { formatResults, loadSweep, planTable } from "../../mod.ts";
 * const sweep = await loadSweep("default", ["model.dim=[32, 64]", "device=cpu"]);
 * console.log(formatResults(await planTable(sweep), "table"));
 * ```
 * @category Training
 */
export async function planTable({ runs }: Sweep): Promise<ResultTable> {
  const rows: (string | number)[][] = [];
  for (const [i, { name, config }] of runs.entries()) {
    leadProgress(`${i + 1}/${runs.length} ${name}  `);
    const { parameters, memory, device } = await named(name, () => planRun(config));
    rows.push([name, parameters, showBytes(memory.total), config.train.steps, device]);
  }
  return { columns: ["name", "parameters", "memory", "steps", "device"], rows };
}

async function hasEnded(log: string): Promise<boolean> {
  if (!await Deno.stat(log).then(({ isFile }) => isFile, () => false)) return false;
  for await (const record of readLog(log, { types: ["done"] })) if (record.type === "done") return true;
  return false;
}

/** Returns the kind of the device that computed a run, from the run's log. */
async function deviceKind(log: string): Promise<string | undefined> {
  for await (const record of readLog(log, { types: ["run"] })) {
    if (record.type === "run") return record.device.kind;
  }
}

/** Returns the folders of all attempts at a run, newest first. */
async function foldersOf(folder: string, name: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(join(folder, name)));
    return entries.filter(({ isDirectory }) => isDirectory).map((entry) => join(folder, name, entry.name))
      .sort()
      .reverse();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw fileError(join(folder, name), error);
  }
}

/**
 * Returns true if the run in a folder has the given configuration. Some differences are allowed. The tokenizer may differ if
 * `train.from` is set, because the run then uses the tokenizer of `train.from`. A run of an earlier version may lack newer
 * keys. The device may differ if the configuration says "auto", and the number of threads may always differ, because it does
 * not change results.
 */
async function isRunOf(path: string, config: Config): Promise<boolean> {
  const older = configKeys(withoutNewKeys(config));
  return diffConfigs(await loadRunConfig(path), config).every(({ key, a }) =>
    config.train.from !== null && /^tokenizer\b/.test(key) || a === undefined && !older.has(key) ||
    config.device === "auto" && key === "device" || key === "train.threads"
  );
}

/**
 * Returns the folder of an earlier attempt at a sweep's job: as `ended` if an attempt has ended, else as `stopped` if an
 * attempt was stopped and can be resumed.
 */
async function previousRun(config: Config): Promise<{ ended?: string; stopped?: string }> {
  let stopped: string | undefined;
  for (const path of await foldersOf(config.output.dir, config.name)) {
    const ended = await hasEnded(runFolder(path).log);
    // A run that was killed before its first checkpoint is ignored.
    if (!ended && (await checkpointSteps(runFolder(path))).length === 0) continue;
    if (!await isRunOf(path, config)) continue;
    if (ended) return { ended: path };
    stopped ??= path;
  }
  return { stopped };
}

/** Throws if the code that a configuration names has changed since its run ended. */
async function checkSameCode(path: string, config: Config): Promise<void> {
  if (codeNamed(config).length === 0) return;
  const { checkpoints } = runFolder(path);
  const step = (await checkpointSteps(runFolder(path))).at(-1);
  if (step === undefined) return;
  const { code } = await readState(join(checkpoints, String(step)));
  const [change] = changesOf({ code }, { code: await codeFiles(config) }, config);
  if (change === undefined) return;
  throw new UserError(
    `${path} has ended: ${change.message}; restore it, or move that folder away to run it again.`,
  );
}

const indexEntry = object({ name: text, path: text });

/**
 * Returns the paths of the ended runs that the index lists, keyed by run name. Runs whose entries cannot be read are found
 * again by a search of the folders.
 */
async function readIndex(path: string): Promise<Map<string, string>> {
  try {
    const { ended } = parseJson(await readWholeText(path));
    const entries = (ended as unknown[]).filter(indexEntry.holds) as { name: string; path: string }[];
    return new Map(entries.map(({ name, path }) => [name, path]));
  } catch {
    return new Map();
  }
}

/** The result of a sweep's job. */
export interface JobResult {
  /** Folder of the run. */
  readonly path: string;
  /** The result of training; undefined if the run had ended before. */
  readonly trained: TrainResult | undefined;
  /** True if the run ended, now or before, because it diverged. */
  readonly diverged: boolean;
}

/** Returns true if a configuration is a job of a sweep, that is, if its output folder is the folder of a sweep.
 * @category Training */
export function isJob({ output: { dir } }: Config): boolean {
  return SWEEP_FOLDER.test(dir);
}

/**
 * Completes a run of a sweep: trains from the start, or resumes if the folder has a checkpoint of a run with this name and
 * configuration, or does nothing if that run has ended.
 *
 * @throws {UserError} for every error of `train`, and if another process runs this job
 *
 * @example
 * ```ts
 * import { loadConfig, runJob } from "../../mod.ts";
 * const short = ["train.steps=3", "eval.batches=1", "sample.tokens=0", "device=cpu"];
 * const job = await loadConfig("default", ["output.dir=runs/example-sweep-00000000", ...short]);
 * console.log((await runJob(job)).trained?.step, (await runJob(job)).trained); // 3 undefined
 * ```
 * @category Training
 */
export async function runJob(config: Config, options: Omit<TrainOptions, "dryRun"> = {}): Promise<JobResult> {
  using _ = await lockFolder(join(config.output.dir, config.name), "running it");
  const { ended, stopped } = await previousRun(config);
  if (ended !== undefined) {
    await checkSameCode(ended, config);
    const { diverged = false } = await runResult(runFolder(ended).log) ?? {};
    return { path: ended, trained: undefined, diverged };
  }
  const trained = (await (stopped === undefined ? train(config, options) : resume(stopped, options)))!;
  return { path: trained.folder.path, trained, diverged: trained.diverged };
}

/**
 * Trains the runs of a sweep one after another in the sweep's folder, even if one diverges. Runs that have ended are not
 * repeated; a run that was stopped or killed resumes from its last checkpoint. The file `index.json` lists the ended runs, and
 * `val_loss.svg` compares them.
 *
 * @throws {UserError} for any user error, with the run's name, and if another process runs the sweep
 *
 * @example
 * ```ts
 * import { formatResults, loadSweep, resultTable, runSweep } from "../../mod.ts";
 * const short = ["train.steps=3", "eval.batches=1", "sample.tokens=0", "device=cpu"];
 * const { results } = await runSweep(await loadSweep("default", ["optimizer.lr=[1e-3, 3e-3]", ...short]));
 * console.log(formatResults(resultTable(results), "table"));
 * ```
 * @category Training
 */
export async function runSweep(sweep: Sweep, callbacks: SweepCallbacks = {}): Promise<SweepOutcome> {
  refuseRenamed("runSweep", callbacks);
  const folder = sweepFolder(sweep);
  const { records, signal, blas } = callbacks;
  using _ = await lockFolder(folder, "running this sweep");
  const indexPath = join(folder, "index.json");
  const known = await readIndex(indexPath);
  const ended: { run: number; name: string; path: string }[] = [];
  const failures: string[] = [];
  // A failure of `act` does not fail the sweep, because running the same command again rewrites the index and the chart.
  const attempt = async (what: string, act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failures.push(`The sweep's ${what} failed: ${error.message}`);
    }
  };
  const results: RunResult[] = [];
  // "auto" chooses the device once for all runs, so that their results are comparable.
  let device: string | undefined;
  for (const [i, run] of sweep.runs.entries()) {
    leadProgress(`${i + 1}/${sweep.runs.length} ${run.name}  `);
    const indexed = known.get(run.name);
    const onProgress = (at: Progress) => callbacks.onProgress?.(run, i, at);
    const onWarning = (warning: WarningRecord) => callbacks.onWarning?.(run, i, warning);
    const onEvaluation = (record: EvalRecord) => callbacks.onEvaluation?.(run, i, record);
    const job = { ...run.config, output: { ...run.config.output, dir: folder } };
    const before = indexed !== undefined && await hasEnded(runFolder(join(folder, indexed)).log);
    if (before) await named(run.name, () => checkSameCode(join(folder, indexed), job));
    const { path, trained }: Omit<JobResult, "diverged"> = before
      ? { path: join(folder, indexed), trained: undefined }
      : await named(run.name, () =>
        runJob(job, {
          ...{ records, signal, blas, onProgress, onWarning, onEvaluation },
          device: run.config.device === "auto" ? device : undefined,
        }));
    device ??= await deviceKind(runFolder(path).log);
    if (trained && !trained.finished) {
      return { folder, results, stopped: trained, charted: 0, failures };
    }
    const result = (await runResult(runFolder(path).log))!;
    results.push(result);
    ended.push({ run: i + 1, name: run.name, path: relative(folder, path) });
    if (indexed !== ended.at(-1)!.path) {
      const text = `${JSON.stringify({ v: 1, sweep: sweep.name, ended }, null, 2)}\n`;
      await attempt("index", () => writeFileAtomic(indexPath, text));
    }
    callbacks.onRunEnd?.(run, i, result, trained === undefined);
  }
  leadProgress("");
  let charted = 0;
  await attempt("chart", async () => {
    const { svg, shown } = await resultsChart(results);
    await writeFileAtomic(join(folder, "val_loss.svg"), svg);
    charted = shown;
  });
  return { folder, results, stopped: undefined, charted, failures };
}
