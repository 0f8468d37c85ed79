// Overrides change a raw mapping; validation checks whether the keys exist.

import assert from "node:assert/strict";
import { applyOverride, resolveConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";

function refusal(raw: Record<string, unknown>, override: string): string {
  try {
    applyOverride(raw, override);
  } catch (error) {
    assert.ok(error instanceof UserError, `expected a UserError, got ${error}`);
    assert.ok(!error.message.includes("\n"), "a message is one line");
    return error.message;
  }
  return "accepted";
}

Deno.test("an override sets one key, creates missing sections and leaves the rest and its input unchanged", () => {
  const raw = { seed: 1, model: { dim: 32, heads: 2 } };
  assert.deepEqual(applyOverride(raw, "model.dim=256"), { seed: 1, model: { dim: 256, heads: 2 } });
  assert.deepEqual(applyOverride(raw, "model.block.mlp.factor=2"), {
    seed: 1,
    model: { dim: 32, heads: 2, block: { mlp: { factor: 2 } } },
  });
  assert.deepEqual(applyOverride({ model: null }, "model.dim=1"), { model: { dim: 1 } });
  assert.deepEqual(raw, { seed: 1, model: { dim: 32, heads: 2 } });
});

Deno.test("a value is a YAML scalar or flow collection, and otherwise the text as written", () => {
  const cases: [string, unknown][] = [
    ["1e-3", 1e-3],
    ["-4", -4],
    ["true", true],
    ["null", null],
    ["", null],
    [" copy ", " copy "],
    [" ", " "],
    [" 1 ", 1],
    ['"1e-3"', "1e-3"],
    ['"a\\nb"', "a\nb"],
    ["[0.9, 0.95]", [0.9, 0.95]],
    ["{val: 0.2}", { val: 0.2 }],
    ["To be: or not", "To be: or not"],
    ["a=b", "a=b"],
    ["# 1", "# 1"],
    ["x # y", "x # y"],
    ["- x", "- x"],
    ["*.txt", "*.txt"],
    ["@x", "@x"],
    ["[&nbsp;, *a, !x, %a b, @b, 2 > 1, a #b, - c]", [
      "&nbsp;",
      "*a",
      "!x",
      "%a b",
      "@b",
      "2 > 1",
      "a #b",
      "- c",
    ]],
    ["[-1, .5, 0x1F, null, 'a, #b', \"c]\", [x, y: z]]", [-1, 0.5, 31, null, "a, #b", "c]", ["x", {
      y: "z",
    }]]],
    ["{a: &x, b: [!y], c: x:y}", { a: "&x", b: ["!y"], c: "x:y" }],
  ];
  for (const [text, value] of cases) {
    assert.deepEqual(applyOverride({}, `a.b=${text}`), { a: { b: value } }, text);
  }
});

Deno.test("text that YAML would read as an anchor, a tag, a document, a comment or a date is the text as written", () => {
  const texts = [
    ..."& * ! | > % @ ` # ? - : ,".split(" "),
    ...[
      "&nbsp;",
      "&a",
      "&a b",
      "*a",
      "!x",
      "!!str x",
      "!",
      "|",
      "|-",
      ">",
      ">-",
      "# x",
      "#",
      "? ",
      "? a",
      "%",
      "%YAML 1.2",
    ],
    ...[
      "---",
      "...",
      "--- x",
      "a: b",
      "a:",
      "- ",
      "- 1",
      "<<",
      "=",
      "~a",
      "a,b",
      "]",
      "}",
      "\t",
      "x ",
      "a\nb",
      "---\n- x",
    ],
    ...[
      "2025-01-01",
      "12:30",
      "1_000",
      "1,000",
      "0b11",
      "-0x1F",
      "1.2.3",
      "1e",
      "yes",
      "no",
      "on",
      "off",
      "y",
      "TrUe",
    ],
    ...[
      "infinity",
      "nan",
      "NaN",
      "undefined",
      "0X1F",
      "<<: *a",
      "&",
      "&a 1",
      "!!int 1",
      "!!null x",
      "a'b",
      'a"b',
    ],
  ];
  for (const text of texts) {
    assert.deepEqual(applyOverride({}, `a=${text}`), { a: text }, JSON.stringify(text));
  }
});

Deno.test("the advice to quote a value gives the original text", () => {
  for (const text of ["0x1F", "017", "1.0", "1e3", "12345678901234567890", "True", "+1", ".5"]) {
    const override = `sample.prompt=${text}`;
    let message = "accepted";
    try {
      resolveConfig(applyOverride({}, override), { place: "a.yaml", name: "a", overrides: [override] });
    } catch (error) {
      message = (error as Error).message;
    }
    assert.match(message, /Quote it: '(.*)'\.$/);
    const advised = /Quote it: '(.*)'\.$/.exec(message)![1];
    assert.deepEqual(applyOverride({}, advised), { sample: { prompt: text } }, message);
  }
});

Deno.test("a number in the path is a list's index, up to one past its end", () => {
  assert.deepEqual(applyOverride({}, "data.files.0=x.txt"), { data: { files: ["x.txt"] } });
  const raw = { data: { files: ["x", "y"] } };
  assert.deepEqual(applyOverride(raw, "data.files.1=z"), { data: { files: ["x", "z"] } });
  assert.deepEqual(raw.data.files, ["x", "y"]);
  assert.deepEqual(applyOverride({ data: { files: ["x"] } }, "data.files.1=y"), {
    data: { files: ["x", "y"] },
  });
  assert.match(
    refusal({}, "data.files.1=x"),
    /data\.files is a list of 0, found "1"; expected an index from 0 to 0\.$/,
  );
  assert.match(refusal({}, "data.files.last=x"), /found "last"; expected an index/);
});

Deno.test("a list that is not set starts as its default", () => {
  assert.deepEqual(applyOverride({}, "optimizer.betas.1=0.95"), { optimizer: { betas: [0.9, 0.95] } });
});

Deno.test("~key removes a key or a list's entry, and refuses a missing one with the closest that exists", () => {
  const raw = { seed: 1, model: { dim: 32, heads: 2 }, data: { files: ["x", "y"] } };
  assert.deepEqual(applyOverride(raw, "~model.dim"), { ...raw, model: { heads: 2 } });
  assert.deepEqual(applyOverride(raw, "~model"), { seed: 1, data: raw.data });
  assert.deepEqual(applyOverride(raw, "~data.files.0"), { ...raw, data: { files: ["y"] } });
  assert.equal(
    refusal(raw, "~model.dmi"),
    'override ~model.dmi: model.dmi is not set, so it cannot be dropped. Did you mean "dim"?',
  );
  assert.match(refusal(raw, "~data.files.2"), /is a list of 2, found "2"; expected an index from 0 to 1\.$/);
  assert.match(refusal({ a: [] }, "~a.0"), /it is empty\.$/);
});

Deno.test("an override of another form is refused with a valid example", () => {
  for (
    const text of ["model.dim", "", "=1", "model..dim=1", ".dim=1", "a b=1", "~", "~a=1", "a.=1"]
  ) {
    assert.match(
      refusal({}, text),
      /expected key=value such as model\.dim=256, or ~key such as ~model\.dropout\.$/,
      text,
    );
  }
  for (const text of ["a=[1,", 'a="x', "a={b: 1"]) {
    assert.match(
      refusal({}, text),
      /expected a YAML value such as 0\.1, text or \[0\.9, 0\.95\], found .* Quote such a text: 'a="/,
      text,
    );
  }
});

Deno.test("a path through a value that holds no keys is refused", () => {
  assert.equal(
    refusal({ seed: 1 }, "seed.x=2"),
    'override seed.x=2: seed is 1, expected a mapping to hold "x".',
  );
});

Deno.test("no override reaches the prototype of objects", () => {
  for (const text of ["__proto__.dim=1", "constructor.prototype.dim=1", "model.__proto__.dim=1"]) {
    applyOverride({ model: {} }, text);
    assert.equal(({} as { dim?: number }).dim, undefined, text);
  }
  assert.ok(Object.hasOwn(applyOverride({}, "__proto__.dim=1"), "__proto__"));
});
