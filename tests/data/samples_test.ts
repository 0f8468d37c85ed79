// Ragged samples, splits from separate files, and how both are shown.
import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/mod.ts";
import {
  byteTokenizer,
  charTokenizer,
  IGNORE,
  loadData,
  samplesOf,
  sampleSource,
  shownLines,
  shownSamples,
  type Source,
  textSource,
} from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

const OPTIONS = { context: 4, batch: 3, seed: 5, split: { val: 0, test: 0 }, sampling: "windows" as const };

/** Sample i has `lengths[i]` tokens: 100 i, 100 i + 1, ... */
const samples = (lengths: readonly number[]) =>
  lengths.map((length, i) => Uint32Array.from({ length }, (_, k) => 100 * i + k));

/** Inputs and targets that are not IGNORE, row by row. */
function rows(source: Source, split: string): [ids: number[], targets: number[]][] {
  const pass = source.evaluation(split);
  return Array.from({ length: pass.count }, (_, i) => pass.batch(i)).flatMap(({ ids, targets }) =>
    Array.from({ length: ids.length / 4 }, (_, row): [number[], number[]] => {
      const counted = [...targets.subarray(4 * row, 4 * row + 4)].filter((id) => id !== IGNORE);
      assert.ok(targets.subarray(4 * row + counted.length, 4 * row + 4).every((id) => id === IGNORE));
      return [[...ids.subarray(4 * row, 4 * row + counted.length)], counted];
    })
  ).filter(([ids]) => ids.length > 0);
}

Deno.test("files become samples by file, line and n lines, each with its newline and without the CR of CR LF", () => {
  const files = ["a\nb\n\nc", "d\r\ne\n"];
  assert.deepEqual(samplesOf(files, "file"), files);
  assert.deepEqual(samplesOf(files, "line"), ["a\n", "b\n", "\n", "c", "d\n", "e\n"]);
  assert.deepEqual(samplesOf(files, "3 lines"), ["a\nb\n\n", "c", "d\ne\n"]);
  assert.throws(
    () => samplesOf(files, "lines"),
    /^UserError: data\.sample: expected file, line or "n lines"/,
  );
});

Deno.test("each token of a sample except the first is a target once, in rows that start with the sample", () => {
  const source = sampleSource(samples([5, 1, 2, 0, 11]), OPTIONS);
  assert.deepEqual(rows(source, "train"), [
    [[0, 1, 2, 3], [1, 2, 3, 4]],
    [[200], [201]],
    [[400, 401, 402, 403], [401, 402, 403, 404]],
    [[404, 405, 406, 407], [405, 406, 407, 408]],
    [[408, 409], [409, 410]],
  ]);
  assert.equal(source.splits.train, 19);
});

Deno.test("with windows each row is used once per epoch, with crops all rows are equally likely", () => {
  const lengths = Array.from({ length: 15 }, () => 3);
  const firsts = (source: Source, steps: number) =>
    Array.from({ length: steps }, (_, step) => source.train(step).ids.filter((_, i) => i % 4 === 0)).flatMap((
      x,
    ) => [...x]);
  const windows = firsts(sampleSource(samples(lengths), OPTIONS), 10);
  for (const epoch of [windows.slice(0, 15), windows.slice(15)]) {
    assert.deepEqual(epoch.toSorted((a, b) => a - b), lengths.map((_, i) => 100 * i));
  }
  assert.notDeepEqual(windows.slice(0, 15), windows.slice(15));
  const crops = sampleSource(samples(lengths), { ...OPTIONS, sampling: "crops" });
  assert.deepEqual(crops.train(7), crops.train(7));
  // 200 expected of each, standard deviation 13.7; the limit is six of them.
  const drawn = firsts(crops, 1000);
  for (let i = 0; i < 15; i++) assert.ok(Math.abs(drawn.filter((id) => id === 100 * i).length - 200) < 82);
});

Deno.test("samples are split by number; given splits replace their fractions", () => {
  const split = { val: 0.2, test: 0.1 };
  const source = sampleSource(samples(Array(10).fill(2)), { ...OPTIONS, split });
  assert.deepEqual(source.splits, { train: 14, val: 4, test: 2 });
  assert.deepEqual(rows(source, "val"), [[[700], [701]], [[800], [801]]]);
  const given = sampleSource(samples(Array(10).fill(2)), { ...OPTIONS, split, given: { val: samples([3]) } });
  assert.deepEqual(given.splits, { train: 18, val: 3, test: 2 });
  const text = textSource(Uint32Array.from({ length: 100 }, (_, i) => i), {
    ...OPTIONS,
    split,
    given: { test: Uint32Array.of(7, 8, 9, 7, 8) },
  });
  assert.deepEqual(text.splits, { train: 80, val: 20, test: 5 });
  assert.deepEqual(rows(text, "test"), [[[7, 8, 9, 7], [8, 9, 7, 8]]]);
  assert.throws(
    () => sampleSource(samples([1, 1, 5]), { ...OPTIONS, split: { val: 0.4, test: 0 } }),
    /^UserError: train split has 1 samples, none of two tokens or more/,
  );
});

Deno.test("training reads the files, lines and splits of the configuration", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/train.txt`, "ab\nabc\n");
    await Deno.writeTextFile(`${folder}/val.txt`, "ca\n");
    const config = await loadConfig("default", [
      `data.files=["${folder}/train.txt"]`,
      `data.split_files.val=["${folder}/val.txt"]`,
      "data.split.test=0",
      "data.sample=line",
      "model.context=4",
    ]);
    const load = (overrides: object = {}) =>
      loadData({ ...config.data, ...overrides }, config.tokenizer, { context: 4, batch: 3, seed: 1 });
    const { source, tokenizer } = await load();
    assert.deepEqual(source.splits, { train: 7, val: 3 });
    const decoded = rows(source, "val").map((
      [ids, targets],
    ) => [tokenizer.decode(ids), tokenizer.decode(targets)]);
    assert.deepEqual(decoded, [["ca", "a\n"]]);
    // As one text the split is shorter than a row, which is an error.
    const short = /^UserError: val split has 3 tokens, fewer than context \+ 1 = 5/;
    await assert.rejects(() => load({ sample: null }), short);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("options that do not apply to tasks are refused, and unknown sources are errors with the nearest name", async () => {
  const load = async (...overrides: string[]) => {
    const config = await loadConfig("copy", overrides);
    return await loadData(config.data, config.tokenizer, { context: 128, batch: 2, seed: 1 });
  };
  assert.equal((await load("tokenizer.kind=byte")).tokenizer.size, 256);
  const refused: [string[], RegExp][] = [
    [
      ["tokenizer.kind=bpe"],
      /tokenizer\.kind: bpe needs a text, but data\.source copy is a synthetic task\.$/,
    ],
    [["tokenizer.crop=true"], /tokenizer\.crop: true needs a text/],
    [["data.source=histogran"], /no corpus or task is called "histogran"\. Did you mean "histogram"\?$/],
    [
      ["tokenizer.file=x.json"],
      /tokenizer\.file=x\.json: x\.json is for the kind huggingface, found char; expected null/,
    ],
    [["tokenizer.kind=ids"], /tokenizer\.kind: ids needs a text/],
    [["tokenizer.kind=huggingface"], /tokenizer\.file: null; the kind huggingface needs a tokenizer\.json/],
    [
      ["data.sample=0 lines"],
      /data\.sample="?0 lines"?: expected file, line, "n lines" or null, found "0 lines"/,
    ],
  ];
  for (const [overrides, message] of refused) {
    await assert.rejects(() => load(...overrides), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("a shown sample has its tokens, ids and counted targets; padding rows are not shown", () => {
  const tokenizer = charTokenizer("ab \n");
  const source = sampleSource(["a b\n", "b\n", "a\n", "b\n"].map((line) => tokenizer.encode(line)), OPTIONS);
  const shown = [...shownSamples(source, tokenizer, "train", { samples: 5, context: 4 })];
  assert.equal(shown.length, 5);
  const [first] = shown.filter(({ tokens }) => tokens.length === 3);
  assert.deepEqual(shownLines(first, tokenizer).slice(1), [
    "  token  a ␣ b",
    "  id     2 1 3",
    "  target ␣ b \\n",
  ]);
  assert.match(
    shownLines(first, tokenizer)[0],
    /^train \d: 3 tokens, 3 counted targets, 1 positions of padding$/,
  );
  const val = sampleSource(samples([3, 3]), { ...OPTIONS, given: { val: samples([2, 2]) } });
  assert.equal([...shownSamples(val, byteTokenizer(), "val", { samples: 9, context: 4 })].length, 2);
});
