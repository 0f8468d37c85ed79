// The recipes of docs/sweeps.md and --help that run a sweep's jobs, verbatim: values with newlines, spaces and quotes arrive
// unchanged.
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder, ROOT, script } from "./harness.ts";

const VALUES = ["two\nlines", 'it\'s a $HOME `id` "q"', "*", "-x", "a  b "];

/** Commands as `--jobs` prints them, that put their words into a file each. */
const jobs = (folder: string): string =>
  [1, 2].map((n) => {
    const command = ["sh", "-c", 'printf "%s|" "$@" > "$0"', `${folder}/${n}`, ...VALUES];
    return `${JSON.stringify({ v: 2, type: "job", command })}\n`;
  }).join("");

async function isThere(tool: string): Promise<boolean> {
  return (await new Deno.Command("sh", { args: ["-c", `command -v ${tool}`] }).output()).success;
}

async function checkRecipe(recipe: string): Promise<void> {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "jobs.ndjson"), jobs(folder));
    const { stderr } = await new Deno.Command("sh", { args: ["-c", recipe], cwd: folder }).output();
    for (const n of [1, 2]) {
      const written = await Deno.readTextFile(join(folder, String(n))).catch(() =>
        new TextDecoder().decode(stderr)
      );
      assert.equal(written, VALUES.map((value) => `${value}|`).join(""), recipe);
    }
  });
}

const tools = Deno.build.os !== "windows" && await isThere("jq") && await isThere("xargs");

Deno.test({
  name: "the recipes for --jobs take values with newlines, spaces and quotes",
  ignore: !tools,
  async fn() {
    const readme = await Deno.readTextFile(new URL("docs/sweeps.md", ROOT));
    const { stdout: help } = await script("train", ["--help"], ".");
    const pipes = [...`${readme}\n${help}`.matchAll(/^ *deno task train [^|\n]* --jobs (\|.*)$/gm)];
    const hasParallel = await isThere("parallel");
    let checked = 0;
    for (const [, pipe] of pipes) {
      if (/\bparallel\b/.test(pipe) && !hasParallel) continue;
      await checkRecipe(`cat jobs.ndjson ${pipe}`);
      checked++;
    }
    assert.ok(checked >= 2, `${checked} recipes`);
    const [, array] = /--wrap '(.*)'$/m.exec(readme)!;
    await checkRecipe(`for SLURM_ARRAY_TASK_ID in 1 2; do ${array}; done`);
  },
});
