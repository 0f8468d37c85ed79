// Parsing and validation of every script's arguments.
import assert from "node:assert/strict";
import {
  argumentsOf,
  checkExtension,
  helpOf,
  numberOption,
  splitOverrides,
  wholeNumbersOption,
} from "../../src/cli/options.ts";
import { textOutput } from "../../src/cli/command.ts";
import { UserError } from "../../src/base/errors.ts";

const COMMAND = {
  name: "example",
  summary: "shows arguments",
  usage: "",
  options: {
    text: { type: "string", value: "TEXT", help: "a text", multiple: true },
    n: { type: "string", value: "N", help: "a number", default: "3" },
    quick: { type: "boolean", help: "in no time" },
  },
  examples: [],
} as const;

Deno.test("a value may begin with a dash: a negative number, a dash alone, a word", () => {
  const { values, lists, positionals } = argumentsOf(COMMAND, [
    "--n",
    "-3",
    "--text",
    "-",
    "--text=--n",
    "-",
  ]);
  assert.deepEqual([values.n, lists!.text, positionals], ["-3", ["-", "--n"], ["-"]]);
  assert.deepEqual(argumentsOf(COMMAND, ["--", "--n", "-x"]).positionals, ["--n", "-x"]);
});

Deno.test("a mistake in an option is one line with the option, what was found and what was expected", () => {
  const faults: [string[], string][] = [
    [["--m", "1"], '--m: unknown option. Did you mean "n"?'],
    [["-n", "1"], '-n: unknown option. Did you mean "n"?'],
    [["--no-quick"], '--no-quick: unknown option. Did you mean "quick"?'],
    [["--toString"], "--toString: unknown option. Known: text, n, quick, help, version."],
    [["--n"], "--n: expected N after it, found nothing."],
    [
      ["--text", "--n", "3"],
      '--text: expected TEXT after it, found "--n". If it is the value, write --text=--n.',
    ],
    [["--quick=1"], '--quick: takes no value, found "1".'],
    [["--n", "1", "--n=2"], "--n: given twice, expected once."],
  ];
  for (const [args, message] of faults) {
    assert.throws(() => argumentsOf(COMMAND, args), new UserError(message), args.join(" "));
  }
});

Deno.test("an empty path is refused: it would be the folder that one stands in, or the root before a slash", () => {
  const out = { ...COMMAND, options: { out: { type: "string", value: "FILE|-", help: "a file" } } } as const;
  for (const args of [["--out="], ["--out", ""]]) {
    assert.throws(() => argumentsOf(out, args), new UserError('--out: expected FILE|- after it, found "".'));
  }
  assert.deepEqual(argumentsOf(COMMAND, ["--text=", "--text", ""]).lists!.text, ["", ""]);
});

Deno.test("a file that ends as another kind is refused with the name to write, and how to have the other kind", () => {
  const message = (path: string, extension = ".svg") => {
    try {
      checkExtension("out", path, extension);
      return "accepted";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(
    message("a/x.png"),
    '--out: expected a file that ends in .svg, found "a/x.png". Write a/x.svg, and convert it to a/x.png: ' +
      "rsvg-convert a/x.svg -o a/x.png.",
  );
  assert.equal(
    message("x.PDF", ".html"),
    '--out: expected a file that ends in .html, found "x.PDF". Write x.html.',
  );
  for (const path of ["x.svg", "x.SVG", "x", "-", "/dev/stdout", "runs/v1.2", ".x/y"]) {
    assert.equal(message(path), "accepted", path);
  }
});

Deno.test("errors of numeric options name the range", () => {
  assert.equal(numberOption("n", "-3"), -3);
  const message = (range: object, text = "x") => {
    try {
      return String(numberOption("n", text, range));
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(
    message({ min: 0, max: 2, whole: true }),
    '--n: expected a whole number from 0 to 2, found "x".',
  );
  assert.equal(message({ max: 2 }, "3"), '--n: expected a number of at most 2, found "3".');
  assert.equal(message({ min: 0 }, "-1"), '--n: expected a number of at least 0, found "-1".');
  assert.equal(message({}, ""), '--n: expected a number, found "".');
});

Deno.test("a list of whole numbers drops duplicates and rejects numbers above the maximum", () => {
  assert.deepEqual(wholeNumbersOption("head", "2,0,2", 2), [2, 0]);
  assert.equal(wholeNumbersOption("head", undefined, 2), undefined);
  assert.throws(
    () => wholeNumbersOption("head", "0,3", 2),
    new UserError('--head: expected a whole number from 0 to 2, found "3".'),
  );
  assert.throws(
    () => wholeNumbersOption("head", "0,", 2),
    new UserError('--head: expected a whole number from 0 to 2, found "".'),
  );
});

Deno.test("--help shows the default of an option", () => {
  assert.match(helpOf(COMMAND), /\n {2}--n N +a number; default: 3\n {2}--quick +in no time\n {2}--help /);
});

Deno.test("the path of a sweep's run is a name, not an override", () => {
  const names = ["runs/grid-sweep-1f2e3d4c/grid-01-lr=0.001/20250102-030405-a", "grid-01-lr=0.001"];
  assert.deepEqual(splitOverrides([...names, "seed=1", "+share=2", "~seed"]), {
    names,
    overrides: ["seed=1", "+share=2", "~seed"],
  });
});

Deno.test("textOutput() sends no control character to a terminal, and to a pipe or file the text as it is", () => {
  const text = 'step,tap\n1,"a\x1b[31m\x9b\u202e"\t\n';
  const sent = (isTerminal: boolean): string => {
    const original = { isTerminal: Deno.stdout.isTerminal, writeSync: Deno.stdout.writeSync };
    const parts: string[] = [];
    const writeSync = (bytes: Uint8Array) => (parts.push(new TextDecoder().decode(bytes)), bytes.length);
    Object.assign(Deno.stdout, { isTerminal: () => isTerminal, writeSync });
    try {
      const out = textOutput();
      out.write(text);
      out.flush();
    } finally {
      Object.assign(Deno.stdout, original);
    }
    return parts.join("");
  };
  assert.equal(sent(true), 'step,tap\n1,"a\\u001b[31m\\u009b\\u202e"\t\n');
  assert.equal(sent(false), text);
});

Deno.test("scripts take the device, the format, the default run and columns from where these are written once", async () => {
  const folder = new URL("../../scripts/", import.meta.url);
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(new URL(name, folder));
    assert.doesNotMatch(
      text,
      /auto\|webgpu|table\|ndjson"|\?\? "runs\/latest"|\["runs\/latest"\]|\.pad(Start|End)\(/,
      name,
    );
  }
});
