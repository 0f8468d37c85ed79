// Collects the results of many runs in one table: deno task collect runs --format csv
import { basename } from "node:path";
import {
  checkWritable,
  cli,
  findLog,
  findLogs,
  formatResults,
  leadProgress,
  messageLine,
  replacedRuns,
  resultsChart,
  resultTable,
  type RunResult,
  runResult,
  STAT_FORMATS,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "collect",
  summary: "collects the results of all runs below folders, from any machine, in one table",
  usage: "[folder or log ...] [options]",
  options: {
    format: {
      type: "string",
      value: "table|csv|ndjson",
      help: "losses are in nats per token, times are seconds of training",
      default: "table",
    },
    chart: { type: "string", value: "FILE", help: "also draw the validation losses against steps" },
  },
  examples: [
    "deno task collect",
    "deno task collect runs/grid-sweep-1f2e3d4c --chart losses.svg",
    "deno task collect /shared/runs --format csv > runs.csv",
    "deno task collect runs --format ndjson | jq -s 'min_by(.best_loss) | .name'",
  ],
};

/**
 * Returns the logs that an argument names: all logs in a folder, one file, or the log of the run whose time or id begins with
 * the argument.
 */
async function logsOf(given: string, unreadable: (error: UserError) => void): Promise<string[]> {
  const info = await Deno.stat(given).catch(() => undefined);
  const isRun = info ? info.isFile && basename(given) === "latest" : /^[0-9a-f-]{4,}$/.test(given);
  return isRun ? [(await findLog(given)).log] : await findLogs(given, unreadable);
}

/** Returns the results of the logs. Each log that is left out is reported with the reason. */
async function readAll(logs: readonly string[], damaged: (error: UserError) => void): Promise<RunResult[]> {
  const results: RunResult[] = [];
  for (const [i, log] of logs.entries()) {
    leadProgress(`${i + 1}/${logs.length} `);
    try {
      const result = await runResult(log);
      if (result) results.push(result);
      else cli.tellLine(`${log}: has no run record and is left out.`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged(error);
    }
  }
  const replaced = replacedRuns(results);
  for (const { log, steps } of replaced) {
    cli.tellLine(`${log}: stopped at step ${steps}, was restarted in another folder and is left out.`);
  }
  return results.filter((result) => !replaced.includes(result));
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.oneOf("format", values.format!, STAT_FORMATS);
  cli.checkExtension("chart", values.chart, ".svg");
  if (values.chart !== undefined) await checkWritable(values.chart);
  const folders = positionals.length > 0 ? positionals : ["runs"];
  // A log that is named twice, by a link or by nested folders, counts once.
  const named = new Map<string, string>();
  let faults = 0;
  const damaged = (error: UserError) => {
    cli.tellLine(messageLine(`collect: ${error.message}`));
    faults++;
  };
  for (const log of (await Promise.all(folders.map((folder) => logsOf(folder, damaged)))).flat()) {
    const real = await Deno.realPath(log);
    if (!named.has(real)) named.set(real, log);
  }
  const results = await readAll([...named.values()], damaged);
  leadProgress("");
  if (results.length === 0 && faults > 0) return 2;
  if (results.length === 0) {
    throw new UserError(`${folders.join(", ")}: expected a folder with logs of runs, found none.`);
  }
  const chart = values.chart === undefined ? undefined : await resultsChart(results);
  const { write, flush } = cli.textOutput();
  write(formatResults(resultTable(results, format === "table" ? ["log"] : []), format));
  flush();
  const code = faults > 0 ? 1 : 0;
  if (!chart) return code;
  await writeFileAtomic(values.chart!, chart.svg);
  const few = chart.shown < results.length ? `: the ${chart.shown} best of ${results.length}` : "";
  cli.tellLine(`${values.chart}${few}`);
  return code;
});
