// Trains a model from a configuration: deno task train [config] [key=value ...]
import * as heed from "../mod.ts";
import {
  cli,
  ClosedPipe,
  configWarnings,
  divergedRemedy,
  dumpConfig,
  type EvalRecord,
  exportsHooks,
  findBlas,
  findModifier,
  formatResults,
  isJob,
  keyLines,
  loadCheckpoint,
  loadSweep,
  type LogWriter,
  messageLine,
  models,
  openLog,
  planTable,
  type Progress,
  reportProgress,
  resultTable,
  resume,
  runJob,
  runSweep,
  showLoss,
  showSeconds,
  stdoutLog,
  type Sweep,
  sweepJobs,
  type SweepRun,
  taskOverrides,
  train,
  type TrainResult,
  UserError,
  type WarningRecord,
} from "../mod.ts";

const command: cli.Command = {
  name: "train",
  summary: "trains a small transformer, or a sweep if a key has a list of values",
  usage: "[config] [key=value ...] [options]",
  options: {
    device: { ...cli.DEVICE_OPTION, help: "the device; overrides the configuration" },
    threads: { type: "string", value: "N", help: "threads of the CPU device; default: one per core" },
    blas: {
      type: "string",
      value: "auto|FILE|none",
      help: "library of matrix products on the CPU; default with --allow-ffi: auto",
    },
    "dry-run": {
      type: "boolean",
      help: "only print the configuration and its cost by layer, or a sweep's runs",
    },
    keys: {
      type: "boolean",
      help: "print configuration keys, such as --keys model.block",
    },
    ablate: { type: "boolean", help: "also run each entry of the configuration's ablations" },
    jobs: { type: "boolean", help: "print the runs as NDJSON commands for other machines" },
    ndjson: {
      type: "string",
      value: "FILE|-",
      help: "also stream the records to a file, or only to stdout",
    },
    hooks: {
      type: "string",
      value: "FILE",
      help: "a TypeScript file of hooks, or of one score modifier for every block",
    },
    from: {
      type: "string",
      value: "RUN",
      help: "start with another run's (or an imported model's) parameters",
    },
    tasks: {
      type: "string",
      value: "FILE",
      help: "TypeScript file of synthetic tasks; trains on data.source or the first",
    },
    resume: { type: "string", value: "RUN", help: "resume a run from its last checkpoint" },
    "accept-changes": {
      type: "boolean",
      help: "with --resume: accept changed data or code, and log a warning",
    },
    trust: {
      type: "string",
      multiple: true,
      value: "FILE",
      help: "trust this file as it is now; without other arguments, trains nothing",
    },
  },
  examples: [
    "deno task train",
    "deno task train nanogpt_cpu train.steps=500 model.dim=64",
    "deno task train copy --ndjson - | jq -c 'select(.type == \"eval\") | [.step, .loss]'",
    "deno task train default 'optimizer.lr=[1e-3,3e-3]' 'model.dim=[32,64]'",
    `deno task train 'seed=[1,2]' --threads 1 --jobs | jq -j '(.command|@sh),"\\u0000"' | xargs -0 -P2 -n1 sh -c`,
    "deno task train --from runs/gpt2 data.files=[mine.txt] model.context=128 train.steps=50",
    "deno task train --resume runs/latest",
  ],
  exits: { 3: "the run, or a run of the sweep, diverged", 130: "interrupted, after saving a checkpoint" },
};

type Blas = ReturnType<typeof findBlas>;

/** Exit code if a run diverged. */
const DIVERGED = 3;

function show({ step, steps, loss, tokensPerSecond, secondsLeft }: Progress): void {
  const thousands = tokensPerSecond / 1000;
  const rate = `${
    thousands < 1000 ? `${thousands.toFixed(1)}k` : `${(thousands / 1000).toFixed(1)}M`
  } tokens/s`;
  const note = `loss ${showLoss(loss)}  ${rate}  ${showSeconds(secondsLeft)} left`;
  reportProgress({ what: "step", done: step, total: steps, note });
}

const evaluationLine = ({ step, split, loss }: EvalRecord) => `step ${step}: ${split} loss ${showLoss(loss)}`;

/** Reports a warning of divergence. */
function warn({ step, message }: WarningRecord, before = ""): void {
  cli.tellLine(messageLine(`${before}warning: step ${step}: ${message}`));
}

/** Opens a file of records. On disposal, the file is removed if it is new and empty. */
function recordsFile(path: string): LogWriter {
  const size = () => {
    try {
      return Deno.statSync(path).size;
    } catch {
      return undefined;
    }
  };
  const before = size();
  const log = openLog(path);
  return {
    write: log.write,
    [Symbol.dispose]() {
      log[Symbol.dispose]();
      try {
        if (before === undefined && size() === 0) Deno.removeSync(path);
      } catch { /* The empty file stays. */ }
    },
  };
}

/** Returns the writer of `--ndjson`, if that is given. If stdout is closed, the run ends as it does after Ctrl-C. */
function recordsTo(target: string | undefined, stop: AbortController): LogWriter | undefined {
  if (target !== "-") return target === undefined ? undefined : recordsFile(target);
  const out = stdoutLog();
  return {
    write(...records) {
      if (stop.signal.aborted) return;
      try {
        out.write(...records);
      } catch (error) {
        if (!(error instanceof ClosedPipe)) throw error;
        stop.abort("closed pipe");
      }
    },
    [Symbol.dispose]: () => out[Symbol.dispose](),
  };
}

/** Returns the configuration of a run that starts from the run `from`: `name` or, without it, that of `from` under a new name. */
async function startFrom(from: string, name: string | undefined, overrides: string[]): Promise<string> {
  const tokenizer = overrides.find((override) => /^[~+]?tokenizer\b/.test(override));
  if (tokenizer !== undefined) {
    throw new UserError(
      `${tokenizer}: a run that starts from another uses its tokenizer; leave it out after --from.`,
    );
  }
  overrides.unshift(`train.from=${JSON.stringify(from)}`);
  if (name !== undefined) return name;
  const { path, config } = await loadCheckpoint(from);
  overrides.unshift(`name=${JSON.stringify(`${config.name}-tuned`)}`);
  return `${path}/config.yaml`;
}

function report(trained: TrainResult, say: (line: string) => void): void {
  const { folder, step, best, last, sample } = trained;
  if (sample !== undefined) say(`\n${sample}\n`);
  if (last) {
    const bestNote = best ? `, best ${showLoss(best.val_loss)} at step ${best.step}` : "";
    say(`step ${step}: ${last.split} loss ${showLoss(last.loss)}${bestNote}`);
  }
  const checkpoints = best ? ", checkpoints/best, checkpoints/last" : ", checkpoints/last";
  say(`${folder.path}: log.ndjson, charts/loss.svg${trained.saved === null ? "" : checkpoints}`);
}

/** Returns the message for an interrupted run. `again` says how to resume it; `of` names the run if it is part of a sweep. */
function stoppedMessage({ step, saved, folder }: TrainResult, again: string, of = ""): string {
  if (saved === null) return `Stopped at step ${step}${of}; ${folder.path} has no checkpoint to resume from.`;
  const at = saved === step
    ? `Stopped and saved at step ${step}${of}.`
    : `Stopped at step ${step}${of}; its last checkpoint is from step ${saved}.`;
  return `${at} ${again}`;
}

/** The arguments of the functions that report how a run ended. */
interface Ending {
  readonly stop: AbortController;
  readonly say: (line: string) => void;
  readonly blas?: Blas;
}

/** Reports how a run ended. Returns its exit code. */
function reportAndExitCode(trained: TrainResult, { stop, say, blas }: Ending): number {
  const { finished, diverged, folder, failures } = trained;
  if (finished) report(trained, say);
  for (const failure of failures) cli.tellLine(messageLine(`warning: ${failure}`));
  if (diverged) {
    const from = trained.saved === null ? undefined : folder.path;
    cli.tellLine(`${folder.path}: the run diverged; ${divergedRemedy(from)}`);
    return DIVERGED;
  }
  if (finished || stop.signal.reason === "closed pipe") return 0;
  const again = blas ? `train_native --blas ${blas.path}` : "train";
  cli.tellLine(stoppedMessage(trained, `Resume with: deno task ${again} --resume ${folder.path}`));
  return 130;
}

/** Runs a sweep: prints one line per run, then a table and a chart. */
async function sweepAll(
  sweep: Sweep,
  { records, stop, say, blas }: Ending & { records?: LogWriter },
): Promise<number> {
  const warnings = new Set(sweep.runs.flatMap(({ config }) => configWarnings(config)));
  for (const warning of warnings) cli.tellLine(`warning: ${warning}`);
  const count = sweep.runs.length;
  const lead = ({ name }: SweepRun, index: number) => `${index + 1}/${count} ${name}  `;
  const { folder, results, stopped, charted, failures } = await runSweep(sweep, {
    ...{ records, blas },
    signal: stop.signal,
    onProgress: (_run, _index, progress) => show(progress),
    onWarning: (run, index, warning) => warn(warning, lead(run, index)),
    onEvaluation(run, index, record) {
      // The line that is printed at the run's end has the last evaluation.
      if (record.step === run.config.train.steps) return;
      cli.tellLine(`${lead(run, index)}${evaluationLine(record)}`);
    },
    onRunEnd(run, index, { steps, split, last, best, diverged }, before) {
      const losses = `${split} loss ${showLoss(last?.loss)}, best ${best ? showLoss(best.loss) : "none"}`;
      const how = `${diverged ? " (diverged)" : ""}${before ? " (already ended)" : ""}`;
      cli.tellLine(`${lead(run, index)}step ${steps}: ${losses}${how}`);
    },
  });
  if (stopped) {
    if (stop.signal.reason === "closed pipe") return 0;
    const { name } = sweep.runs[results.length];
    cli.tellLine(stoppedMessage(stopped, "Continue with the same command.", ` of ${name}`));
    return 130;
  }
  const diverged = results.filter((result) => result.diverged).map(({ name }) => name);
  const hidden = ["seconds", "log", ...(diverged.length ? [] : ["state"])];
  say(formatResults(resultTable(results, hidden), "table").trimEnd());
  if (diverged.length) {
    cli.tellLine(messageLine(`${diverged.length} of ${count} runs diverged: ${diverged.join(", ")}`));
  }
  for (const failure of failures) cli.tellLine(messageLine(`warning: ${failure}`));
  const few = charted < count ? ` (the best ${charted} of ${count})` : "";
  const chart = charted > 0 ? `val_loss.svg${few}, ` : "";
  say(`${folder}: ${chart}index.json, a folder for each run`);
  return diverged.length ? DIVERGED : 0;
}

/** Returns the requested runs, or undefined if a run is to be resumed. */
async function requestedSweep({ positionals, values, flags }: cli.Arguments): Promise<Sweep | undefined> {
  const { names, overrides } = cli.splitOverrides(positionals);
  const name = cli.onlyName(names, "configuration");
  if (values.resume !== undefined) {
    const idle = ["from", "hooks", "tasks", "ablate", "jobs"];
    const option = idle.find((key) => values[key] !== undefined || flags[key]);
    const extra = positionals[0] ?? (option && `--${option}`);
    if (extra === undefined) return undefined;
    throw new UserError(`${extra}: a resumed run uses its own configuration; leave it out after --resume.`);
  }
  if (values.hooks !== undefined && await exportsHooks(values.hooks)) {
    overrides.unshift(`hooks.file=${JSON.stringify(values.hooks)}`);
  } else if (values.hooks !== undefined) {
    overrides.push(`model.block.attention.modifier=${JSON.stringify(await findModifier(values.hooks))}`);
  }
  if (values.tasks !== undefined) overrides.unshift(...await taskOverrides(values.tasks));
  const base = values.from === undefined ? undefined : await startFrom(values.from, name, overrides);
  if (values.device !== undefined) overrides.push(`device=${values.device}`);
  if (values.threads !== undefined) overrides.push(`train.threads=${values.threads}`);
  return await loadSweep(base ?? name ?? "default", overrides, { ablate: flags.ablate });
}

/** Trusts the given files and prints which of them are newly trusted. */
async function trustGiven(files: readonly string[]): Promise<void> {
  const added = await models.trustCode(files, "trust");
  for (const code of added) cli.tellLine(`trusted: ${models.codeLine(code)}`);
  for (const file of files) {
    if (!added.some((code) => code.file === file)) cli.tellLine(`${file}: already trusted.`);
  }
}

/** Trusts the code that the new runs name, so that their checkpoints load; a disk error does not prevent training. */
async function trustNamedCode({ runs }: Sweep): Promise<void> {
  const files = [...new Set(runs.flatMap(({ config }) => models.codeNamed(config)))];
  try {
    for (const code of await models.trustCode(files, "named")) {
      cli.tellLine(`trusted: ${models.codeLine(code)}`);
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    cli.tellLine(
      `${error.message.replace(/\.?$/, ".")} ${
        files.join(", ")
      } is not recorded as trusted: checkpoints will need --trust.`,
    );
  }
}

/** Returns the library for matrix products: the requested library or, if heed may call native libraries, one that heed finds. */
function blasOf(choice: string | undefined): Blas | undefined {
  if (choice === "none") return undefined;
  if (choice !== undefined) return findBlas(choice);
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  try {
    return findBlas("auto");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    cli.tellLine(error.message);
  }
}

/** Throws if an option has no effect because no run is started, or none is resumed. */
function checkUnused({ values, flags }: cli.Arguments): void {
  if (flags["accept-changes"] && values.resume === undefined) {
    throw new UserError(
      "--accept-changes: applies only to --resume RUN.",
    );
  }
  if (flags.jobs && flags["dry-run"]) {
    throw new UserError("--dry-run: --jobs runs nothing; leave one of them out.");
  }
  const idle = ["jobs", "dry-run"].find((option) => flags[option]);
  if (idle && values.ndjson !== undefined) {
    throw new UserError(`--ndjson: --${idle} writes no records; leave one of them out.`);
  }
}

await cli.runCommand(command, async (args) => {
  const { values, flags } = args;
  if (flags.keys) {
    keyLines(cli.onlyName(args.positionals, "key prefix")).forEach(cli.printLine);
    return 0;
  }
  const dryRun = flags["dry-run"] ?? false;
  checkUnused(args);
  const { trust = [] } = args.lists!;
  await trustGiven(trust);
  const onlyTrust = trust.length > 0 && args.positionals.length === 0 && Object.keys(flags).length === 0;
  if (onlyTrust && Object.values(values).every((value) => value === undefined)) return 0;
  const blas = blasOf(values.blas);
  const sweep = await requestedSweep(args);
  if (sweep && (flags.jobs || sweep.swept && dryRun)) {
    const { write, flush } = cli.textOutput();
    if (flags.jobs) { for (const job of await sweepJobs(sweep, { blas })) write(cli.recordLine(job)); }
    else write(formatResults(await planTable(sweep), "table"));
    flush();
    return 0;
  }
  if (sweep && !dryRun) await trustNamedCode(sweep);
  if (sweep && dryRun) dumpConfig(sweep.runs[0].config).split("\n").forEach(cli.printLine);
  const stop = cli.interruptSignal();
  const toStdout = values.ndjson === "-";
  const say = toStdout ? cli.tellLine : cli.printLine;
  using records = recordsTo(values.ndjson, stop);
  const onStart = (lines: readonly string[]) =>
    lines.forEach((line) => (dryRun ? cli.printLine : cli.tellLine)(line));
  const ending = { stop, say, blas };
  if (sweep?.swept) return await sweepAll(sweep, { records, ...ending });
  const acceptChanges = flags["accept-changes"];
  const onEvaluation = (record: EvalRecord) => cli.tellLine(evaluationLine(record));
  const { signal } = stop;
  const callbacks = { onStart, onProgress: show, onEvaluation, onWarning: warn };
  const device = sweep ? undefined : values.device;
  const threads = sweep ? undefined : cli.numberOption("threads", values.threads, { min: 1, whole: true });
  const options = { records, signal, dryRun, acceptChanges, device, threads, blas, ...callbacks };
  if (sweep && isJob(sweep.runs[0].config) && !dryRun) {
    const { path, trained, diverged } = await runJob(sweep.runs[0].config, options);
    if (trained) return reportAndExitCode(trained, ending);
    cli.tellLine(`${path}: the run ${diverged ? "diverged and " : ""}has already ended.`);
    return diverged ? DIVERGED : 0;
  }
  const trained = sweep ? await train(sweep.runs[0].config, options) : await resume(values.resume!, options);
  return trained ? reportAndExitCode(trained, ending) : 0;
}, heed);
