// tokenizer.json files against the ids and texts of tokenizers 0.23: unsupported fields are refused by name, and
// no result differs silently.
import assert from "node:assert/strict";
import { huggingfaceTokenizer } from "../../src/data/mod.ts";
import { randomStream } from "../../src/base/random.ts";
import { UserError } from "../../src/base/errors.ts";
import goldenCases from "../golden/tokenizer_cases.json" with { type: "json" };
import goldenIds from "../golden/tokenizer_ids.json" with { type: "json" };
import { outcomeOf, readGolden, unlessRefused, wholeFile } from "./tokenizer_goldens.ts";

Deno.test("2,000 files with random options: none gives wrong ids, more than half are supported", async () => {
  const golden = await readGolden();
  assert.equal(golden.files.length, 2000);
  const computed: Record<string, number> = {};
  for (const [i, entry] of golden.files.entries()) {
    const outcome = outcomeOf(entry, golden);
    if ("wrong" in outcome) {
      assert.deepEqual(outcome.wrong, [], `file ${i}: ${JSON.stringify(entry.file)}`);
      for (const key of ["all", entry.family ?? "none"]) computed[key] = (computed[key] ?? 0) + 1;
    } else assert.match(outcome.refusal, /^tokenizer\.json: [\w.[\]]+ is .*; supported: /);
  }
  assert.ok(computed.all > 1600, `${computed.all} of 2000 are computed`);
  for (const family of ["GPT-2", "Llama 2", "Llama 3", "BERT", "T5", "Qwen"]) {
    assert.ok(computed[family] > 80, `${computed[family]} of ${family}`);
  }
});

Deno.test("if a file allows cutting a text, the parts have the same ids as the complete text", async () => {
  const golden = await readGolden();
  const rng = randomStream(9, "cuts of golden files");
  const some = (texts: readonly string[]) => [...texts[rng.below(texts.length)]].slice(0, 40).join("");
  const counts = { files: 0, cuts: 0 };
  for (const entry of golden.files) {
    const { value: tokenizer } = unlessRefused(() => huggingfaceTokenizer(wholeFile(entry, golden)));
    if (!tokenizer?.cut) continue;
    counts.files++;
    const text = Array.from({ length: 5 }, () => some(golden.texts)).join(" ");
    const { value: expected } = unlessRefused(() => tokenizer.encode(text));
    if (!expected) continue;
    for (let end = 1; end <= text.length; end += 1 + rng.below(8)) {
      const at: number = tokenizer.cut(text.slice(0, end));
      if (at === 0) continue;
      counts.cuts++;
      const left: Uint32Array = tokenizer.encode(text.slice(0, at));
      const parts: number[] = [...left, ...tokenizer.encode(text.slice(at), left.length)];
      assert.deepEqual(
        parts,
        [...expected],
        `${JSON.stringify(text)} at ${at}: ${JSON.stringify(entry.file)}`,
      );
    }
  }
  assert.ok(counts.files > 600 && counts.cuts > 5000, JSON.stringify(counts));
});

for (const [name, { file, cases }] of Object.entries(goldenCases.cases)) {
  Deno.test(`${name}: ids and text are those of tokenizers`, () => {
    const tokenizer = huggingfaceTokenizer(file);
    for (const { text, ids, decoded } of cases) {
      assert.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
      assert.equal(tokenizer.decode(ids), decoded);
    }
  });
}

/** A small file with some fields changed. */
const changed = (fields: object, model: object = {}) => ({
  ...{ pre_tokenizer: { type: "Whitespace" }, decoder: null },
  ...fields,
  model: { type: "WordLevel", vocab: { a: 0, b: 1, "<unk>": 2 }, unk_token: "<unk>", ...model },
});

Deno.test("unsupported fields are refused at load in one line that names the field", () => {
  const split = (Regex: string, behavior = "Isolated") => ({ type: "Split", pattern: { Regex }, behavior });
  const cases: [object, string][] = [
    [
      { pre_tokenizer: split("a", "Isolate") },
      'pre_tokenizer.behavior is "Isolate"; supported: "Removed", "Isolated", ' +
      '"MergedWithPrevious", "MergedWithNext", "Contiguous" (did you mean "Isolated"?).',
    ],
    [
      { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Whitespace" }, split("(a)\\1")] } },
      'pre_tokenizer.pretokenizers[1].pattern.Regex is "(a)\\\\1"; supported: all but "\\\\1" at 3.',
    ],
    [{ pre_tokenizer: { type: "Whitespace", cut: 1 } }, "pre_tokenizer.cut is 1; supported: type."],
    [
      { truncation: { max_length: 4 } },
      'truncation is {"max_length":4}; supported: null (neither truncation nor padding).',
    ],
    [
      { added_tokens: [{ id: 7, content: "x" }] },
      "added_tokens[0].id is 7; supported: 3, the id of this token.",
    ],
    [
      { normalizer: { type: "Strip", strip_left: "yes" } },
      'normalizer.strip_left is "yes"; supported: true or false.',
    ],
    [
      { unknown: true },
      "unknown is true; supported: version, truncation, padding, post_processor, model, added_tokens, " +
      "normalizer, pre_tokenizer, decoder.",
    ],
  ];
  for (const [fields, message] of cases) {
    assert.throws(
      () => huggingfaceTokenizer(changed(fields)),
      (error) =>
        error instanceof UserError && (assert.equal(error.message, `tokenizer.json: ${message}`), true),
    );
  }
  const dropout = { type: "BPE", vocab: { a: 0 }, merges: [], dropout: 0.1 };
  assert.throws(
    () => huggingfaceTokenizer({ model: dropout }),
    /^UserError: tokenizer\.json: model\.dropout is 0\.1; supported: null or 0 \(no dropout\)\.$/,
  );
});

Deno.test("the model type of an old file is inferred from its fields", () => {
  for (const file of Object.values(goldenIds.files)) {
    const { type: _, ...model } = file.model;
    const [old, named] = [huggingfaceTokenizer({ ...file, model }), huggingfaceTokenizer(file)];
    for (const line of goldenIds.lines.slice(0, 50)) assert.deepEqual(old.encode(line), named.encode(line));
  }
});
