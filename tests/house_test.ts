// The plan of the house, held by the import graph: no room imports one printed below it here, no two files import each
// other, types and dynamic imports included, and no file is too long to be read at once.
import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** From the ground up. */
const ROOMS = [
  "src/std",
  "src/base",
  "src/wasm",
  "src/graph",
  "kernels",
  "src/device",
  "src/nn",
  "src/data",
  "src/config",
  "src/log",
  "src/chart",
  "src/runs",
  "src/model",
  "src/generate",
  "src/track",
  "src/train",
  "src/check",
  "src/jacobian",
  "src/interpret",
  "src/page",
  "src/cli",
  "mod.ts",
  "scripts",
];

const MOST_LINES = 400;

/** Files of a folder, by their path from the project's. */
function* filesOf(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(join(ROOT, folder))) {
    if (isDirectory) yield* filesOf(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

const SOURCES = ["src", "kernels", "scripts"].flatMap((folder) => [...filesOf(folder)]);

/** The room of a file; undefined for what stands in none (configurations, lists of corpora). */
const roomOf = (file: string): number => {
  const parts = file.split("/");
  return ROOMS.findIndex((room) => room === file || room === parts[0] || room === `${parts[0]}/${parts[1]}`);
};

interface Resolved {
  readonly specifier?: string;
}

/** Which files each file imports: what `deno info` says of a module that imports every one. */
async function importGraph(): Promise<Map<string, string[]>> {
  const folder = await Deno.makeTempDir();
  try {
    const all = ["mod.ts", ...SOURCES.filter((file) => file.endsWith(".ts"))];
    const entry = join(folder, "all.ts");
    const lines = all.map((file) => `import ${JSON.stringify(pathToFileURL(join(ROOT, file)).href)};`);
    await Deno.writeTextFile(entry, lines.join("\n"));
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--config", join(ROOT, "deno.json"), entry],
    }).output();
    const { modules } = JSON.parse(new TextDecoder().decode(stdout));
    const graph = new Map<string, string[]>();
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith("file:") || !all.includes(fileOf(specifier))) continue;
      const imports = dependencies.flatMap(({ code, type }: { code?: Resolved; type?: Resolved }) =>
        [code?.specifier, type?.specifier].filter((url) => url?.startsWith("file:")).map((url) =>
          fileOf(url!)
        )
      );
      graph.set(fileOf(specifier), [...new Set<string>(imports)]);
    }
    assert.deepEqual([...graph.keys()].sort(), all.sort());
    return graph;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const fileOf = (url: string): string => relative(ROOT, fileURLToPath(url)).replaceAll("\\", "/");

/** Groups of files of which each reaches every other (Tarjan's strongly connected components of two files or more). */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const open: string[] = [];
  const all: string[][] = [];
  const visit = (file: string): number => {
    let low = order.size;
    const own = low;
    order.set(file, own);
    open.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (open.includes(next)) low = Math.min(low, order.get(next)!);
    }
    if (low === own) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1) all.push(circle.sort());
    }
    return low;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return all;
}

Deno.test("a circle of imports is found, and a path without one is none", () => {
  assert.deepEqual(circles(new Map([["a", ["b", "c"]], ["b", ["c"]], ["c", []]])), []);
  assert.deepEqual(circles(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), [["b", "c"]]);
});

Deno.test("no room imports a room below it, and no two files import each other", async () => {
  const graph = await importGraph();
  const strangers = [...graph.keys()].filter((file) => roomOf(file) < 0);
  assert.deepEqual(strangers, [], "every file stands in a room");
  const upward = [...graph].flatMap(([file, imports]) =>
    imports.filter((other) => roomOf(other) > roomOf(file)).map((other) => `${file} -> ${other}`)
  );
  assert.deepEqual(upward, []);
  assert.deepEqual(circles(graph), []);
});

const lines = (file: string): number => Deno.readTextFileSync(join(ROOT, file)).split("\n").length - 1;

Deno.test("no file of the sources and of the tests is longer than 400 lines", () => {
  const code = [...SOURCES, ...["tests", "bench", "examples"].flatMap((folder) => [...filesOf(folder)])];
  const long = code.filter((file) => /\.(ts|wgsl)$/.test(file) && lines(file) > MOST_LINES);
  assert.deepEqual(long.map((file) => `${file}: ${lines(file)}`), []);
});

Deno.test("the training loop is at most 80 lines", () => {
  assert.ok(lines("src/train/loop.ts") <= 80);
});

Deno.test("the type any stands where a value of JSON is read, and nowhere else", () => {
  const uses = SOURCES.filter((file) => file.endsWith(".ts")).flatMap((file) =>
    Deno.readTextFileSync(join(ROOT, file)).split("\n")
      .filter((line) =>
        !/^\s*(\*|\/\/|\/\*\*)/.test(line) && /(:|<|\bas|\|)\s*any\b(?!\?)/.test(line.replace(/"[^"]*"/g, ""))
      )
      .map((line) => `${file}: ${line.trim()}`)
  );
  assert.deepEqual(uses, ["src/base/json.ts: export function parseJson(text: string): any {"]);
});
