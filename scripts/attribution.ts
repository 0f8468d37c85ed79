// What each head and MLP adds to a logit: deno task attribution runs/latest --text "The numbe" --token r
import * as heed from "../mod.ts";
import { alignedRows, attributeLogit, cli, type Contribution, openModel, shortNumber } from "../mod.ts";

const command: cli.Command = {
  name: "attribution",
  summary: "takes the logit of the next token apart into what each part of the model adds",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    token: { type: "string", value: "TOKEN", help: "whose logit; default: the most likely next one" },
    minus: { type: "string", value: "TOKEN", help: "a token whose logit is subtracted" },
    sort: { type: "boolean", help: "the largest contributions first" },
    format: cli.formatOption("an object a part"),
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
  const found = await attributeLogit(opened.device, opened.model, text, { token, minus });
  const parts = [...found.contributions];
  if (flags.sort) parts.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  if (format === "ndjson") {
    for (const part of parts) {
      cli.printRecord({ type: "contribution", token: found.token, minus: found.minus, ...part });
    }
    return 0;
  }
  const of = `logit of ${JSON.stringify(found.token)}` +
    (found.minus === null ? "" : ` minus that of ${JSON.stringify(found.minus)}`);
  cli.printLine(`${of}: ${shortNumber(found.logit)}, unexplained ${shortNumber(found.unexplained)}`);
  const rows = parts.map((part) => [shortNumber(part.value, 4), nameOf(part)]);
  for (const row of alignedRows(rows, { left: (column) => column === 1, least: 10 })) cli.printLine(row);
  return 0;
}, heed);
