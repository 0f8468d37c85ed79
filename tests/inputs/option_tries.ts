// Random command lines of every task: each option of each script with values of every kind, right and wrong.
import type { RandomStream } from "../../src/base/random.ts";
import type { Asked } from "./worker.ts";

/** An option as --help shows it. */
export interface Option {
  readonly name: string;
  /** The word for its value; undefined where it takes none. */
  readonly value?: string;
}

/** The options in the text of --help. */
export function optionsIn(help: string): Option[] {
  return [...help.matchAll(/^ {2}--([\w-]+)(?: (\S+))? {2,}/gm)].map(([, name, value]) => ({ name, value }));
}

const NUMBERS =
  "0 1 2 3 -1 -0 1.5 0.1 1e-400 1e308 1e400 99999999999999999999 9007199254740993 NaN Infinity -Infinity 0x10 1_0 ½ 1e"
    .split(" ");
const TEXTS = [
  ...' |  |a|The |The number 3|é|😀|\n|\t|a\nb|\x1b[31mred\x1b[0m|\x9b31m|\u202eabc|\u200e|\x07|\r|\u2028|<unk>|{}|[]|{"a":1}|\'|"|\\|$(x)|%s|%'
    .split("|"),
  "x".repeat(3000),
  "é\u001b".repeat(1000),
  "The number ".repeat(200),
];
const PATHS = [
  ..."text.txt tiny.yaml empty.txt empty.yaml list.yaml broken.yaml latin.txt latin.yaml zeros.bin array.json"
    .split(" "),
  ..."lfs.safetensors hooks.ts nothing.ts throws.ts syntax.ts missing.ts dir dir/ dir/inside.txt . ./ missing"
    .split(" "),
  ..."missing/x missing/x.svg x.svg x.png x.html x.txt dir/x.svg text.txt/x x/ /dev/null /dev/full /proc/self/mem/x"
    .split(" "),
  ..."/proc/x runs runs/latest runs/tiny tiny other swept tin runs/lattest copy default x.ndjson - -- --help"
    .split(" "),
  "control\u001b[31m\u202e.txt",
  "runs/latest/checkpoints/last",
  "runs/latest/checkpoints/9",
  "runs/latest/log.ndjson",
  "runs/latest/config.yaml",
  `${"d".repeat(300)}.svg`,
  "a\nb.svg",
  "\u001b[2J.svg",
];
const WORDS = [
  ..."cpu CPU auto table ndjson csv json svg val train test loss lr entropy l2 softmax sigmoid none causal random"
    .split(" "),
  ..."zero mean resample resid_pre heads act grad param metric steps tokens seconds samples true false null"
    .split(" "),
  ..."0,1 0,,1 , 1.. ..1 1..2 5..2 .. 0..0 2025-01-31 2025-13-40 ** * *.* blocks.*.attn.pattern blocks.0.atn !x [ ] ( \\"
    .split(" "),
  ..."__proto__ constructor toString hasOwnProperty = == a=b".split(" "),
];
/** Values that make a task work for as long as they say. */
const LONG = new Set(["cases", "tokens", "samples"]);

function pick<T>(random: RandomStream, from: readonly T[]): T {
  return from[random.below(from.length)];
}

function valueFor(random: RandomStream, { name, value = "" }: Option): string {
  const words = value.split("|").filter((word) => /^[a-z0-9_]+$/.test(word));
  const small = LONG.has(name) ? NUMBERS.filter((text) => !(Number(text) > 1000)) : NUMBERS;
  const kinds: readonly (readonly string[])[] = [
    words.length > 0
      ? [...words, ...words.map((word) => word.slice(0, -1)), ...words.map((word) => word.toUpperCase())]
      : WORDS,
    /^[NTPWK],?|^A\.\./.test(value) ? small : TEXTS,
    /FILE|FOLDER|DIR|RUN/.test(value) ? PATHS : TEXTS,
    /^[NTPWK]/.test(value) ? ["1", "2", "0"] : PATHS,
    small,
    TEXTS,
    PATHS,
    WORDS,
  ];
  return pick(random, kinds[Math.floor(kinds.length * random.uniform() ** 2)]);
}

/** An option's name as a user may write it. */
function spelt(random: RandomStream, name: string): string {
  const way = random.below(24);
  if (way === 0) return `--${name.slice(0, -1)}`;
  if (way === 1) return `-${name[0]}`;
  if (way === 2) return `-${name}`;
  if (way === 3) return `--no-${name}`;
  if (way === 4) return `--${name.toUpperCase()}`;
  if (way === 5) return `--${name.replaceAll("-", "_")}x`;
  return `--${name}`;
}

function optionArguments(random: RandomStream, option: Option): string[] {
  const name = spelt(random, option.name);
  const value = valueFor(random, option);
  const way = random.below(16);
  if (way === 0) return [name];
  if (way === 1) return [`${name}=`];
  if (way === 2) return [name, value, name, value];
  if (option.value === undefined) return way === 3 ? [`${name}=${value}`] : [name];
  return way < 6 ? [`${name}=${value}`] : [name, value];
}

/** What a task works on, mostly right. */
function subjects(random: RandomStream, task: string): string[] {
  if (task === "check_attention") return random.below(8) ? [] : [pick(random, PATHS)];
  // Without a configuration they take the shipped one, which trains for minutes.
  if (["train", "show", "analyze_softmax_jacobian"].includes(task)) {
    const configs = [
      "tiny.yaml",
      "tiny.yaml",
      "tiny.yaml",
      "sweep.yaml",
      "broken.yaml",
      "list.yaml",
      "tin.yaml",
      "dir",
      "runs/latest",
      "text.txt",
      "latin.yaml",
    ];
    const override = [
      "",
      "",
      "seed=2",
      "model.dim=x",
      "model.dimm=1",
      "=",
      "~x",
      "+x=1",
      "a..b=1",
      "train.steps=2",
    ];
    return [pick(random, configs), pick(random, override)].filter((text) => text !== "");
  }
  if (task === "compile") return [pick(random, ["nope", "trian", "train.ts", "compile", ""])];
  if (task === "import_model") {
    return [pick(random, ["gpt3", "dir", "runs/latest", "text.txt", "", "missing/x", "."])];
  }
  const way = random.below(6);
  if (way === 0) return [pick(random, PATHS)];
  if (way === 1) return [pick(random, [...TEXTS, ...WORDS])];
  if (way === 2) return [];
  return pick(random, [["runs/latest"], ["tiny"], ["other"], ["runs/latest/checkpoints/best"], [
    "tiny",
    "other",
  ]]);
}

/** What makes a question one that can be answered, so that what comes after it is met too. */
const NEEDED: Readonly<Record<string, readonly string[][]>> = {
  perplexity: [["--text", "The number"], ["--split", "val"], ["--file", "dir/inside.txt"]],
  embeddings: [["--text", "The"], ["--file", "dir/inside.txt"]],
  patch: [["--clean", "The num", "--corrupted", "The fol"]],
  export_model: [["--out", "exported"]],
  check_attention: [["--cases", "2", "--device", "cpu"], ["--file", "mine.ts", "--cases", "2"]],
  plot: [["--metric", "loss"], ["--tap", "blocks.*.attn.pattern", "--stat", "entropy"], []],
  stats: [["--tap", "**"], []],
  train: [["--dry-run"], [], [], ["--resume", "tiny"], ["--from", "tiny", "data.files=[text.txt]"]],
  analyze_softmax_jacobian: [["train.steps=2", "--steps", "0,2", "--batches", "1"]],
  ablate: [["--batches", "1"]],
  generate: [["--tokens", "2"]],
  compile: [[]],
  runs: [[], ["--diff"]],
};

/** One random command line of a task. */
export function optionTry(random: RandomStream, task: string, options: readonly Option[]): Asked {
  const needed = random.below(3) ? pick(random, NEEDED[task] ?? [[]]) : [];
  const count = pick(random, [0, 1, 1, 1, 2, 2, 3, 5]);
  const given = Array.from({ length: count }, () => optionArguments(random, pick(random, options)));
  const idle = new Set(given.map(([name]) => name.split("=")[0]));
  const rest = needed.some((text) => idle.has(text)) ? [] : needed;
  const limited = task === "check_attention" && ![...idle, ...rest].includes("--cases") ? ["--cases=2"] : [];
  const parts = [subjects(random, task), rest, limited, ...given];
  return { task, args: (random.below(2) ? parts : [...parts.slice(1), parts[0]]).flat() };
}
