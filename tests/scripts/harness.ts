// Runs scripts as users do: in their own process and folder, with exactly the permissions of their task in deno.json.
import assert from "node:assert/strict";
import { sha256Hex } from "../../src/base/hash.ts";
import { decodeSafetensors, encodeSafetensors } from "../../src/model/formats/safetensors.ts";
import project from "../../deno.json" with { type: "json" };

/** The project's folder. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** Where a WebGPU driver is looked for; a script that is to find one must find it wherever the test does. */
const VULKAN = ["DENO_WEBGPU_BACKEND", "XDG_RUNTIME_DIR"];

/** Where scripts remember trusted files: never in the home of whoever runs the tests. */
export const DATA_HOME: string = Deno.makeTempDirSync({ prefix: "heed-data-" });
Deno.env.set("XDG_DATA_HOME", DATA_HOME);
globalThis.addEventListener("unload", () => Deno.removeSync(DATA_HOME, { recursive: true }));

/** Names of the tasks that are scripts. */
export const SCRIPTS = [
  "train",
  "show",
  "generate",
  "perplexity",
  "next_token",
  "attention_maps",
  "embeddings",
  "logit_lens",
  "attribution",
  "ablate",
  "patch",
  "runs",
  "verify_load",
  "check_attention",
  "analyze_softmax_jacobian",
  "plot",
  "stats",
  "report",
  "schema",
  "collect",
  "import_model",
  "export_model",
  "compile",
] as const;

/** The exit code and output of a script. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of running a script. */
export interface Surroundings {
  readonly env?: Record<string, string>;
  /** A permission flag to omit. */
  readonly without?: string;
  /** A permission flag to add. */
  readonly added?: string;
}

/** The arguments of `deno` that run a script as its task does. */
export function taskArguments(name: (typeof SCRIPTS)[number], without?: string): string[] {
  const [deno, run, ...rest] = project.tasks[name].command.split(" ");
  assert.deepEqual([deno, run], ["deno", "run"]);
  const path = rest.pop()!;
  const flags = rest.filter((flag) => without === undefined || !flag.startsWith(without));
  assert.ok(rest.every((flag) => /^--allow-(read|write|env|net|run|sys|ffi)\b/.test(flag)), rest.join(" "));
  const config = new URL("deno.json", ROOT).pathname;
  return ["run", "--no-prompt", "--config", config, ...flags, new URL(path, ROOT).pathname];
}

/** Processes that a failed test would leave behind. */
const running = new Set<Deno.ChildProcess>();

/** The script as a process that has been started; its output is piped. */
export function start(
  name: (typeof SCRIPTS)[number],
  args: readonly string[],
  cwd: string,
  { env, without, added }: Surroundings = {},
): Deno.ChildProcess {
  const inherited = Object.fromEntries(VULKAN.flatMap((key) => {
    const value = Deno.env.get(key);
    return value === undefined ? [] : [[key, value]];
  }));
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", ...(added ? [added] : []), ...taskArguments(name, without).slice(1), ...args],
    cwd,
    env: { NO_COLOR: "1", ...inherited, ...env },
    stdout: "piped",
    stderr: "piped",
    stdin: "null",
  }).spawn();
  running.add(process);
  process.status.then(() => running.delete(process));
  return process;
}

/** Waits for the end of a process. */
export async function ended(process: Deno.ChildProcess): Promise<Ended> {
  const { code, stdout, stderr } = await process.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  // Deno's own, where several processes begin at once.
  const said = text(stderr).replace(/^.*Blocking waiting for file lock on .*\n/gm, "");
  return { code, stdout: text(stdout), stderr: said };
}

/** Runs a script to its end. */
export async function script(
  name: (typeof SCRIPTS)[number],
  args: readonly string[],
  cwd: string,
  surroundings: Surroundings = {},
): Promise<Ended> {
  return await ended(start(name, args, cwd, surroundings));
}

/** Runs a script that must succeed. */
export async function succeeds(
  name: (typeof SCRIPTS)[number],
  args: readonly string[],
  cwd: string,
): Promise<Ended> {
  const result = await script(name, args, cwd);
  assert.equal(result.code, 0, result.stderr);
  return result;
}

/** A text of about 20,000 characters in which something can be learnt. */
export const TEXT: string = Array.from({ length: 500 }, (_, i) => {
  return `The number ${i} follows ${i - 1}, and ${(i * 7) % 31} is its own.\n`;
}).join("");

/** A model small enough for a step of milliseconds; `tiny.yaml`. */
const TINY = `name: tiny
device: cpu
data: { files: [text.txt] }
model: { context: 16, dim: 16, layers: 1, heads: 2 }
train: { steps: 6, batch: 4 }
schedule: { warmup: 2 }
eval: { every: 3, batches: 4 }
sample: { prompt: "The ", tokens: 10 }
`;

/** Runs `body` in a folder with text.txt and tiny.yaml, which is removed afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-scripts-" });
  try {
    await Deno.writeTextFile(`${folder}/text.txt`, TEXT);
    await Deno.writeTextFile(`${folder}/tiny.yaml`, TINY);
    await body(folder);
  } finally {
    for (const process of running) {
      process.kill("SIGKILL");
      await process.status;
    }
    await Deno.remove(folder, { recursive: true });
  }
}

/** Every path below a folder, sorted, links as they are. */
export function tree(folder: string, prefix = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${prefix}`)].flatMap((entry) => {
    const path = prefix + entry.name;
    return entry.isDirectory ? [path, ...tree(folder, `${path}/`)] : [path];
  }).sort();
}

/** The path of the run of a folder that began last, whatever it has. */
export function youngest(folder: string, runs = "runs"): string {
  const all = tree(`${folder}/${runs}`).filter((path) => /(^|\/)\d{8}-\d{6}-[0-9a-f]+$/.test(path));
  const time = (path: string) => path.split("/").at(-1)!;
  return `${folder}/${runs}/${all.sort((a, b) => time(a) < time(b) ? -1 : 1).at(-1)}`;
}

/** The path of a folder's newest run with a checkpoint. */
export function latest(folder: string, runs = "runs"): string {
  const link = `${folder}/${runs}/latest`;
  const target = Deno.lstatSync(link).isSymlink
    ? Deno.readLinkSync(link)
    : Deno.readTextFileSync(link).trim();
  return `${folder}/${runs}/${target}`;
}

/** The checkpoint that `best` or `last` of a run points at. */
export function checkpoint(run: string, which: "best" | "last" = "last"): string {
  const link = `${run}/checkpoints/${which}`;
  const target = Deno.lstatSync(link).isSymlink
    ? Deno.readLinkSync(link)
    : Deno.readTextFileSync(link).trim();
  return `${run}/checkpoints/${target}`;
}

/** The log's text. */
export function logOf(run: string): string {
  return Deno.readTextFileSync(`${run}/log.ndjson`);
}

/** A log without clock fields: equal for equal runs. */
export function timeless(log: string): string {
  return log.replace(/"(time|ms|tokens_per_s|seconds)":("[^"]*"|[^,}]*)/g, '"$1":0');
}

/** Every file of a checkpoint with its bytes in hexadecimal. */
export function filesOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    tree(folder).map((name) => [name, Deno.readFileSync(`${folder}/${name}`).toHex()]),
  );
}

/** Waits until `condition` holds; fails after `limit` milliseconds. */
export async function until(condition: () => boolean, limit = 20_000): Promise<void> {
  for (const end = performance.now() + limit; !condition();) {
    assert.ok(performance.now() < end, "waited too long");
    await new Promise((resume) => setTimeout(resume, 5));
  }
}

/** Makes `best` or `last` of a run point at a step, as a run does. */
export async function point(run: string, which: "best" | "last", step: string): Promise<void> {
  const link = `${run}/checkpoints/${which}`;
  await Deno.remove(link).catch(() => {});
  await Deno.writeTextFile(link, step + "\n");
}

/** Makes every parameter of a checkpoint NaN, and its hashes those of the files. */
export async function poison(folder: string): Promise<void> {
  const path = `${folder}/model.safetensors`;
  const { tensors, metadata } = decodeSafetensors(await Deno.readFile(path), path);
  for (const { data } of tensors.values()) (data as Float32Array).fill(NaN);
  await Deno.writeFile(path, encodeSafetensors(Object.fromEntries(tensors), metadata));
  await reseal(folder);
}

/** Makes the hashes of a checkpoint those of its files, as if they had been saved so. */
export async function reseal(folder: string): Promise<void> {
  const path = `${folder}/state.json`;
  const { sha256: _, ...state } = JSON.parse(await Deno.readTextFile(path));
  for (const name of Object.keys(state.files)) {
    state.files[name] = sha256Hex(await Deno.readFile(`${folder}/${name}`));
  }
  const text = JSON.stringify(state, null, 2);
  const seal = sha256Hex(new TextEncoder().encode(text));
  await Deno.writeTextFile(path, `${text.slice(0, -2)},\n  "sha256": "${seal}"\n}\n`);
}
