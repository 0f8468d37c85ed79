// Opens checkpoints that were changed at random and sealed again, in every way there is, and tells which of them ended in a
// stack, took longer than 10 s or had an exit code that no task documents. deno task prove_checkpoints [CASES] [--seed N]
// [--only CASE] [--tasks, each in a process of its own]
import { cpSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "@std/cli";
import { exportModel, loadCheckpoint, resolveConfig, train } from "../../mod.ts";
import { randomStream } from "../../src/base/random.ts";
import { ended, start } from "../scripts/harness.ts";
import { mutate, type Target } from "./mutations.ts";
import { type Opened, WAYS } from "./open.ts";

const LONGEST_MS = 10_000;

/** Exit codes that each task documents. */
const CODES: Record<(typeof WAYS)[number], readonly number[]> = {
  verify_load: [0, 1, 2],
  generate: [0, 2],
  perplexity: [0, 2],
  runs: [0, 2],
  resume: [0, 2, 3, 130],
};

/** A run that was stopped at step 4 of 8. */
async function madeRun(folder: string, name: string, raw: Record<string, unknown>): Promise<Target> {
  const config = resolveConfig({
    name,
    device: "cpu",
    data: { files: [join(folder, "text.txt")] },
    train: { steps: 8, batch: 2 },
    eval: { every: 2, batches: 1 },
    sample: { prompt: "The number", tokens: 2 },
    output: { dir: join(folder, "runs") },
    ...raw,
  }, { place: "proof", name });
  const stop = new AbortController();
  const made = await train(config, {
    signal: stop.signal,
    onProgress: ({ step }) => step >= 4 && stop.abort(),
  });
  const { path } = made!.folder;
  return { run: path, checkpoint: join(path, "checkpoints", String(made!.step)) };
}

/** Runs of several shapes, tokenizers and optimizers. */
async function madeRuns(folder: string): Promise<Target[]> {
  const text = Array.from(
    { length: 300 },
    (_, i) => `The number ${i} follows ${i - 1}, and ${(i * 7) % 31} is its own.\n`,
  );
  await Deno.writeTextFile(join(folder, "text.txt"), text.join(""));
  const model = { context: 8, dim: 8, layers: 1, heads: 2 };
  const bpe = await madeRun(folder, "bpe", {
    model: { ...model, layers: 2, positions: "rope", norm: "rmsnorm", block: { mlp: { gated: true } } },
    tokenizer: { kind: "bpe", size: 270 },
    optimizer: { name: "muon" },
  }).catch((error) => {
    throw new Error(`bpe: ${error.message}`);
  });
  const byte = await madeRun(folder, "byte", {
    model,
    tokenizer: { kind: "byte", crop: true },
    optimizer: { name: "lion" },
    schedule: { name: "plateau", warmup: 0 },
  });
  const char = await madeRun(folder, "char", { model, track: [{ select: ["param:**"], every: 2 }] });
  await exportModel(await loadCheckpoint(char.run), join(folder, "exported"));
  const file = join(folder, "exported/tokenizer.json");
  const hugging = await madeRun(folder, "hugging", { model, tokenizer: { kind: "huggingface", file } });
  const task = await madeRun(folder, "task", {
    model: { ...model, positions: "alibi", context: 160 },
    data: { source: "copy" },
    optimizer: { name: "sgd" },
    sample: { tokens: 0 },
  });
  return [char, bpe, byte, hugging, task];
}

/** How a run is opened: by one process for all, or by the task itself. */
interface Opener {
  ask(way: (typeof WAYS)[number], run: string, runs: string): Promise<Opened & { ms: number }>;
  stop(): Promise<void>;
}

/** The arguments of each way's task. */
const ARGUMENTS: Record<(typeof WAYS)[number], (run: string, runs: string) => Parameters<typeof start>> = {
  verify_load: (run, runs) => ["verify_load", [run, "--device", "cpu"], dirname(runs)],
  generate: (run, runs) => ["generate", [run, "--tokens", "3", "--device", "cpu"], dirname(runs)],
  perplexity: (run, runs) => ["perplexity", [run, "--text", "The number", "--device", "cpu"], dirname(runs)],
  runs: (_, runs) => ["runs", ["--dir", runs], dirname(runs)],
  resume: (run, runs) => ["train", ["--resume", run], dirname(runs)],
};

/** Opens by the tasks, each a process of its own. */
function tasks(): Opener {
  return {
    async ask(way, run, runs) {
      const began = performance.now();
      const process = start(...ARGUMENTS[way](run, runs));
      // A training that is sound goes on: it is stopped as Ctrl-C does; what does not hear that hangs.
      const timers = [["SIGINT", LONGEST_MS / 2], ["SIGKILL", 2 * LONGEST_MS]] as const;
      const running = timers.map(([signal, ms]) => setTimeout(() => process.kill(signal), ms));
      const { code, stderr } = await ended(process);
      running.forEach(clearTimeout);
      const ms = performance.now() - began;
      if (code > 130) return { code, said: "HUNG", ms };
      return { code, said: /^error|^ {4}at /m.test(stderr) ? `STACK ${stderr}` : stderr, ms };
    },
    stop: () => Promise.resolve(),
  };
}

/** Opens by one process, started again where it hung or crashed. */
function opener(): Opener {
  let process: Deno.ChildProcess | undefined;
  let writer: WritableStreamDefaultWriter<Uint8Array>;
  let reader: ReadableStreamDefaultReader<Uint8Array>;
  const begin = () => {
    const script = new URL("open.ts", import.meta.url).pathname;
    const args = [
      "run",
      "-A",
      "--no-check",
      "--config",
      new URL("../../deno.json", import.meta.url).pathname,
      script,
    ];
    process = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped", stderr: "inherit" })
      .spawn();
    [writer, reader] = [process.stdin.getWriter(), process.stdout.getReader()];
  };
  const stop = async () => {
    process?.kill("SIGKILL");
    await process?.status;
    process = undefined;
  };
  return {
    async ask(way, run, runs) {
      if (!process) begin();
      const began = performance.now();
      await writer.write(new TextEncoder().encode(`${JSON.stringify({ way, run, runs })}\n`));
      let text = "";
      let timer: ReturnType<typeof setTimeout>;
      // Starting counts for a first answer; twice the limit tells slow from never.
      const late = new Promise<"late">((resolve) =>
        timer = setTimeout(() => resolve("late"), 2 * LONGEST_MS)
      );
      try {
        for (;;) {
          const part = await Promise.race([reader.read(), late]);
          const ms = performance.now() - began;
          if (part === "late" || part.done) {
            await stop();
            return { code: -1, said: part === "late" ? "HUNG" : "CRASHED", ms };
          }
          text += new TextDecoder().decode(part.value);
          const answer = /^@(.*)\n/m.exec(text);
          if (answer) return { ...JSON.parse(answer[1]), ms };
        }
      } finally {
        clearTimeout(timer!);
      }
    },
    stop,
  };
}

/** What is wrong with how something was opened; undefined where nothing is. */
function faultOf(
  way: (typeof WAYS)[number],
  { code, said, ms }: Opened & { ms: number },
): string | undefined {
  if (/^(STACK|HUNG|CRASHED)/.test(said)) return said;
  if (ms > LONGEST_MS) return `took ${(ms / 1000).toFixed(1)} s`;
  return CODES[way].includes(code) ? undefined : `exit code ${code}`;
}

/** Runs the proof; returns how many cases failed. */
export async function prove(
  cases: number,
  { seed = 1, only, byTasks = false }: { seed?: number; only?: number; byTasks?: boolean } = {},
): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "heed-checkpoints-" });
  Deno.env.set("XDG_DATA_HOME", join(folder, "data"));
  const { ask, stop } = byTasks ? tasks() : opener();
  const ends = new Map<string, number>();
  let failed = 0;
  try {
    const made = await madeRuns(folder);
    await Deno.rename(join(folder, "runs"), join(folder, "made"));
    for (let n = 0; n < cases; n++) {
      if (only !== undefined && n !== only) continue;
      const rng = randomStream(seed, `case ${n}`);
      const { run, checkpoint } = made[n % made.length];
      const runs = join(folder, "runs");
      cpSync(run.replace("/runs/", "/made/"), run, { recursive: true, verbatimSymlinks: true });
      const what = mutate({ run, checkpoint }, rng);
      const faults: string[] = [];
      for (const way of WAYS) {
        const opened = await ask(way, run, runs);
        const fault = faultOf(way, opened);
        if (fault) faults.push(`  ${way}: ${fault.split("\n").slice(0, 6).join("\n    ")}`);
        ends.set(`${way} ${opened.code}`, (ends.get(`${way} ${opened.code}`) ?? 0) + 1);
        if (only !== undefined) console.log(`${way}: ${opened.code} ${opened.said.slice(0, 3000)}`);
      }
      if (faults.length > 0) {
        failed++;
        console.log(`case ${n}, ${basename(join(run, ".."))}, ${what}\n${faults.join("\n")}`);
      }
      await Deno.remove(runs, { recursive: true });
    }
  } finally {
    await stop();
    await Deno.remove(folder, { recursive: true });
  }
  console.log([...ends].sort().map(([end, count]) => `${end}: ${count}`).join(", "));
  console.log(`${cases} checkpoints, seed ${seed}: ${failed} failed`);
  return failed;
}

if (import.meta.main) {
  const { _: [cases = 300], seed = 1, only, tasks } = parseArgs(Deno.args, {
    string: ["seed", "only"],
    boolean: "tasks",
    unknown: (arg, name) => {
      if (name !== undefined) throw new Error(`${arg}: unknown option.`);
    },
  });
  const options = { seed: Number(seed), only: only === undefined ? undefined : Number(only), byTasks: tasks };
  Deno.exit(await prove(Number(cases), options) > 0 ? 1 : 0);
}
