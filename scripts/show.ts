// Prints what a configuration trains on: deno task show copy
import * as heed from "../mod.ts";
import {
  type Command,
  formatOf,
  formatOption,
  loadConfig,
  loadData,
  numberOption,
  onlyName,
  recordLine,
  runCommand,
  shownLines,
  shownSamples,
  sourcesLine,
  splitOverrides,
  taskOverrides,
  textOutput,
} from "../mod.ts";

const command: Command = {
  name: "show",
  summary: "prints samples of a configuration's data: tokens, their ids, and which targets count",
  usage: "[config] [key=value ...] [options]",
  options: {
    samples: { type: "string", value: "N", help: "how many", default: "3" },
    split: { type: "string", value: "train|val|test", help: "of which split", default: "train" },
    tasks: { type: "string", value: "FILE", help: "a TypeScript file of synthetic tasks, as train takes it" },
    format: formatOption("a line a sample"),
  },
  examples: [
    "deno task show copy",
    "deno task show default tokenizer.kind=bpe data.sample=line --split val",
    "deno task show induction --format ndjson | jq -c .tokens",
  ],
};

await runCommand(command, async ({ positionals, values }) => {
  const { names, overrides } = splitOverrides(positionals);
  const format = formatOf(values);
  const samples = numberOption("samples", values.samples, { least: 1, whole: true })!;
  if (values.tasks !== undefined) overrides.unshift(...await taskOverrides(values.tasks));
  const config = await loadConfig(onlyName(names, "configuration") ?? "default", overrides);
  const { model: { context }, train: { batch, accumulate }, seed } = config;
  const loaded = await loadData(config.data, config.tokenizer, { context, batch, accumulate, seed });
  const { source, tokenizer, unigramNats } = loaded;
  const options = { samples, context };
  const shown = shownSamples(source, tokenizer, values.split!, options);
  const out = textOutput();
  if (format === "ndjson") {
    for (const sample of shown) out.write(recordLine({ type: "tokens", ...sample }));
    out.flush();
    return 0;
  }
  const sizes = Object.entries(source.splits).map(([name, size]) =>
    `${name} ${size === Infinity ? "without end" : size.toLocaleString("en")}`
  );
  out.write(`${config.name}: ${tokenizer.kind}, ${tokenizer.size} ids; tokens: ${sizes.join(", ")}\n`);
  if (unigramNats !== undefined) out.write(`unigram entropy: ${unigramNats.toFixed(4)} nats\n`);
  if (source.sources) out.write(`${sourcesLine(source.sources)}\n`);
  if (source.entropyFloor !== undefined) out.write(`entropy floor: ${source.entropyFloor.toFixed(4)} nats\n`);
  for (const sample of shown) out.write(["", ...shownLines(sample, tokenizer), ""].join("\n"));
  out.flush();
  return 0;
}, heed);
