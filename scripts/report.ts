// Writes an HTML report of a run: deno task report runs/latest
import { join } from "node:path";
import {
  cli,
  fileError,
  messageLine,
  readLog,
  resolveRun,
  runCharts,
  type RunFolder,
  runReport,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "report",
  summary: "writes the report of a run, one HTML file with its charts",
  usage: "[run] [options]",
  options: {
    out: {
      type: "string",
      value: "FILE.html",
      help: "the file to write; default: report.html in the run's folder",
    },
  },
  examples: ["deno task report runs/latest", "deno task report nanogpt_cpu --out nanogpt.html"],
};

/**
 * Returns the charts of a run, keyed by file name: charts that are drawn anew from its log, and the other SVG files in its
 * charts folder.
 */
async function chartsOf({ log, charts }: RunFolder): Promise<Record<string, string>> {
  const drawn = await runCharts(log);
  const entries = await Array.fromAsync(Deno.readDir(charts)).catch(() => []);
  for (const { name } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    if (!/^[^.].*\.svg$/.test(name) || name in drawn) continue;
    try {
      drawn[name] = await Deno.readTextFile(join(charts, name));
    } catch (error) {
      const fault = fileError(join(charts, name), error);
      if (!(fault instanceof UserError)) throw fault;
      cli.tellLine(messageLine(`report: ${fault.message} It is left out.`));
    }
  }
  return drawn;
}

await cli.runCommand(command, async ({ positionals, values }) => {
  cli.checkExtension("out", values.out, ".html");
  const path = cli.runArgument(positionals, "run");
  const { run } = await resolveRun(path);
  if (!run) throw new UserError(`${path}: a checkpoint outside a run has no log to report.`);
  const out = values.out ?? join(run.path, "report.html");
  try {
    const config = await Deno.readTextFile(run.config).catch(() => undefined);
    const charts = await chartsOf(run);
    await writeFileAtomic(out, await runReport(readLog(run.log), { charts, config, name: run.name }));
  } catch (error) {
    throw fileError(run.path, error);
  }
  cli.printLine(out);
  return 0;
});
