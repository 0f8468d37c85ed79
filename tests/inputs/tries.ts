// What a user gives may be wrong in every way; what comes back is an answer, or one line and exit code 2: no stack, no wait
// of more than ten seconds, no file that was begun and not finished, and no control character on the terminal.
import { join } from "node:path";
import { randomStream } from "../../src/base/random.ts";
import { DATA_HOME, ended, SCRIPTS, start } from "../scripts/harness.ts";
import { bench } from "./bench.ts";
import { configTries } from "./config_tries.ts";
import { fileTry, type Tried } from "./file_tries.ts";
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
function fault({ task }: Asked, ended: Ended | undefined, changes: readonly string[]): string | undefined {
  if (ended === undefined) return `hangs: no end within ${HANGS_MS / 1000} s`;
  const { code, stdout, thrown, ms } = ended;
  const stderr = ended.stderr.replace(NOISE, "");
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
  // Where a model cannot be downloaded, its folder is there to put it in.
  const left = task === "import_model" ? changes.filter((change) => !change.endsWith("/")) : changes;
  if (!trained && left.length > 0) return `exit code 2 leaves ${left.join(", ")}`;
}

const quoted = (text: string): string =>
  /^[\w./=,:@+-]+$/.test(text)
    ? text
    : /\n|\t/.test(text) || CONTROL.test(text)
    ? `$'${JSON.stringify(text).slice(1, -1).replaceAll("'", "\\'")}'`
    : `'${text.replaceAll("'", "'\\''")}'`;

const shortened = (text: string): string => text.length > 300 ? `${text.slice(0, 300)}...` : text;

/** The line to type; of long arguments their beginning. */
export const lineOf = ({ task, args }: Asked): string =>
  `deno task ${task} ${args.map((arg) => quoted(shortened(arg))).join(" ")}`;

/** The files that a command reads, their beginning. */
export function filesOf({ files = {} }: Tried): string {
  return Object.entries(files).map(([path, content]) => {
    const text = typeof content === "object" ? `bytes ${content.toHex()}` : content ?? "a folder";
    return `${path}: ${JSON.stringify(shortened(text))}`;
  }).join("\n");
}

/** How many tries, and which. */
export interface Proof {
  readonly options: number;
  readonly configurations: number;
  /** Of damaged files. */
  readonly files: number;
  readonly seed: number;
  /** This one alone. */
  readonly only?: number;
  /** Options of this task alone. */
  readonly task?: string;
  readonly processes?: number;
  /** Each in a process of its own, with the permissions of its task. */
  readonly apart?: boolean;
  /** Called after each try. */
  readonly tried?: (number: number, asked: Tried, ended: Ended | undefined, fault?: string) => void;
}

/** A try that failed. */
export interface Failure {
  readonly number: number;
  /** What to type. */
  readonly line: string;
  /** The beginning of the files that it reads. */
  readonly files: string;
  readonly fault: string;
  /** What it does in a process of its own. */
  readonly again: string;
}

const FINE = "as it should be";

/** How a command ends in a process of its own, with the permissions of its task; undefined where it hangs. */
async function runApart({ task, args }: Asked, cwd: string): Promise<Ended | undefined> {
  const begun = performance.now();
  // No deno on the path: compile is to refuse, not to build.
  const process = start(task as typeof SCRIPTS[number], args, cwd, { env: { PATH: "/nonexistent" } });
  let hangs = false;
  const timer = setTimeout(() => (hangs = true, process.kill("SIGKILL")), HANGS_MS);
  const result = await ended(process);
  clearTimeout(timer);
  return hangs ? undefined : { ...result, ms: performance.now() - begun };
}

/** Runs the tries of one of several sandboxes. */
async function tryAll(
  sandbox: Sandbox,
  numbers: () => number | undefined,
  tryOf: (n: number) => Tried,
  { apart, tried }: Pick<Proof, "apart"> & Required<Pick<Proof, "tried">>,
): Promise<void> {
  await using runs = bench(sandbox.path, { PATH: "/nonexistent", XDG_DATA_HOME: DATA_HOME });
  for (let n = numbers(); n !== undefined; n = numbers()) {
    const asked = tryOf(n);
    const { task, args, files } = asked;
    sandbox.put(files);
    const ended = apart ? await runApart(asked, sandbox.path) : await runs.run({ task, args }, HANGS_MS);
    tried(n, asked, ended, fault(asked, ended, sandbox.restore()));
  }
}

/** What a try that failed does in a process of its own. */
async function again(model: string, path: string, asked: Tried): Promise<string> {
  const sandbox = sandboxOf(model, path);
  sandbox.put(asked.files);
  const ended = await runApart(asked, path);
  const wrong = fault(asked, ended, sandbox.restore());
  Deno.removeSync(path, { recursive: true });
  return `code ${ended?.code}, ${wrong === undefined ? FINE : wrong.split("\n")[0]}`;
}

/** The options of every task, from what --help prints. */
async function optionsOf(model: string): Promise<Map<string, Option[]>> {
  await using runs = bench(model, { XDG_DATA_HOME: DATA_HOME });
  await makeRuns(runs);
  const known = new Map<string, Option[]>();
  for (const task of SCRIPTS) {
    known.set(task, optionsIn((await runs.run({ task, args: ["--help"] }, HANGS_MS))!.stdout));
  }
  return known;
}

/** Tries random command lines; those that failed, with what they do in a process of their own. */
export async function failedTries(
  { options, configurations, files, seed, only, task, processes = 2, apart, tried }: Proof,
): Promise<Failure[]> {
  const folder = Deno.makeTempDirSync({ prefix: "heed-inputs-" });
  try {
    const model = join(folder, "model");
    writeFiles(model);
    const known = await optionsOf(model);
    const tasks = task === undefined ? [...SCRIPTS] : [task];
    const configTry = await configTries();
    const tryOf = (n: number): Tried => {
      const random = randomStream(seed, `input ${n}`);
      if (n >= options + configurations) return fileTry(random, model);
      if (n >= options) return configTry(random);
      const chosen = tasks[n % tasks.length];
      return optionTry(random, chosen, known.get(chosen)!);
    };
    let next = only ?? 0;
    const end = only === undefined ? options + configurations + files : only + 1;
    const failed: { number: number; asked: Tried; fault: string }[] = [];
    await Promise.all(Array.from({ length: processes }, (_, i) => {
      const numbers = () => next < end ? next++ : undefined;
      return tryAll(sandboxOf(model, join(folder, `try${i}`)), numbers, tryOf, {
        apart,
        tried(number, asked, ended, fault) {
          if (fault !== undefined) failed.push({ number, asked, fault });
          tried?.(number, asked, ended, fault);
        },
      });
    }));
    const failures: Failure[] = [];
    for (const { number, asked, fault } of failed) {
      const result = failures.length < 20 ? await again(model, join(folder, "again"), asked) : "not tried";
      // The machine had other things to do.
      if (fault.startsWith("slow") && result.endsWith(FINE)) continue;
      failures.push({ number, line: lineOf(asked), files: filesOf(asked), fault, again: result });
    }
    return failures;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
