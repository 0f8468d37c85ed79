// Random configurations: the shipped ones and a small one, made small enough to train a step, with keys of every part of
// the schema set to values of every kind.
import type { RandomStream } from "../../src/base/random.ts";
import { dumpConfig, loadConfig, SYNTHETIC_SOURCES } from "../../src/config/mod.ts";
import { type JsonSchema, runJsonSchema } from "../../src/config/schema.ts";
import { SHIPPED_CONFIGS } from "../../src/config/shipped.ts";
import type { Tried } from "./file_tries.ts";

const JUNK = [
  ...'"" x null ~ true false 0 1 2 3 4 5 7 8 16 -1 -0 0.5 1.5 1e-3 1e-30 1e-320 1e30 1e300 1e308 1e400 .inf -.inf .nan 0x1F'
    .split(" "),
  ..."1000000 1000000000 1e15 9007199254740991 9007199254740993 99999999999999999999 [] [1] [0,0] [1,2] [0.9,0.95] [x] [[1]] [null] {} {a:1} {a: 1}"
    .split(/ (?!1\})/),
  ..."text.txt missing.txt dir empty.txt latin.txt zeros.bin control* tiny runs/latest & *a !x | > # % ? @ ` --- ... yes 2025-01-01 &nbsp;"
    .split(" "),
  ..."everything act:** param:** grad:blocks.* update:** nope:* ** blocks.0.attn.* hooks.ts throws.ts syntax.ts nothing.ts"
    .split(" "),
  "a\nb",
  "\u001b[31m",
  "\u202e",
  "é",
  "x".repeat(2000),
  "[".repeat(200),
  `[${"1,".repeat(500)}1]`,
];

const pick = <T>(random: RandomStream, from: readonly T[]): T => from[random.below(from.length)];

/** Every key of the schema, with what it may be. */
function keysOf(schema: JsonSchema, path = ""): [string, JsonSchema][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const key = path === "" ? name : `${path}.${name}`;
    const item = typeof child.items === "object" ? keysOf(child.items, `${key}.0`) : [];
    return [[key, child] as [string, JsonSchema], ...keysOf(child, key), ...item];
  });
}

/** Values that a key may have by its schema. */
function validValues(schema: JsonSchema & { enum?: unknown[] }): string[] {
  const all = [schema, ...(schema.anyOf ?? [])] as (JsonSchema & { enum?: unknown[] })[];
  const words = all.flatMap((one) => (one.enum ?? []).map(String));
  const types = all.flatMap(({ type }) => type ?? []);
  return [
    ...words,
    ...(types.includes("boolean") ? ["true", "false"] : []),
    ...(types.includes("integer") ? ["0", "1", "2", "3", "4", "5"] : []),
    ...(types.includes("number") ? ["0", "0.1", "0.5", "1", "2", "1e-5", "1e30"] : []),
    ...(types.includes("null") ? ["null"] : []),
    ...(schema.default === undefined ? [] : [JSON.stringify(schema.default)]),
  ];
}

/** Keys whose large values only mean much work, or that decide where the try writes. */
const FIXED = new Set(["output.dir", "name", "data.cache", "train.from", "device"]);
const LONG = /^(train\.steps|train\.accumulate|sample\.tokens|eval\.batches|capture\.0\.samples)$/;

/** What makes any configuration train for a step in no time. */
function smallened(source: string): string[] {
  // A task's samples need its context.
  const data = SYNTHETIC_SOURCES.includes(source) ? [] : ["data.files=[text.txt]", "model.context=16"];
  const sizes = "model.dim=16 model.layers=2 model.heads=2 model.vocabulary=null model.blocks=[]".split(
    " ",
  );
  const work = "device=cpu train.steps=1 train.batch=2 train.accumulate=1 eval.batches=1 sample.tokens=2"
    .split(" ");
  return [...data, ...sizes, ...work];
}

/** An override; a valid one is of a key by itself, and may not go with the others. */
function mutation(random: RandomStream, keys: readonly [string, JsonSchema][], isValid: boolean): string {
  const [key, schema] = pick(random, keys);
  const known = validValues(schema);
  if (isValid && !schema.properties && known.length > 0) {
    return `${key}=${LONG.test(key) ? "2" : pick(random, known)}`;
  }
  if (random.below(20) === 0) return `~${key}`;
  const spelt = random.below(30)
    ? key
    : pick(random, [key.slice(0, -1), `${key}.x`, `${key}.0`, `${key}.__proto__`, key.toUpperCase()]);
  const value = known.length > 0 && random.below(2) ? pick(random, known) : pick(random, JUNK);
  // A whole section by its defaults, and numbers that are only much work.
  const long = LONG.test(key) && Number(value) > 4 || schema.properties && value.startsWith("{");
  return `${spelt}=${long ? "2" : value}`;
}

/** A size that is valid and takes its time. */
const isLarge = (override: string): boolean => /=1e?[56]$|=1000000$/.test(override);

/** The text with some of its characters or lines changed. */
function damaged(random: RandomStream, text: string): string {
  const pieces = [
    ":",
    " ",
    "\n",
    "- ",
    "[",
    "}",
    "*a",
    "&a ",
    "!!x ",
    "#",
    "\t",
    "|",
    ">",
    "é",
    "\u0000",
    "\u202e",
    "<<: {a: 1}\n",
    "? ",
    "---\n",
    "...\n",
    "'",
    '"',
    "1e999",
    "%YAML 9\n",
  ];
  let result = text;
  for (let edits = random.below(3) + 1; edits > 0; edits--) {
    const lines = result.split("\n");
    const at = random.below(lines.length);
    const way = random.below(5);
    if (way === 0) lines.splice(at, 1);
    else if (way === 1) lines.splice(at, 0, lines[at]);
    else if (way === 2) lines[at] = `${" ".repeat(random.below(4))}${lines[at].trimStart()}`;
    else if (way === 3) {
      lines[at] = lines[at].replace(/: .*/, () => `: ${pick(random, JUNK).replaceAll("\n", " ")}`);
    } else {
      const place = random.below(lines[at].length + 1);
      lines[at] = lines[at].slice(0, place) + pick(random, pieces) + lines[at].slice(place + random.below(3));
    }
    result = lines.join("\n");
  }
  return result;
}

/** Makes random tries; each takes from the stream of its own. */
export async function configTries(): Promise<(random: RandomStream) => Tried> {
  const keys = keysOf(runJsonSchema()).filter(([key]) => !FIXED.has(key));
  const names = Object.keys(SHIPPED_CONFIGS);
  const texts = new Map<string, { text: string; source: string }>();
  for (const name of names) {
    const config = await loadConfig(name, []);
    texts.set(name, { text: dumpConfig(config), source: config.data.source });
  }
  return (random) => {
    const base = pick(random, [...names, "tiny.yaml", "tiny.yaml", "tiny.yaml"]);
    const count = pick(random, [1, 1, 1, 2, 2, 3, 4]);
    const isValid = random.below(2) === 0;
    const overrides = Array.from({ length: count }, () => mutation(random, keys, isValid));
    const { text, source } = texts.get(base) ?? { text: "", source: "" };
    const small = base === "tiny.yaml" ? ["train.steps=1"] : smallened(source);
    const dry = random.below(10) === 0 || overrides.some(isLarge) ? ["--dry-run"] : [];
    if (text !== "" && random.below(3) === 0) {
      return {
        task: "train",
        args: ["tried.yaml", ...small, ...dry],
        files: { "tried.yaml": damaged(random, text) },
      };
    }
    // Without the section the defaults hold, which train for minutes.
    const steps = overrides.some((override) => /^~?train(=|$)/.test(override)) ? ["train.steps=1"] : [];
    return { task: "train", args: [base, ...small, ...overrides, ...steps, ...dry] };
  };
}
