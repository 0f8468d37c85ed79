// Writes the report of a run, one HTML file: deno task report runs/latest
import { join } from "node:path";
import {
  checkExtension,
  type Command,
  fileError,
  messageLine,
  printLine,
  readLog,
  resolveRun,
  runArgument,
  runCharts,
  runCommand,
  type RunFolder,
  runReport,
  tellLine,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: Command = {
  name: "report",
  summary: "writes the report of a run, one HTML file with its charts",
  usage: "[run] [options]",
  options: {
    out: {
      type: "string",
      value: "FILE.html",
      help: "where to write it; report.html in the run's folder by default",
    },
  },
  examples: ["deno task report runs/latest", "deno task report nanogpt_cpu --out nanogpt.html"],
};

/** The charts of a run by file name: those of its log, drawn as the log is now, and whatever else lies in its folder. */
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
      tellLine(messageLine(`report: ${fault.message} It is left out.`));
    }
  }
  return drawn;
}

await runCommand(command, async ({ positionals, values }) => {
  checkExtension("out", values.out, ".html");
  const path = runArgument(positionals, "run");
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
  printLine(out);
  return 0;
});
