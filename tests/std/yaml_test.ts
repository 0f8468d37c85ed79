// parse and stringify of @std/yaml: the results of std 1.
import { assertEquals, assertThrows } from "@std/assert";
import { parse, stringify } from "@std/yaml";

Deno.test("parse() reads YAML 1.2, times, merge keys and binary data", () => {
  assertEquals(parse("test: toto\nfoo:\n  bar: True\n  baz: 1\n  qux: ~\n"), {
    test: "toto",
    foo: { bar: true, baz: 1, qux: null },
  });
  assertEquals(parse("[yes, off, 3.14, .inf, -.inf, .nan, 12e03, 0x1A, 1:15]"), [
    "yes",
    "off",
    3.14,
    Infinity,
    -Infinity,
    NaN,
    12000,
    26,
    "1:15",
  ]);
  assertEquals(parse("- 2002-12-14\n- 2001-12-14t21:59:43.10-05:00"), [
    new Date("2002-12-14"),
    new Date("2001-12-14T21:59:43.100-05:00"),
  ]);
  assertEquals(parse("- &a { x: 1 }\n- { <<: *a, y: 2 }"), [{ x: 1 }, { x: 1, y: 2 }]);
  assertEquals(parse('!!binary "SGVsbG8="'), new Uint8Array([72, 101, 108, 108, 111]));
});

Deno.test("parse() of an empty text is null, and of two documents an error", () => {
  for (const text of ["", " \n\n ", "# a comment\n"]) assertEquals(parse(text), null);
  assertThrows(
    () => parse("a\n---\nb"),
    SyntaxError,
    "Found more than 1 document in the stream: expected a single document",
  );
});

Deno.test("parse() throws SyntaxError with the place, the line and a caret", () => {
  assertThrows(() => parse("- x\n- *y"), SyntaxError, 'unidentified alias "y" at line 2, column ');
  const { message } = assertThrows(() => parse("a: 1\na: 2\n"), SyntaxError, "duplicated mapping key");
  assertEquals(message.split("\n").slice(1), ["    a: 2", "    ^"]);
  assertThrows(() => parse("!!js/undefined ~"), SyntaxError);
});

Deno.test("parse() takes a schema, and the last of duplicate keys if they are allowed", () => {
  assertEquals(parse("[1, true, 2002-12-14]", { schema: "failsafe" }), ["1", "true", "2002-12-14"]);
  assertEquals(parse("[1, true, 2002-12-14]", { schema: "core" }), [1, true, "2002-12-14"]);
  assertEquals(parse("a: 1\na: 2\n", { allowDuplicateKeys: true }), { a: 2 });
});

Deno.test("stringify() writes block style of two spaces, in 80 columns", () => {
  const value = {
    foo: { bar: true, test: ["a", { a: false, b: [] }] },
    test: "foobar",
    no: "no",
    text: "a\nb\n",
  };
  assertEquals(
    stringify(value),
    "foo:\n  bar: true\n  test:\n    - a\n    - a: false\n      b: []\ntest: foobar\n'no': 'no'\ntext: |\n  a\n  b\n",
  );
  assertEquals(parse(stringify(value)), value);
  assertEquals(
    stringify([1, 1.01, -0, NaN, Infinity, null]),
    "- 1\n- 1.01\n- -0.0\n- .nan\n- .inf\n- null\n",
  );
  assertEquals(stringify([new Date(0)]), "- 1970-01-01T00:00:00.000Z\n");
  const long = stringify({ message: "a word ".repeat(30).trim() });
  assertEquals(Math.max(...long.split("\n").map((line) => line.length)) <= 80, true);
});

Deno.test("stringify() takes std's options", () => {
  const item = { x: 1 };
  assertEquals(stringify([item, item]), "- &ref_0\n  x: 1\n- *ref_0\n");
  assertEquals(stringify([item, item], { useAnchors: false }), "- x: 1\n- x: 1\n");
  assertEquals(stringify({ a: [1, 2], b: item }, { flowLevel: 1 }), "a: [1, 2]\nb: {x: 1}\n");
  assertEquals(stringify({ a: [1, 2] }, { flowLevel: 1, condenseFlow: true }), "a: [1,2]\n");
  assertEquals(stringify({ a: [1] }, { arrayIndent: false }), "a:\n- 1\n");
  assertEquals(stringify({ a: { b: 1 } }, { indent: 4 }), "a:\n    b: 1\n");
  assertEquals(stringify({ b: 1, a: 2 }, { sortKeys: true }), "a: 2\nb: 1\n");
  assertEquals(stringify({ a: "a word ".repeat(30) }, { lineWidth: -1 }).trim().includes("\n"), false);
});

Deno.test("stringify() throws TypeError at undefined and functions, or leaves them out", () => {
  assertThrows(() => stringify(undefined), TypeError, "Cannot stringify undefined");
  assertThrows(() => stringify({ a: undefined }), TypeError, "Cannot stringify undefined");
  assertThrows(() => stringify({ a: () => 1 }), TypeError);
  assertEquals(stringify({ a: undefined, b: () => 1 }, { skipInvalid: true }), "{}\n");
});
