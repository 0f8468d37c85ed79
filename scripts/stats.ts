// Prints statistics from a run's log, or what there is to ask for: deno task stats runs/latest --tap 'blocks.*.attn.*'
import {
  ClosedPipe,
  type Command,
  fileError,
  logSummariser,
  numberOption,
  onlyName,
  readLog,
  resolveRun,
  runCommand,
  statFormat,
  statRows,
  type StatSelection,
  statWriter,
  summaryLines,
  UserError,
} from "../mod.ts";

const command: Command = {
  name: "stats",
  summary: "prints statistics from a run's log; with no option what there is to ask for",
  usage: "[run or log] [options]",
  options: {
    tap: { type: "string", value: "GLOB", help: "tensors by name: * is one part of it, ** any number" },
    stat: { type: "string", value: "NAME,NAME", help: "statistics, the table's columns in this order" },
    kind: { type: "string", value: "KIND", help: "act, grad, param, param_grad, opt, update or metric" },
    layer: { type: "string", value: "N", help: "block, from 0" },
    head: { type: "string", value: "N,N", help: "heads, from 0" },
    steps: { type: "string", value: "A..B", help: "first and last step; A.., ..B and A alone too" },
    every: { type: "string", value: "N", help: "every Nth of the steps that are left" },
    format: {
      type: "string",
      value: "table|ndjson|csv",
      help: "table: a line a record; the others: a line a number",
    },
  },
  examples: [
    "deno task stats runs/latest",
    "deno task stats --tap 'blocks.*.attn.pattern' --stat entropy,sink --head 0,1",
    "deno task stats --kind param_grad --stat l2 --every 10",
    "deno task stats --tap '**' --format csv > statistics.csv",
  ],
};

/** Text to the standard output, in pieces large enough to be quick. */
function output(): { write(text: string): void; flush(): void } {
  let held = "";
  const flush = () => {
    const bytes = new TextEncoder().encode(held);
    held = "";
    try {
      for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new ClosedPipe("The reader has gone.");
      throw fileError("standard output", error);
    }
  };
  return {
    write(text) {
      held += text;
      if (held.length >= 65536) flush();
    },
    flush,
  };
}

/** `3..9`, `3..`, `..9` or `3`. */
function stepsOption(text: string): [number, number] {
  const [, from, dots, to] = /^(\d*)(\.\.)?(\d*)$/.exec(text) ?? [];
  const number = (digits: string | undefined, otherwise: number) => digits ? Number(digits) : otherwise;
  const first = number(from, dots && to ? 0 : NaN);
  const last = dots ? number(to, Infinity) : first;
  if (first <= last) return [first, last];
  throw new UserError(`--steps: expected A..B with A at most B, A.., ..B or one step, found "${text}".`);
}

type Values = Readonly<Record<string, string | undefined>>;

function selectionOf({ tap, kind, stat, layer, head, steps, every }: Values): StatSelection {
  const whole = { least: 0, whole: true };
  return {
    tap,
    kind,
    stats: stat?.split(",").map((name) => name.trim()),
    layer: numberOption("layer", layer, whole),
    heads: head?.split(",").map((text) => numberOption("head", text, whole)!),
    steps: steps === undefined ? undefined : stepsOption(steps),
    every: numberOption("every", every, { ...whole, least: 1 }),
  };
}

/** The log that a path stands for: a run's, the file itself, or `-`, the standard input. */
async function logOf(path: string): Promise<string> {
  const isFile = await Deno.stat(path).then((found) => found.isFile, () => false);
  const log = isFile || path === "-" ? path : (await resolveRun(path)).run?.log;
  if (log === undefined) throw new UserError(`${path}: a checkpoint outside a run has no log.`);
  return log;
}

await runCommand(command, async ({ positionals, values }) => {
  const log = await logOf(onlyName(positionals, "run or log") ?? "runs/latest");
  const { write, flush } = output();
  if (Object.values(values).every((value) => value === undefined)) {
    const summariser = logSummariser();
    for await (const record of readLog(log)) summariser.add(record);
    write(`${[log, ...summaryLines(summariser.summary())].join("\n")}\n`);
    flush();
    return 0;
  }
  const selection = selectionOf(values);
  const writeRow = statWriter(statFormat(values.format ?? "table"), selection.stats);
  try {
    const records = readLog(log, { types: ["stat"] });
    for await (const row of statRows(records, selection, log)) write(writeRow(row));
  } finally {
    flush();
  }
  return 0;
});
