// Ablates each attention head in turn: deno task ablate runs/latest --method mean
import * as heed from "../mod.ts";
import {
  ablateHeads,
  type Ablation,
  ABLATION_METHODS,
  alignedRows,
  type Batch,
  type Checkpoint,
  checkWritable,
  cli,
  heatMap,
  loadCheckpoint,
  openModel,
  prepare,
  readFiles,
  shortNumber,
  showLoss,
  spreadBatches,
  textBatches,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "ablate",
  summary: "prints the change of the loss when each head is ablated, by layer and head",
  usage: "[run or checkpoint] [options]",
  options: {
    method: {
      type: "string",
      value: ABLATION_METHODS.join("|"),
      default: "zero",
      help: "replace a head's z by zeros, its mean, or another sample",
    },
    file: {
      type: "string",
      value: "FILE",
      help: "a text to measure the loss on; default: the run's validation split",
    },
    batches: { type: "string", value: "N", help: "number of batches of the split; 0: all; default: 4" },
    seed: { type: "string", value: "N", default: "1", help: "seed of the resampling" },
    out: { type: "string", value: "FILE", help: "draw the changes as a heat map" },
    format: cli.formatOption("one object per head"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    "deno task ablate runs/latest --method mean --out ablation.svg",
    "deno task ablate --method resample --format ndjson | jq -s 'max_by(.change)'",
  ],
};

async function splitBatches({ config, tokenizer }: Checkpoint, count: number): Promise<Batch[]> {
  const { source } = await prepare(config, tokenizer);
  return spreadBatches(source.evaluation(config.eval.split), count);
}

function chartOf({ changes, loss }: Ablation, method: string): string {
  return heatMap({
    title: `Ablated heads (${method}); loss with all heads ${showLoss(loss)}`,
    rows: changes.map((_, layer) => `${layer}`),
    columns: [...changes[0]].map((_, head) => `${head}`),
    values: changes,
    y: { label: "layer" },
    x: { label: "head" },
    value: { label: "change (nats per token)" },
    signed: true,
  });
}

function tableOf({ changes, loss, tokens }: Ablation): string {
  const rows = changes.map((row, layer) => [`${layer}`, ...Array.from(row, (x) => shortNumber(x, 4))]);
  const headings = ["layer", ...Array.from(changes[0], (_, head) => `head ${head}`)];
  return [
    `loss ${loss.toFixed(6)} nats per token over ${tokens} tokens; change when each head is ablated:`,
    ...alignedRows([headings, ...rows], { least: headings.map((_, n) => n === 0 ? 5 : 10), gap: "" }),
  ].join("\n");
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  const method = cli.oneOf("method", values.method!, ABLATION_METHODS);
  const count = cli.numberOption("batches", values.batches, { min: 0, whole: true }) ?? 4;
  if (values.batches !== undefined && values.file !== undefined) {
    throw new UserError("--batches: a file is read completely; leave out --batches or --file.");
  }
  const seed = cli.numberOption("seed", values.seed, { whole: true })!;
  cli.checkExtension("out", values.out, ".svg");
  if (values.out !== undefined) await checkWritable(values.out);
  const checkpoint = await loadCheckpoint(cli.runArgument(positionals));
  const { config: { train: { batch: rows }, model: { context, layers, heads } }, tokenizer } = checkpoint;
  const text = values.file === undefined
    ? undefined
    : (await readFiles([values.file])).map((file) => file.text);
  const given = text ? [] : await splitBatches(checkpoint, count);
  const passes = (layers * heads + 2) * Math.max(1, given.length);
  using opened = await openModel(checkpoint, { device: values.device, passes, positions: rows * context });
  const { device, model } = opened;
  const batches = text ? textBatches(model, text.map((content) => tokenizer.encode(content)), rows) : given;
  const ablation = await ablateHeads(device, model, batches, rows, method, { seed });
  if (format === "table") cli.printLine(tableOf(ablation));
  else {
    ablation.changes.forEach((row, layer) =>
      row.forEach((change, head) =>
        cli.printRecord({
          type: "ablation",
          layer,
          head,
          method,
          change,
          loss: ablation.loss,
          tokens: ablation.tokens,
        })
      )
    );
  }
  if (values.out !== undefined) await writeFileAtomic(values.out, chartOf(ablation, method));
  return 0;
}, heed);
