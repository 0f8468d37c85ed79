// Prints the logit lens, the predictions after each block: deno task logit_lens runs/latest --text "The number"
import * as heed from "../mod.ts";
import {
  alignedRows,
  checkWritable,
  cli,
  heatMap,
  type LogitLens,
  logitLens,
  nextTokenFields,
  openModel,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "logit_lens",
  summary: "prints the logit lens: predictions from the residual stream of each layer",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    top: {
      type: "string",
      value: "N",
      help: "with --format ndjson: tokens per layer and position; default: 3",
    },
    out: { type: "string", value: "FILE", help: "draw the probability of the final predictions as SVG" },
    format: cli.formatOption("one object per layer and position"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task logit_lens runs/latest --text "The number 3"',
    'deno task logit_lens --text "The number 3" --out lens.svg --format ndjson | jq -c "[.depth, .position]"',
  ],
};

const depthName = (n: number) => n === 0 ? "embedding" : `block ${n - 1}`;

function chartOf({ tokens, predicted, depths }: LogitLens): string {
  return heatMap({
    title: "Logit lens: probability of the model's final prediction",
    rows: depths.map((_, n) => n === 0 ? "embedding" : `${n - 1}`).reverse(),
    columns: tokens.map((token, t) => `${token}→${predicted[t]}`),
    values: depths.map((points) => points.map((point) => Math.exp(point.finalLogProbability))).reverse(),
    y: { label: "after block" },
    x: { label: "token → final prediction" },
    value: { label: "probability" },
    range: [0, 1],
  });
}

/** Returns a table of the most likely token at each depth, with one line per position. */
function tableOf({ tokens, depths }: LogitLens): string {
  const rows = tokens.map((token, t) => [
    JSON.stringify(token),
    ...depths.map((points) => JSON.stringify(points[t].top[0].token)),
  ]);
  const all = [["token", ...depths.map((_, n) => depthName(n))], ...rows];
  return alignedRows(all, { left: () => true }).join("\n");
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  if (format === "table" && values.top !== undefined) {
    throw new UserError("--top: a table shows only the best token; leave it out, or give --format ndjson.");
  }
  const count = cli.numberOption("top", values.top, { min: 1, whole: true }) ?? 3;
  cli.checkExtension("out", values.out, ".svg");
  if (values.out !== undefined) await checkWritable(values.out);
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: 1 });
  const text = cli.askedText(values, opened.model.tokenizer, opened.checkpoint.config.sample.prompt);
  const lens = await logitLens(opened.device, opened.model, text, { count });
  if (format === "table") cli.printLine(tableOf(lens));
  else {
    lens.depths.forEach((points, depth) =>
      points.forEach((point, position) =>
        cli.printRecord({
          type: "lens_point",
          depth,
          position,
          token: lens.tokens[position],
          top: point.top.map(nextTokenFields),
          final_log_probability: point.finalLogProbability,
          next_log_probability: point.nextLogProbability,
        })
      )
    );
  }
  if (values.out !== undefined) await writeFileAtomic(values.out, chartOf(lens));
  return 0;
}, heed);
