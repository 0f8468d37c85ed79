// Trains a model from a configuration: deno task train [config] [key=value ...]
import {
  ClosedPipe,
  type Command,
  exportsHooks,
  findModifier,
  interruptSignal,
  loadConfig,
  type LogWriter,
  onlyName,
  openLog,
  type Progress,
  resume,
  runCommand,
  splitOverrides,
  stdoutLog,
  train,
  type Trained,
  UserError,
} from "../mod.ts";

const command: Command = {
  name: "train",
  summary: "trains a small transformer and logs every step",
  usage: "[config] [key=value ...] [options]",
  options: {
    device: {
      type: "string",
      value: "auto|webgpu|cpu",
      help: "where to compute; overrides the configuration",
    },
    "dry-run": {
      type: "boolean",
      help: "print the resolved plan and its memory, and stop before the first step",
    },
    ndjson: {
      type: "string",
      value: "FILE|-",
      help: "stream the records to a file as well, or to stdout alone",
    },
    hooks: {
      type: "string",
      value: "FILE",
      help: "a TypeScript file of hooks, or of one score modifier that every block takes",
    },
    resume: { type: "string", value: "RUN", help: "go on with a run from its last checkpoint" },
  },
  examples: [
    "deno task train",
    "deno task train nanogpt_cpu train.steps=500 model.dim=64",
    "deno task train copy --ndjson - | jq -c 'select(.type == \"eval\") | [.step, .loss]'",
    "deno task train --resume runs/latest",
  ],
};

const seconds = (s: number) => s >= 90 ? `${Math.round(s / 60)} min` : `${Math.round(s)} s`;

function show({ step, steps, loss, tokensPerSecond, secondsLeft }: Progress): void {
  const rate = `${(tokensPerSecond / 1000).toFixed(1)}k tokens/s`;
  const line = `step ${step}/${steps}  loss ${loss.toFixed(4)}  ${rate}  ${seconds(secondsLeft)} left`;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[2K${line}`));
}

/** A file of records that goes again where a mistake leaves it empty. */
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
      if (before === undefined && size() === 0) Deno.removeSync(path);
    },
  };
}

/** The second place for records: a file, or stdout, whose closing ends the run as Ctrl-C does. */
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

function report(trained: Trained, say: (line: string) => void): void {
  const { folder, step, best, last, sample } = trained;
  if (sample !== undefined) say(`\n${sample}\n`);
  if (last) {
    const least = best ? `, best ${best.val_loss.toFixed(4)} at step ${best.step}` : "";
    say(`step ${step}: ${last.split} loss ${last.loss.toFixed(4)}${least}`);
  }
  const checkpoints = best ? "checkpoints/best, checkpoints/last" : "checkpoints/last";
  say(`${folder.path}: log.ndjson, charts/loss.svg, ${checkpoints}`);
}

await runCommand(command, async ({ positionals, values, flags }) => {
  const { names, overrides } = splitOverrides(positionals);
  const name = onlyName(names, "configuration");
  if (values.resume !== undefined && positionals.length > 0) {
    throw new UserError(
      `${positionals[0]}: a run goes on with its own configuration; leave it out after --resume.`,
    );
  }
  if (values.hooks !== undefined && await exportsHooks(values.hooks)) {
    overrides.unshift(`hooks.file=${JSON.stringify(values.hooks)}`);
  } else if (values.hooks !== undefined) {
    overrides.push(`model.block.attention.modifier=${JSON.stringify(await findModifier(values.hooks))}`);
  }
  if (values.device !== undefined) overrides.push(`device=${values.device}`);
  const stop = interruptSignal();
  const toStdout = values.ndjson === "-";
  const say = toStdout ? console.error : console.log;
  const terminal = Deno.stderr.isTerminal();
  using records = recordsTo(values.ndjson, stop);
  const options = {
    records,
    signal: stop.signal,
    dryRun: flags["dry-run"],
    progress: terminal ? show : undefined,
    announce: (lines: readonly string[]) => lines.forEach((line) => console.error(line)),
  };
  const trained = values.resume === undefined
    ? await train(await loadConfig(name ?? "default", overrides), options)
    : await resume(values.resume, options);
  if (terminal) console.error();
  if (!trained) return 0;
  if (trained.finished) {
    report(trained, say);
    return 0;
  }
  if (stop.signal.reason === "closed pipe") return 0;
  console.error(
    `Stopped and saved at step ${trained.step}. Go on with: deno task train --resume ${trained.folder.path}`,
  );
  return 130;
});
