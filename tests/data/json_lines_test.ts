// Texts from JSON lines: the text of each line, and the error for a line without one.
import assert from "node:assert/strict";
import { loadConfig } from "../../src/config/mod.ts";
import { IGNORE, loadData, loadText } from "../../src/data/mod.ts";

const SIZES = { context: 8, batch: 4, seed: 1 };

/** Loads files of these names and contents, with overrides in which FOLDER is their folder. */
async function loaded(files: Record<string, string | Uint8Array<ArrayBuffer>>, ...overrides: string[]) {
  const folder = await Deno.makeTempDir({ prefix: "heed-json-lines-" });
  try {
    for (const [name, content] of Object.entries(files)) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    const placed = overrides.map((override) => override.replaceAll("FOLDER", folder));
    const none = ["data.split.val=0", "data.split.test=0", "eval.split=train", "data.sampling=windows"];
    const { data, tokenizer } = await loadConfig("default", [...none, ...placed]);
    const { source, tokenizer: tokenizerOfData } = await loadData(data, tokenizer, SIZES);
    const pass = source.evaluation("train");
    const texts: string[] = [];
    for (let i = 0; i < pass.count; i++) {
      const { ids, targets } = pass.batch(i);
      for (let at = 0; at < targets.length; at += SIZES.context) {
        const row = [...targets.subarray(at, at + SIZES.context)].filter((id) => id !== IGNORE);
        if (row.length > 0) texts.push(tokenizerOfData.decode([ids[at], ...row]));
      }
    }
    return texts;
  } catch (error) {
    if (error instanceof Error) error.message = error.message.replaceAll(folder, "FOLDER");
    throw error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const lines = (...values: unknown[]) => values.map((value) => JSON.stringify(value) + "\n").join("");

Deno.test("data.field selects the text of each JSON line, also in nested objects, and each is a row with data.sample=file", async () => {
  const nested = lines({ id: 1, a: { b: ["x", { c: "one" }] } }, { a: { b: [0, { c: "two\n3" }] } });
  assert.deepEqual(
    await loaded(
      { "a.jsonl": nested },
      "data.files=[FOLDER/a.jsonl]",
      "data.field=a.b.1.c",
      "data.sample=file",
    ),
    ["one\n", "two\n3\n"],
  );
  // A folder means its files; blank lines, CR LF, a byte order mark and a missing final newline make no difference.
  const files = {
    "b.ndjson": `\ufeff{"t":"ab"}\r\n\r\n{"t":"é🙂\\n"}`,
    "a.jsonl": lines({ t: "zz" }),
    "c.txt": "no JSON",
  };
  const given = ["data.files=[FOLDER]", "data.field=t"];
  assert.deepEqual(await loaded(files, ...given, "data.sample=line"), ["zz\n", "ab\n", "é🙂\n"]);
  assert.deepEqual(await loaded(files, ...given), ["zz\nab\né🙂\n"]);
});

Deno.test("a line of JSON may be longer than one read, and end anywhere near a read's end", async () => {
  const path = await Deno.makeTempFile({ suffix: ".jsonl" });
  try {
    // {"t":"..."} and its newline are 9 bytes around the text: the newline is the last byte of a megabyte, or near it.
    for (let length = 2 ** 20 - 11; length < 2 ** 20 - 6; length++) {
      const texts = ["é".repeat(length >> 1) + "x".repeat(length & 1), "ab", "y".repeat(2 * length + 3), "z"];
      await Deno.writeTextFile(path, lines(...texts.map((t) => ({ t }))));
      const { text } = await loadText({ files: [path], field: "t" });
      assert.ok(text === texts.map((line) => `${line}\n`).join(""), `${length}: ${text.length}`);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("a line without text is a one-line error: file, line number, field, actual value", async () => {
  const bad: [content: string | Uint8Array<ArrayBuffer>, field: string, said: RegExp][] = [
    [
      lines({ text: "a" }, { txt: "b" }),
      "text",
      /^FOLDER\/a\.jsonl:2: no field "text"\. Did you mean "txt"\?$/,
    ],
    [lines({ a: { b: 3 } }), "a.b", /^FOLDER\/a\.jsonl:1: a\.b is a number; expected a text\.$/],
    [lines({ a: { c: "x" } }), "a.b", /^FOLDER\/a\.jsonl:1: a: no field "b"\./],
    [
      lines({ a: "x" }),
      "a.b",
      /^FOLDER\/a\.jsonl:1: a is a string; expected an object with the field "b"\.$/,
    ],
    [lines({ a: null }), "a", /^FOLDER\/a\.jsonl:1: a is null; expected a text\.$/],
    [lines([{ a: "x" }]), "a", /^FOLDER\/a\.jsonl:1: no field "a"; expected an object, found a list of 1\./],
    [
      lines({ a: "x" }) + "{",
      "a",
      /^FOLDER\/a\.jsonl:2 is not JSON \(.*\); expected one object per line\.$/,
    ],
    [
      lines({ a: "x" }) + '{"a":"\\ud800"}',
      "a",
      /^FOLDER\/a\.jsonl:2: a has a lone surrogate, which has no UTF-8/,
    ],
    [Uint8Array.of(0x7b, 0xff, 0x0a), "a", /^FOLDER\/a\.jsonl:1 is not JSON \(it is not UTF-8\)/],
    ["\n\n", "a", /^FOLDER\/a\.jsonl has no JSON line; expected objects with the field "a"\.$/],
    ["version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a", /Git LFS/],
  ];
  for (const [content, field, message] of bad) {
    const asked = loaded({ "a.jsonl": content }, "data.files=[FOLDER/a.jsonl]", `data.field=${field}`);
    await assert.rejects(asked, { name: "UserError", message });
  }
  const gone = loaded({}, "data.files=[FOLDER/a.jsonl]", "data.field=a");
  await assert.rejects(gone, { name: "UserError", message: /^FOLDER\/a\.jsonl does not exist;/ });
  const empty = loaded({ "a.txt": "x" }, "data.files=[FOLDER]", "data.field=a");
  await assert.rejects(empty, {
    name: "UserError",
    message: /is a folder without \.jsonl or \.ndjson files/,
  });
});
