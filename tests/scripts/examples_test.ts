// Every example in the documentation is a program that type-checks and runs.
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { inFolder, ROOT, succeeds } from "./harness.ts";

/** Where documented code lives. */
const PLACES = ["mod.ts", "src/", "kernels/"];

/** One fenced block of a documentation comment. */
interface Example {
  /** `src/base/errors.ts:27` */
  readonly place: string;
  readonly code: string;
}

function sourcesIn(path: string): string[] {
  if (!path.endsWith("/")) return [path];
  return [...Deno.readDirSync(new URL(path, ROOT))].flatMap(({ name, isDirectory }) => {
    return isDirectory ? sourcesIn(`${path}${name}/`) : name.endsWith(".ts") ? [path + name] : [];
  }).sort();
}

/** The examples of a file, their relative imports made absolute. */
function examplesOf(path: string): Example[] {
  const text = Deno.readTextFileSync(new URL(path, ROOT));
  return [...text.matchAll(/^[ ]*\* ```ts\n([\s\S]*?)^[ ]*\* ```$/gm)].map((match) => {
    const line = text.slice(0, match.index).split("\n").length;
    const code = match[1].replace(/^[ ]*\* ?/gm, "").replace(
      /(from\s+")(\.[^"]*)(")/g,
      (_, before, specifier, after) => before + new URL(specifier, new URL(path, ROOT)).href + after,
    );
    return { place: `${path}:${line}`, code };
  });
}

Deno.test("every example in the documentation type-checks and runs", () =>
  inFolder(async (folder) => {
    const examples = PLACES.flatMap(sourcesIn).flatMap(examplesOf);
    assert.ok(examples.length > 40, `${examples.length} examples`);
    const names = await Promise.all(examples.map(async ({ place, code }) => {
      const name = `${folder}/${place.replace(/[^\w]+/g, "_")}.ts`;
      // A module of its own, with names that do not meet those of others.
      await Deno.writeTextFile(name, `${code}\nexport {};\n`);
      return name;
    }));
    // What an example calls and leaves is there to be read: only this rule is lifted.
    const { compilerOptions: { noUnusedLocals: _, ...compilerOptions }, imports } = project;
    const config = `${folder}/deno.json`;
    // Paths of the import map are the project's.
    const mapped = Object.fromEntries(
      Object.entries(imports).map(([name, path]) => [name, new URL(path, ROOT).href]),
    );
    await Deno.writeTextFile(config, JSON.stringify({ compilerOptions, imports: mapped }));
    const deno = async (args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args,
        cwd: folder,
        env: { NO_COLOR: "1" },
        stdin: "null",
      }).output();
      return { code, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    };
    const checked = await deno(["check", "--quiet", "--config", config, ...names]);
    assert.equal(checked.code, 0, checked.said);
    // Some begin with a run that is there.
    await succeeds("train", ["tiny.yaml"], folder);
    const all = examples.map(({ place }, i) =>
      `try { await import(${JSON.stringify(names[i])}); } catch (error) { failed.push([${
        JSON.stringify(place)
      }, String(error?.stack ?? error)]); }`
    );
    // The timer keeps the process alive while it is between two modules.
    const program = `const failed: string[][] = [];\nsetInterval(() => {}, 1000);\n${all.join("\n")}\n` +
      `await Deno.writeTextFile("failed.json", JSON.stringify(failed));\nDeno.exit(0);\n`;
    await Deno.writeTextFile(`${folder}/all.ts`, program);
    const denoJson = new URL("deno.json", ROOT).pathname;
    const ran = await deno(["run", "--allow-all", "--no-check", "--config", denoJson, `${folder}/all.ts`]);
    assert.equal(ran.code, 0, ran.said);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(`${folder}/failed.json`)), []);
  }));
