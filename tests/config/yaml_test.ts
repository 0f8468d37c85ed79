// YAML text to a raw mapping and a resolved configuration back to YAML.

import assert from "node:assert/strict";
import { dumpConfig, parseConfig, resolveConfig } from "../../src/config/mod.ts";

function message(text: string): string {
  try {
    parseConfig(text, "configs/a.yaml");
  } catch (error) {
    assert.equal((error as Error).name, "UserError", String(error));
    return (error as Error).message;
  }
  return "accepted";
}

Deno.test("a text without content is an empty mapping", () => {
  for (const text of ["", "\n", "# only a comment\n", "---\n", "null"]) {
    assert.deepEqual(parseConfig(text, "a"), {});
  }
});

Deno.test("a syntax error names the file, the line and the column, in one line", () => {
  assert.equal(message("seed: 1\nseed: 2\n"), "configs/a.yaml:2:1: not valid YAML: duplicated mapping key.");
  assert.equal(message("a: 1\nb: [1,\nc: 2\n"), "configs/a.yaml:3:1: not valid YAML: deficient indentation.");
  for (
    const text of [
      "a: b: c",
      "a: 'x",
      "a: *nowhere",
      "a: !!js/function x",
      "\t- 1\n a: 1",
      "? [1]\n: 2",
      "a: {",
    ]
  ) {
    assert.match(message(text), /^configs\/a\.yaml:\d+:\d+: not valid YAML: [^\n]+\.$/, text);
  }
});

Deno.test("a text that nests too deep for the parser is an error of the user's", () => {
  assert.match(message("[".repeat(100_000)), /^configs\/a\.yaml/);
});

Deno.test("what is no mapping is refused", () => {
  assert.match(message("- 1"), /expected a mapping of keys such as "seed: 1", found a list of 1\.$/);
  assert.match(message("hello"), /expected a mapping of keys such as "seed: 1", found "hello"\.$/);
  assert.match(message("--- {}\n--- {}\n"), /expected one YAML document, found 2\.$/);
});

Deno.test("dumped YAML keeps text that looks like something else", () => {
  const origin = { place: "a.yaml", name: "a" };
  for (
    const prompt of [
      "1e3",
      "true",
      "null",
      "",
      " ",
      "\n",
      "a: b",
      "# x",
      "- x",
      "é\u2028\u0007",
      "'\"",
      "0x1F",
      "~",
    ]
  ) {
    const config = resolveConfig({ name: "12", sample: { prompt } }, origin);
    const again = resolveConfig(parseConfig(dumpConfig(config), "dump"), origin);
    assert.deepEqual(again, config, JSON.stringify(prompt));
  }
});
