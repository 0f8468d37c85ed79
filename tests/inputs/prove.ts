// Tries thousands of command lines: deno task prove_inputs [OPTIONS] [CONFIGURATIONS] [--seed N] [--only N]
//
// What a user gives may be wrong in every way; what comes back is an answer, or one line and exit code 2. It is no stack, no
// wait of more than ten seconds, no file that was begun and not finished, and no control character on the terminal.
import { join } from "node:path";
import { randomStream } from "../../kernels/random/threefry.ts";
import { numberOption, runCommand } from "../../mod.ts";
import { DATA_HOME, ended, SCRIPTS, start } from "../scripts/harness.ts";
import { bench } from "./bench.ts";
import { configTries, type ConfigTry } from "./config_tries.ts";
import { type Option, optionsIn, optionTry } from "./option_tries.ts";
import { makeRuns, type Sandbox, sandboxOf, writeFiles } from "./sandbox.ts";
import type { Asked, Ended } from "./worker.ts";

/** The longest that a command may take on a machine that has other things to do; a hang is ended. */
const LONGEST_MS = 10_000;
const HANGS_MS = 40_000;

/** Tasks that end with 1 where what they look at is not as it should be. */
const MAY_FAIL = ["verify_load", "check_attention", "collect"];
/** What a driver says for itself. */
const NOISE = /^(error: XDG_RUNTIME_DIR|MESA|WARNING: lavapipe).*\n/gm;
const CONTROL = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** A stack of the project's own, or of Deno's: that of a user's own code stands below a line of ours. */
function hasStack(stderr: string): boolean {
  return /^\s+at .*\(?(file|ext|node):/m.test(stderr) && !/^\w+: .* threw \w+/m.test(stderr);
}

/** What is wrong with how a command ended; undefined where nothing is. */
function fault({ task }: Asked, found: Ended | undefined, changes: readonly string[]): string | undefined {
  if (found === undefined) return `hangs: no end within ${HANGS_MS / 1000} s`;
  const { code, stdout, thrown, ms } = found;
  const stderr = found.stderr.replace(NOISE, "");
  if (thrown !== undefined) return `throws: ${thrown}`;
  if (hasStack(stderr)) return `a stack: ${stderr}`;
  if (
    code !== 0 && code !== 2 && !(code === 1 && MAY_FAIL.includes(task)) && !(code === 3 && task === "train")
  ) {
    return `exit code ${code}`;
  }
  if (ms > LONGEST_MS) return `slow: ${(ms / 1000).toFixed(1)} s`;
  if (CONTROL.test(stderr) || task !== "generate" && CONTROL.test(stdout)) return "a control character";
  const longest = Math.max(...stderr.split("\n").map((line) => line.length));
  if (longest > 500) return `a message of ${longest} characters`;
  const halves = changes.filter((change) => /\.tmp|^removed|\(empty\)/.test(change));
  if (halves.length > 0) return `half-written: ${halves.join(", ")}`;
  if (code !== 2) return undefined;
  const said = stderr.split("\n").filter((line) => line.startsWith(`${task}: `));
  if (said.length !== 1 && !/ threw /.test(stderr)) return `exit code 2 with ${said.length} lines: ${stderr}`;
  const trained = task === "train" || task === "analyze_softmax_jacobian";
  if (!trained && changes.length > 0) return `exit code 2 leaves ${changes.join(", ")}`;
}

const quoted = (text: string): string =>
  /^[\w./=,:@+-]+$/.test(text)
    ? text
    : /\n|\t/.test(text) || CONTROL.test(text)
    ? `$'${JSON.stringify(text).slice(1, -1).replaceAll("'", "\\'")}'`
    : `'${text.replaceAll("'", "'\\''")}'`;

/** The line to type. */
const lineOf = ({ task, args }: Asked): string => `deno task ${task} ${args.map(quoted).join(" ")}`;

interface Failure {
  readonly number: number;
  readonly asked: ConfigTry;
  readonly fault: string;
}

/** Runs the tries of one of several sandboxes. */
async function tryAll(
  sandbox: Sandbox,
  numbers: () => number | undefined,
  tryOf: (n: number) => ConfigTry,
  take: (number: number, asked: ConfigTry, found: Ended | undefined, fault?: string) => void,
): Promise<void> {
  // No deno on the path: compile is to refuse, not to build.
  await using runs = bench(sandbox.path, { PATH: "/nonexistent", XDG_DATA_HOME: DATA_HOME });
  for (let n = numbers(); n !== undefined; n = numbers()) {
    const { file, ...asked } = tryOf(n);
    const tried = join(sandbox.path, "tried.yaml");
    if (file !== undefined) Deno.writeTextFileSync(tried, file);
    const found = await runs.run(asked, HANGS_MS);
    if (file !== undefined) Deno.removeSync(tried);
    take(n, { ...asked, file }, found, fault(asked, found, sandbox.restore()));
  }
}

/** What a try that failed does in a process of its own, with the permissions of its task. */
async function again(model: string, path: string, { task, args, file }: ConfigTry): Promise<string> {
  const sandbox = sandboxOf(model, path);
  if (file !== undefined) Deno.writeTextFileSync(join(path, "tried.yaml"), file);
  const process = start(task as typeof SCRIPTS[number], args, path);
  const timer = setTimeout(() => process.kill("SIGKILL"), HANGS_MS);
  const begun = performance.now();
  const { code, stdout, stderr } = await ended(process);
  clearTimeout(timer);
  const found = fault(
    { task, args },
    { code, stdout, stderr, ms: performance.now() - begun },
    sandbox.restore(),
  );
  Deno.removeSync(path, { recursive: true });
  return `code ${code}, ${found === undefined ? "as it should be" : found.split("\n")[0]}`;
}

await runCommand({
  name: "prove_inputs",
  summary:
    "tries random options of every task and random configurations: no stack, no hang, nothing half-written",
  usage: "[options tried] [configurations tried] [options]",
  options: {
    seed: { type: "string", value: "N", help: "another set of them", default: "1" },
    only: { type: "string", value: "N", help: "this try alone, with all that it wrote" },
    task: { type: "string", value: "NAME", help: "options of this task alone" },
    processes: { type: "string", value: "N", help: "how many at once", default: "2" },
  },
  examples: ["deno task prove_inputs 2000 500", "deno task prove_inputs 200 50 --seed 2"],
}, async ({ positionals, values }) => {
  const whole = { least: 0, whole: true };
  const options = numberOption("options", positionals[0] ?? "2000", whole)!;
  const configs = numberOption("configurations", positionals[1] ?? "500", whole)!;
  const seed = numberOption("seed", values.seed, whole)!;
  const only = numberOption("only", values.only, whole);
  const processes = numberOption("processes", values.processes, { ...whole, least: 1 })!;
  const folder = Deno.makeTempDirSync({ prefix: "heed-inputs-" });
  const model = join(folder, "model");
  Deno.mkdirSync(model);
  writeFiles(model);
  const known = new Map<string, Option[]>();
  {
    await using runs = bench(model, { XDG_DATA_HOME: DATA_HOME });
    await makeRuns(runs);
    for (const task of SCRIPTS) {
      known.set(task, optionsIn((await runs.run({ task, args: ["--help"] }, 60_000))!.stdout));
    }
  }
  const tasks = values.task === undefined ? [...SCRIPTS] : [values.task];
  const configTry = await configTries();
  const tryOf = (n: number): ConfigTry => {
    const random = randomStream(seed, `input ${n}`);
    if (n >= options) return configTry(random);
    const task = tasks[n % tasks.length];
    return optionTry(random, task, known.get(task)!);
  };
  const count = options + configs;
  let next = only ?? 0;
  const numbers = () => next < (only === undefined ? count : only + 1) ? next++ : undefined;
  const failures: Failure[] = [];
  const codes = new Map<string, number>();
  let done = 0;
  const begun = performance.now();
  const take = (number: number, asked: ConfigTry, found: Ended | undefined, fault?: string) => {
    if (only !== undefined) console.log(asked.file ?? "", JSON.stringify(found, null, 2));
    const kind = `${number < options ? "options" : "configurations"} ${found?.code ?? "none"}`;
    codes.set(kind, (codes.get(kind) ?? 0) + 1);
    if (fault !== undefined) {
      failures.push({ number, asked, fault });
      console.log(`${number}: ${lineOf(asked)}\n  ${fault.split("\n").slice(0, 6).join("\n  ")}`);
    }
    if (++done % 250 === 0) {
      console.log(`${done} of ${count}, ${((performance.now() - begun) / 1000).toFixed(0)} s`);
    }
  };
  await Promise.all(Array.from({ length: processes }, (_, i) => {
    return tryAll(sandboxOf(model, join(folder, `try${i}`)), numbers, tryOf, take);
  }));
  for (const { number, asked } of failures.slice(0, 40)) {
    console.log(`${number} in a process of its own: ${await again(model, join(folder, "again"), asked)}`);
  }
  Deno.removeSync(folder, { recursive: true });
  console.log([...codes].sort().map(([code, n]) => `${code}: ${n}`).join(", "));
  console.log(`${failures.length} of ${done} tries failed, seed ${seed}`);
  return failures.length > 0 ? 1 : 0;
});
