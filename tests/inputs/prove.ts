// Tries thousands of command lines: deno task prove_inputs 2000 500 500
import { cli } from "../../mod.ts";
import { failedTries, filesOf, lineOf } from "./tries.ts";

await cli.runCommand({
  name: "prove_inputs",
  summary:
    "tries random options of every task, configurations and damaged files: no stack, no hang, nothing half-written",
  usage: "[options tried] [configurations tried] [damaged files tried] [options]",
  options: {
    seed: { type: "string", value: "N", help: "another set of them", default: "1" },
    only: { type: "string", value: "N", help: "this try alone, with all that it wrote" },
    task: { type: "string", value: "NAME", help: "options of this task alone" },
    apart: { type: "boolean", help: "each in a process of its own, with the permissions of its task: slow" },
    processes: { type: "string", value: "N", help: "how many at once", default: "2" },
  },
  examples: ["deno task prove_inputs 2000 500 500", "deno task prove_inputs 200 50 50 --seed 2"],
}, async ({ positionals, values, flags }) => {
  const whole = { min: 0, whole: true };
  const options = cli.numberOption("options", positionals[0] ?? "2000", whole)!;
  const configurations = cli.numberOption("configurations", positionals[1] ?? "500", whole)!;
  const files = cli.numberOption("files", positionals[2] ?? "500", whole)!;
  const seed = cli.numberOption("seed", values.seed, whole)!;
  const only = cli.numberOption("only", values.only, whole);
  const processes = cli.numberOption("processes", values.processes, { min: 1, whole: true });
  const codes = new Map<string, number>();
  const begun = performance.now();
  let done = 0;
  const failures = await failedTries({
    ...{ options, configurations, files, seed, only, processes, task: values.task, apart: flags.apart },
    tried(number, asked, ended, fault) {
      if (only !== undefined) console.log(lineOf(asked), filesOf(asked), JSON.stringify(ended, null, 2));
      const part = number < options
        ? "options"
        : number < options + configurations
        ? "configurations"
        : "files";
      const kind = `${part} ${ended?.code ?? "none"}`;
      codes.set(kind, (codes.get(kind) ?? 0) + 1);
      if (fault !== undefined) {
        console.log(`${number}: ${lineOf(asked)}\n  ${filesOf(asked)}\n  ${fault.replaceAll("\n", "\n  ")}`);
      }
      if (++done % 250 === 0) {
        console.log(`${done} tried, ${((performance.now() - begun) / 1000).toFixed(0)} s`);
      }
    },
  });
  for (const { number, again } of failures) console.log(`${number} in a process of its own: ${again}`);
  console.log(`exit codes: ${[...codes].sort().map(([code, n]) => `${code}: ${n}`).join(", ")}`);
  console.log(`${failures.length} of ${done} tries failed, seed ${seed}`);
  return failures.length > 0 ? 1 : 0;
});
