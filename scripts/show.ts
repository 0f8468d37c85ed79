// Prints samples of a configuration's data: deno task show copy
import * as heed from "../mod.ts";
import { cli, loadConfig, loadData, shownLines, shownSamples, sourcesLine, taskOverrides } from "../mod.ts";

const command: cli.Command = {
  name: "show",
  summary: "prints samples of a configuration's data: tokens, their ids, and which targets count",
  usage: "[config] [key=value ...] [options]",
  options: {
    samples: { type: "string", value: "N", help: "number of samples", default: "3" },
    split: { type: "string", value: "train|val|test", help: "the split", default: "train" },
    tasks: { type: "string", value: "FILE", help: "a TypeScript file of synthetic tasks, as for train" },
    format: cli.formatOption("one line per sample"),
  },
  examples: [
    "deno task show copy",
    "deno task show default tokenizer.kind=bpe data.sample=line --split val",
    "deno task show induction --format ndjson | jq -c .tokens",
  ],
};

await cli.runCommand(command, async ({ positionals, values }) => {
  const { names, overrides } = cli.splitOverrides(positionals);
  const format = cli.formatOf(values);
  const samples = cli.numberOption("samples", values.samples, { min: 1, whole: true })!;
  if (values.tasks !== undefined) overrides.unshift(...await taskOverrides(values.tasks));
  const config = await loadConfig(cli.onlyName(names, "configuration") ?? "default", overrides);
  const { model: { context }, train: { batch, accumulate }, seed } = config;
  const loaded = await loadData(config.data, config.tokenizer, { context, batch, accumulate, seed });
  const { source, tokenizer, unigramNats } = loaded;
  const options = { samples, context };
  const shown = shownSamples(source, tokenizer, values.split!, options);
  const out = cli.textOutput();
  if (format === "ndjson") {
    for (const sample of shown) out.write(cli.recordLine({ type: "tokens", ...sample }));
    out.flush();
    return 0;
  }
  const sizes = Object.entries(source.splits).map(([name, size]) =>
    `${name} ${size === Infinity ? "unlimited" : size.toLocaleString("en")}`
  );
  out.write(`${config.name}: ${tokenizer.kind}, ${tokenizer.size} ids; tokens: ${sizes.join(", ")}\n`);
  if (unigramNats !== undefined) out.write(`unigram entropy: ${unigramNats.toFixed(4)} nats\n`);
  if (source.sources) out.write(`${sourcesLine(source.sources)}\n`);
  if (source.entropyFloor !== undefined) out.write(`entropy floor: ${source.entropyFloor.toFixed(4)} nats\n`);
  for (const sample of shown) out.write(["", ...shownLines(sample, tokenizer), ""].join("\n"));
  out.flush();
  return 0;
}, heed);
