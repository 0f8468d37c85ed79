// Ways in which the files of a run may be other than heed writes them, with every checksum made right again: what a bug, a
// hand or another program could leave.
import { parse, stringify } from "@std/yaml";
import { join } from "node:path";
import { type RandomStream, shuffle } from "../../src/base/random.ts";
import { sealedFields, sealer } from "../../src/log/log_seal.ts";
import { sha256Hex } from "../../src/base/hash.ts";

/** A run, and the checkpoint that its `last` points at. */
export interface Target {
  readonly run: string;
  readonly checkpoint: string;
}

/** What was changed, in words. */
type Mutation = (target: Target, rng: RandomStream) => string;

const pick = <T>(rng: RandomStream, items: readonly T[]): T => items[rng.below(items.length)];

/** A list in a list, so many times: deeper than functions that call themselves. */
const DEEP = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;

/** Texts of JSON that may stand anywhere. */
const JUNK: readonly string[] = [
  "null",
  "true",
  "false",
  "-1",
  "0",
  "0.5",
  "1e9",
  "1e15",
  "9007199254740993",
  "1e300",
  "-1e-300",
  '""',
  '"x"',
  '"3"',
  '"NaN"',
  '"../../../etc/passwd"',
  '"\\u001b[31m\\n\\u202e"',
  `"${"**a".repeat(9)}b"`,
  '"(a+)+$|(?:.*.*)*x"',
  `"${"a".repeat(100_000)}"`,
  "[]",
  "{}",
  "[[]]",
  "[null]",
  '{"x":1}',
  '{"__proto__":{"x":1},"constructor":null}',
  DEEP,
];

type Path = (string | number)[];

/** The paths of all values in a value; of a long list or object only some. */
function pathsIn(value: unknown, rng: RandomStream, path: Path = []): Path[] {
  const keys = Array.isArray(value)
    ? [...value.keys()]
    : typeof value === "object" && value !== null
    ? Object.keys(value)
    : [];
  shuffle(rng, keys as { [i: number]: number; length: number } & (string | number)[]);
  const own = keys.slice(0, 40);
  return own.flatMap((key): Path[] => [
    [...path, key],
    ...pathsIn((value as Record<string | number, unknown>)[key], rng, [...path, key]),
  ]);
}

/** Stands for a text of JSON until the value around it has been written. */
const PLACEHOLDER = "@@junk@@";

/** Changes one thing in a JSON value; returns its new text and what was changed. */
export function mutateJson(root: unknown, rng: RandomStream): { text: string; what: string } {
  const value = structuredClone(root) as Record<string | number, unknown>;
  const paths = pathsIn(value, rng);
  // Half of the time near the root, where what is written by hand stands.
  const near = paths.filter((path) => path.length <= 2);
  const path = pick(rng, rng.below(2) && near.length ? near : paths);
  const parent = path.slice(0, -1).reduce<Record<string | number, unknown>>(
    (at, key) => at[key] as Record<string | number, unknown>,
    value,
  );
  const key = path.at(-1)!;
  const name = path.join(".").slice(0, 200);
  const before = parent[key];
  const how = rng.below(10);
  if (how === 0 && !Array.isArray(parent)) {
    delete parent[key];
    return { text: JSON.stringify(value, null, 2), what: `${name} removed` };
  }
  if (how === 1 && !Array.isArray(parent)) {
    parent[`${key}_`] = before;
    return { text: JSON.stringify(value, null, 2), what: `${name}_ added` };
  }
  if (how === 2 && typeof before === "number") {
    parent[key] = pick(rng, [before + 1, before - 1, -before, 2 * before, before / 3]);
    return { text: JSON.stringify(value, null, 2), what: `${name}: ${before} to ${parent[key]}` };
  }
  if (how === 3 && Array.isArray(before)) {
    parent[key] = rng.below(2) ? [...before, ...before] : before.slice(1);
    return { text: JSON.stringify(value, null, 2), what: `${name}: a list longer or shorter` };
  }
  const junk = pick(rng, JUNK);
  parent[key] = PLACEHOLDER;
  const text = JSON.stringify(value, null, 2).replace(`"${PLACEHOLDER}"`, () => junk);
  return { text, what: `${name} set to ${junk.slice(0, 40)}` };
}

const read = (path: string): string => Deno.readTextFileSync(path);
const write = (path: string, text: string): void => Deno.writeTextFileSync(path, text);

/** Seals the text of a state.json without its last line. */
function seal(path: string, text: string): void {
  const end = text.trimEnd().slice(0, -2);
  write(path, `${end},\n  "sha256": "${sha256Hex(new TextEncoder().encode(text))}"\n}\n`);
}

function stateOf({ checkpoint }: Target): { files: Record<string, string> } & Record<string, unknown> {
  const { sha256: _, ...state } = JSON.parse(read(join(checkpoint, "state.json")));
  return state;
}

/** Makes every checksum of a checkpoint that of its files. */
function reseal(target: Target, change: (state: ReturnType<typeof stateOf>) => void = () => {}): void {
  const state = stateOf(target);
  for (const name of Object.keys(state.files)) {
    state.files[name] = sha256Hex(Deno.readFileSync(join(target.checkpoint, name)));
  }
  change(state);
  seal(join(target.checkpoint, "state.json"), JSON.stringify(state, null, 2));
}

function mutateState(target: Target, rng: RandomStream): string {
  const { text, what } = mutateJson(stateOf(target), rng);
  // What heed would write of the same value, so that the seal is one it accepts.
  let again = text;
  try {
    again = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* Too deep to be written. */ }
  seal(join(target.checkpoint, "state.json"), again);
  return `state.json: ${what}`;
}

/** A text with bytes, lines or a part of it changed. */
function mutateText(text: string, rng: RandomStream): { text: string; what: string } {
  const lines = text.split("\n");
  const at = rng.below(lines.length);
  const changes: [string, () => string][] = [
    ["a line twice", () => lines.toSpliced(at, 0, lines[at]).join("\n")],
    ["a line less", () => lines.toSpliced(at, 1).join("\n")],
    [
      "a line moved",
      () => lines.toSpliced(at, 1).toSpliced(rng.below(lines.length), 0, lines[at]).join("\n"),
    ],
    ["cut short", () => text.slice(0, rng.below(text.length))],
    ["a tab", () => lines.with(at, `\t${lines[at]}`).join("\n")],
    ["an anchor", () => lines.with(at, `${lines[at]} &a *a`).join("\n")],
    ["a control character", () => lines.with(at, `${lines[at]}\u0000\u001b`).join("\n")],
    ["empty", () => ""],
    ["a second document", () => `${text}---\n${text}`],
  ];
  const [what, change] = pick(rng, changes);
  return { text: change(), what: `${what} (line ${at + 1})` };
}

/** Changes a YAML file as data or as text. */
function mutateYaml(path: string, rng: RandomStream): string {
  const text = read(path);
  if (rng.below(4) === 0) {
    const mutated = mutateText(text, rng);
    write(path, mutated.text);
    return mutated.what;
  }
  const { text: json, what } = mutateJson(parse(text), rng);
  // JSON is YAML; as heed's own layout where that can be written.
  let written = json;
  try {
    written = rng.below(2) ? stringify(JSON.parse(json)) : json;
  } catch { /* Too deep. */ }
  write(path, written);
  return what;
}

function mutateConfig(target: Target, rng: RandomStream): string {
  const what = mutateYaml(join(target.checkpoint, "config.yaml"), rng);
  reseal(target);
  return `config.yaml: ${what}`;
}

function mutateRunConfig({ run }: Target, rng: RandomStream): string {
  return `the run's config.yaml: ${mutateYaml(join(run, "config.yaml"), rng)}`;
}

function mutateTokenizer(target: Target, rng: RandomStream): string {
  const path = join(target.checkpoint, "tokenizer.json");
  const { text, what } = rng.below(8) ? mutateJson(JSON.parse(read(path)), rng) : mutateText(read(path), rng);
  write(path, text);
  reseal(target);
  return `tokenizer.json: ${what}`;
}

const DTYPES = ["F64", "F16", "BF16", "I64", "U64", "I32", "U8", "I8", "BOOL", "F8_E4M3", "C64"];

/** Changes an entry of a safetensors header as only such a header can be wrong. */
function mutateHeader(header: Record<string, Record<string, unknown>>, rng: RandomStream): string {
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  const [name, other] = [pick(rng, names), pick(rng, names)];
  const entry = header[name];
  const shape = entry.shape as number[];
  const changes: Record<string, () => void> = {
    "another dtype": () => entry.dtype = pick(rng, DTYPES),
    "shape reversed": () => entry.shape = shape.toReversed(),
    "shape flat": () => entry.shape = [shape.reduce((a, b) => a * b, 1)],
    "shape larger": () => entry.shape = [...shape, pick(rng, [2, 0, 1e9, -1])],
    "offsets moved": () => entry.data_offsets = (entry.data_offsets as number[]).map((at) => at + 4),
    "offsets exchanged": () =>
      [entry.data_offsets, header[other].data_offsets] = [
        header[other].data_offsets,
        entry.data_offsets,
      ],
    "renamed": () => {
      header[pick(rng, [`${name}x`, "", "a\u001b[31m", "__proto__", "exp_avg.x"])] = entry;
      delete header[name];
    },
    "removed": () => delete header[name],
    "halves of another dtype": () => {
      entry.dtype = "F16";
      entry.shape = [...shape.slice(0, -1), 2 * (shape.at(-1) ?? 1)];
    },
    "integers": () => entry.dtype = "I32",
  };
  const [what, change] = pick(rng, Object.entries(changes));
  change();
  return `${name}: ${what}`;
}

function mutateTensors(target: Target, rng: RandomStream): string {
  const file = pick(rng, ["model.safetensors", "optimizer.safetensors"]);
  const path = join(target.checkpoint, file);
  const bytes = Deno.readFileSync(path);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  let data = bytes.slice(8 + length);
  let [text, what] = ["", ""];
  const how = rng.below(8);
  if (how <= 3 && Object.keys(header).some((name) => name !== "__metadata__")) {
    what = mutateHeader(header, rng);
    text = JSON.stringify(header);
  } else if (how <= 5) ({ text, what } = mutateJson(header, rng));
  else if (how === 6) ({ text, what } = mutateText(JSON.stringify(header), rng));
  else {
    text = JSON.stringify(header);
    const value = pick(rng, [NaN, Infinity, -Infinity, 3e38, 0]);
    data = data.slice(0, data.length - data.length % 4);
    const numbers = new Float32Array(data.buffer, 0, data.length / 4);
    for (let n = rng.below(2) ? 0 : rng.below(numbers.length || 1); n < numbers.length; n++) {
      numbers[n] = value;
    }
    what = `numbers of ${value}`;
  }
  const encoded = new TextEncoder().encode(text);
  const whole = new Uint8Array(8 + encoded.length + data.length);
  const claimed = rng.below(20) ? encoded.length : pick(rng, [0, 1, encoded.length + 1, 2 ** 40]);
  new DataView(whole.buffer).setBigUint64(0, BigInt(claimed), true);
  whole.set(encoded, 8);
  whole.set(data, 8 + encoded.length);
  Deno.writeFileSync(path, whole);
  reseal(target);
  return `${file}: ${what}${claimed === encoded.length ? "" : `, header of ${claimed} bytes claimed`}`;
}

/** A log whose lines are other than they were, with a seal that fits as far as they are records. */
function mutateLog(target: Target, rng: RandomStream): string {
  const path = join(target.run, "log.ndjson");
  const lines = read(path).trimEnd().split("\n");
  const at = rng.below(lines.length);
  let what: string;
  if (rng.below(2)) {
    const mutated = mutateJson(JSON.parse(lines[at]), rng);
    lines[at] = mutated.text.replaceAll(/\n\s*/g, "");
    what = `line ${at + 1}: ${mutated.what}`;
  } else {
    const mutated = mutateText(lines.join("\n"), rng);
    lines.splice(0, lines.length, ...mutated.text.split("\n"));
    what = mutated.what;
  }
  write(path, `${lines.join("\n")}\n`);
  const own = sealer();
  let records = 0;
  for (const line of lines) {
    try {
      own.add(sealedFields(JSON.parse(line)));
      records++;
    } catch {
      break;
    }
  }
  if (rng.below(4)) reseal(target, (state) => state.log = { ...own.seal(), records });
  return `log.ndjson: ${what}`;
}

function mutateFolder({ run, checkpoint }: Target, rng: RandomStream): string {
  const last = join(run, "checkpoints/last");
  const pointer = (text: string) => () => {
    Deno.removeSync(last);
    write(last, text);
  };
  const link = (target: string) => () => {
    Deno.removeSync(last);
    Deno.symlinkSync(target, last);
  };
  const file = join(
    checkpoint,
    pick(rng, ["state.json", "model.safetensors", "config.yaml", "tokenizer.json"]),
  );
  const changes: Record<string, () => void> = {
    "last is a text of nonsense": pointer("\u0000\u001b nowhere\n"),
    "last is empty": pointer(""),
    "last points at a missing step": pointer("999999\n"),
    "last points at itself": link("last"),
    "last points at the folder above": link(".."),
    "last points at a file": link("../log.ndjson"),
    [`${file} is a folder`]: () => {
      Deno.removeSync(file);
      Deno.mkdirSync(file);
    },
    [`${file} is empty`]: () => Deno.truncateSync(file),
    [`${file} is missing`]: () => Deno.removeSync(file),
    [`${file} is a link to itself`]: () => {
      Deno.removeSync(file);
      Deno.symlinkSync(file, file);
    },
    "log.ndjson is a folder": () => {
      Deno.removeSync(join(run, "log.ndjson"));
      Deno.mkdirSync(join(run, "log.ndjson"));
    },
    "the checkpoint bears another step": () => {
      Deno.renameSync(checkpoint, join(run, "checkpoints/77"));
      link("77")();
    },
  };
  const [what, change] = pick(rng, Object.entries(changes));
  change();
  return what.replace(`${run}/`, "");
}

/** Each kind of mutation as often as it stands here. */
const MUTATIONS: readonly Mutation[] = [
  mutateState,
  mutateState,
  mutateState,
  mutateTensors,
  mutateTensors,
  mutateTensors,
  mutateConfig,
  mutateConfig,
  mutateConfig,
  mutateTokenizer,
  mutateTokenizer,
  mutateLog,
  mutateLog,
  mutateRunConfig,
  mutateFolder,
];

/** Changes one thing in a run, and seals it again. */
export function mutate(target: Target, rng: RandomStream): string {
  return pick(rng, MUTATIONS)(target, rng);
}
