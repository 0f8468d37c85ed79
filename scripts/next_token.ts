// Prints the most likely next tokens: deno task next_token runs/latest --text "The numbe"
import * as heed from "../mod.ts";
import { alignedRows, cli, models, nextTokenFields, nextTokens, openModel, shortNumber } from "../mod.ts";

const command: cli.Command = {
  name: "next_token",
  summary: "prints the most likely next tokens after a text",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    text: { ...cli.TEXT_OPTIONS.text, help: "the text before the token; default: sample.prompt" },
    top: { type: "string", value: "N", default: "10", help: "number of tokens" },
    format: cli.formatOption("one object per token"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task next_token runs/latest --text "The numbe"',
    "deno task next_token --text 'It is ' --top 1000 --format ndjson | jq -c '[.token, .probability]'",
  ],
};

/** The total probability of ids without a token is reported if it is above this threshold. */
const WITHOUT_TOKEN = 5e-7;

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  const count = cli.numberOption("top", values.top, { min: 1, whole: true })!;
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: 1 });
  const { model: { tokenizer, architecture: { context } } } = opened;
  const text = cli.askedText(values, tokenizer, opened.checkpoint.config.sample.prompt);
  const { length } = models.promptIds(opened.model, text);
  if (length > context) {
    cli.tellLine(`next_token: the text has ${length} tokens; the model sees the last ${context}.`);
  }
  const all = await nextTokens(opened.device, opened.model, text, Infinity);
  const rest = 1 - all.reduce((sum, { probability }) => sum + probability, 0);
  if (rest > WITHOUT_TOKEN) {
    cli.tellLine(`next_token: ids without a token have a total probability of ${shortNumber(rest)}.`);
  }
  const tokens = all.slice(0, count);
  const print = (...row: string[]) =>
    cli.printLine(alignedRows([row], { left: (column) => column === 3, least: [4, 11, 7] })[0]);
  if (format === "table") print("rank", "probability", "logit", "token");
  for (const next of tokens) {
    const { rank, probability, logit, token } = next;
    if (format === "ndjson") cli.printRecord({ type: "next_token", ...nextTokenFields(next) });
    else print(`${rank}`, shortNumber(probability), logit.toFixed(4), JSON.stringify(token));
  }
  return 0;
}, heed);
