// Lists runs by name, date and configuration, or prints the differences of two: deno task runs 'small*' model.dim=64
import {
  cli,
  diffConfigs,
  findRuns,
  formatResults,
  loadRunConfig,
  type ResultTable,
  type TaskRecord,
  UserError,
} from "../mod.ts";

const command: cli.Command = {
  name: "runs",
  summary: "lists runs by name, date and configuration, or the keys that differ between two",
  usage: "[name, glob, time or id] [key=value ...] [options]",
  options: {
    since: { type: "string", value: "DATE", help: "started at or after this day or time (UTC)" },
    until: { type: "string", value: "DATE", help: "started at or before this day or time (UTC)" },
    diff: { type: "boolean", help: "print the keys that differ between two named runs" },
    dir: { type: "string", value: "DIR", default: "runs", help: "the folder of all runs" },
    format: cli.formatOption("one object per line"),
  },
  examples: [
    "deno task runs",
    "deno task runs 'small*' model.block.attention.activation=sigmoid --since 2025-01-31",
    "deno task runs --diff runs/latest small",
    "deno task runs 20250131-12",
    "deno task runs --format ndjson | jq -r 'select(.val_loss != null and .val_loss < 2) | .path'",
  ],
};

await cli.runCommand(command, async ({ positionals, values, flags }) => {
  const format = cli.formatOf(values);
  const { names, overrides: where } = cli.splitOverrides(positionals);
  const { write, flush } = cli.textOutput();
  const print = (records: readonly TaskRecord[], table: ResultTable) => {
    if (format === "table") write(formatResults(table, "table"));
    else for (const record of records) write(cli.recordLine(record));
    flush();
  };
  if (flags.diff) {
    const idle = where[0] ?? (values.since && "--since") ?? (values.until && "--until");
    if (idle !== undefined) {
      throw new UserError(`${idle}: cannot be combined with --diff, which takes two runs; leave it out.`);
    }
    if (names.length !== 2) throw new UserError(`--diff: expected two runs, found ${names.length}.`);
    const [a, b] = await Promise.all(names.map((name) => loadRunConfig(name, values.dir!)));
    const differences = diffConfigs(a, b);
    const text = (value: unknown) => value === undefined ? "-" : JSON.stringify(value);
    print(differences.map((difference) => ({ type: "config_difference", ...difference })), {
      columns: ["key", ...names],
      rows: differences.map(({ key, a, b }) => [key, text(a), text(b)]),
    });
    return 0;
  }
  const runs = await findRuns(values.dir!, {
    name: cli.onlyName(names, "name, glob, time or id"),
    since: values.since,
    until: values.until,
    where,
  });
  const faulty = runs.some(({ fault }) => fault !== null);
  if (runs.length === 0) cli.tellLine("runs: no run matches.");
  print(runs.map((run) => ({ type: "found_run", ...run })), {
    columns: ["path", "time", "step", "val_loss", ...(faulty ? ["fault"] : [])],
    rows: runs.map(({ path, time, step, val_loss, fault }) => {
      return [path, time, step, val_loss, ...(faulty ? [fault] : [])];
    }),
  });
  return 0;
});
