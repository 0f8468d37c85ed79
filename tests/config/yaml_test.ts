// YAML text to a raw mapping and a resolved configuration back to YAML.

import assert from "node:assert/strict";
import { dumpConfig, parseConfig, resolveConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";

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

Deno.test("a text nested too deep for the parser is a UserError", () => {
  assert.match(message("[".repeat(100_000)), /^configs\/a\.yaml/);
});

Deno.test("merge keys use anchors; a root key that begins with a dot may only define anchors", () => {
  const text = ".sizes: &small { dim: 32, heads: 2 }\nmodel: { <<: *small, layers: 1, dim: 64 }\n";
  assert.deepEqual(parseConfig(text, "a"), { model: { dim: 64, heads: 2, layers: 1 } });
  const several = ".a: &a { dim: 8 }\n.b: &b { dim: 9, heads: 1 }\nmodel: { <<: [*a, *b] }\n";
  assert.deepEqual(parseConfig(several, "a"), { model: { dim: 8, heads: 1 } });
  assert.match(message("model: { <<: 3 }"), /^configs\/a\.yaml:1:\d+: not valid YAML: cannot merge mappings/);
});

Deno.test("a root key that begins with a dot and defines no anchor is an error in one line", () => {
  for (const text of [".seed: 3\n", "name: a\n.seed: 3\n", '".seed":\n  - 3\nmodel: &m { dim: 8 }\n']) {
    assert.equal(
      message(text),
      'configs/a.yaml: ".seed" has a leading dot but holds no anchor; expected an anchor, such as ' +
        '".seed: &name ...", or the key without its dot.',
      text,
    );
  }
  const held = [
    ".a: &a 3",
    ".a:\n  b:\n    - &a 3",
    ".a:\n- &a 3",
    ".a: [1, &a 3]",
    ".a: {b: &a 3}",
    "'.a':\n\n  # &\n  &a 3",
  ];
  for (const text of held) assert.deepEqual(parseConfig(`${text}\nseed: *a\n`, "a"), { seed: 3 }, text);
});

Deno.test("a trailing --- starts no document", () => {
  for (const end of ["---\n", "---", "---\n...\n", "--- # end\n"]) {
    assert.deepEqual(parseConfig(`seed: 1\n${end}`, "a"), { seed: 1 }, end);
  }
});

Deno.test("an alias in its own value and nested aliases give one line at once", () => {
  for (const text of ["model: &a { block: *a }", "model: &a [*a]", "a: &a { b: [1, { c: *a }] }"]) {
    assert.equal(
      message(text),
      "configs/a.yaml: expected a finite value, found an alias inside its own value.",
    );
  }
  const levels = Array.from({ length: 30 }, (_, i) => `.a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`);
  assert.match(
    message([".a0: &a0 [1, 1]", ...levels, "seed: *a30"].join("\n")),
    /^configs\/a\.yaml: expected at most 100,000 values, found more; an alias counts as its full value\.$/,
  );
});

Deno.test("invalid UTF-8 is refused", () => {
  const bytes = Uint8Array.of(...new TextEncoder().encode("name: caf"), 0xe9, 10);
  assert.throws(
    () => parseConfig(bytes, "configs/a.yaml"),
    new UserError("configs/a.yaml: not UTF-8 text; save it as UTF-8."),
  );
});

Deno.test("anything but a mapping is refused", () => {
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
