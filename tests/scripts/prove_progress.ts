// Every task on a terminal of 60 columns: its progress stays one line, is erased at the end, and is updated at least once per
// second: deno task prove_progress [size] [task ...]. A size of 1 is a minute or two.
import assert from "node:assert/strict";
import { inFolder, latest, SCRIPTS, start, TEXT } from "./harness.ts";
import { assertOneLine, CLEARED, hasTerminal, onTerminal, type Shown } from "./screen.ts";

type Script = (typeof SCRIPTS)[number];

/** A name longer than the terminal is wide, its characters one and two columns wide, some with marks. */
const LONG = "wide-漢字-e\u0301-한국어-".repeat(6);

/** The longest time in seconds without an update of progress. */
function silence({ chunks }: Shown): number {
  let [longest, last, shown] = [0, 0, false];
  for (const { text, at } of chunks) {
    if (!shown) longest = Math.max(longest, at - last);
    last = at;
    if (text === "") continue;
    const line = text.slice(text.lastIndexOf(CLEARED) + CLEARED.length);
    shown = text.includes(CLEARED) ? line !== "" && !line.includes("\n") : shown && !text.includes("\n");
  }
  return longest;
}

/** The first training; the others ask about its run. */
function training(size: number, text: string): string[] {
  const steps = Math.round(300 * size);
  return [
    ...["tiny.yaml", `data.files=[${text}]`, "model.dim=32", "model.layers=2", "model.context=32"],
    ...["tokenizer.kind=bpe", `train.steps=${steps}`, `eval.every=${Math.ceil(steps / 3)}`, "eval.batches=0"],
    ...["track=[{every: 20}]", "sample.tokens=60", "output.checkpoint_every=100"],
  ];
}

/** What each task is given; its size makes most of them take seconds. */
function tasksOf(
  size: number,
  text: string,
  run: string,
): readonly (readonly [task: Script, ...args: string[]])[] {
  const many = ["tiny.yaml", `name=${LONG.slice(0, 60)}`, "optimizer.lr=[1e-3,3e-3]"];
  const gpu = ["--device", "webgpu"];
  return [
    ["train", ...many, ...gpu],
    ["train", ...many, "--dry-run"],
    ["show", "tiny.yaml", `data.files=[${text}]`, "tokenizer.kind=bpe", "tokenizer.size=900"],
    ["generate", run, "--tokens", `${Math.round(400 * size)}`, "--prompt", "The ", "--prompt", "A "],
    ["generate", run, "--tokens", "40", "--beams", "3", ...gpu],
    ["perplexity", run, "--split", "train", ...gpu],
    ["perplexity", run, "--file", "text.txt"],
    ["next_token", run, ...gpu],
    ["attention_maps", run, "--text", "The number 0 follows"],
    ["embeddings", run, "--file", "text.txt", "--out", "e.safetensors"],
    ["logit_lens", run, ...gpu],
    ["attribution", run, ...gpu],
    ["ablate", run, "--method", "mean", "--batches", "20"],
    [
      "patch",
      run,
      "--clean",
      "The number 1 follows",
      "--corrupted",
      "The number 2 follows",
      "--answer",
      " 0",
      "--wrong",
      " 1",
    ],
    ["runs"],
    ["verify_load", run],
    ["check_attention", "--cases", `${Math.round(8 * size)}`],
    [
      "analyze_softmax_jacobian",
      "tiny.yaml",
      "train.steps=20",
      "eval.every=10",
      "--compare",
      "--out",
      "compared",
    ],
    ["analyze_softmax_jacobian", run, ...gpu, "--out", "jacobian"],
    ["plot", run],
    ["plot", run, "--metric", "loss", "--out", `${LONG}.svg`],
    ["stats", run],
    ["report", run],
    ["collect", "runs", "--chart", "losses.svg"],
    ["export_model", run, "--out", "exported"],
    ["import_model", "exported", "--out", "imported"],
  ];
}

/** Runs a task and checks what a terminal showed. */
async function prove(task: Script, args: readonly string[], folder: string, most: number): Promise<void> {
  const shown = await onTerminal(task, args, folder);
  const progress = assertOneLine(shown.seen);
  const [seconds, silent] = [shown.chunks.at(-1)!.at, silence(shown)];
  const words = [...new Set(progress.map((line) => line.replace(/[\d.]+.*/, "").slice(0, 40).trim()))];
  console.log(
    `${task} ${args.join(" ").slice(0, 60)}: exit ${shown.code}, ${seconds.toFixed(1)} s, ` +
      `${progress.length} lines of progress, silent for ${silent.toFixed(1)} s at most\n    ${
        words.join("; ")
      }`,
  );
  assert.equal(shown.code, 0, shown.seen);
  assert.ok(silent <= most, `silent for ${silent.toFixed(1)} s`);
}

/** Stops a training in a pipe after 13 seconds: lines of progress on stderr, the first no sooner than after 5; none on stdout. */
async function provePlain(folder: string): Promise<void> {
  const process = start("train", ["tiny.yaml", "train.steps=1000000", "eval.every=500000"], folder);
  const began = performance.now();
  setTimeout(() => process.kill("SIGINT"), 13_000);
  const out = new Response(process.stdout).text();
  const lines: { text: string; at: number }[] = [];
  const parts = process.stderr.pipeThrough(new TextDecoderStream());
  for await (const text of parts) lines.push({ text, at: (performance.now() - began) / 1000 });
  const shown = lines.filter(({ text }) => /^step \d+\/1000000 {2}loss .* left\n$/.test(text));
  console.log(
    `train in a pipe: ${shown.map(({ text, at }) => `${at.toFixed(1)} s: ${text.trim()}`).join("; ")}`,
  );
  assert.equal(shown.length, 2);
  assert.ok(shown[0].at > 5 && shown[1].at - shown[0].at > 4.9);
  assert.equal(await out, "");
  assert.doesNotMatch(lines.map(({ text }) => text).join("").replaceAll("\n", ""), /\p{Cc}/u);
}

/** Seconds; the start of the process is part of it. */
const MOST_SILENT = 2;

assert.ok(hasTerminal, "there is no `script` of util-linux on the path");
const [size, only] = [Number(Deno.args[0] ?? 1), Deno.args.slice(1)];
await inFolder(async (folder) => {
  const text = `${LONG}.txt`;
  await Deno.writeTextFile(`${folder}/${text}`, TEXT.repeat(Math.ceil(20 * size)));
  let failed = 0;
  const proved = async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof assert.AssertionError)) throw error;
      failed++;
      console.log(`    FAILED: ${error.message.slice(0, 2000)}`);
    }
  };
  const shown = (task: Script, args: readonly string[]) =>
    proved(() => prove(task, args, folder, MOST_SILENT));
  await shown("train", training(size, text));
  const run = latest(folder).slice(folder.length + 1);
  const tasks = tasksOf(size, text, run).filter(([task]) => only.length === 0 || only.includes(task));
  for (const [task, ...args] of tasks) await shown(task, args);
  await proved(() => provePlain(folder));
  const left = SCRIPTS.filter((name) => name !== "train" && !tasks.some(([task]) => task === name));
  console.log(`${tasks.length + 2} runs, ${failed} failed; not run: ${left.join(", ")}`);
  Deno.exitCode = failed > 0 ? 1 : 0;
});
