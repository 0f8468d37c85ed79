// README and docs/: links resolve, lines are short enough for a README, commands run, code type-checks, keys exist.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { configKeys, resolveConfig } from "../src/config/mod.ts";
import { inFolder, ROOT, succeeds, taskArguments, TEXT } from "./scripts/harness.ts";

const FOLDER = fileURLToPath(ROOT);
const PAGES = [
  "README.md",
  "CHANGELOG.md",
  "bench/README.md",
  ...[...Deno.readDirSync(join(FOLDER, "docs"))].map(({ name }) => `docs/${name}`).filter((name) =>
    name.endsWith(".md")
  ).sort(),
];

const textOf = (page: string): string => Deno.readTextFileSync(join(FOLDER, page));

/** The fenced blocks of a page in a language. */
const blocksOf = (page: string, language: string): string[] =>
  [...textOf(page).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, code]) =>
    code
  );

const exists = (path: string): boolean => {
  try {
    return Boolean(Deno.statSync(path));
  } catch {
    return false;
  }
};

Deno.test("README is at most 130 lines of at most 120 characters", () => {
  const lines = textOf("README.md").trimEnd().split("\n");
  assert.ok(lines.length <= 130, `${lines.length} lines`);
  assert.deepEqual(lines.filter((line) => line.length > 120), []);
});

Deno.test("every link and picture of README and docs leads to a file", () => {
  const broken = PAGES.flatMap((page) =>
    [...textOf(page).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, link]) => link)
      .filter((link) => !/^https?:/.test(link) && !exists(join(FOLDER, dirname(page), link)))
      .map((link) => `${page}: ${link}`)
  );
  assert.deepEqual(broken, []);
  const linked = textOf("README.md");
  assert.deepEqual(PAGES.filter((page) => page.startsWith("docs/") && !linked.includes(`(${page})`)), []);
});

Deno.test("every key that a table of docs/coming_from.md names is a key of the configuration", () => {
  const known = configKeys(resolveConfig({ name: "any" }, { place: "test", name: "any" }));
  const cells = textOf("docs/coming_from.md").split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.split(" | ").at(-1)!);
  const keys = cells.flatMap((cell) =>
    [...cell.matchAll(/`([a-z_]+\.[a-z_.]+)(?:=[^`]*)?`/g)].map(([, key]) => key)
  )
    .filter((key) => /^(model|train|optimizer|schedule|eval|data|tokenizer|output|sample)\./.test(key));
  assert.ok(keys.length > 15, keys.join());
  // A key without a default is in no resolved configuration; another mistake than an unknown key says that it is known.
  const unknown = keys.filter((key) => {
    if (known.has(key)) return false;
    const [section, name] = key.split(".");
    try {
      resolveConfig({ [section]: { [name]: "" } }, { place: "test", name: "any" });
      return false;
    } catch (error) {
      return /unknown|Did you mean/.test((error as Error).message);
    }
  });
  assert.deepEqual(unknown, []);
});

/** What makes a command of the documents take a second: a training makes few steps of a small model. */
const SMALL: readonly [pattern: RegExp, more: string][] = [
  [/^train .*--jobs/, ""],
  [/^train --(trust|keys)/, ""],
  [/^train .*--dry-run/, "'data.files=[text.txt]'"],
  [/^train (copy|distance_penalty)/, "device=cpu train.steps=2 eval.batches=1 sample.tokens=2"],
  [/^train --from runs.my-gpt2/, "device=cpu model.context=16 train.steps=2 eval.batches=1 sample.tokens=2"],
  [/^train --from/, "device=cpu train.steps=2 eval.batches=1 sample.tokens=2"],
  [/^train (small|grid)/, "train.steps=2"],
  [
    /^train/,
    "device=cpu 'data.files=[text.txt]' train.steps=2 train.batch=2 model.context=16 model.layers=1 eval.batches=1 sample.tokens=2",
  ],
  [/^check_attention --file/, "--cases 2"],
  [/^check_attention/, "--cases 2 --device cpu"],
  [/^analyze_softmax_jacobian/, "tiny.yaml --steps 1"],
];

/** Commands that are not run here, and why. */
const ELSEWHERE: readonly RegExp[] = [
  /^npx /, // the tests are this command
  /import_model gpt2/, // downloads half a gigabyte
  /^deno task compile/, // downloads its base
  /--resume/, // wants a run that was interrupted: tests/scripts/resume_test.ts
  /^(python|sbatch|jq|duckdb) /, // other tools: tests/log/other_tools_test.ts, tests/scripts/jobs_recipes_test.ts
];

/** The commands of a page, one line each, without their comments. */
const commandsOf = (page: string): string[] =>
  blocksOf(page, "sh").flatMap((block) => block.split("\n"))
    .map((line) => line.replace(/\s+# .*$/, "").trim())
    .filter((line) => /^(deno|npx|python|sbatch|jq|duckdb) /.test(line));

const shortened = (command: string): string =>
  command.replace(/ (examples|scripts)\//g, ` ${FOLDER}$1/`).replace(
    /deno task ([^|;>]+)/g,
    (_, task: string) => {
      const [, more] = SMALL.find(([pattern]) => pattern.test(task)) ?? [];
      return `deno task ${task.trimEnd()} ${more ?? ""} `;
    },
  );

/** A folder in which the documents' commands find what they name. */
async function furnish(folder: string, page: string): Promise<void> {
  const write = (name: string, text: string) => Deno.writeTextFile(join(folder, name), text);
  for (const name of ["book.txt", "mine.txt"]) await write(name, TEXT);
  await write("notes.txt", TEXT.slice(0, 300));
  await write("sentences.txt", "The number 3\nThe 4\n");
  await write("text.txt", `${TEXT}A first.\n`);
  const mine = blocksOf(page, "ts").find((code) => code.startsWith("// mine.ts"));
  await write("mine.ts", mine ?? blocksOf("README.md", "ts")[0]);
  await write("double.ts", blocksOf("docs/data.md", "ts")[0]);
  const grid = await Deno.readTextFile(join(folder, "tiny.yaml"));
  await write(
    "grid.yaml",
    `${grid.replace("dim: 16", "dim: [8, 16]")}ablations: { flat: model.positions=none }\n`,
  );
  await Deno.mkdir(join(folder, "configs"));
  await write("configs/small.yaml", grid);
  await write("configs/small-wide.yaml", grid.replace("dim: 16", "dim: 32"));
  await Deno.mkdir(join(folder, "downloads/my-gpt2"), { recursive: true });
  for (const { name } of Deno.readDirSync(join(FOLDER, "tests/golden/gpt2"))) {
    await Deno.copyFile(join(FOLDER, "tests/golden/gpt2", name), join(folder, "downloads/my-gpt2", name));
  }
  // `deno task NAME` as deno.json has it, from this folder.
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");
  const cases = [
    ...new Set(
      PAGES.flatMap(commandsOf).flatMap((line) => [...line.matchAll(/deno task (\w+)/g)]).map(([, name]) =>
        name
      ),
    ),
  ]
    .filter((name) => name !== "compile")
    .map((name) =>
      `${name}) shift 2; exec ${quoted([Deno.execPath(), ...taskArguments(name as "train")])} "$@" ;;`
    );
  await Deno.mkdir(join(folder, "bin"));
  await Deno.writeTextFile(
    join(folder, "bin/deno"),
    `#!/bin/sh\n[ "$1" = task ] || exec '${Deno.execPath()}' "$@"\ncase "$2" in\n${
      cases.join("\n")
    }\nesac\necho "no task $2" >&2; exit 1\n`,
    { mode: 0o755 },
  );
  await succeeds("train", ["tiny.yaml", "name=small"], folder);
  await succeeds("train", ["tiny.yaml"], folder);
}

for (const page of PAGES) {
  const commands = commandsOf(page).filter((line) => !ELSEWHERE.some((pattern) => pattern.test(line)));
  if (commands.length === 0 || page === "bench/README.md") continue;
  Deno.test({
    name: `every command of ${page} runs`,
    ignore: Deno.build.os === "windows",
    fn: () =>
      inFolder(async (folder) => {
        await furnish(folder, page);
        for (const command of commands) {
          const { code, stderr } = await new Deno.Command("sh", {
            args: ["-c", `set -e; ${shortened(command)}`],
            cwd: folder,
            env: { PATH: `${join(folder, "bin")}:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
            stdin: "null",
          }).output();
          assert.equal(code, 0, `${command}\n${new TextDecoder().decode(stderr)}`);
        }
      }),
  });
}
