// Draws the attention pattern of each head over a text: deno task attention_maps runs/latest --text "The number 3 follows 2"
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
  summary: "draws the attention pattern of each head over a text as SVG, labelled by token",
  usage: "[run or checkpoint] [options]",
  options: {
    ...cli.TEXT_OPTIONS,
    layer: { type: "string", value: "N,N", help: "blocks, from 0; default: all" },
    head: { type: "string", value: "N,N", help: "heads, from 0; default: all" },
    each: { type: "boolean", help: "draw one chart per head, in the folder --out" },
    out: {
      type: "string",
      value: "FILE|DIR",
      help: "default: attention_maps.svg, or the folder attention_maps with --each",
    },
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task attention_maps runs/latest --text "The number 3"',
    'deno task attention_maps --text "The number 3" --layer 0 --head 0,1 --each --out maps',
  ],
};

/**
 * Returns the range of the colour scale: [0, 1] if the weights of each row sum to 1, otherwise (as for sigmoid)
 * [0, largest weight].
 */
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
  // If this block has fewer learned keys than another, the missing ones are blank, as masked keys are.
  const wide = (row: Float64Array) => Float64Array.from(keys, (_, j) => row[j] ?? NaN);
  return mapSheet({
    title: "Attention by layer and head: rows are queries, columns are keys",
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
  const result = await attentionMaps(opened.device, opened.model, text, choice);
  if (result.maps.length === 0) throw new UserError("Expected at least one head, found none.");
  if (flags.each) {
    const folder = values.out ?? await freePath("attention_maps");
    await makeFolder(folder);
    for (const [name, svg] of eachChart(result)) await writeFileAtomic(join(folder, name), svg);
    cli.printLine(`${folder}: ${result.maps.length} charts`);
    return 0;
  }
  const out = values.out ?? await freePath("attention_maps.svg");
  await writeFileAtomic(out, sheetOf(result));
  cli.printLine(`${out}: ${result.maps.length} heads over ${result.tokens.length} tokens`);
  return 0;
}, heed);
