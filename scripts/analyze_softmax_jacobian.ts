// What the lateral sum in softmax's Jacobian does, by layer and head: deno task analyze_softmax_jacobian [config or run]
import * as heed from "../mod.ts";
import {
  analysisCharts,
  checkComparable,
  checkStudied,
  checkWritable,
  type Command,
  compareBackwards,
  comparisonChart,
  comparisonRecords,
  comparisonTable,
  type Config,
  diagonalNote,
  type Experiment,
  experimentOf,
  formatRecord,
  forwardWork,
  jacobianOfCheckpoints,
  type JacobianRecord,
  jacobianTable,
  jacobianWhileTraining,
  keptCheckpoints,
  loadCheckpoint,
  loadConfig,
  type LogRecord,
  type LogWriter,
  makeFolder,
  numberOption,
  onlyName,
  openDevice,
  openLog,
  prepare,
  printLine,
  resolveRun,
  runCommand,
  splitOverrides,
  stdoutLog,
  type StepCheckpoint,
  tellLine,
  UserError,
  wholeNumbersOption,
  writeFileAtomic,
  writeStderr,
} from "../mod.ts";

const command: Command = {
  name: "analyze_softmax_jacobian",
  summary: "takes softmax's Jacobian apart, in training or at checkpoints",
  usage: "[config or run] [key=value ...] [options]",
  options: {
    steps: {
      type: "string",
      value: "N,N,...",
      help: "when to look; 0, a tenth, a fifth and the end, or every checkpoint",
    },
    batches: { type: "string", value: "N", help: "batches for a mean and its 95% interval", default: "4" },
    compare: {
      type: "boolean",
      help: "also train with exact, diag, ste and sigmoid from one seed",
    },
    out: {
      type: "string",
      value: "FOLDER",
      help: "for jacobian.ndjson and charts; the run's, or runs/jacobian/<config>",
    },
    device: { type: "string", value: "auto|webgpu|cpu", help: "where to compute" },
    ndjson: { type: "string", value: "FILE|-", help: "the records to a file as well, or to stdout alone" },
  },
  examples: [
    "deno task analyze_softmax_jacobian",
    "deno task analyze_softmax_jacobian softmax_jacobian train.steps=200 --steps 0,200 --compare",
    "deno task analyze_softmax_jacobian runs/latest --batches 8",
    "deno task analyze_softmax_jacobian --ndjson - | jq -c '[.step, .layer, .head, .r_diag_c, .r_diag_c_ci95]'",
  ],
};

/** What is analysed: a training to come, or checkpoints that are there. */
interface Subject {
  readonly experiment: Experiment;
  readonly checkpoints: readonly StepCheckpoint[] | undefined;
  readonly steps: readonly number[];
  /** Where records and charts go. */
  readonly folder: string;
  readonly charts: string;
}

const ascending = (steps: readonly number[]): number[] => [...new Set(steps)].sort((a, b) => a - b);

async function ofConfig(config: Config, steps?: string, out?: string): Promise<Subject> {
  const { train: { steps: N }, output: { dir }, name } = config;
  const folder = out ?? `${dir}/jacobian/${name}`;
  return {
    experiment: await experimentOf(config),
    checkpoints: undefined,
    steps: ascending(
      wholeNumbersOption("steps", steps, N) ?? [0, Math.floor(N / 10), Math.floor(N / 5), N],
    ),
    folder,
    charts: folder,
  };
}

async function ofRun(name: string, steps?: string, out?: string): Promise<Subject> {
  const found = await resolveRun(name);
  const kept = await keptCheckpoints(found);
  const named = /(^|\/)checkpoints\/[^/]+\/?$/.test(name);
  const all = named ? kept.filter(({ path }) => path === found.checkpoint) : kept;
  const known = all.map(({ step }) => step);
  const chosen = ascending(wholeNumbersOption("steps", steps) ?? known);
  const missing = chosen.find((step) => !known.includes(step));
  if (missing !== undefined) {
    throw new UserError(`--steps: the run has no checkpoint of step ${missing}, it has ${known.join(", ")}.`);
  }
  const { config, tokenizer } = await loadCheckpoint(all[0].path);
  const folder = out ?? found.run?.path ?? ".";
  return {
    experiment: await prepare(config, tokenizer),
    checkpoints: all.filter(({ step }) => chosen.includes(step)),
    steps: chosen,
    folder,
    charts: out ?? found.run?.charts ?? ".",
  };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}

/** A folder or a path is a run, a YAML file or a bare name a configuration; a bare name that is none may be a run's. */
async function subjectOf(
  name: string,
  overrides: readonly string[],
  steps?: string,
  out?: string,
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
  if (config) return await ofConfig(config, steps, out);
  if (overrides.length) {
    throw new UserError(
      `${overrides[0]}: a run is analysed as it is; leave overrides out, or name a configuration.`,
    );
  }
  return await ofRun(name, steps, out);
}

/** One line of progress on a terminal, written over. */
function progress(text: string): void {
  if (Deno.stderr.isTerminal()) writeStderr(`\r\x1b[2K${text}`);
}

/** Takes the records of each step as they come: to the stream, and to the reader as a table. */
async function analyse(
  { experiment, checkpoints, steps }: Subject,
  device: Awaited<ReturnType<typeof openDevice>>,
  batches: number,
  take: (records: readonly JacobianRecord[]) => void,
): Promise<void> {
  const { train } = experiment.config;
  const told = (step: number, loss: number) =>
    progress(`step ${step}/${train.steps}  loss ${loss.toFixed(4)}`);
  const study = checkpoints
    ? jacobianOfCheckpoints(device, experiment, checkpoints, { batches })
    : jacobianWhileTraining(device, experiment, steps, { batches, progress: told });
  for await (const records of study) {
    progress("");
    take(records);
  }
}

await runCommand(command, async ({ positionals, values, flags }) => {
  const { names, overrides } = splitOverrides(positionals);
  const name = onlyName(names, "configuration or run") ?? "softmax_jacobian";
  const batches = numberOption("batches", values.batches, { least: 1, whole: true })!;
  const subject = await subjectOf(name, overrides, values.steps, values.out);
  const { experiment, folder, charts } = subject;
  if (flags.compare || !subject.checkpoints) checkStudied(experiment.config);
  if (flags.compare) checkComparable(experiment.architecture);
  const { train: { from } } = experiment.config;
  if (flags.compare && from !== null && !experiment.start) {
    throw new UserError(
      `--compare: the run began with the parameters of ${from} (train.from); name its configuration.`,
    );
  }
  const { train: { batch }, model: { context } } = experiment.config;
  // A step is about three forward passes.
  const passes = 3 * (subject.checkpoints ? 3 * batches : subject.steps.at(-1)!);
  const work = () => forwardWork(experiment, { passes, positions: batch * context });
  using device = await openDevice(values.device ?? experiment.config.device, work);
  const say = values.ndjson === "-" ? tellLine : printLine;
  tellLine(`device: ${device.adapter}`);
  using stream: LogWriter | undefined = values.ndjson === undefined
    ? undefined
    : values.ndjson === "-"
    ? stdoutLog()
    : openLog(values.ndjson);
  await makeFolder(charts);
  const written = `${folder}/jacobian.ndjson`;
  for (const path of [written, `${charts}/jacobian.svg`]) await checkWritable(path);
  const records: JacobianRecord[] = [];
  const files: Record<string, string> = {};
  await analyse(subject, device, batches, (found) => {
    for (const record of found) {
      records.push(record);
      stream?.write(record);
    }
    say(`${jacobianTable(found)}\n`);
  });
  const note = diagonalNote(records);
  if (note) say(note);
  const { name: run } = experiment.config;
  for (const [file, svg] of Object.entries(analysisCharts(run, records))) files[`${charts}/${file}`] = svg;
  const all: LogRecord[] = [...records];
  if (flags.compare) {
    const trainings = await Array.fromAsync(compareBackwards(device, experiment, (name, step, loss) => {
      progress(`${name}: step ${step}  loss ${loss.toFixed(4)}`);
    }));
    progress("");
    say(`${comparisonTable(trainings)}\n`);
    const found = comparisonRecords(trainings, experiment.config.eval.split);
    for (const record of found) {
      all.push(record);
      stream?.write(record);
    }
    files[`${charts}/jacobian_compare.svg`] = comparisonChart(trainings);
  }
  // Before the charts: it has what they are drawn from.
  await writeFileAtomic(written, all.map((record) => formatRecord(record) + "\n").join(""));
  for (const [path, content] of Object.entries(files)) await writeFileAtomic(path, content);
  say([...Object.keys(files), written].join("\n"));
  return 0;
}, heed);
