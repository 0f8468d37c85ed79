// The imports of a user's file, and the hash of its code.
import assert from "node:assert/strict";
import { importsOf } from "../../src/base/import_specifiers.ts";
import { readCode } from "../../src/base/user_code.ts";

/** A text, its specifiers, and the expressions that load unnamed code. */
const TEXTS: Record<string, [string, string[], string[]?]> = {
  "imports and re-exports of every form": [
    `import a, { b } from "./a.ts"; import * as n from './n.ts'; import "./s.ts"; import type { T } from "./t.ts";
    export * from "./e.ts"; export { x as y } from "./x.ts"; import j from "./j.json" with { type: "json" };`,
    ["./a.ts", "./n.ts", "./s.ts", "./t.ts", "./e.ts", "./x.ts", "./j.json"],
  ],
  "dynamic imports": [
    'await import("./a.ts"); import(`./b.ts`); import.defer("./c.ts"); import(name);\nimport(`./${name}.ts`);',
    ["./a.ts", "./b.ts", "./c.ts"],
    ["import(...) in line 1", "import(...) in line 2"],
  ],
  "other ways to load code": [
    'new Worker(new URL("./w.ts", import.meta.url));\nrequire("./r.js"); createRequire(import.meta.url);',
    [],
    ["new Worker(...) in line 1", "require(...) in line 2", "createRequire(...) in line 2"],
  ],
  "comments, strings, templates and regular expressions": [
    `// import "./1.ts"
    /* import "./2.ts" */ const s = "import('./3.ts')", t = \`from "./4.ts" \${await import("./a.ts")} from "./5.ts"\`;
    const r = /from "(.\\/6.ts)"/g, d = a / b; if (x) /"/.test(y); i++ / 2; "'"; function f() {} /'/.test(z);`,
    ["./a.ts"],
  ],
  "escapes": [
    String.raw`import "\x2e/a\u002ets"; import "./b\
.ts"`,
    ["./a.ts", "./b.ts"],
  ],
  "properties of the names": [
    `x.import("./a.ts"); y?.require("./b.ts"); z.from; const o = { from: "./c.ts" };`,
    [],
  ],
  "elements whose text has quotes": [
    `import x from "./a.ts"; const p = <p>don't</p>;`,
    ["./a.ts"],
    ["a text of unclear syntax"],
  ],
};

for (const [name, [text, specifiers, open = []]] of Object.entries(TEXTS)) {
  Deno.test(`importsOf finds what a text names: ${name}`, () => {
    assert.deepEqual(importsOf(text), { specifiers, open });
  });
}

Deno.test("the imports of heed's own files are those that Deno finds", async () => {
  const root = new URL("../../mod.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", root] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: { local?: string; dependencies?: { specifier: string }[] }[];
  };
  let files = 0;
  for (const { local, dependencies = [] } of modules) {
    if (!local?.endsWith(".ts") || local.includes("node_modules")) continue;
    files++;
    const expected = [...new Set(dependencies.map(({ specifier }) => specifier))].sort();
    assert.deepEqual([...importsOf(await Deno.readTextFile(local)).specifiers].sort(), expected, local);
  }
  assert.ok(files > 100, `${files} files`);
});

Deno.test("the hash of a file's code changes with everything that it imports, and with nothing else", async () => {
  const folder = await Deno.makeTempDir();
  const write = (name: string, text: string) => Deno.writeTextFile(`${folder}/${name}`, text);
  const hash = async () => (await readCode(`${folder}/main.ts`)).sha256;
  try {
    await write("main.ts", "export const taps = {};");
    const alone = await hash();
    const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode("export const taps = {};"));
    assert.equal(alone, new Uint8Array(sum).toHex());
    await Deno.mkdir(`${folder}/lib`);
    await write("main.ts", 'export * from "./lib/a.ts"; import "npm:zod@4"; import "node:path";');
    await write(
      "lib/a.ts",
      'export { b } from "../b.ts"; import table from "./t.json" with { type: "json" };',
    );
    await write(
      "b.ts",
      'export const b = await import("./lib/c.js"); import("https://example.com/x.ts"); import(b);',
    );
    await write("lib/c.js", "1");
    await write("lib/t.json", "{}");
    const { sha256: original, elsewhere } = await readCode(`${folder}/main.ts`);
    assert.deepEqual(elsewhere, ["https://example.com/x.ts", "import(...) in line 1 of b.ts", "npm:zod@4"]);
    for (const name of ["lib/a.ts", "b.ts", "lib/c.js", "lib/t.json"]) {
      const before = await Deno.readTextFile(`${folder}/${name}`);
      await write(name, `${before} `);
      assert.notEqual(await hash(), original, name);
      await write(name, before);
    }
    await write("lib/other.ts", "");
    await Deno.rename(`${folder}/main.ts`, `${folder}/renamed.ts`);
    assert.equal((await readCode(`${folder}/renamed.ts`)).sha256, original);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the hash of code that imports heed does not include heed", async () => {
  const root = new URL("../../", import.meta.url).pathname;
  const { sha256, elsewhere } = await readCode(`${root}configs/distance_penalty.ts`);
  const bytes = await Deno.readFile(`${root}configs/distance_penalty.ts`);
  assert.equal(sha256, new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex());
  assert.deepEqual(elsewhere, []);
});

Deno.test("importing heed by name is not listed as an external module", async () => {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(
      file,
      'import "heed"; import "@heed/heed"; import "@heed/heed/kernels"; import "heeed";',
    );
    assert.deepEqual((await readCode(file)).elsewhere, ["heeed"]);
  } finally {
    await Deno.remove(file);
  }
});
