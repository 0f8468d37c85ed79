// Files that a user gives, damaged in every way, and the commands that read them: configurations, tokenizers, models, logs and
// what stands in a run's folder.
import { join } from "node:path";
import type { RandomStream } from "../../src/base/random.ts";
import type { Asked } from "./worker.ts";

/** A command, and the files that stand before it; undefined makes a folder of that name. */
export interface Tried extends Asked {
  readonly files?: Readonly<Record<string, string | Uint8Array | undefined>>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const BILLION = [
  "a: &a [x,x,x,x,x,x,x,x,x]",
  ..."bcdefghi".split("").map((name, n) =>
    `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[n]}`).join(",")}]`
  ),
].join("\n");

/** What none of them should hold. */
const NASTY: readonly (string | Uint8Array | undefined)[] = [
  ...'|null|true|1|-1|1e999|NaN|[]|{}|[[]]|[1,2]|[null]|{"a":1}|"text"|\'|{|[|,|:|---|...|--- 1\n--- 2|- a\n- b|# only'
    .split("|"),
  '{"__proto__": {"a": 1}, "constructor": 1}',
  '{"v":1,"type":"run"}',
  '{"v":1,"type":"step","step":1,"loss":"x"}\n',
  '{"v":99,"type":"run","config":null}\n{"v":1,"type":"eval","step":-1,"split":3,"loss":{}}\n',
  '{"a":"\\ud800"}',
  "\ufeff{}",
  "model: &a { block: *a }",
  BILLION,
  `"${"k".repeat(1e6)}": 1`,
  `${"k".repeat(1e6)}: ${"v".repeat(1e5)}`,
  `{"${"k".repeat(1e6)}": 1}`,
  "[".repeat(100_000),
  `${"[".repeat(20_000)}1${"]".repeat(20_000)}`,
  `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
  "a:\n".repeat(3000),
  "x".repeat(2_000_000),
  `{"a": "${"\u001b[2J\u202e".repeat(500)}"}`,
  "\u001b]0;title\u0007: \u001b[31m",
  "<!DOCTYPE html><html><body>Sign in</body></html>",
  "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
  "<<: 1",
  "<<: [1, 2]",
  "? {a: 1}\n: 2",
  "!!js/function 'x'",
  "&a &b c",
  "*a",
  "%YAML 9.9\n---\na: 1",
  "a: 1\na: 2",
  Uint8Array.of(0xff, 0xfe, 0x7b, 0x00),
  Uint8Array.of(0xc3, 0x28, 0x0a),
  bytes("{}\0"),
  new Uint8Array(4096),
  new Uint8Array(8).fill(0xff),
  undefined,
];

/** Code of a user's that is not what is asked for. */
const CODE = [
  "export const keys = 1;",
  "export const keys = { file: { default: 1 } };",
  'export const keys = { a: { default: "x", oneOf: [] } };',
  "export const freeze = () => 1;",
  'export const freeze = () => ["nope"];',
  "export const freeze = () => { throw 1; };",
  "export const batch = () => null;",
  "export const batch = (x) => ({ ids: [1e9], targets: x.targets });",
  "export const metrics = [{ name: 1 }];",
  'export const metrics = [{ name: "a", every: 1, fn: () => "x" }];',
  'export const metrics = [{ name: "a", every: 1, fn: () => ({ "\u001b[31m": 1 }) }];',
  'export const taps = { "blocks.*": (x) => x, nope: (x) => x };',
  'export const taps = { "**": () => 1 };',
  'export const scores = { "blocks.*.attn.scores": () => 1 };',
  "export const tasks = 1;",
  "export const tasks = { a: 1 };",
  'export const tasks = { a: { sample: () => { throw new Error("\u001b[31m".repeat(300)); } } };',
  'throw new Error("x".repeat(10000));',
  "throw null;",
  "throw { a: 1 };",
  "await new Promise(() => {});",
  'import "./missing.ts";',
  'import { nope } from "heed";',
  "export function attention() {}",
  "export function attention() { return [[NaN]]; }",
  'export function attention() { throw new TypeError("a\nb"); }',
  "export const attention = async () => await 1;",
  "export default 1;",
];

const VALUES = [
  '""',
  "null",
  "true",
  "-1",
  "0",
  "1.5",
  "1e308",
  "1e999",
  "9007199254740993",
  "[]",
  "{}",
  "[[1]]",
  '"x"',
  '"\\u001b[31m"',
  '"\\ud800"',
  '{"a":1}',
];

const pick = <T>(random: RandomStream, from: readonly T[]): T => from[random.below(from.length)];

/** The text with a few values, lines or characters of it changed. */
function changed(random: RandomStream, text: string): string {
  let result = text;
  for (let edits = 1 + random.below(3); edits > 0; edits--) {
    const at = random.below(result.length + 1);
    const way = random.below(6);
    const rest = result.slice(at);
    const replaced = () => pick(random, VALUES);
    if (way === 0) result = result.slice(0, at);
    else if (way === 1) {
      result = result.slice(0, at) + pick(random, ["{", "}", "[", ",", '"', "\n", "\0", "\u202e", "é", "9"]) +
        rest;
    } else if (way === 2) result = result.slice(0, at) + rest.replace(/"[^"]*"|-?\d[\d.e-]*|\w+/, replaced);
    else if (way === 3) {
      result = result.slice(0, at) + rest.replace(/(?<=:\s?)("[^"]*"|-?\d[\d.e-]*|\w+)/, replaced);
    } else if (way === 4) {
      result = result.slice(0, at) + rest.replace(/(?<=:\s?)(\[[^\]]*\]|\{[^}]*\})/, replaced);
    } else result = result.split("\n").toSpliced(random.below(1 + result.split("\n").length), 1).join("\n");
  }
  return result;
}

const LAST = "runs/latest/checkpoints/last";
const QUESTIONS: readonly Asked[] = [
  { task: "generate", args: ["runs/latest", "--tokens", "2"] },
  { task: "verify_load", args: ["runs/latest"] },
  { task: "train", args: ["--resume", "runs/latest"] },
  { task: "export_model", args: ["runs/latest", "--out", "exported"] },
];
const LOGGED: readonly Asked[] = [
  ...["stats", "plot", "report"].map((task) => ({ task, args: ["runs/latest"] })),
  { task: "stats", args: ["runs/latest", "--tap", "**"] },
  { task: "plot", args: ["runs/latest", "--metric", "loss"] },
  { task: "collect", args: ["runs"] },
  { task: "train", args: ["--resume", "runs/latest"] },
];
/** What the defaults of a configuration that says nothing train in no time with. */
const LIGHT = "train.steps=1 model.dim=16 model.heads=2 eval.batches=1 data.files=[text.txt] device=cpu"
  .split(" ");
const SMALL = ["tiny.yaml", "train.steps=1"];

/** Files, and the commands that read them. */
const READERS: readonly [string, readonly Asked[]][] = [
  ["tried.yaml", ["train", "show"].map((task) => ({ task, args: ["tried.yaml", ...LIGHT] }))],
  ["tried.txt", [
    { task: "train", args: [...SMALL, "data.files=[tried.txt]"] },
    { task: "perplexity", args: ["--file", "tried.txt"] },
    { task: "perplexity", args: ["--file", "tried.txt", "--lines"] },
    { task: "embeddings", args: ["--file", "tried.txt"] },
    { task: "ablate", args: ["--file", "tried.txt"] },
  ]],
  ["gpt2/tokenizer.json", [
    { task: "train", args: [...SMALL, "tokenizer.kind=huggingface", "tokenizer.file=gpt2/tokenizer.json"] },
    { task: "import_model", args: ["gpt2"] },
  ]],
  ["gpt2/config.json", [{ task: "import_model", args: ["gpt2"] }]],
  ["gpt2/model.safetensors.index.json", [{ task: "import_model", args: ["gpt2"] }]],
  ["gpt2/model.safetensors", [{ task: "import_model", args: ["gpt2"] }]],
  [".cache/models/gpt2/SHA256SUMS", [{ task: "import_model", args: ["distilgpt2"] }]],
  ["runs/latest/config.yaml", [
    { task: "runs", args: [] },
    { task: "runs", args: ["--diff", "tiny", "other"] },
    { task: "report", args: ["runs/latest"] },
    ...QUESTIONS,
  ]],
  [`${LAST}/config.yaml`, QUESTIONS],
  [`${LAST}/state.json`, [...QUESTIONS, { task: "runs", args: [] }]],
  [`${LAST}/tokenizer.json`, QUESTIONS],
  [`${LAST}/model.safetensors`, QUESTIONS],
  [`${LAST}/optimizer.safetensors`, QUESTIONS],
  ["runs/latest/log.ndjson", LOGGED],
  ["runs/latest/charts/loss.svg", [{ task: "report", args: ["runs/latest"] }]],
  ["runs/latest/checkpoints/last", QUESTIONS],
  ["runs/latest", [...QUESTIONS, ...LOGGED]],
  ["tried.ts", [
    { task: "train", args: [...SMALL, "--hooks", "tried.ts"] },
    { task: "train", args: [...SMALL, "--tasks", "tried.ts"] },
    { task: "check_attention", args: ["--file", "tried.ts", "--cases", "2"] },
  ]],
];

/** A random file and a command that reads it. */
export function fileTry(random: RandomStream, model: string): Tried {
  const [name, commands] = pick(random, READERS);
  const { task, args } = pick(random, commands);
  let content = random.below(8) || !name.endsWith(".ts") ? pick(random, NASTY) : pick(random, CODE);
  // A process imports a module once.
  const isCode = name.endsWith(".ts");
  const path = isCode ? `tried${random.below(1e9)}.ts` : name;
  // Deno's own parser ends the process where code nests too deep.
  if (isCode && typeof content === "string" && /^(\[{99}|a:\na:|\{"a":\{)/.test(content)) content = "";
  if (random.below(2)) {
    try {
      content = changed(
        random,
        Deno.readTextFileSync(join(model, path === "tried.yaml" ? "tiny.yaml" : path)),
      );
    } catch { /* There is none to change. */ }
  }
  return { task, args: args.map((arg) => arg === name ? path : arg), files: { [path]: content } };
}
