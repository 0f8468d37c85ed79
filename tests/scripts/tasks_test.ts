// The tasks of deno.json: their descriptions, their --help, and its examples.
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { argumentsOf, type Command, helpOf, numberOption, splitOverrides } from "../../src/cli/options.ts";
import { interruptSignal } from "../../src/cli/command.ts";
import { loadSweep } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import { VERSION } from "../../src/base/version.ts";
import { inFolder, script, SCRIPTS } from "./harness.ts";

Deno.test("VERSION is the version of deno.json", () => assert.equal(VERSION, project.version));

Deno.test("every task has a description, and every script is a task", () => {
  for (const [name, { description, command }] of Object.entries(project.tasks)) {
    assert.match(description, /^[A-Z].{10,}[^.]$/, name);
    // Deno requires all permissions to write to /dev; the other two run scripts in their own process.
    if (["prove_power_cuts", "prove_inputs", "prove_checkpoints"].includes(name)) continue;
    assert.doesNotMatch(command, /(-A|--allow-all)\b/, name);
  }
  const scripts = [...Deno.readDirSync(new URL("../../scripts/", import.meta.url))].map((entry) => entry.name)
    .sort();
  assert.deepEqual(scripts, SCRIPTS.map((name) => `${name}.ts`).sort());
  for (const name of SCRIPTS) assert.ok(project.tasks[name].command.endsWith(` scripts/${name}.ts`));
});

/** The words of a line of the shell, up to the first pipe. */
function words(line: string): string[] {
  const words: string[] = line.match(/'[^']*'|"[^"]*"|[^\s'"]+/g) ?? [];
  const end = words.indexOf("|");
  return words.slice(0, end < 0 ? undefined : end).map((word) => word.replace(/^(['"])(.*)\1$/s, "$2"));
}

for (const name of SCRIPTS) {
  Deno.test(`${name} --help exits with 0, lists every option, and all its examples are valid`, () =>
    inFolder(async (folder) => {
      const { code, stdout, stderr } = await script(name, ["--help"], folder);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.ok(stdout.startsWith(`${name}: `) && stdout.includes(`\nUsage: deno task ${name} `), stdout);
      for (const line of stdout.split("\n")) assert.ok(line.length <= 110, line);
      const examples = stdout.split("\nExamples:\n")[1].trimEnd().split("\n");
      assert.ok(examples.length >= 2);
      for (const example of examples) {
        const [deno, task, of, ...args] = words(example.trim());
        assert.deepEqual([deno, task, of], ["deno", "task", name]);
        // With --help the other arguments are parsed and checked, but nothing is run.
        const checked = await script(name, [...args, "--help"], folder);
        assert.deepEqual([checked.code, checked.stderr], [0, ""], example);
        if (name !== "train" || args.includes("--resume")) continue;
        const positionals = args.slice(0, args.findIndex((arg) => arg.startsWith("--")) >>> 0);
        const { names, overrides } = splitOverrides(positionals);
        assert.equal((await loadSweep(names[0] ?? "default", overrides)).name, names[0] ?? "default");
      }
    }));
}

const COMMAND: Command = {
  name: "example",
  summary: "shows options",
  usage: "[name]",
  options: {
    size: { type: "string", value: "N", help: "a number", default: "3" },
    quiet: { type: "boolean", help: "says less" },
  },
  examples: ["deno task example"],
};

Deno.test("argumentsOf() reads options, defaults, overrides and a lone -, and rejects unknown options", () => {
  assert.deepEqual(argumentsOf(COMMAND, ["a", "~b", "+c=1", "--quiet", "--size=4", "-"]), {
    positionals: ["a", "~b", "+c=1", "-"],
    values: { size: "4" },
    flags: { quiet: true },
  });
  assert.deepEqual(argumentsOf(COMMAND, []), { positionals: [], values: { size: "3" }, flags: {} });
  assert.deepEqual(argumentsOf(COMMAND, ["--", "--sise"]).positionals, ["--sise"]);
  assert.throws(
    () => argumentsOf(COMMAND, ["--sise", "4"]),
    /^UserError: --sise: unknown option\. Did you mean "size"\?$/,
  );
  assert.throws(
    () => argumentsOf(COMMAND, ["--zzzzzzzz"]),
    /^UserError: --zzzzzzzz: .* Known: size, quiet, help, version\.$/,
  );
  assert.throws(() => argumentsOf(COMMAND, ["--size"]), UserError);
  assert.match(
    helpOf(COMMAND),
    /\n {2}--size N {3}a number; default: 3\n {2}--quiet {4}says less\n {2}--help {5}this text\n {2}--version {2}the version of heed\n/,
  );
});

Deno.test("splitOverrides() separates overrides from names, numberOption() rejects text that is not a number", () => {
  assert.deepEqual(splitOverrides(["small", "a.b=1", "~c", "+d=2", "runs/lr=0.1.yaml"]), {
    names: ["small", "runs/lr=0.1.yaml"],
    overrides: ["a.b=1", "~c", "+d=2"],
  });
  assert.equal(numberOption("n", undefined), undefined);
  assert.equal(numberOption("n", "1e3", { whole: true, min: 1 }), 1000);
  for (const wrong of ["", " ", "x", "NaN", "Infinity", "1.5", "0"]) {
    assert.throws(
      () => numberOption("n", wrong, { whole: true, min: 1 }),
      /^UserError: --n: expected a whole number/,
    );
  }
});

Deno.test("interruptSignal() is not raised before it is requested", () => {
  const { signal } = interruptSignal();
  assert.equal(signal.aborted, false);
});
