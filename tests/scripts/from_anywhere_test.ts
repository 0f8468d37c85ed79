// Imports of heed from a folder without a Deno configuration: by the path of mod.ts, by an import map, linked, and as a bundle.
import { assert, assertEquals } from "@std/assert";
import project from "../../deno.json" with { type: "json" };
import { CATALOGUE } from "../../src/data/corpora.ts";
import { type Ended, ended, ROOT } from "./harness.ts";

const MOD = new URL("mod.ts", ROOT).pathname;

async function deno(args: string[], cwd: string): Promise<Ended> {
  const env = { NO_COLOR: "1" };
  const options = { args, cwd, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const result = await ended(new Deno.Command(Deno.execPath(), options).spawn());
  assertEquals(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
  return result;
}

async function inEmptyFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-anywhere-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Uses each package behind heed: js-yaml and zod, GPT-2's merges, Chart.js, dagre. */
const using = (specifier: string): string =>
  `import { graphDiagram, gpt2Tokenizer, input, lineChart, loadConfig, scale } from "${specifier}";
const { model } = await loadConfig("nanogpt_cpu", ["model.dim=64"]);
const chart = lineChart({
  title: "Loss",
  x: { label: "step" },
  y: { label: "loss" },
  series: [{ name: "train", points: [[1, 3], [2, 2]] }],
});
const diagram = graphDiagram([scale(input("x", [2, 3]), 2)]);
console.log(model.dim, gpt2Tokenizer().encode("hello world").join(), chart.slice(0, 4), diagram.slice(0, 4));
`;

const SAID = "64 31373,995 <svg <svg\n";

/** Imports of mod.ts, of every door and of all modules they reach: bare specifiers with their files, and the files of each npm specifier. */
async function imports(): Promise<{ bare: string[]; packages: Map<string, string[]> }> {
  const { stdout } = await deno(["info", "--json", "mod.ts"], ROOT.pathname);
  const { modules } = JSON.parse(stdout) as {
    modules: { specifier: string; dependencies?: { specifier: string }[] }[];
  };
  const reached = new Set(modules.map(({ specifier }) => specifier));
  assertEquals(Object.values(project.exports).filter((path) => !reached.has(new URL(path, ROOT).href)), []);
  const bare: string[] = [];
  const packages = new Map<string, string[]>();
  for (const { specifier: module, dependencies = [] } of modules) {
    if (!module.startsWith(ROOT.href)) continue;
    for (const { specifier } of dependencies) {
      const file = module.slice(ROOT.href.length);
      const [name] = /^npm:(@[^/]+\/)?[^/]+/.exec(specifier) ?? [];
      if (name !== undefined) packages.set(name, [...packages.get(name) ?? [], file]);
      else if (!/^(\.{1,2}\/|node:)/.test(specifier)) bare.push(`${file}: ${specifier}`);
    }
  }
  return { bare, packages };
}

Deno.test("no module that mod.ts or a room's door reaches has a bare specifier, and a package is named in one file alone", async () => {
  const { bare, packages } = await imports();
  assertEquals(bare, []);
  assertEquals([...packages].filter(([, files]) => files.length > 1), []);
  assert(packages.size >= 5, [...packages.keys()].join());
});

Deno.test("deno.lock, which a first training installs, has no package of tests and bench alone", async () => {
  const lock = JSON.parse(await Deno.readTextFile(new URL("deno.lock", ROOT)));
  const corpora = Object.values(CATALOGUE).flatMap((corpus) =>
    corpus.from === "npm" ? [`npm:${corpus.package}`] : []
  );
  const { packages } = await imports();
  assertEquals(Object.keys(lock.specifiers).sort(), [...packages.keys(), ...corpora].sort());
});

Deno.test("from an empty folder, a script imports mod.ts by its path", () =>
  inEmptyFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/mine.ts`, using(MOD));
    assertEquals((await deno(["run", "--allow-read", "mine.ts"], folder)).stdout, SAID);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["mine.ts"]);
  }));

Deno.test("from an empty folder, a script imports heed by an import map", () =>
  inEmptyFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/mine.ts`, using("heed"));
    await Deno.writeTextFile(`${folder}/map.json`, JSON.stringify({ imports: { heed: MOD } }));
    assertEquals(
      (await deno(["run", "--allow-read", "--import-map", "map.json", "mine.ts"], folder)).stdout,
      SAID,
    );
  }));

Deno.test("from an empty folder, a script imports @heed/heed once `deno link` has linked the checkout", () =>
  inEmptyFolder(async (folder) => {
    const script =
      'import { lineChart as own } from "@heed/heed/chart";\nif (own !== lineChart) throw new Error("another");\n';
    await Deno.writeTextFile(`${folder}/mine.ts`, script + using("@heed/heed"));
    await deno(["link", ROOT.pathname], folder);
    assertEquals((await deno(["run", "--allow-read", "mine.ts"], folder)).stdout, SAID);
  }));

Deno.test("from an empty folder, a script imports a bundle of mod.ts, without npm and network", () =>
  inEmptyFolder(async (folder) => {
    await deno(["bundle", "--quiet", "-o", `${folder}/heed.js`, "mod.ts"], ROOT.pathname);
    await Deno.writeTextFile(`${folder}/mine.ts`, using("./heed.js"));
    const alone = ["run", "--allow-read", "--no-config", "--no-npm", "--no-remote", "mine.ts"];
    assertEquals((await deno(alone, folder)).stdout, SAID);
  }));

Deno.test("a file that imports heed has the bundle of mod.ts that the script imported", () =>
  inEmptyFolder(async (folder) => {
    await deno(["bundle", "--quiet", "-o", `${folder}/heed.js`, "mod.ts"], ROOT.pathname);
    await Deno.writeTextFile(
      `${folder}/hooks.ts`,
      'import { UserError } from "heed";\nexport const its = UserError;\n',
    );
    await Deno.writeTextFile(
      `${folder}/mine.ts`,
      'import { exportsOf, UserError } from "./heed.js";\n' +
        'console.log((await exportsOf("hooks.ts", "hooks")).its === UserError);\n',
    );
    assertEquals((await deno(["run", "--allow-read", "--no-npm", "mine.ts"], folder)).stdout, "true\n");
  }));

Deno.test("from an empty folder, the Brown corpus is read from its package", () =>
  inEmptyFolder(async (folder) => {
    await Deno.writeTextFile(
      `${folder}/mine.ts`,
      `import { loadText } from "${MOD}";\nconsole.log((await loadText({ source: "brown" })).text.slice(0, 28));\n`,
    );
    assertEquals(
      (await deno(["run", "--allow-read", "mine.ts"], folder)).stdout,
      "The Fulton County Grand Jury\n",
    );
  }));
