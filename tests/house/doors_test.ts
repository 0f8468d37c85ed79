// The doors: mod.ts, the one import of scripts, examples and users, and a door for each room.
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { ROOT } from "../scripts/harness.ts";

const ROOMS =
  "base wasm graph kernels device nn data config log chart runs model generate track train check jacobian"
    .split(" ").concat("interpret", "cli");

const CATEGORIES =
  "Training Configuration Data Models Runs Questions Attention Tensors Devices Logs Charts Scripts"
    .split(" ");

const doors = Object.values(project.exports).map((path) => path.replace("./", ""));

interface Documented {
  readonly tags?: readonly { readonly kind: string; readonly doc?: string }[];
}

interface Door {
  readonly module_doc?: Documented & { readonly doc?: string };
  readonly symbols: readonly {
    readonly name: string;
    readonly declarations: readonly { readonly jsDoc?: Documented }[];
  }[];
}

async function deno(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const options = { args, cwd: ROOT.pathname, env: { NO_COLOR: "1" }, stdin: "null" } as const;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** What `deno doc --json` says of doors. */
async function documented(paths: readonly string[]): Promise<Map<string, Door>> {
  const { code, stdout, stderr } = await deno("doc", "--json", ...paths);
  assert.equal(code, 0, stderr);
  const nodes: Record<string, Door> = JSON.parse(stdout).nodes;
  return new Map(Object.entries(nodes).map(([url, door]) => [url.replace(ROOT.href, ""), door]));
}

const textOf = (path: string): string => Deno.readTextFileSync(new URL(path, ROOT));

/** What the files of a folder import and export from, `file: specifier`. */
function specifiersIn(folder: string): string[] {
  const files = Array.from(Deno.readDirSync(new URL(folder, ROOT)), ({ name }) => `${folder}/${name}`);
  return files.filter((path) => path.endsWith(".ts")).flatMap((path) =>
    Array.from(textOf(path).matchAll(/\bfrom "([^"]+)";$/gm), ([, specifier]) => `${path}: ${specifier}`)
  );
}

Deno.test("mod.ts has at most 200 symbols of deno doc, each in one category", async () => {
  const [{ symbols }] = (await documented(["mod.ts"])).values();
  assert.ok(symbols.length <= 200, `${symbols.length} symbols; what few need is behind a room's door`);
  const odd = symbols.filter(({ declarations: [{ jsDoc }] }) => {
    const categories = jsDoc?.tags?.filter(({ kind }) => kind === "category").map(({ doc }) => doc!.trim());
    return categories?.length !== 1 || !CATEGORIES.includes(categories[0]);
  });
  assert.deepEqual(odd.map(({ name }) => name), [], `expected one @category of ${CATEGORIES.join(", ")}`);
});

Deno.test("each room has a door under exports, with a paragraph and an example, that holds its own room alone", async () => {
  assert.deepEqual(Object.keys(project.exports), [
    ".",
    ...["expr", "masks", ...ROOMS].map((room) => `./${room}`),
  ]);
  for (const [path, { module_doc, symbols }] of await documented(doors)) {
    const kinds = module_doc?.tags?.map(({ kind }) => kind) ?? [];
    assert.ok(module_doc?.doc && kinds.includes("example") && kinds.includes("module"), path);
    assert.ok(symbols.length > 0, path);
    if (path !== "mod.ts") assert.doesNotMatch(textOf(path), /^(export|\}) .*from "\.\.\//m, path);
  }
});

Deno.test("scripts, examples and configurations import mod.ts alone", () => {
  const all = ["scripts", "examples", "configs"].flatMap(specifiersIn);
  assert.ok(all.length > 20, all.join("\n"));
  assert.deepEqual(all.filter((line) => !/: (node:.*|\.\.\/mod\.ts)$/.test(line)), []);
});

Deno.test("deno task check reads the types and the documentation of every door", () => {
  const { check: { command } } = project.tasks;
  const [, checked] = / deno check (mod\.ts .*?) &&/.exec(command) ?? [];
  const [, linted] = / deno doc --lint (.*)$/.exec(command) ?? [];
  const covers = (globs: string, path: string) =>
    globs.split(" ").some((glob) =>
      path === glob || path.startsWith(`${glob}/`) ||
      /^src\/\w+\/mod\.ts$/.test(path) && glob === "src/*/mod.ts"
    );
  assert.deepEqual(doors.filter((path) => !covers(checked, path) || !covers(linted, path)), []);
});

Deno.test("the package is published without a slow type, as a dry run says without a network", async () => {
  const { code, stderr } = await deno("publish", "--dry-run", "--allow-dirty", "--no-check");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Success Dry run complete/);
  const files = Array.from(
    stderr.matchAll(/^ +file:\/\/(.*) \(/gm),
    ([, path]) => path.replace(ROOT.pathname, ""),
  );
  assert.deepEqual(files.filter((path) => /^(tests|bench|runs|tools)\//.test(path)), []);
  for (const path of ["mod.ts", "README.md", "LICENSE", "CHANGELOG.md", "configs/default.yaml", ...doors]) {
    assert.ok(files.includes(path), path);
  }
});
