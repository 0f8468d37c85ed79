// Patches activations of one text into another: deno task patch --clean "3 follows 2" --corrupted "5 follows 4"
import * as heed from "../mod.ts";
import {
  alignedRows,
  checkWritable,
  cli,
  heatMap,
  messageLine,
  openModel,
  PATCH_SITES,
  patchActivations,
  type Patching,
  shortNumber,
  type TextOrIds,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "patch",
  summary: "patches one text's activations into another's forward pass, part by part",
  usage: "[run or checkpoint] --clean TEXT --corrupted TEXT [options]",
  options: {
    clean: { type: "string", value: "TEXT", help: "the text whose activations are inserted" },
    corrupted: {
      type: "string",
      value: "TEXT",
      help: "the text that is patched; it must have as many tokens",
    },
    "clean-ids": { type: "string", value: "N,N", help: "token ids instead of --clean" },
    "corrupted-ids": { type: "string", value: "N,N", help: "token ids instead of --corrupted" },
    first: cli.TEXT_OPTIONS.first,
    site: {
      type: "string",
      value: "SITE",
      default: "resid_pre",
      help: "resid_pre, attn_out, mlp_out per position, or heads",
    },
    answer: {
      type: "string",
      value: "TOKEN",
      help: "correct next token of the clean text; default: the prediction",
    },
    wrong: {
      type: "string",
      value: "TOKEN",
      help: "correct next token of the corrupted text; default: the prediction",
    },
    out: { type: "string", value: "FILE", help: "draw the recovered shares as a heat map" },
    format: cli.formatOption("one object per patch"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task patch runs/latest --clean "number 3 " --corrupted "follows 3" --out patch.svg',
    'deno task patch --clean "The num" --corrupted "The fol" --site heads --answer b --wrong l --format ndjson',
  ],
};

function placesOf({ tokens, recovered }: Patching, site: string): string[] {
  if (site === "heads") return Array.from(recovered[0], (_, head) => `${head}`);
  return tokens.clean.map((token, t) =>
    token === tokens.corrupted[t] ? token : `${token}/${tokens.corrupted[t]}`
  );
}

function chartOf(patching: Patching, site: string): string {
  return heatMap({
    title: `Patching ${site}: recovered share of the logit difference`,
    rows: patching.recovered.map((_, layer) => `${layer}`),
    columns: placesOf(patching, site),
    values: patching.recovered,
    y: { label: "layer" },
    x: { label: site === "heads" ? "head" : "position" },
    value: { label: "recovered (0 corrupted, 1 clean)" },
    signed: true,
  });
}

function tableOf(patching: Patching, site: string): string {
  const { answer, wrong, difference: { clean, corrupted } } = patching;
  const places = placesOf(patching, site).map((place) => JSON.stringify(place).slice(1, -1));
  const rows = [
    ["layer", ...places],
    ...patching.recovered.map((row, n) => [`${n}`, ...Array.from(row, (x) => shortNumber(x, 3))]),
  ];
  return [
    `logit(${JSON.stringify(answer)}) - logit(${JSON.stringify(wrong)}): clean ${clean.toFixed(4)}, ` +
    `corrupted ${corrupted.toFixed(4)}; recovered by each patch:`,
    ...alignedRows(rows, { least: 5 }),
  ].join("\n");
}

/** Returns one of the two texts (`name` is "clean" or "corrupted"), or its token ids. */
function textOf(values: Readonly<Record<string, string | undefined>>, name: string): TextOrIds {
  const [text, ids] = [values[name], values[`${name}-ids`]];
  if (text !== undefined && ids !== undefined) {
    throw new UserError(`--${name}-ids: the text is given by --${name}; leave one of them out.`);
  }
  if (ids !== undefined) return cli.idsOption(`${name}-ids`, ids);
  if (text) return text;
  throw new UserError("Expected two texts, --clean and --corrupted.");
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const format = cli.formatOf(values);
  const site = cli.oneOf("site", values.site!, PATCH_SITES);
  const { answer, wrong, first } = values;
  const texts = ["clean", "corrupted"].map((name) => textOf(values, name));
  cli.checkExtension("out", values.out, ".svg");
  if (values.out !== undefined) await checkWritable(values.out);
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: 2 * texts[0].length });
  const [clean, corrupted] = texts.map((text) => cli.withFirst(opened.model.tokenizer, text, first));
  const patching = await patchActivations(opened.device, opened.model, clean, corrupted, {
    site,
    answer,
    wrong,
  });
  if (patching.warning) cli.tellLine(messageLine(`patch: warning: ${patching.warning}`));
  if (format === "table") cli.printLine(tableOf(patching, site));
  else {
    patching.recovered.forEach((row, layer) =>
      row.forEach((recovered, place) => cli.printRecord({ type: "patch", site, layer, place, recovered }))
    );
  }
  if (values.out !== undefined) await writeFileAtomic(values.out, chartOf(patching, site));
  return 0;
}, heed);
