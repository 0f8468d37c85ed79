// parseArgs of @std/cli: the results of std 1.
import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli";

Deno.test("parseArgs() takes the argument after an undeclared option as its value, and numbers as numbers", () => {
  assertEquals(parseArgs(["--foo", "--bar=baz", "./quux.txt"]), { foo: true, bar: "baz", _: ["./quux.txt"] });
  assertEquals(parseArgs(["--n", "7", "--rate=1e-3", "--hex", "0x1F", "3", "x3"]), {
    n: 7,
    rate: 1e-3,
    hex: 31,
    _: [3, "x3"],
  });
  assertEquals(parseArgs(["--x", "-5"]), { x: true, 5: true, _: [] });
});

Deno.test("parseArgs() keeps declared strings unchanged, and the last of several", () => {
  const args = parseArgs(["--seed", "07", "--seed=8", "--name"], { string: ["seed", "name"] });
  assertEquals(args, { seed: "8", name: "", _: [] });
  const seed: string | undefined = args.seed;
  assertEquals(seed, "8");
  assertEquals(parseArgs(["1", "--x=1"], { string: "_" }), { x: 1, _: ["1"] });
});

Deno.test("parseArgs() sets flags to true or false, and takes no other word as their value", () => {
  const options = { boolean: ["tasks", "quiet"] } as const;
  assertEquals(parseArgs(["--tasks", "a"], options), { tasks: true, quiet: false, _: ["a"] });
  assertEquals(parseArgs(["--tasks", "false", "--quiet=false"], options), {
    tasks: false,
    quiet: false,
    _: [],
  });
  assertEquals(parseArgs(["--any", "a"], { boolean: true }), { any: true, _: ["a"] });
});

Deno.test("parseArgs() supports negation, collection, aliases and defaults", () => {
  assertEquals(parseArgs(["--no-color"], { negatable: "color", default: { color: true } }), {
    color: false,
    _: [],
  });
  assertEquals(parseArgs(["--no-color"]), { "no-color": true, _: [] });
  assertEquals(
    parseArgs(["--file", "a", "--file=b"], { string: ["file", "other"], collect: ["file", "other"] }),
    {
      file: ["a", "b"],
      other: [],
      _: [],
    },
  );
  assertEquals(parseArgs(["-s", "5"], { string: "seed", alias: { seed: ["s"] }, default: { only: 3 } }), {
    seed: "5",
    s: "5",
    only: 3,
    _: [],
  });
});

Deno.test("parseArgs() splits short flags", () => {
  assertEquals(parseArgs(["-abc"]), { a: true, b: true, c: true, _: [] });
  assertEquals(parseArgs(["-n5", "-p", "80", "-q=x"]), { n: 5, p: 80, q: "x", _: [] });
  assertEquals(parseArgs(["-f/tmp/x", "-v", "a"], { boolean: "v" }), { f: "/tmp/x", v: true, _: ["a"] });
});

Deno.test("parseArgs() does not parse what follows -- or the first positional", () => {
  assertEquals(parseArgs(["a", "--", "--b", "1"]), { _: ["a", "--b", "1"] });
  assertEquals(parseArgs(["a", "--", "--b"], { "--": true }), { _: ["a"], "--": ["--b"] });
  assertEquals(parseArgs(["--x=1", "a", "--b"], { stopEarly: true }), { x: 1, _: ["a", "--b"] });
});

Deno.test("parseArgs() calls unknown for undeclared arguments, and drops those it rejects", () => {
  const asked: unknown[][] = [];
  const unknown = (...args: unknown[]) => asked.push(args) < 0 || false;
  assertEquals(parseArgs(["--tasks", "--onyl", "3", "a"], { boolean: "tasks", unknown }), {
    tasks: true,
    _: [],
  });
  assertEquals(asked, [["--onyl", "onyl", "3"], ["a"]]);
});
