// Attributes a logit to heads and MLPs: deno task attribution runs/latest --text "The numbe" --token r
import * as heed from "../mod.ts";
import { alignedRows, attributeLogit, cli, type Contribution, openModel, shortNumber } from "../mod.ts";

const command: cli.Command = {
  name: "attribution",
  summary: "prints the contribution of each part of the model to the next token's logit",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    token: { type: "string", value: "TOKEN", help: "the token; default: the most likely next one" },
    minus: { type: "string", value: "TOKEN", help: "a token whose logit is subtracted" },
    sort: { type: "boolean", help: "print the largest contributions first" },
    format: cli.formatOption("one object per part"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task attribution runs/latest --text "The numbe" --token r --sort',
    'deno task attribution --text "The num" --token b --minus e --format ndjson',
  ],
};

const nameOf = ({ part, layer, head }: Contribution): string =>
  [layer === null ? "" : `block ${layer} `, part, head === null ? "" : ` head ${head}`].join("");

await cli.runCommand(command, async ({ positionals, values, flags }) => {
  const format = cli.formatOf(values);
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: 2 });
  const text = cli.askedText(values, opened.model.tokenizer, opened.checkpoint.config.sample.prompt);
  const { token, minus } = values;
  const result = await attributeLogit(opened.device, opened.model, text, { token, minus });
  const parts = [...result.contributions];
  if (flags.sort) parts.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  if (format === "ndjson") {
    for (const part of parts) {
      cli.printRecord({ type: "contribution", token: result.token, minus: result.minus, ...part });
    }
    return 0;
  }
  const of = `logit of ${JSON.stringify(result.token)}` +
    (result.minus === null ? "" : ` minus that of ${JSON.stringify(result.minus)}`);
  cli.printLine(
    `${of}: ${shortNumber(result.logit)}, unexplained ${shortNumber(result.unexplained)}`,
  );
  const rows = parts.map((part) => [shortNumber(part.value, 4), nameOf(part)]);
  for (const row of alignedRows(rows, { left: (column) => column === 1, least: 10 })) cli.printLine(row);
  return 0;
}, heed);
