// From files to splits and a tokenizer: the content of each split, and what a tokenizer learns from it.
import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/mod.ts";
import { IGNORE, loadData, type LoadedData } from "../../src/data/mod.ts";

/** Loads files with the texts `main` and `val` under a configuration; split.test is 0. */
async function load(texts: { main: string; val?: string }, ...overrides: string[]): Promise<LoadedData> {
  const folder = await Deno.makeTempDir();
  try {
    const file = async (name: string, text: string) => {
      await Deno.writeTextFile(`${folder}/${name}`, text);
      return JSON.stringify([`${folder}/${name}`]);
    };
    const given = [`data.files=${await file("main.txt", texts.main)}`, "data.split.test=0"];
    if (texts.val !== undefined) given.push(`data.split_files.val=${await file("val.txt", texts.val)}`);
    const { data, tokenizer, seed } = await loadConfig("default", [...given, ...overrides]);
    return await loadData(data, tokenizer, { context: 4, batch: 2, seed });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The text of a split, from its evaluation: its first token, then every target. */
function textOf({ source, tokenizer }: LoadedData, split: string): string {
  const pass = source.evaluation(split);
  const ids = [pass.batch(0).ids[0]];
  for (let i = 0; i < pass.count; i++) ids.push(...pass.batch(i).targets.filter((id) => id !== IGNORE));
  return tokenizer.decode(ids);
}

const MAIN = "abab abab ".repeat(10) + "cdcd cdcd ".repeat(10);

Deno.test("byte-pair encoding is trained only on the train split, cut from a text or samples, or given", async () => {
  const bytes = (text: string) => [...new TextEncoder().encode(text)];
  const merged = async (texts: Parameters<typeof load>[0], ...overrides: string[]) => {
    const { tokenizer } = await load(texts, "tokenizer.kind=bpe", "tokenizer.size=300", ...overrides);
    const { merges } = tokenizer.toJSON() as { merges: string[] };
    return new Set(merges.flatMap((merge) => merge.split(" ").map(Number)).filter((id) => id < 256));
  };
  const learnt = new Set(bytes("ab "));
  assert.deepEqual(await merged({ main: MAIN }, "data.split.val=0.5"), learnt);
  const lines = MAIN.replaceAll(" ", "\n");
  const half = ["data.sample=line", "data.split.val=0.5"];
  assert.deepEqual(await merged({ main: lines }, ...half), new Set(bytes("ab")));
  assert.deepEqual(await merged({ main: "abab abab ".repeat(3), val: MAIN }), learnt);
});

Deno.test("a text is cut by characters, so that every tokenizer has the same splits", async () => {
  const main = "The 🙂 reads 中文, тоже русский. ".repeat(20);
  for (const kind of ["char", "byte", "bpe", "gpt2"]) {
    for (const val of [0.1, 0.15, 0.2]) {
      const loaded = await load({ main }, `tokenizer.kind=${kind}`, `data.split.val=${val}`);
      const [train, held] = [textOf(loaded, "train"), textOf(loaded, "val")];
      assert.equal(train + held, main, `${kind} ${val}`);
      assert.equal(held.length, Math.ceil(val * main.length - 1e-6), `${kind} ${val}`);
    }
  }
});

Deno.test("a cut never splits a surrogate pair", async () => {
  for (let i = 0; i < 8; i++) {
    const main = "x".repeat(i) + "🙂".repeat(40);
    const loaded = await load({ main }, "tokenizer.kind=byte", "data.split.val=0.25");
    assert.equal(textOf(loaded, "train") + textOf(loaded, "val"), main);
  }
});

Deno.test("a tokenizer has the characters and tokens of every split, but trains only on the train split", async () => {
  const texts = { main: "aabb ".repeat(10), val: "zz top of them all" };
  assert.equal((await load(texts)).tokenizer.size, new Set("ab zz top of them all").size);
  const cropped = await load(texts, "tokenizer.kind=gpt2", "tokenizer.crop=true");
  assert.equal(textOf(cropped, "val"), texts.val);
  // In one text GPT-2 encodes the two newlines as one token, in samples as two.
  const lines = await load(
    { main: "ab\n\n" },
    "tokenizer.kind=gpt2",
    "tokenizer.crop=true",
    "data.sample=line",
    "data.split.val=0",
    "eval.split=train",
  );
  assert.equal(lines.tokenizer.decode(lines.tokenizer.encode("ab\n")), "ab\n");
});

Deno.test("ids are cut between numbers, and the size covers the largest id of all files", async () => {
  const main = Array.from({ length: 40 }, (_, i) => 100 + i).join(" ");
  const cut = await load({ main }, "tokenizer.kind=ids", "data.split.val=0.25");
  assert.deepEqual(cut.source.splits, { train: 30, val: 10 });
  assert.equal(`${textOf(cut, "train")} ${textOf(cut, "val")}`, main);
  // The file has no final newline: 12 and 34 must not become 1234.
  const given = await load({ main: "1 2 3 4 5 6 7 8 12", val: "34 3 4 5 6 7" }, "tokenizer.kind=ids");
  assert.equal(given.tokenizer.size, 35);
});

Deno.test("a .bin file has ids of two bytes each, requires tokenizer.kind=ids, and is split by tokens", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const ids = Uint16Array.from({ length: 40 }, (_, i) => 1000 * (i % 7) + i);
    const file = async (name: string, bytes: Uint8Array) => {
      await Deno.writeFile(`${folder}/${name}`, bytes);
      return `data.files=${JSON.stringify([`${folder}/${name}`])}`;
    };
    const train = await file("train.bin", new Uint8Array(ids.buffer));
    const loaded = async (...overrides: string[]) => {
      const { data, tokenizer, seed } = await loadConfig("default", [
        ...["data.split.val=0.25", "data.split.test=0"],
        ...overrides,
      ]);
      return await loadData(data, tokenizer, { context: 4, batch: 2, seed });
    };
    const cut = await loaded(train, "tokenizer.kind=ids");
    assert.deepEqual(cut.source.splits, { train: 30, val: 10 });
    assert.equal(cut.tokenizer.size, 6035);
    assert.equal(textOf(cut, "train"), ids.subarray(0, 30).join(" "));
    assert.equal(textOf(cut, "val"), ids.subarray(30).join(" "));
    await assert.rejects(() => loaded(train), /train\.bin is not text; .* need tokenizer\.kind=ids\.$/);
    await assert.rejects(
      () => loaded(train, "tokenizer.kind=ids", "data.sample=line"),
      /data\.sample: line; expected null for ids in \.bin files\.$/,
    );
    const odd = await file("odd.bin", new Uint8Array(7));
    await assert.rejects(
      () => loaded(odd, "tokenizer.kind=ids"),
      /odd\.bin has 7 bytes; expected ids of two/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
