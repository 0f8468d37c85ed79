// Mixtures of sources: the source of each row, and the order within every source.
import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/mod.ts";
import { type DataSizes, IGNORE, loadData, type LoadedData } from "../../src/data/mod.ts";

const SIZES: DataSizes = { context: 8, batch: 4, seed: 1 };

/** Lines that identify their source: a0000, a0001, ... */
const linesOf = (letter: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${letter}${`${i}`.padStart(4, "0")}\n`).join("");

/** A mixture of two files of lines, a with weight 3 and b with weight 1, under further overrides. */
async function mixture(
  overrides: readonly string[] = [],
  sizes: Partial<DataSizes> = {},
): Promise<LoadedData> {
  const folder = await Deno.makeTempDir({ prefix: "heed-mixture-" });
  try {
    await Deno.writeTextFile(`${folder}/a.txt`, linesOf("a", 100));
    await Deno.writeTextFile(`${folder}/b.txt`, linesOf("b", 60));
    const json = Array.from(
      { length: 400 },
      (_, i) => JSON.stringify({ text: `c${`${i}`.padStart(4, "0")}` }),
    );
    await Deno.writeTextFile(`${folder}/c.jsonl`, json.join("\n"));
    const { data, tokenizer } = await loadConfig("default", [
      `data.sources=[{files: [${folder}/a.txt], weight: 3}, {files: [${folder}/b.txt]}]`,
      "data.sample=line",
      "data.sampling=windows",
      "data.split.val=0.1",
      "data.split.test=0",
      ...overrides.map((override) => override.replaceAll("FOLDER", folder)),
    ]);
    return await loadData(data, tokenizer, { ...SIZES, ...sizes });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The text of each row of a batch. */
function rowsOf({ tokenizer, source }: LoadedData, index: number): string[] {
  const { ids, targets } = source.train(index);
  const context = SIZES.context;
  return Array.from({ length: ids.length / context }, (_, row) => {
    const counted = [...targets.subarray(row * context, (row + 1) * context)].filter((id) => id !== IGNORE);
    return tokenizer.decode([ids[row * context], ...counted]);
  });
}

const drawn = (loaded: LoadedData, count: number) =>
  Array.from({ length: count }, (_, i) => rowsOf(loaded, i)).flat();

Deno.test("the source of each row of a mixture is drawn by weight, and each source gives its rows once per epoch", async () => {
  const loaded = await mixture();
  const rows = drawn(loaded, 2000);
  const counts = ["a", "b"].map((letter) => rows.filter((row) => row.startsWith(letter)).length);
  // 8000 draws with p = 1/4: the standard deviation of the second count is 39.
  assert.ok(Math.abs(counts[1] - 2000) < 4 * 39, `${counts}`);
  // 90 and 54 lines are trained on.
  for (const [letter, size] of [["a", 90], ["b", 54]] as const) {
    const sourceRows = rows.filter((row) => row.startsWith(letter));
    for (let epoch = 0; (epoch + 1) * size <= sourceRows.length; epoch++) {
      const seen = sourceRows.slice(epoch * size, (epoch + 1) * size);
      assert.deepEqual(
        [...seen].sort(),
        linesOf(letter, size).trimEnd().split("\n").map((line) => `${line}\n`),
      );
    }
    assert.notDeepEqual(sourceRows.slice(0, size), sourceRows.slice(size, 2 * size));
  }
  assert.deepEqual(loaded.source.sources?.map(({ weight, share }) => [weight, share]), [[0.75, 0.75], [
    0.25,
    0.25,
  ]]);
});

Deno.test("a batch of a mixture is a function of seed and index, in any order and any batch size", async () => {
  const loaded = await mixture();
  const rows = drawn(loaded, 900);
  const other = await mixture();
  for (const index of [899, 3, 256, 255, 0]) {
    assert.deepEqual(rowsOf(other, index), rows.slice(4 * index, 4 * index + 4));
  }
  assert.deepEqual(drawn(await mixture([], { batch: 2, accumulate: 2 }), 1800), rows);
  assert.notDeepEqual(drawn(await mixture([], { seed: 2 }), 900), rows);
});

Deno.test("an evaluation of a mixture reads each source's split once, without mixing sources in a batch", async () => {
  const { source, tokenizer } = await mixture(["data.sources.1.weight=100"]);
  const pass = source.evaluation("val");
  const texts: string[] = [];
  for (let i = 0; i < pass.count; i++) {
    const { targets, sources } = pass.batch(i);
    const lines = tokenizer.decode(targets.filter((id) => id !== IGNORE)).split("\n").filter((line) =>
      line !== ""
    );
    texts.push(...lines.map((line) => `${sources![0]} ${line}`));
    assert.equal(new Set(sources).size, 1);
  }
  const expected = [[0, 90, 100], [1, 54, 60]].flatMap(([part, from, to]) =>
    Array.from({ length: to - from }, (_, i) => `${part} ${`${from + i}`.padStart(4, "0")}`)
  );
  assert.deepEqual(texts, expected);
  assert.deepEqual(pass.parts, [3, 2]);
});

Deno.test("corpora, tasks, JSON lines and crops of a text can be mixed and share one tokenizer", async () => {
  const sources = "data.sources=[{source: brown}, {source: reverse}, {files: [FOLDER/c.jsonl], field: text}]";
  const crops = ["data.sampling=crops", "data.sample=null"];
  const { source, tokenizer } = await mixture([sources, ...crops], { context: 128 });
  const texts: string[][] = [[], [], []];
  for (let i = 0; i < 100; i++) {
    const { ids, sources } = source.train(i);
    sources!.forEach((part, row) =>
      texts[part].push(tokenizer.decode(ids.subarray(row * 128, (row + 1) * 128)))
    );
  }
  assert.ok(texts.every((part) => part.length > 100), texts.map((part) => part.length).join());
  assert.ok(texts[0].some((text) => text.includes("the ")));
  assert.ok(texts[2].every((text) => /^[c0-9\n]+$/.test(text)));
  // Half of each row of the task is padding: its share of the targets is smaller than that of the rows.
  const [brown, reverse] = source.sources!;
  assert.ok(reverse.share < 0.8 * brown.share && Math.abs(reverse.weight - 1 / 3) < 1e-12);
  assert.equal(source.evaluation("val").answers, true);
  assert.deepEqual(source.sources!.map(({ name }) => name).slice(0, 2), ["brown", "reverse"]);
});

Deno.test("weights may be as large or small as float64 allows", async () => {
  const shares = async (...overrides: string[]) =>
    (await mixture(overrides)).source.sources!.map(({ weight }) => weight);
  const [large, small] = ["data.sources.0.weight=1.5e308", "data.sources.1.weight=5e-324"];
  assert.deepEqual(await shares(large, "data.sources.1.weight=0.5e308"), [0.75, 0.25]);
  assert.deepEqual(await shares(large, small), [1, 0]);
  assert.ok(drawn(await mixture([large, small]), 100).every((row) => row.startsWith("a")));
});

Deno.test("the identity of a mixture changes with the text of any source, and with any weight", async () => {
  const { sha256 } = await mixture();
  assert.equal((await mixture()).sha256, sha256);
  assert.notEqual((await mixture(["data.sources.1.weight=2"])).sha256, sha256);
  assert.notEqual((await mixture(["data.sources.1.files=[FOLDER/a.txt]"])).sha256, sha256);
});

Deno.test("an error of a source of a mixture names the source", async () => {
  const refused: [string, RegExp][] = [
    ["data.sources.1.files=[FOLDER/none.txt]", /^data\.sources\.1: .*none\.txt does not exist/],
    [
      "data.sources=[{source: bron}]",
      /^data\.sources\.0: source: no corpus or task is called "bron"\. Did you mean "brown"\?$/,
    ],
    ["data.split.val=0.99", /^data\.sources\.1: train split has 0 samples, none of two tokens or more/],
    [
      "data.source=copy",
      /data\.source=copy: cannot be combined with data\.sources; use an entry of data\.sources instead\.$/,
    ],
    [
      "data.field=text",
      /data\.field=text: cannot be combined with data\.sources; use a field in the entries of data\.sources instead\.$/,
    ],
    [
      "data.sources.1.source=brown",
      /data\.sources\.1: found source brown and files; expected one of them\.$/,
    ],
    ["~data.sources.1.files", /data\.sources\.1: found neither source nor files; expected one of them\.$/],
    [
      "data.sources=[{source: brown, field: a}]",
      /a is only for files of JSON lines, found the source brown; expected null\.$/,
    ],
    ["data.sources.1.weight=0", /data\.sources\.1\.weight=0: expected a number above 0, found 0\.$/],
    [
      "data.answer_only=true",
      /true is only for synthetic tasks, found data\.sources of texts only; expected false\.$/,
    ],
  ];
  for (const [override, message] of refused) {
    await assert.rejects(mixture([override]), { name: "UserError", message }, override);
  }
});
