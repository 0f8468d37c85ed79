// A folder in which commands are tried: texts, configurations, runs, code of a user's, and files that are none of what is
// asked for. Each try is compared with the folder before it, and puts it back.
import { dirname, join } from "node:path";
import { TEXT } from "../scripts/harness.ts";
import type { Bench } from "./bench.ts";
import type { Tried } from "./file_tries.ts";

/** A model small enough for a step of milliseconds. */
const TINY = `name: tiny
device: cpu
data: { files: [text.txt] }
model: { context: 16, dim: 16, layers: 1, heads: 2 }
train: { steps: 4, batch: 4 }
schedule: { warmup: 2 }
eval: { every: 2, batches: 1 }
sample: { prompt: "The ", tokens: 4 }
track: [{ select: ["act:blocks.*.attn.pattern", "param_grad:**"], every: 2 }]
capture: [{ layers: [0], heads: [0], every: 4 }]
`;

const FILES: Record<string, string | Uint8Array> = {
  "text.txt": TEXT,
  "tiny.yaml": TINY,
  "sweep.yaml": TINY.replace("name: tiny", "name: swept").replace("steps: 4", "steps: [1, 2]"),
  "empty.txt": "",
  "empty.yaml": "",
  "list.yaml": "[1, 2]",
  "broken.yaml": "model: { dim: [1, }",
  "latin.txt": Uint8Array.of(0xe9, 0x20, 0x0a),
  "latin.yaml": Uint8Array.of(0x6e, 0x61, 0x6d, 0x65, 0x3a, 0x20, 0xe9),
  "zeros.bin": new Uint8Array(4096),
  "array.json": "[1, 2]",
  "lfs.safetensors": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
  "hooks.ts":
    'export const keys = { share: { default: 0.1, min: 0, max: 1 } };\nexport const freeze = () => ["embed.*"];\n',
  "nothing.ts": "export const unrelated = 1;\n",
  "throws.ts": 'throw new Error("of the user");\n',
  "syntax.ts": "export const = 1;\n",
  "control\u001b[31m\u202e.txt": TEXT,
  "dir/inside.txt": TEXT,
  "mine.ts": `export function attention({ q, k, v, scale }) {
  return q.map((row) => {
    const w = k.map((key) => Math.exp(scale * key.reduce((s, x, e) => s + x * row[e], 0)));
    const sum = w.reduce((a, b) => a + b, 0) || 1;
    return v[0].map((_, e) => w.reduce((z, x, j) => z + x / sum * v[j][e], 0));
  });
}
`,
};

type Marks = ReadonlyMap<string, string>;

/** The path of everything below a folder, with what tells whether it changed. */
function snapshot(folder: string, prefix = ""): Marks {
  const marks = new Map<string, string>();
  for (const { name, isDirectory } of Deno.readDirSync(join(folder, prefix))) {
    const path = join(prefix, name);
    const { size, mtime } = Deno.lstatSync(join(folder, path));
    marks.set(path, isDirectory ? "folder" : `${size} ${mtime?.getTime()}`);
    if (isDirectory) { for (const [below, mark] of snapshot(folder, path)) marks.set(below, mark); }
  }
  return marks;
}

function copy(from: string, to: string): void {
  const { isDirectory, isSymlink } = Deno.lstatSync(from);
  if (isSymlink) Deno.symlinkSync(Deno.readLinkSync(from), to);
  else if (!isDirectory) Deno.copyFileSync(from, to);
  else {
    Deno.mkdirSync(to, { recursive: true });
    for (const { name } of Deno.readDirSync(from)) copy(join(from, name), join(to, name));
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function removeThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch { /* There is nothing. */ }
}

/** A folder to try commands in. */
export interface Sandbox {
  readonly path: string;
  /** Writes files, a folder where the content is undefined, before a command. */
  put(files: Tried["files"]): void;
  /** What a command left in it, and removed from it: the folder is as it was afterwards. */
  restore(): string[];
}

/** Writes the files of a sandbox. */
export function writeFiles(path: string): void {
  copy(new URL("../golden/gpt2", import.meta.url).pathname, join(path, "gpt2"));
  for (const [name, content] of Object.entries(FILES)) {
    const file = join(path, name);
    Deno.mkdirSync(join(file, ".."), { recursive: true });
    if (typeof content === "string") Deno.writeTextFileSync(file, content);
    else Deno.writeFileSync(file, content);
  }
}

/** Makes the runs that questions are asked about. */
export async function makeRuns(bench: Bench): Promise<void> {
  for (
    const args of [["tiny.yaml"], ["sweep.yaml"], [
      "tiny.yaml",
      "name=other",
      "model.layers=2",
      "model.context=128",
      "data.files=[]",
      "data.source=copy",
    ], ["tiny.yaml"]]
  ) {
    const made = await bench.run({ task: "train", args }, 120_000);
    if (made?.code !== 0) throw new Error(`the sandbox's run failed: ${JSON.stringify(made)}`);
  }
}

/** A copy of a folder that is put back after each try. */
export function sandboxOf(model: string, path: string): Sandbox {
  copy(model, path);
  let pristine = snapshot(path);
  let before = pristine;
  return {
    path,
    put(files) {
      if (!files) return;
      for (const [name, content] of Object.entries(files)) {
        const file = join(path, name);
        Deno.mkdirSync(dirname(file), { recursive: true });
        if (content === undefined || isFolder(file)) removeThere(file);
        if (content === undefined) Deno.mkdirSync(file);
        else {Deno.writeFileSync(
            file,
            typeof content === "string" ? new TextEncoder().encode(content) : content,
          );}
      }
      before = snapshot(path);
    },
    restore() {
      const after = snapshot(path);
      const differing = (a: Marks, b: Marks) =>
        [...new Set([...a.keys(), ...b.keys()])].filter((name) => a.get(name) !== b.get(name));
      const changes = differing(before, after).map((name) => {
        const mark = after.get(name);
        if (mark === undefined) return `removed ${name}`;
        const what = mark === "folder" ? "/" : mark.startsWith("0 ") ? " (empty)" : "";
        return `${before.has(name) ? "changed" : "new"} ${name}${what}`;
      });
      let [done, touched] = ["\n", false];
      // A folder before what it holds, which it brings along.
      for (const name of differing(pristine, after).sort()) {
        if (name.startsWith(done)) continue;
        [done, touched] = [`${name}/`, true];
        removeThere(join(path, name));
        if (pristine.has(name)) copy(join(model, name), join(path, name));
      }
      if (touched) pristine = snapshot(path);
      before = pristine;
      return changes;
    },
  };
}
