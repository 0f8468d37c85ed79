// Measures the memory that training needs for its text. Standalone: deno task prove_memory [MEGABYTES] [CASES]
import { byteCharacters } from "../../src/data/byte_bpe.ts";

/** A megabyte of text is 10^6 bytes. */
const MB = 1e6;

/** The peak resident memory of the process in bytes, on Linux. */
function peakResident(): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
  return 1024 * Number(kilobytes);
}

/** Prints the peak when the process ends. */
export function installPeak(): void {
  globalThis.addEventListener("unload", () => console.log(peakResident()));
}

/** A tokenizer.json of byte-level byte-pair encoding: the bytes and these two-byte tokens. */
function byteLevelFile(): object {
  const letters = [..."etaoinshrdlu"];
  const pairs = letters.flatMap((left) => letters.map((right) => [left, right]));
  const vocab = byteCharacters().map(({ character }, id) => [character, id]);
  return {
    added_tokens: [{ id: 256 + pairs.length, content: "<end>", special: true }],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries([...vocab, ...pairs.map((pair, i) => [pair.join(""), 256 + i])]),
      merges: pairs.map((pair) => pair.join(" ")),
    },
  };
}

/** A line of about 60 bytes: mostly common words, and some that are never repeated. */
function wordLine(random: () => number): string {
  const words = Array.from({ length: 10 }, () => {
    const rank = random() < 0.02 ? Math.floor(random() * 1e9) : Math.floor(Math.exp(random() * 9));
    return (rank * 7919 + 11).toString(36).replace(/\d/g, (digit) => "etaoinshrd"[Number(digit)]);
  });
  return words.join(" ") + (random() < 0.3 ? " 1.\n" : ",\n");
}

const idLine = (random: () => number): string =>
  Array.from({ length: 12 }, () => Math.floor(random() * 5000)).join(" ") + "\n";

/** A case: its overrides, the lines of its text, and the maximum peak as a multiple of the text's size. */
export interface MemoryCase {
  readonly overrides: readonly string[];
  readonly line?: (random: () => number) => string;
  readonly bound: number;
}

const tokenizer = (kind: string, ...overrides: string[]): MemoryCase => ({
  overrides: [`tokenizer.kind=${kind}`, ...overrides],
  bound: kind === "char" || kind === "byte" ? 3 : 5,
});

/** The tokenizers, and ways of cutting samples. */
export const MEMORY_CASES: Readonly<Record<string, MemoryCase>> = {
  char: tokenizer("char"),
  byte: tokenizer("byte"),
  bpe: tokenizer("bpe", "tokenizer.size=300"),
  gpt2: tokenizer("gpt2"),
  crop: tokenizer("gpt2", "tokenizer.crop=true", "tokenizer.unknown=token"),
  huggingface: tokenizer("huggingface", "tokenizer.file=tokenizer.json"),
  ids: { ...tokenizer("ids"), line: idLine },
  line: { ...tokenizer("char", "data.sample=line"), bound: 5 },
  lines: { ...tokenizer("byte", "data.sample=4 lines", "data.sampling=windows"), bound: 5 },
  file: { ...tokenizer("char", "data.sample=file"), bound: 5 },
  bpe_line: tokenizer("bpe", "tokenizer.size=300", "data.sample=line"),
};

/** Writes lines until the file has this many bytes. */
async function writeLines(path: string, bytes: number, line: (random: () => number) => string) {
  let state = 1;
  const random = () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) / 2 ** 32;
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const utf8 = new TextEncoder();
  for (let written = 0; written < bytes;) {
    let text = "";
    while (text.length < 2 ** 20 && written + text.length < bytes) text += line(random);
    for (let at = 0, all = utf8.encode(text); at < all.length;) at += await file.write(all.subarray(at));
    written += text.length;
  }
}

/** The measured run: as small as possible apart from the text. */
const RUN = [
  ...["dim=16", "layers=1", "heads=2", "context=64"].map((entry) => `model.${entry}`),
  ...[
    "train.steps=1",
    "train.batch=2",
    "eval.batches=1",
    "sample.tokens=0",
    'sample.prompt="1"',
    "device=cpu",
  ],
  ...["data.split.val=0.1", "data.split.test=0"],
];

/** The peak memory of a training run on a text of this size, in bytes. */
async function peakOf(folder: string, { overrides, line = wordLine }: MemoryCase, bytes: number) {
  const half = Math.ceil(bytes / 2);
  await writeLines(`${folder}/a.txt`, half, line);
  await writeLines(`${folder}/b.txt`, half, line);
  await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(byteLevelFile()));
  const script = new URL("peak_of_train.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const args = ["run", "-A", "--no-check", "--config", config, script, "data.files=[a.txt, b.txt]"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, ...RUN, ...overrides],
    cwd: folder,
  }).output();
  const peak = Number(new TextDecoder().decode(stdout).trim().split("\n").at(-1));
  if (!success || !(peak > 0)) throw new Error(new TextDecoder().decode(stderr));
  return peak;
}

/** The peak memory of a run on a text of this size minus that on a tiny text, in bytes. */
export async function memoryOfText(measured: MemoryCase, bytes: number): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "heed-memory-" });
  try {
    const [empty, full] = [await peakOf(folder, measured, 20_000), await peakOf(folder, measured, bytes)];
    return full - empty;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const megabytes = Number(Deno.args[0] ?? 200);
  const names = Deno.args[1]?.split(",") ?? Object.keys(MEMORY_CASES);
  let over = 0;
  for (const name of names) {
    const { bound } = MEMORY_CASES[name];
    const started = performance.now();
    const times = await memoryOfText(MEMORY_CASES[name], megabytes * MB) / (megabytes * MB);
    if (times > bound) over++;
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`${name}: ${times.toFixed(2)} times ${megabytes} MB, at most ${bound}; ${seconds} s`);
  }
  Deno.exit(over > 0 ? 1 : 0);
}
