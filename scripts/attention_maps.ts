// Draws what each head looks at in a text: deno task attention_maps runs/latest --text "The number 3 follows 2"
import * as heed from "../mod.ts";
import {
  type AttentionMap,
  type AttentionMaps,
  attentionMaps,
  cli,
  freePath,
  heatMap,
  makeFolder,
  mapSheet,
  openModel,
  UserError,
  writeFileAtomic,
} from "../mod.ts";
import { join } from "node:path";

const command: cli.Command = {
  name: "attention_maps",
  summary: "draws the attention of each head over a text as SVG, labelled by token",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    layer: { type: "string", value: "N,N", help: "blocks, from 0; default: all" },
    head: { type: "string", value: "N,N", help: "heads, from 0; default: all" },
    each: { type: "boolean", help: "one chart a head, into the folder --out" },
    out: {
      type: "string",
      value: "FILE|DIR",
      help: "by default attention_maps.svg, or with --each attention_maps/, under a free name",
    },
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task attention_maps runs/latest --text "The number 3"',
    'deno task attention_maps --text "The number 3" --layer 0 --head 0,1 --each --out maps',
  ],
};

/** Of weights that are shares of 1 the whole scale; of others, as sigmoid's, as far as they go. */
function rangeOf(maps: readonly AttentionMap[]): [number, number] {
  let [most, shares] = [0, true];
  for (const row of maps.flatMap(({ weights }) => weights)) {
    const seen = row.filter((weight) => !Number.isNaN(weight));
    for (const weight of seen) most = Math.max(most, weight);
    shares &&= seen.length === 0 || Math.abs(seen.reduce((a, b) => a + b, 0) - 1) < 1e-6;
  }
  return [0, shares || most === 0 ? 1 : most];
}

const titleOf = ({ layer, head }: AttentionMap) => `layer ${layer}, head ${head}`;

function eachChart({ tokens, keys, maps }: AttentionMaps): [string, string][] {
  return maps.map((map) => [
    `layer${map.layer}_head${map.head}.svg`,
    heatMap({
      title: `Attention of ${titleOf(map)}`,
      rows: tokens,
      columns: keys.slice(0, map.weights[0].length),
      values: map.weights,
      blank: (i, j) => Number.isNaN(map.weights[i][j]),
      y: { label: "query" },
      x: { label: "key" },
      value: { label: "weight" },
      range: rangeOf(maps),
    }),
  ]);
}

function sheetOf({ tokens, keys, maps }: AttentionMaps): string {
  // Learned keys that a block does not have are blank, as keys are that a query cannot see.
  const wide = (row: Float64Array) => Float64Array.from(keys, (_, j) => row[j] ?? NaN);
  return mapSheet({
    title: "Attention by layer and head: a row a query, a column a key",
    rows: tokens,
    columns: keys,
    value: { label: "weight" },
    range: rangeOf(maps),
    panels: maps.map((map) => {
      const values = map.weights.map(wide);
      return { title: titleOf(map), values, blank: (i, j) => Number.isNaN(values[i][j]) };
    }),
    across: maps.filter(({ layer }) => layer === maps[0].layer).length,
  });
}

await cli.runCommand(command, async ({ positionals, values, flags }) => {
  if (!flags.each) cli.checkExtension("out", values.out, ".svg");
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: 1 });
  const { layers, heads } = opened.model.architecture;
  const text = cli.askedText(values, opened.model.tokenizer, opened.checkpoint.config.sample.prompt);
  const choice = {
    layers: cli.wholeNumbersOption("layer", values.layer, layers - 1),
    heads: cli.wholeNumbersOption("head", values.head, heads - 1),
  };
  const found = await attentionMaps(opened.device, opened.model, text, choice);
  if (found.maps.length === 0) throw new UserError("No head was asked for.");
  if (flags.each) {
    const folder = values.out ?? await freePath("attention_maps");
    await makeFolder(folder);
    for (const [name, svg] of eachChart(found)) await writeFileAtomic(join(folder, name), svg);
    cli.printLine(`${folder}: ${found.maps.length} charts`);
    return 0;
  }
  const out = values.out ?? await freePath("attention_maps.svg");
  await writeFileAtomic(out, sheetOf(found));
  cli.printLine(`${out}: ${found.maps.length} heads over ${found.tokens.length} tokens`);
  return 0;
}, heed);
