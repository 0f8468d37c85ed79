// What each attention head is worth: deno task ablate runs/latest --method mean
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
  summary: "prints how much the loss changes without each head, by layer and head",
  usage: "[run or checkpoint] [options]",
  options: {
    method: {
      type: "string",
      value: ABLATION_METHODS.join("|"),
      default: "zero",
      help: "in place of a head's values: zeros, their mean, another's",
    },
    file: {
      type: "string",
      value: "FILE",
      help: "a text to measure on; default: the run's validation split",
    },
    batches: { type: "string", value: "N", help: "batches of the split; default: 4; 0: all" },
    seed: { type: "string", value: "N", default: "1", help: "of the other samples" },
    out: { type: "string", value: "FILE", help: "draws the changes as a heat map" },
    format: cli.formatOption("an object a head"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    "deno task ablate runs/latest --method mean --out ablation.svg",
    "deno task ablate --method resample --format ndjson | jq -s 'max_by(.change)'",
  ],
};

async function splitBatches({ config, tokenizer }: Checkpoint, most: number): Promise<Batch[]> {
  const { source } = await prepare(config, tokenizer);
  return spreadBatches(source.evaluation(config.eval.split), most);
}

function chartOf({ changes, loss }: Ablation, method: string): string {
  return heatMap({
    title: `Heads ablated (${method}); loss of all ${showLoss(loss)}`,
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
    `loss ${loss.toFixed(6)} nats per token over ${tokens} tokens; without each head it changes by`,
    ...alignedRows([headings, ...rows], { least: headings.map((_, n) => n === 0 ? 5 : 10), gap: "" }),
  ].join("\n");
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  const method = cli.oneOf("method", values.method!, ABLATION_METHODS);
  const most = cli.numberOption("batches", values.batches, { min: 0, whole: true }) ?? 4;
  if (values.batches !== undefined && values.file !== undefined) {
    throw new UserError("--batches: a file is read whole; leave it out, or --file.");
  }
  const seed = cli.numberOption("seed", values.seed, { whole: true })!;
  cli.checkExtension("out", values.out, ".svg");
  if (values.out !== undefined) await checkWritable(values.out);
  const checkpoint = await loadCheckpoint(cli.runArgument(positionals));
  const { config: { train: { batch: rows }, model: { context, layers, heads } }, tokenizer } = checkpoint;
  const text = values.file === undefined
    ? undefined
    : (await readFiles([values.file])).map((file) => file.text);
  const given = text ? [] : await splitBatches(checkpoint, most);
  const passes = (layers * heads + 2) * Math.max(1, given.length);
  using opened = await openModel(checkpoint, { device: values.device, passes, positions: rows * context });
  const { device, model } = opened;
  const batches = text ? textBatches(model, text.map((own) => tokenizer.encode(own)), rows) : given;
  const found = await ablateHeads(device, model, batches, rows, method, { seed });
  if (format === "table") cli.printLine(tableOf(found));
  else {
    found.changes.forEach((row, layer) =>
      row.forEach((change, head) =>
        cli.printRecord({
          type: "ablation",
          layer,
          head,
          method,
          change,
          loss: found.loss,
          tokens: found.tokens,
        })
      )
    );
  }
  if (values.out !== undefined) await writeFileAtomic(values.out, chartOf(found, method));
  return 0;
}, heed);
