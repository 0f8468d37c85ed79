// Trains a step with hooks files that a seed draws (kinds.ts), each in a process of its own as a person would, and looks at
// how each ends. Run by itself: deno task prove_hooks [FILES] [SEED]
import { join } from "node:path";
import { randomStream } from "../../src/base/random.ts";
import { type HooksFile, hooksFiles } from "./kinds.ts";
import { taskArguments } from "../scripts/harness.ts";

/** Seconds that a training of one step may take. */
const LIMIT = 10;
/** Trainings at once. */
const AT_ONCE = 2;

/** What is wrong with how a training ended; undefined where nothing is. */
type Fault = string | undefined;

interface Ended {
  readonly code: number;
  readonly stderr: string;
  readonly seconds: number;
}

const SMALL = [
  "data.files=[text.txt]",
  "device=cpu",
  "model.dim=8",
  "model.layers=1",
  "model.heads=1",
  "model.context=8",
  "train.batch=1",
  "train.steps=1",
  "schedule.warmup=0",
  "eval.batches=1",
  "sample.tokens=0",
];

async function trained(folder: string, file: string, byKey: boolean): Promise<Ended> {
  await Deno.writeTextFile(
    join(folder, "text.txt"),
    "The quick brown fox jumps over the lazy dog. ".repeat(20),
  );
  const named = byKey ? [`hooks.file=${JSON.stringify(file)}`] : [`--hooks=${file}`];
  const began = performance.now();
  const command = new Deno.Command(Deno.execPath(), {
    args: [...taskArguments("train"), "default", ...SMALL, ...named],
    cwd: folder,
    env: { NO_COLOR: "1", XDG_DATA_HOME: join(folder, "data") },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => command.kill("SIGKILL"), 1000 * (LIMIT + 5));
  const { code, stderr } = await command.output();
  clearTimeout(timer);
  return { code, stderr: new TextDecoder().decode(stderr), seconds: (performance.now() - began) / 1000 };
}

function* filesIn(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesIn(join(folder, name));
    else yield join(folder, name);
  }
}

/** What is left half-written: temporary files, torn or foreign lines of a log, a run without its end. */
function halfWritten(folder: string, code: number): Fault {
  const files = [...filesIn(folder)];
  const stray = files.find((path) => /\.tmp$/.test(path) && !path.includes("/data/"));
  if (stray !== undefined) return `left ${stray.slice(folder.length + 1)}`;
  for (const log of files.filter((path) => path.endsWith("log.ndjson"))) {
    const lines = Deno.readTextFileSync(log).split("\n");
    if (lines.pop() !== "") return "a torn line in the log";
    try {
      const types = lines.map((line) => JSON.parse(line).type);
      if (types[0] !== "run") return "a log without its first record";
    } catch {
      return "a line of the log is not JSON";
    }
  }
  const whole = files.some((path) =>
    path.endsWith("log.ndjson") && /"type":"done"/.test(Deno.readTextFileSync(path))
  );
  return code === 0 && !whole ? "exit code 0 without a whole run" : undefined;
}

const STACK = /^\s+at /m;

/** What is wrong with the ending of a training. */
function faultOf({ ending }: HooksFile, { code, stderr, seconds }: Ended, folder: string): Fault {
  if (seconds > LIMIT) return `took ${seconds.toFixed(1)} s`;
  if (typeof ending === "number") {
    if (code !== ending) return `exit code ${code}, expected ${ending}`;
    return ending === 0 ? undefined : halfWritten(folder, 4);
  }
  const lines = stderr.trimEnd().split("\n");
  const ours = lines.findIndex((line) => line.startsWith("train: "));
  if (![0, 2, 3].includes(code)) return `exit code ${code}`;
  if (ending === "trains" && code !== 0) return `exit code ${code}, expected a training`;
  if (ending === "refused" && (code !== 2 || STACK.test(stderr))) {
    return `exit code ${code}, expected one line`;
  }
  if (ending === "refused" && ours !== lines.length - 1) return "expected our line to be the last";
  if (ending === "throws" && code !== 2) return `exit code ${code}, expected 2`;
  if (ending === "throws" && !/^train: .*\bthrew\b/m.test(stderr)) {
    return "no line of ours that says what threw";
  }
  if (
    STACK.test(stderr) &&
    !(ours >= 0 && /\bthrew\b/.test(lines[ours]) && lines.slice(0, ours).every((line) => !STACK.test(line)))
  ) {
    return "a stack without our line above it";
  }
  if (code === 2 && ours < 0) return "no line of ours";
  const long = lines.slice(0, ours + 1).find((line) => line.length > 520);
  return long === undefined ? halfWritten(folder, code) : `a line of ${long.length} characters`;
}

/** Trains with a file in a new folder; its fault, and what it said. */
async function prove(file: HooksFile, index: number): Promise<{ fault: Fault; ended: Ended }> {
  const folder = await Deno.makeTempDir({ prefix: "heed-hooks-" });
  try {
    const name = file.name ?? "mine.ts";
    const { source } = file;
    await Deno.writeFile(
      join(folder, name),
      typeof source === "string" ? new TextEncoder().encode(source) : source,
    );
    const isModifier = typeof source === "string" && /export const steep/.test(source);
    const ended = await trained(folder, `./${name}`, index % 2 === 1 && !isModifier);
    return { fault: faultOf(file, ended, folder), ended };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Trains with `count` files of a seed, from the `first` on; how many ended otherwise than they must. */
export async function proveHooks(
  count: number,
  seed: number,
  say: (line: string) => void,
  only?: number,
): Promise<number> {
  const files = hooksFiles(count, randomStream(seed, "hooks files"));
  const waiting = files.map((file, index) => ({ file, index })).filter(({ index }) =>
    only === undefined || index === only
  );
  let failed = 0;
  let slowest = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { file, index } = next;
      const { fault, ended } = await prove(file, index);
      slowest = Math.max(slowest, ended.seconds);
      if (fault === undefined && only === undefined) continue;
      failed += Number(fault !== undefined);
      const source = typeof file.source === "string" ? file.source : `${file.source.length} bytes`;
      say(
        `${index}: ${file.kind}: ${fault ?? "as it must"} (must end: ${file.ending})\n  ${
          source.slice(0, 400)
        }\n  ${ended.stderr.trim().split("\n").slice(-6).map((line) => line.slice(0, 200)).join("\n  ")}`,
      );
    }
  }));
  say(
    `${files.length} hooks files of seed ${seed}: ${failed} ended otherwise than they must; the slowest took ${
      slowest.toFixed(1)
    } s`,
  );
  return failed;
}

if (import.meta.main) {
  const [count, seed, only] = [Number(Deno.args[0] ?? 200), Number(Deno.args[1] ?? 1), Deno.args[2]];
  const failed = await proveHooks(count, seed, console.log, only === undefined ? undefined : Number(only));
  Deno.exit(failed > 0 ? 1 : 0);
}
