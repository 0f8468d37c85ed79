// Measures the off-diagonal (lateral) sum in softmax's Jacobian, by layer and head:
// deno task analyze_softmax_jacobian [config or run]
import { basename, dirname, join, resolve } from "node:path";
import * as heed from "../mod.ts";
import {
  cli,
  type Config,
  createRunFolder,
  dumpConfig,
  type Experiment,
  experimentOf,
  fileError,
  forwardWork,
  jacobian,
  type JacobianRecord,
  loadCheckpoint,
  loadConfig,
  type LogRecord,
  type LogWriter,
  makeFolder,
  openDevice,
  openLog,
  prepare,
  reportProgress,
  resolveRun,
  stdoutLog,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "analyze_softmax_jacobian",
  summary: "analyzes softmax's Jacobian during training or at checkpoints",
  usage: "[config or run] [key=value ...] [options]",
  options: {
    steps: {
      type: "string",
      value: "N,N,...",
      help: "steps to analyze; default: 0, 10%, 20% and 100%, or every checkpoint",
    },
    batches: {
      type: "string",
      value: "N",
      help: "number of batches for means and 95% intervals",
      default: "4",
    },
    compare: {
      type: "boolean",
      help: "also train with exact, diag, ste and sigmoid from the same seed",
    },
    out: {
      type: "string",
      value: "FOLDER",
      help: "a new folder for all files; default: runs/<name>-jacobian/<time>-<id>",
    },
    device: cli.DEVICE_OPTION,
    ndjson: { type: "string", value: "FILE|-", help: "also write the records to a file, or only to stdout" },
  },
  examples: [
    "deno task analyze_softmax_jacobian",
    "deno task analyze_softmax_jacobian softmax_jacobian train.steps=200 --steps 0,200 --compare",
    "deno task analyze_softmax_jacobian runs/latest --batches 8",
    "deno task analyze_softmax_jacobian --ndjson - | jq -c '[.step, .layer, .head, .r_diag_c, .r_diag_c_ci95]'",
  ],
};

/** What is analyzed: a new training run, or existing checkpoints. */
interface Subject {
  readonly experiment: Experiment;
  readonly checkpoints: readonly jacobian.StepCheckpoint[] | undefined;
  readonly steps: readonly number[];
  /** The folder of runs in which the analysis creates its folder. */
  readonly dir: string;
  /** Describes the subject in the comment at the top of the analysis's config.yaml. */
  readonly about: string;
}

const ascending = (steps: readonly number[]): number[] => [...new Set(steps)].sort((a, b) => a - b);

async function ofConfig(config: Config, steps?: string): Promise<Subject> {
  const { train: { steps: N }, output: { dir } } = config;
  return {
    experiment: await experimentOf(config),
    checkpoints: undefined,
    steps: ascending(
      cli.wholeNumbersOption("steps", steps, N) ?? [0, Math.floor(N / 10), Math.floor(N / 5), N],
    ),
    dir,
    about: "a new training run",
  };
}

async function ofRun(name: string, steps?: string): Promise<Subject> {
  const resolved = await resolveRun(name);
  const kept = await jacobian.keptCheckpoints(resolved);
  const named = /(^|\/)checkpoints\/[^/]+\/?$/.test(name);
  const all = named ? kept.filter(({ path }) => path === resolved.checkpoint) : kept;
  const known = all.map(({ step }) => step);
  const chosen = ascending(cli.wholeNumbersOption("steps", steps) ?? known);
  const missing = chosen.find((step) => !known.includes(step));
  if (missing !== undefined) {
    throw new UserError(
      `--steps: the run has no checkpoint of step ${missing}, only of ${known.join(", ")}.`,
    );
  }
  const { config, tokenizer } = await loadCheckpoint(all[0].path);
  // The analysis of a moved run, or of a checkpoint outside a run, goes into the configuration's output.dir.
  const dir = resolved.run && basename(dirname(resolved.run.path)) === config.name
    ? dirname(dirname(resolved.run.path))
    : config.output.dir;
  return {
    experiment: await prepare(config, tokenizer),
    checkpoints: all.filter(({ step }) => chosen.includes(step)),
    steps: chosen,
    dir,
    about: resolved.run?.path ?? resolved.checkpoint!,
  };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Returns the subject that a name denotes. A YAML file is a configuration, and any other path or folder is a run. Any other
 * name is a configuration or, if there is none of this name, a run.
 */
async function subjectOf(
  name: string,
  overrides: readonly string[],
  steps?: string,
): Promise<Subject> {
  const yaml = /\.ya?ml$/.test(name);
  let run = !yaml && (name.includes("/") || await isFolder(name));
  let config: Config | undefined;
  if (!run) {
    try {
      config = await loadConfig(name, overrides);
    } catch (error) {
      run = error instanceof UserError && !yaml && await resolveRun(name).then(() => true, () => false);
      if (!run) throw error;
    }
  }
  if (config) return await ofConfig(config, steps);
  if (overrides.length) {
    throw new UserError(
      `${overrides[0]}: a run has its own configuration; leave overrides out, or name a configuration.`,
    );
  }
  return await ofRun(name, steps);
}

/** Throws if `--out` names a folder that is not empty, or the working directory. */
async function checkOut(out: string): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(out)).catch((error) => {
    // If there is a file at this path, creating the folder will report it.
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw fileError(out, error);
  });
  if (entries.length === 0 && resolve(out) !== Deno.cwd()) return;
  throw new UserError(
    `--out ${out}: expected a new or an empty folder.`,
  );
}

/** Paths of the outputs of an analysis; on disposal their folder is removed if no record was written. */
interface Output extends Disposable {
  readonly written: string;
  readonly config: string;
  readonly charts: string;
}

function outputAt(folder: string, charts: string): Output {
  const written = join(folder, "jacobian.ndjson");
  return {
    written,
    config: join(folder, "config.yaml"),
    charts,
    [Symbol.dispose]() {
      const { size } = Deno.statSync(written);
      if (size === 0) Deno.removeSync(folder, { recursive: true });
    },
  };
}

/** Creates the folder of an analysis and writes the configuration into it. */
async function outputOf(
  { experiment: { config }, dir, about, steps }: Subject,
  out?: string,
): Promise<Output> {
  const yaml = `# Jacobians of ${about.replaceAll(/\s/g, " ")} at ${steps.join(", ")}\n${dumpConfig(config)}`;
  if (out === undefined) {
    const id = crypto.randomUUID().slice(0, 8);
    const { path: folder, charts } = await createRunFolder(dir, `${config.name}-jacobian`, new Date(), id, {
      "config.yaml": yaml,
    });
    return outputAt(folder, charts);
  }
  await makeFolder(out);
  await writeFileAtomic(join(out, "config.yaml"), yaml);
  return outputAt(out, out);
}

/** Analyzes the model at each step of the subject and passes the records to `take`. */
async function analyze(
  { experiment, checkpoints, steps }: Subject,
  device: Awaited<ReturnType<typeof openDevice>>,
  batches: number,
  take: (records: readonly JacobianRecord[]) => void,
): Promise<void> {
  const progress = (done: number, loss: number) =>
    reportProgress({ what: "step", done, total: steps.at(-1), note: `loss ${loss.toFixed(4)}` });
  const study = checkpoints
    ? jacobian.jacobianOfCheckpoints(device, experiment, checkpoints, { batches })
    : jacobian.jacobianWhileTraining(device, experiment, steps, { batches, onProgress: progress });
  for await (const records of study) take(records);
}

await cli.runCommand(command, async ({ positionals, values, flags }) => {
  const { names, overrides } = cli.splitOverrides(positionals);
  const name = cli.onlyName(names, "configuration or run") ?? "softmax_jacobian";
  const batches = cli.numberOption("batches", values.batches, { min: 1, whole: true })!;
  if (values.out !== undefined) await checkOut(values.out);
  const subject = await subjectOf(name, overrides, values.steps);
  const { experiment } = subject;
  if (flags.compare || !subject.checkpoints) jacobian.checkStudied(experiment.config);
  if (flags.compare) jacobian.checkComparable(experiment.architecture);
  const { train: { from } } = experiment.config;
  if (flags.compare && from !== null && !experiment.start) {
    throw new UserError(
      `--compare: the run started from the parameters of ${from} (train.from); pass its configuration instead of the run.`,
    );
  }
  const { train: { batch }, model: { context } } = experiment.config;
  // A training step costs about three forward passes.
  const passes = 3 * (subject.checkpoints ? 3 * batches : subject.steps.at(-1)!);
  const work = () => forwardWork(experiment, { passes, positions: batch * context });
  using device = await openDevice(values.device ?? experiment.config.device, work);
  const say = values.ndjson === "-" ? cli.tellLine : cli.printLine;
  cli.tellLine(`device: ${device.adapter}`);
  using stream: LogWriter | undefined = values.ndjson === undefined
    ? undefined
    : values.ndjson === "-"
    ? stdoutLog()
    : openLog(values.ndjson);
  using output = await outputOf(subject, values.out);
  const { written, charts } = output;
  using log = openLog(written);
  const records: JacobianRecord[] = [];
  const files: Record<string, string> = {};
  const take = (newRecords: readonly LogRecord[]) => {
    for (const record of newRecords) {
      log.write(record);
      stream?.write(record);
    }
  };
  await analyze(subject, device, batches, (stepRecords) => {
    for (const record of stepRecords) records.push(record);
    take(stepRecords);
    say(`${jacobian.jacobianTable(stepRecords)}\n`);
  });
  const note = jacobian.diagonalNote(records);
  if (note) say(note);
  const { name: run } = experiment.config;
  for (const [file, svg] of Object.entries(jacobian.analysisCharts(run, records))) {
    files[join(charts, file)] = svg;
  }
  if (flags.compare) {
    const trainings = await Array.fromAsync(
      jacobian.compareBackwards(device, experiment, (name, step, loss) => {
        const { train: { steps: total } } = experiment.config;
        reportProgress({ what: `${name}: step`, done: step, total, note: `loss ${loss.toFixed(4)}` });
      }),
    );
    say(`${jacobian.comparisonTable(trainings)}\n`);
    take(jacobian.comparisonRecords(trainings, experiment.config.eval.split));
    files[join(charts, "jacobian_compare.svg")] = jacobian.comparisonChart(trainings);
  }
  for (const [path, content] of Object.entries(files)) await writeFileAtomic(path, content);
  say([...Object.keys(files), output.config, written].join("\n"));
  return 0;
}, heed);
