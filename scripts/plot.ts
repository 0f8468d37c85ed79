// Draws the charts of a run, or a metric of several runs: deno task plot runs/latest --metric loss --x tokens
import {
  captureCharts,
  type ChartedRun,
  cli,
  findLog,
  freePath,
  KINDS,
  makeFolder,
  metricChart,
  progressUnit,
  runCharts,
  type RunFolder,
  UserError,
  writeFileAtomic,
} from "../mod.ts";
import { basename, dirname, join, resolve } from "node:path";

const command: cli.Command = {
  name: "plot",
  summary: "draws charts of runs as SVG; without options, all charts of a log",
  usage: "[run or log ...] [options]",
  options: {
    metric: {
      type: "string",
      value: "NAME",
      help: "loss, lr, grad_norm, ms, tokens_per_s, val_loss, accuracy, perplexity",
    },
    ...cli.TENSOR_OPTIONS,
    stat: { type: "string", value: "NAME", help: "the statistic of --tap, such as l2" },
    head: { ...cli.TENSOR_OPTIONS.head, help: "heads of --tap, from 0; default: the mean over heads" },
    second: { type: "string", value: "NAME", help: "a second metric, on an axis on the right" },
    x: {
      type: "string",
      value: "UNIT",
      help: "horizontal axis: steps, samples, tokens or seconds; default: steps",
    },
    log: { type: "boolean", help: "use a logarithmic vertical axis" },
    out: {
      type: "string",
      value: "FILE|-",
      help: "the file of the chart; default: plot.svg, or plot-2.svg if that exists",
    },
  },
  examples: [
    "deno task plot runs/latest",
    "deno task plot small large --metric val_loss --x tokens --log",
    "deno task plot --metric loss --second lr --out loss.svg",
    "deno task plot --tap 'blocks.*.attn.pattern' --stat entropy",
    "deno task plot --tap blocks.0.attn.pattern --stat sink --head 0,1,2,3",
  ],
};

/** A run that was named on the command line. */
interface Named {
  readonly given: string;
  readonly log: string;
  readonly run?: RunFolder;
  /** The path of the log with symbolic links resolved. */
  readonly real: string;
  /** The folder of the run's charts. */
  readonly charts: string;
  /** Possible names of the run in a chart, from the shortest name to a name that no other run can have. */
  readonly names: readonly string[];
}

async function named(given: string): Promise<Named> {
  const { log, run } = await findLog(given);
  if (log === "-") return { given, log, real: log, charts: "charts", names: ["standard input"] };
  const folder = dirname(resolve(log));
  const name = basename(dirname(folder));
  const names = run ? [name, `${name}/${basename(folder)}`, folder] : [given];
  const real = await Deno.realPath(log).catch(() => resolve(log));
  return { given, log, run, real, charts: join(dirname(log), "charts"), names };
}

/** Gives each run the shortest of its names that no other run has. */
function distinct(runs: readonly Named[]): ChartedRun[] {
  return runs.map((run, i) => {
    const same = runs.find((other, j) => j < i && other.real === run.real);
    if (same) throw new UserError(`${run.given}: names the same log as ${same.given}, ${run.log}.`);
    const others = runs.filter((other) => other !== run);
    const taken = (level: number) =>
      others.some(({ names }) => (names[level] ?? names.at(-1)) === run.names[level]);
    const level = run.names.findIndex((_, i) => !taken(i));
    return { name: run.names.at(level)!, log: run.log };
  });
}

/** Draws all charts of each log. */
async function drawAll(runs: readonly Named[]): Promise<void> {
  for (const { log, run, charts, given, names: [name] } of runs) {
    const drawn = {
      ...await runCharts(log, given === log ? undefined : name),
      ...(run ? await captureCharts(run) : {}),
    };
    if (Object.keys(drawn).length === 0) throw new UserError(`${given}: the log has no data to draw yet.`);
    await makeFolder(charts);
    for (const [file, svg] of Object.entries(drawn)) {
      await writeFileAtomic(join(charts, file), svg);
      cli.printLine(join(charts, file));
    }
  }
}

type Values = Readonly<Record<string, string | undefined>>;

/** Returns the metric or statistic to draw; undefined if neither --metric nor --tap is given. */
function choiceOf({ metric, tap, stat, head, kind, ...rest }: Values, log: boolean) {
  const given = Object.entries({ stat, head, kind }).find(([, value]) => value !== undefined);
  if (tap === undefined && given) throw new UserError(`--${given[0]}: belongs to --tap, which is not given.`);
  if (metric !== undefined && tap !== undefined) {
    throw new UserError(`--tap: cannot be combined with --metric ${metric}; give one of them.`);
  }
  if (tap !== undefined) {
    if (stat === undefined) throw new UserError(`--tap ${tap}: give the statistic too, such as --stat l2.`);
    if (kind !== undefined) cli.oneOf("kind", kind, [...KINDS, "metric"]);
    return { tap, stat, heads: cli.wholeNumbersOption("head", head), kind };
  }
  const lone = Object.keys(rest).find((name) => rest[name] !== undefined) ?? (log ? "log" : undefined);
  if (metric === undefined && lone) {
    throw new UserError(`--${lone}: needs --metric or --tap, of which neither is given.`);
  }
  return metric;
}

await cli.runCommand(command, async ({ positionals, values, flags }) => {
  const show = choiceOf(values, flags.log ?? false);
  cli.checkExtension("out", values.out, ".svg");
  const x = progressUnit(values.x ?? "steps");
  const runs = await Promise.all((positionals.length ? positionals : [cli.DEFAULT_RUN]).map(named));
  const charted = distinct(runs);
  if (show === undefined) {
    await drawAll(runs);
    return 0;
  }
  const svg = await metricChart(charted, { show, second: values.second, x, log: flags.log });
  const out = values.out ?? await freePath("plot.svg");
  if (out === "-") {
    const output = cli.textOutput();
    output.write(svg);
    output.flush();
  } else {
    await writeFileAtomic(out, svg);
    cli.printLine(out);
  }
  return 0;
});
