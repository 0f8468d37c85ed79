// Progress: one line on a terminal of 60 columns, erased at the end; nothing in a pipe.
import assert from "node:assert/strict";
import { inFolder, script, start, succeeds, TEXT } from "./harness.ts";
import { assertOneLine, hasTerminal, onTerminal, partsOf, screenOf } from "./screen.ts";

Deno.test("the screen of these tests wraps, counts wide characters and erases as a terminal does", () => {
  assert.deepEqual(screenOf("abcde\r\nf", 3), { rows: ["abc", "de", "f"], wraps: 1 });
  assert.deepEqual(screenOf("ab漢", 3).rows, ["ab", "漢"]);
  assert.deepEqual(screenOf("abcde\r\x1b[2Kx", 3).rows, ["abc", "x"]);
  assert.throws(() => assertOneLine(`a\r\n\r\x1b[2K${"x".repeat(61)}\r\x1b[2K`), /wraps/);
  assert.throws(() => assertOneLine("a\r\n\r\x1b[2Kevaluating 1/4\r\n"), /left on the screen/);
  assert.deepEqual(partsOf("a\r\n\r\x1b[2Kstep 1\r\x1b[2K\r\x1b[2Kb"), {
    progress: ["step 1"],
    text: "a\r\nb",
  });
});

const ignore = !hasTerminal;
if (ignore) console.warn("No `script` of util-linux: progress on a terminal is not tested.");

Deno.test({
  name: "on a terminal of 60 columns train, generate and perplexity show one line of progress and erase it",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      const long = `${"wide-漢字-é-".repeat(6)}.txt`;
      await Deno.writeTextFile(`${folder}/${long}`, TEXT);
      const name = `name=${"a-long-name-".repeat(7)}`;
      const tasks: Record<string, [Parameters<typeof onTerminal>[0], string[], RegExp]> = {
        train: [
          "train",
          ["tiny.yaml", "tokenizer.kind=bpe", "train.steps=3000", "eval.every=3000", "sample.tokens=0", name],
          /^step \d+\/3000 {2}loss /,
        ],
        sweep: ["train", ["tiny.yaml", "optimizer.lr=[1e-3,3e-3]", name], /^1\/2 a-long-name.*step \d\/6/],
        generate: ["generate", ["--tokens", "30"], /^(sampling|reading) /],
        perplexity: ["perplexity", ["--file", long], /^evaluating \d+\/\d+/],
        split: ["perplexity", ["--split", "val"], /^evaluating \d+\/\d+/],
      };
      for (const [what, [task, args, shown]] of Object.entries(tasks)) {
        const { code, seen } = await onTerminal(task, args, folder);
        assert.equal(code, 0, seen);
        const progress = assertOneLine(seen);
        assert.ok(progress.some((line) => shown.test(line)), `${what}: ${JSON.stringify(progress)}`);
        if (what === "train") assert.ok(progress.some((line) => /^learning byte pairs \d+\/744$/.test(line)));
      }
    }),
});

Deno.test({
  name: "the width of the terminal is updated when it changes",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      // From the first step on the terminal has 30 columns.
      const before = "(while [ ! -e runs ]; do sleep 0.02; done; stty cols 30 </dev/tty) &";
      const args = ["tiny.yaml", "train.steps=400", "eval.every=400"];
      const { seen } = await onTerminal("train", args, folder, { before });
      const { progress } = partsOf(seen);
      assert.ok(progress.at(-1)!.length <= 29, progress.at(-1));
      assert.ok(progress.some((line) => line.length > 30), JSON.stringify(progress));
      assert.ok(progress.some((line) => /^step \d+\/400 {2}loss.*\.\.\.$/.test(line) && line.length === 29));
    }),
});

Deno.test({
  name: "compilation counts kernels",
  ignore,
  fn: () =>
    inFolder(async (folder) => {
      await succeeds("train", ["tiny.yaml", "train.steps=1", "eval.batches=1", "sample.tokens=0"], folder);
      const { code, seen } = await onTerminal("next_token", ["--device", "webgpu"], folder);
      assert.equal(code, 0, seen);
      const counts = assertOneLine(seen).flatMap((line) =>
        /^compiling kernels (\d+)\/(\d+)/.exec(line) ?? []
      );
      assert.ok(counts.length > 0, seen);
    }),
});

Deno.test("evaluation losses are printed on stderr when they are computed", () =>
  inFolder(async (folder) => {
    const { stderr } = await succeeds("train", ["tiny.yaml"], folder);
    const lines = stderr.split("\n").filter((line) => /^step \d: val loss \d\.\d{4}$/.test(line));
    assert.equal(lines.length, 2, stderr);
  }));

Deno.test("in a pipe quick tasks show no progress, and --progress none shows none on a terminal", () =>
  inFolder(async (folder) => {
    const { stdout, stderr } = await succeeds("train", ["tiny.yaml", "--progress", "auto"], folder);
    assert.doesNotMatch(stdout + stderr, /tokens\/s|encoding|\p{Cc}(?<!\n)/u);
    const wrong = await script("train", ["tiny.yaml", "--progress", "plane"], folder);
    assert.deepEqual(
      [wrong.code, wrong.stderr],
      [2, 'train: --progress: expected auto, plain, none, found "plane". Did you mean "plain"?\n'],
    );
    if (!hasTerminal) return;
    const { seen } = await onTerminal("generate", ["--progress", "none"], folder);
    assert.equal(partsOf(seen).progress.length, 0);
  }));

Deno.test("generate writes each token to a pipe when it is generated, and nothing but the text", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    // On the CPU the tokens come faster than a pipe is read.
    const slowly = ["--device", "reference"];
    const args = ["--tokens", "600", "--prompt", "The ", "--prompt", "and ", "--temperature", "1", ...slowly];
    const ndjson = await succeeds("generate", [...args, "--format", "ndjson"], folder);
    const texts = ndjson.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).text);
    const process = start("generate", args, folder);
    const chunks: string[] = [];
    const utf8 = new TextDecoder();
    for await (const chunk of process.stdout) chunks.push(utf8.decode(chunk, { stream: true }));
    await process.stderr.cancel();
    assert.equal((await process.status).code, 0);
    assert.equal(chunks.join(""), texts.map((text) => `${text}\n`).join(""));
    // A slow reader gets several tokens at once.
    assert.ok(chunks.length >= 20, `${chunks.length} pieces`);
  }));
