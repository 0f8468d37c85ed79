// Analyses of a trained model: each task once from a run's folder, their numbers compared with one another.
import assert from "node:assert/strict";
import { argumentsOf, oneOf } from "../../src/cli/options.ts";
import { charTokenizer } from "../../src/data/char_tokenizer.ts";
import { decodeSafetensors } from "../../src/model/formats/safetensors.ts";
import { inFolder, latest, script, type SCRIPTS, succeeds, TEXT } from "./harness.ts";

type Name = (typeof SCRIPTS)[number];

/** A run to ask, and a way to ask: lines of stdout, or their objects. */
async function asked(
  body: (ask: {
    lines: (name: Name, ...args: string[]) => Promise<string[]>;
    objects: (name: Name, ...args: string[]) => Promise<Record<string, unknown>[]>;
    folder: string;
  }) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml", "train.steps=20", "eval.batches=0"], folder);
    const lines = async (name: Name, ...args: string[]) =>
      (await succeeds(name, args, folder)).stdout.trimEnd().split("\n");
    const objects = async (name: Name, ...args: string[]) =>
      (await lines(name, ...args, "--format", "ndjson")).map((line) => JSON.parse(line));
    await body({ lines, objects, folder });
  });
}

Deno.test("generate takes several prompts and stop strings, searches with beams, and reports why a text ended", () =>
  asked(async ({ lines, objects, folder }) => {
    const prompts = ["--prompt", "The ", "--prompt", "and "];
    const texts = await objects("generate", ...prompts, "--stop", "e", "--tokens", "30");
    assert.deepEqual(texts.map(({ prompt }) => prompt), ["The ", "and "]);
    for (const { continuation, ended } of texts) {
      assert.ok(!String(continuation).includes("e"));
      assert.ok(ended === "stop" || String(continuation).length === 30);
    }
    const [beam] = await objects("generate", "--prompt", "The ", "--beams", "3", "--tokens", "6");
    const [greedy] = await objects("generate", "--prompt", "The ", "--temperature", "0", "--tokens", "6");
    assert.ok(Number(beam.log_probability) >= Number(greedy.log_probability));
    assert.deepEqual(await lines("generate", "--prompt", "The ", "--beams", "3", "--tokens", "6"), [
      beam.text,
    ]);
    const long = await script("generate", ["--tokens", "40"], folder);
    assert.match(long.stderr, /^generate: some tokens .* cache: the context of 16 positions is full\.$/m);
    const both = await script("generate", ["--beams", "2", "--seed", "3"], folder);
    assert.deepEqual([both.code, both.stderr], [
      2,
      "generate: --seed: beam search does not sample; leave out --seed or --beams.\n",
    ]);
  }));

Deno.test("perplexity of a split is the run's validation loss, of texts the mean over all their tokens", () =>
  asked(async ({ objects, folder }) => {
    const state = JSON.parse(Deno.readTextFileSync(`${latest(folder)}/checkpoints/20/state.json`));
    const [split] = await objects("perplexity", "--split", "val");
    assert.ok(Math.abs(Number(split.loss) - state.val_loss) < 1e-6, `${split.loss}, ${state.val_loss}`);
    const texts = ["--text", TEXT.slice(0, 90), "--text", "number"];
    const [long, short, all] = await objects("perplexity", ...texts);
    assert.deepEqual([long.tokens, short.tokens, all.tokens], [89, 5, 94]);
    const mean = (89 * Number(long.loss) + 5 * Number(short.loss)) / 94;
    assert.ok(Math.abs(Number(all.loss) - mean) < 1e-12);
    const each = await objects("perplexity", "--text", "number", "--tokens");
    assert.deepEqual(each.slice(0, -1).map(({ token }) => token), [..."umber"]);
    const [{ probability }] = (await objects("next_token", "--text", "numbe", "--top", "99"))
      .filter(({ token }) => token === "r");
    // Float32 logits of two programs.
    assert.ok(Math.abs(Number(each[4].nats) + Math.log(Number(probability))) < 1e-5);
    const lines = await objects("perplexity", "--file", "text.txt", "--lines");
    assert.equal(lines.length, 501);
    const ended = (end: string) => Deno.writeTextFile(`${folder}/ended.txt`, `The number${end}The end${end}`);
    await ended("\n");
    const unix = await objects("perplexity", "--file", "ended.txt", "--lines");
    await ended("\r\n");
    assert.deepEqual(await objects("perplexity", "--file", "ended.txt", "--lines"), unix);
    for (const idle of [["--tokens"], ["--stride", "4"], ["--lines"]]) {
      const { code, stderr } = await script("perplexity", ["--split", "val", ...idle], folder);
      assert.deepEqual(
        [code, stderr.startsWith(`perplexity: ${idle[0]}: applies only to texts`)],
        [2, true],
        stderr,
      );
    }
    const seen = await script("next_token", ["--text", TEXT.slice(0, 90)], folder);
    assert.deepEqual([seen.code, seen.stderr], [
      0,
      "next_token: the text has 90 tokens; the model sees the last 16.\n",
    ]);
  }));

Deno.test("attention_maps writes one sheet, or one chart per head, labelled by token", () =>
  asked(async ({ lines, folder }) => {
    await lines("attention_maps", "--text", "The number");
    const sheet = Deno.readTextFileSync(`${folder}/attention_maps.svg`);
    for (const label of ["layer 0, head 0", "layer 0, head 1", "␣"]) {
      assert.ok(sheet.includes(`>${label}<`), label);
    }
    await lines("attention_maps", "--text", "The", "--each", "--head", "1", "--out", "maps");
    assert.deepEqual([...Deno.readDirSync(`${folder}/maps`)].map(({ name }) => name), ["layer0_head1.svg"]);
    const wrong = await script("attention_maps", ["--text", "The number 3 follows 2"], folder);
    assert.match(wrong.stderr, /^attention_maps: The text has 22 tokens, expected at most .* of 16\.\n$/);
  }));

Deno.test("embeddings are stored with their tokens and lengths", () =>
  asked(async ({ lines, folder }) => {
    await lines("embeddings", "--text", "The number", "--text", "own");
    const { tensors } = decodeSafetensors(Deno.readFileSync(`${folder}/embeddings.safetensors`), "test");
    assert.deepEqual([...tensors.get("embeddings")!.shape], [2, 2, 10, 16]);
    assert.deepEqual([...tensors.get("lengths")!.data as Int32Array], [10, 3]);
    assert.deepEqual([...tensors.get("tokens")!.shape], [2, 10]);
    await Deno.writeTextFile(`${folder}/ended.txt`, "The number\r\nown\r\n");
    await lines("embeddings", "--file", "ended.txt", "--out", "ended.safetensors");
    const ended = decodeSafetensors(Deno.readFileSync(`${folder}/ended.safetensors`), "test");
    assert.deepEqual([...ended.tensors.get("lengths")!.data as Int32Array], [10, 3]);
    const long = await script("embeddings", ["--text", "own", "--text", "The number 3 follows"], folder);
    assert.match(long.stderr, /^embeddings: Sample 1, "The number 3 follows": The text has 20 tokens, .*\n$/);
  }));

Deno.test("logit_lens, attribution, ablate and patch print numbers that agree with the model", () =>
  asked(async ({ lines, objects, folder }) => {
    const [best] = await objects("next_token", "--text", "The numb", "--top", "1");
    const points = await objects("logit_lens", "--text", "The numb", "--out", "lens.svg");
    const last = points.at(-1)! as {
      depth: number;
      position: number;
      top: { token: string; logit: number }[];
    };
    assert.deepEqual([last.depth, last.position, last.top[0].token], [1, 7, best.token]);
    const parts = await objects("attribution", "--text", "The numb");
    const sum = parts.reduce((total, { value }) => total + Number(value), 0);
    // Float32 activations.
    assert.ok(Math.abs(sum - Number(best.logit)) < 1e-4, `${sum}, ${best.logit}`);
    assert.match(
      (await lines("attribution", "--text", "The numb", "--sort"))[0],
      /^logit of ".": .*, unexplained /,
    );
    for (const method of ["zero", "mean", "resample"]) {
      const heads = await objects("ablate", "--method", method, "--out", "ablation.svg");
      assert.deepEqual(heads.map(({ layer, head }) => [layer, head]), [[0, 0], [0, 1]]);
    }
    const patches = await objects(
      "patch",
      "--clean",
      "The n",
      "--corrupted",
      "and n",
      "--answer",
      "u",
      "--wrong",
      "o",
    );
    assert.equal(patches.length, 5);
    const both = await script("ablate", ["--file", "text.txt", "--batches", "2"], folder);
    assert.deepEqual([both.code, both.stderr], [
      2,
      "ablate: --batches: a file is read completely; leave out --batches or --file.\n",
    ]);
    for (const name of ["lens", "ablation"]) assert.ok(Deno.statSync(`${folder}/${name}.svg`).size > 1000);
  }));

Deno.test("runs finds runs by name, date and key, and prints the differences of two", () =>
  asked(async ({ lines, objects, folder }) => {
    await succeeds(
      "train",
      ["tiny.yaml", "name=other", "train.steps=2", "eval.batches=0", "model.dim=8"],
      folder,
    );
    const all = await objects("runs");
    // A folder's time is in seconds: two runs of one second have no order.
    const ranked = all.map(({ name, step }): [string, number] => [String(name), Number(step)]).sort((
      [a],
      [b],
    ) => a < b ? -1 : 1);
    assert.deepEqual(ranked, [["other", 2], ["tiny", 20]]);
    assert.deepEqual((await objects("runs", "oth*")).map(({ name }) => name), ["other"]);
    assert.deepEqual(
      (await objects("runs", "model.dim=16", "--since", "2020-01-01")).map(({ name }) => name),
      ["tiny"],
    );
    assert.equal((await lines("runs", "--until", "2020-01-01")).length, 1);
    const none = await script("runs", ["tiny", "seed=9"], folder);
    assert.deepEqual([none.code, none.stderr], [0, "runs: no run matches.\n"]);
    const differ = await objects("runs", "--diff", "tiny", "other");
    assert.deepEqual(differ, [
      { v: 2, type: "config_difference", key: "name", a: "tiny", b: "other" },
      { v: 2, type: "config_difference", key: "model.dim", a: 16, b: 8 },
      { v: 2, type: "config_difference", key: "train.steps", a: 20, b: 2 },
    ]);
    for (
      const [args, pattern] of [
        [["model.dimm=3"], /^runs: model\.dimm=3: no run has the key .* "model\.dim"\?\n$/],
        [["tny"], /^runs: tny: no run has this name\. Did you mean "tiny"\?\n$/],
        [["--dir", "rnus"], /^runs: rnus: No such file or directory\. Did you mean "runs"\?\n$/],
        [["--since", "soon"], /^runs: since: expected a date such as .*, found "soon"\.\n$/],
        [["--diff", "tiny"], /^runs: --diff: expected two runs, found 1\.\n$/],
      ] as const
    ) {
      const { code, stderr } = await script("runs", args, folder);
      assert.equal(code, 2);
      assert.match(stderr, pattern);
    }
  }));

/** The ids of a text under the tokenizer of the runs here, as `--ids` takes them. */
const idsOf = (text: string) => charTokenizer(TEXT).encode(text).join(",");

Deno.test("every analysis takes ids instead of a text, with the same result", () =>
  asked(async ({ lines, objects, folder }) => {
    const same = ["next_token", "logit_lens", "attribution", "perplexity"] as const;
    for (const name of same) {
      const named = (records: Record<string, unknown>[]) =>
        JSON.parse(JSON.stringify(records).replaceAll("ids 0", "text 0"));
      const byIds = await objects(name, "--ids", idsOf("The numb"));
      assert.deepEqual(named(byIds), await objects(name, "--text", "The numb"), name);
    }
    const [byIds] = await objects("generate", "--ids", idsOf("The "), "--tokens", "6");
    assert.deepEqual([byIds], await objects("generate", "--prompt", "The ", "--tokens", "6"));
    const pair = ["--answer", "u", "--wrong", "o"];
    assert.deepEqual(
      await objects("patch", "--clean-ids", idsOf("The n"), "--corrupted-ids", idsOf("and n"), ...pair),
      await objects("patch", "--clean", "The n", "--corrupted", "and n", ...pair),
    );
    for (const [at, given] of [["--ids", idsOf("The")], ["--text", "The"]] as const) {
      await lines("attention_maps", at, given, "--out", `${at.slice(2)}.svg`);
      await lines("embeddings", at, given, "--out", `${at.slice(2)}.safetensors`);
    }
    for (const end of ["svg", "safetensors"]) {
      const [a, b] = ["ids", "text"].map((at) => Deno.readFileSync(`${folder}/${at}.${end}`));
      assert.deepEqual(a, b, end);
    }
    for (const name of [...same, "generate", "attention_maps", "embeddings"] as const) {
      const { code, stderr } = await script(name, ["--ids", "1,999"], folder);
      assert.deepEqual([code, stderr.split("\n").length], [2, 2], stderr);
      assert.match(stderr, /Id 1: found 999, expected 0 to \d+\.\n$/);
    }
    const both = await script("next_token", ["--ids", "1", "--text", "a"], folder);
    assert.deepEqual([both.code, both.stderr], [
      2,
      "next_token: --ids: the text is given by --text; leave one of them out.\n",
    ]);
  }));

Deno.test("the empty prompt is continued from a first token, given as its text or its id", () =>
  asked(async ({ objects, folder }) => {
    const options = ["--tokens", "6", "--temperature", "0"];
    const texts = async (...args: string[]) => (await objects("generate", ...args, ...options))[0].text;
    const expected = await texts("--prompt", "T");
    assert.equal(await texts("--prompt", "", "--first", "T"), expected);
    assert.equal(await texts("--first", idsOf("T")), expected);
    const [first] = await objects("next_token", "--first", "T", "--text", "he numb", "--top", "1");
    assert.deepEqual([first], await objects("next_token", "--text", "The numb", "--top", "1"));
    // The first token of a text has a cross-entropy only if a token precedes it.
    const [alone] = await objects("perplexity", "--first", "T", "--text", "h");
    assert.equal(alone.tokens, 1);
    for (
      const [args, pattern] of [
        [
          ["--prompt", ""],
          /^generate: --prompt: expected at least one character, or the first token by --first\.\n$/,
        ],
        [
          ["--first", "Th"],
          /^generate: --first: expected one token, or an id from 0 to \d+, found "Th"\.\n$/,
        ],
      ] as const
    ) {
      const { code, stderr } = await script("generate", args, folder);
      assert.equal(code, 2);
      assert.match(stderr, pattern);
    }
  }));

Deno.test("perplexity names the most and the least likely token, text and row, with their positions", () =>
  asked(async ({ lines, objects }) => {
    const texts = ["The number", "and the"];
    const args = texts.flatMap((text) => ["--text", text]);
    const records = await objects("perplexity", ...args, "--tokens");
    const tokens = records.filter(({ type }) => type === "token_loss").map(({ v: _, type: __, ...loss }) =>
      loss
    );
    const all = records.at(-1)!;
    const ranked = tokens.sort((a, b) => Number(a.nats) - Number(b.nats));
    assert.deepEqual(all.min, ranked[0]);
    assert.deepEqual(all.max, ranked.at(-1));
    const each = records.filter(({ loss, name }) => loss !== undefined && name !== "all")
      .sort((a, b) => Number(a.perplexity) - Number(b.perplexity))
      .map(({ name, perplexity }) => ({ name, perplexity }));
    assert.deepEqual([all.min_text, all.max_text], [each[0], each[1]]);
    assert.match(
      (await lines("perplexity", ...args)).at(-1)!,
      /^all: 15 tokens, .*; max .* nats for ".*" at text \d/,
    );
    // Of a split: no loss of one of its rows, read as texts, is outside.
    const [split] = await objects("perplexity", "--split", "val") as {
      loss: number;
      max: { nats: number; row: number; position: number; token: string };
      min: { nats: number };
    }[];
    assert.ok(split.min.nats < split.loss && split.loss < split.max.nats);
    const val = TEXT.slice(Math.floor(TEXT.length * 0.85), Math.floor(TEXT.length * 0.95));
    const { row, position, token, nats } = split.max;
    const window = val.slice(16 * row, 16 * row + 17);
    assert.equal(window[position], token, JSON.stringify(window));
    const read = await objects("perplexity", "--text", window, "--tokens");
    // Float32 logits of two programs.
    assert.ok(Math.abs(Number(read[position - 1].nats) - nats) < 1e-5, `${read[position - 1].nats}, ${nats}`);
  }));

Deno.test("argumentsOf() lists repeated options, oneOf() rejects other words with the nearest", () => {
  const command = {
    name: "example",
    summary: "shows lists",
    usage: "",
    options: {
      text: { type: "string", help: "a text", multiple: true },
      n: { type: "string", help: "a number", default: "3" },
    },
    examples: [],
  } as const;
  assert.deepEqual(argumentsOf(command, ["--text", "a", "--text", "", "b"]), {
    positionals: ["b"],
    values: { n: "3" },
    flags: {},
    lists: { text: ["a", ""] },
  });
  assert.deepEqual(argumentsOf(command, []).lists, {});
  assert.equal(oneOf("format", "csv", ["table", "csv"]), "csv");
  assert.throws(
    () => oneOf("format", "tabel", ["table", "csv"]),
    /^UserError: --format: expected table, csv, found "tabel"\. Did you mean "table"\?$/,
  );
});
