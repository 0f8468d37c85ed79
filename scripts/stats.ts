// Prints statistics of a run's log, or lists those available: deno task stats runs/latest --tap 'blocks.*.attn.*'
import {
  cli,
  escapeControls,
  findLog,
  logSummariser,
  readLog,
  STAT_FORMATS,
  statRows,
  type StatSelection,
  statWriter,
  summaryLines,
  UserError,
} from "../mod.ts";

const command: cli.Command = {
  name: "stats",
  summary: "prints statistics of a run's log; without options, lists those available",
  usage: "[run or log] [options]",
  options: {
    ...cli.TENSOR_OPTIONS,
    stat: { type: "string", value: "NAME,NAME", help: "statistics, in the order of the table's columns" },
    layer: { type: "string", value: "N", help: "block, from 0" },
    steps: { type: "string", value: "A..B", help: "a range of steps; also A.., ..B, or a single step A" },
    every: { type: "string", value: "N", help: "every Nth of the selected steps" },
    format: {
      type: "string",
      value: STAT_FORMATS.join("|"),
      help: "table: one line per record; csv, ndjson: one line per value",
    },
  },
  examples: [
    "deno task stats runs/latest",
    "deno task stats --tap 'blocks.*.attn.pattern' --stat entropy,sink --head 0,1",
    "deno task stats --kind param_grad --stat l2 --every 10",
    "deno task stats --tap '**' --format csv > statistics.csv",
  ],
};

/** Returns the first and the last step of a range, such as `3..9`, `3..` or `..9`, or of a single step, such as `3`. */
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
  const natural = { min: 0, whole: true };
  const stats = stat?.split(",").map((name) => name.trim());
  if (stats?.includes("")) throw new UserError(`--stat: expected names such as l2,mean, found "${stat}".`);
  return {
    tap,
    kind,
    stats,
    layer: cli.numberOption("layer", layer, natural),
    heads: cli.wholeNumbersOption("head", head),
    steps: steps === undefined ? undefined : stepsOption(steps),
    every: cli.numberOption("every", every, { ...natural, min: 1 }),
  };
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const { log } = await findLog(cli.runArgument(positionals, "run or log"));
  const place = log === "-" ? "standard input" : log;
  const { write, flush } = cli.textOutput();
  if (Object.values(values).every((value) => value === undefined)) {
    const summariser = logSummariser();
    for await (const record of readLog(log)) summariser.add(record);
    write(`${[escapeControls(place), ...summaryLines(summariser.summary())].join("\n")}\n`);
    flush();
    return 0;
  }
  const selection = selectionOf(values);
  const writeRow = statWriter(cli.oneOf("format", values.format ?? "table", STAT_FORMATS), selection.stats);
  try {
    const records = readLog(log, { types: ["stat"] });
    for await (const row of statRows(records, selection, place)) write(writeRow(row));
  } catch (error) {
    try {
      flush();
    } catch { /* The error of the log takes precedence. */ }
    throw error;
  }
  flush();
  return 0;
});
