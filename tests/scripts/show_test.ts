// End-to-end tests of data: `show`, a user's task, and the tokenizer in a checkpoint.
import assert from "node:assert/strict";
import golden from "../golden/tokenizer_ids.json" with { type: "json" };
import { checkpoint, inFolder, latest, logOf, script, succeeds } from "./harness.ts";

const TASKS = `export function double(rng) {
  const word = Array.from({ length: 3 }, () => "abc"[rng.below(3)]).join("");
  return { text: word + "=" + word + word, answerStart: 4 };
}
`;

Deno.test("show prints tokens, ids and the targets that count, as a table and as NDJSON", () =>
  inFolder(async (folder) => {
    const { stdout } = await succeeds("show", ["copy", "--samples", "2"], folder);
    const lines = stdout.split("\n");
    assert.equal(lines[0], "copy: char, 65 ids; tokens: train unlimited, val 19,022");
    assert.match(
      stdout,
      /^train 0: 98 tokens, 48 counted targets, 30 positions of padding\n {2}token {2}4 F /m,
    );
    assert.match(stdout, /^train 1: /m);
    assert.doesNotMatch(stdout, /^train 2: /m);
    for (const line of lines) assert.ok(line.length <= 110, line);
    const args = [
      "tiny.yaml",
      "data.sample=line",
      "tokenizer.kind=byte",
      "--split",
      "val",
      "--format",
      "ndjson",
    ];
    const records = (await succeeds("show", args, folder)).stdout.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.equal(records.length, 3);
    for (const { v, type, split, tokens, ids, targets } of records) {
      assert.deepEqual([v, type, split], [2, "tokens", "val"]);
      assert.deepEqual(tokens, ids.map((id: number) => String.fromCharCode(id)));
      targets.slice(0, -1).forEach((id: number | null, i: number) =>
        assert.ok(id === null || id === ids[i + 1])
      );
    }
    const bad: [string[], RegExp][] = [
      [["copy", "--split", "tset"], /^show: Batches: there is no split "tset"\. Known: train, val\.\n$/],
      [["copy", "--samples", "0"], /^show: --samples: expected a whole number of at least 1, found "0"\.\n$/],
      [
        ["copy", "--format", "tabel"],
        /^show: --format: expected table, ndjson, found "tabel"\. Did you mean "table"\?\n$/,
      ],
      [["copy", "--tasks", "none.ts"], /^show: data\.tasks: none\.ts cannot be loaded: [^\n]*\n$/],
    ];
    for (const [args, message] of bad) {
      const { code, stdout, stderr } = await script("show", args, folder);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.match(stderr, message);
    }
  }));

Deno.test("train --tasks learns a user's task and scores its answers", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/mine.ts`, TASKS);
    const shown = await succeeds("show", ["copy", "--tasks", "mine.ts", "--samples", "1"], folder);
    assert.match(shown.stdout, /^copy: char, 5 ids;/);
    const args = [
      "tiny.yaml",
      "~data.files",
      "--tasks",
      "mine.ts",
      "data.answer_only=true",
      "sample.prompt=abc=",
    ];
    await succeeds("train", args, folder);
    const evals = logOf(latest(folder)).split("\n").filter((line) => line.includes('"type":"eval"'));
    assert.equal(evals.length, 2);
    for (const line of evals) {
      const { loss, accuracy, answer_loss, answer_accuracy, exact_match, entropy_floor } = JSON.parse(line);
      assert.equal(answer_accuracy, accuracy);
      // Where only answers count: the means of float32 losses in another order.
      assert.ok(Math.abs(answer_loss / loss - 1) < 1e-6, line);
      assert.ok(exact_match >= 0 && exact_match <= answer_accuracy, line);
      assert.equal(entropy_floor, undefined);
    }
    await succeeds("verify_load", [latest(folder)], folder);
  }));

Deno.test("a checkpoint carries its tokenizer: it generates and verifies without the file that it came from", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(golden.files.bpe));
    const kinds = [
      ["tokenizer.kind=huggingface", "tokenizer.file=tokenizer.json"],
      ["tokenizer.kind=bpe", "tokenizer.size=300"],
      ["tokenizer.kind=gpt2", "tokenizer.crop=true", "sample.prompt=The"],
      ["tokenizer.kind=byte"],
    ];
    for (const kind of kinds) {
      await succeeds("train", ["tiny.yaml", "eval.batches=1", ...kind], folder);
      const run = latest(folder);
      await Deno.rename(`${folder}/tokenizer.json`, `${folder}/gone.json`);
      const { stdout } = await succeeds("generate", [run, "--prompt", "The number"], folder);
      assert.ok(stdout.startsWith("The number"), stdout);
      const verified = await succeeds("verify_load", [run], folder);
      assert.match(verified.stdout, /tokens survive decoding and encoding|600 tokens, the same in two loads/);
      const { size } = await Deno.stat(`${checkpoint(run)}/tokenizer.json`);
      assert.ok(size < 100_000, `${kind[0]}: ${size} bytes`);
      await Deno.rename(`${folder}/gone.json`, `${folder}/tokenizer.json`);
    }
  }));
