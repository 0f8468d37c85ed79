// Lists runs by name, date and configuration, or tells what two have different: deno task runs 'small*' model.dim=64
import {
  type Command,
  diffConfigs,
  findRuns,
  loadRunConfig,
  oneOf,
  runCommand,
  shortNumber,
  splitOverrides,
  UserError,
} from "../mod.ts";

const command: Command = {
  name: "runs",
  summary: "lists runs by name, date and configuration, or the keys in which two differ",
  usage: "[name or glob] [key=value ...] [options]",
  options: {
    since: { type: "string", value: "DATE", help: "begun on this day, or at this time, or later (UTC)" },
    until: { type: "string", value: "DATE", help: "begun on this day, or at this time, or before (UTC)" },
    diff: { type: "boolean", help: "of the two runs named: the keys whose values differ" },
    dir: { type: "string", value: "DIR", default: "runs", help: "the folder of all runs" },
    format: { type: "string", value: "table|ndjson", default: "table", help: "ndjson: an object a line" },
  },
  examples: [
    "deno task runs",
    "deno task runs 'small*' model.block.attention.activation=sigmoid --since 2025-01-31",
    "deno task runs --diff runs/latest small",
    "deno task runs --format ndjson | jq -r 'select(.val_loss < 2) | .path'",
  ],
};

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, n) => Math.max(...rows.map((row) => row[n].length)));
  return rows.map((row) => row.map((cell, n) => cell.padEnd(widths[n])).join("  ").trimEnd()).join("\n");
}

await runCommand(command, async ({ positionals, values, flags }) => {
  const format = oneOf("format", values.format!, ["table", "ndjson"]);
  const { names, overrides: where } = splitOverrides(positionals);
  const print = (records: readonly object[], rows: readonly (readonly string[])[]) => {
    if (format === "table") console.log(table(rows));
    else for (const record of records) console.log(JSON.stringify(record));
  };
  if (flags.diff) {
    if (names.length !== 2) throw new UserError(`--diff: expected two runs, found ${names.length}.`);
    const [a, b] = await Promise.all(names.map((name) => loadRunConfig(name, values.dir!)));
    const found = diffConfigs(a, b);
    const shown = (value: unknown) => value === undefined ? "-" : JSON.stringify(value);
    print(found, [["key", ...names], ...found.map(({ key, a, b }) => [key, shown(a), shown(b)])]);
    return 0;
  }
  if (names.length > 1) {
    throw new UserError(`${names[1]}: one name or glob at a time, ${names[0]} came before.`);
  }
  const runs = await findRuns(values.dir!, {
    name: names[0],
    since: values.since,
    until: values.until,
    where,
  });
  print(runs, [
    ["path", "time", "step", "val_loss"],
    ...runs.map(({ path, time, step, val_loss }) => [path, time, `${step ?? "-"}`, shortNumber(val_loss)]),
  ]);
  return 0;
});
