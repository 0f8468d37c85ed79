// Trained byte pairs are cached and read again, and a damaged cache is never used.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadConfig } from "../../src/config/mod.ts";
import { bpeTokenizer, loadData, makeTokenizer } from "../../src/data/mod.ts";
import { inFolder, script, TEXT, tree } from "../scripts/harness.ts";

const OPTIONS = { kind: "bpe", unknown: "error", size: 300, file: null, crop: false } as const;

/** Runs `body` with an empty folder and a function that returns the path of the one file cached there. */
async function inCache(body: (cache: string, kept: () => string[]) => Promise<void>): Promise<void> {
  const cache = await Deno.makeTempDir({ prefix: "heed-cache-" });
  const kept = () => {
    try {
      return [...Deno.readDirSync(`${cache}/byte_pairs`)].map(({ name }) => `${cache}/byte_pairs/${name}`);
    } catch {
      return [];
    }
  };
  try {
    await body(cache, kept);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

const json = async (text: string, cache?: string, size = 300) =>
  JSON.stringify(await makeTokenizer({ ...OPTIONS, size }, [text], [], { cache }));

Deno.test("byte pairs of a text are trained once; the cached tokenizer equals the trained one, byte for byte", () =>
  inCache(async (cache, kept) => {
    const learned = JSON.stringify(bpeTokenizer(TEXT, { size: 300 }));
    assert.equal(await json(TEXT, cache), learned);
    const [path, ...others] = kept();
    assert.deepEqual(others, []);
    assert.match(path, /\/[0-9a-f]{64}\.json$/);
    assert.equal(await json(TEXT, cache), learned);
    // A file with other content shows that it is read and not trained.
    const other = JSON.stringify(bpeTokenizer("aaab aaab", { size: 300 }));
    const sha256 = createHash("sha256").update(other).digest("hex");
    await Deno.writeTextFile(path, `${sha256}\n${other}\n`);
    assert.equal(await json(TEXT, cache), other);
  }));

Deno.test("another text, size or folder is trained anew; how a text is cut into pieces makes no difference", () =>
  inCache(async (cache, kept) => {
    await json(TEXT, cache);
    await json(TEXT, cache, 301);
    await json(`${TEXT}.`, cache);
    assert.equal(kept().length, 3);
    const pieces = TEXT.match(/[\s\S]{1,100}/g)!;
    await makeTokenizer(OPTIONS, pieces, [], { cache });
    await makeTokenizer(OPTIONS, [pieces.slice(0, 3), pieces.slice(3)], [], { cache });
    assert.equal(kept().length, 3);
    // A lone surrogate has no UTF-8: it must not be confused with its replacement character.
    await json("a\ufffdb a\ufffdb", cache);
    await assert.rejects(json("a\ud83db a\ud83db", cache), /lone surrogate/);
  }));

Deno.test("a damaged cache file is trained anew and replaced", () =>
  inCache(async (cache, kept) => {
    const learned = await json(TEXT, cache);
    assert.equal(kept().length, 1);
    const [path] = kept();
    const bytes = await Deno.readFile(path);
    const flipped = bytes.slice();
    flipped[120] ^= 1;
    const damages = [new Uint8Array(), bytes.subarray(0, 30), bytes.subarray(0, bytes.length / 2), flipped];
    for (const damaged of damages) {
      await Deno.writeFile(path, damaged);
      assert.equal(await json(TEXT, cache), learned);
      assert.deepEqual(await Deno.readFile(path), bytes);
    }
    await Deno.remove(path);
    await Deno.mkdir(path);
    assert.equal(await json(TEXT, cache), learned);
    assert.deepEqual(kept(), [path]);
  }));

Deno.test("loadData() caches byte pairs in data.cache; without write permission they are only trained", () =>
  inFolder(async (folder) => {
    const [files, cache] = [[`${folder}/text.txt`], `${folder}/cache`].map((value) => JSON.stringify(value));
    const { data } = await loadConfig("default", [`data.files=${files}`, `data.cache=${cache}`]);
    await loadData(data, OPTIONS, { context: 16, batch: 4, seed: 1 });
    assert.equal(tree(folder).filter((path) => path.startsWith("cache/byte_pairs/")).length, 1);
    const shown = ["tiny.yaml", "tokenizer.kind=bpe", "--samples", "1"];
    const refused = await script("show", shown, folder, { without: "--allow-write" });
    assert.deepEqual([refused.code, refused.stderr], [0, ""]);
    const kept = await script("show", shown, folder);
    assert.deepEqual(kept, refused);
    assert.equal(tree(folder).filter((path) => path.startsWith(".cache/byte_pairs/")).length, 1);
    assert.deepEqual(await script("show", shown, folder), refused);
  }));
