// Which parts of a model carry the difference between two texts: deno task patch --clean "3 follows 2" --corrupted "5 follows 4"
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
  summary: "patches one text's activations into another's pass, part by part",
  usage: "[run or checkpoint] --clean TEXT --corrupted TEXT [options]",
  options: {
    clean: { type: "string", value: "TEXT", help: "the text whose activations are put in" },
    corrupted: { type: "string", value: "TEXT", help: "a text of as many tokens, which is patched" },
    "clean-ids": { type: "string", value: "N,N", help: "token ids in the place of --clean" },
    "corrupted-ids": { type: "string", value: "N,N", help: "token ids in the place of --corrupted" },
    first: cli.TEXT_OPTIONS.first,
    site: {
      type: "string",
      value: "SITE",
      default: "resid_pre",
      help: "resid_pre, attn_out, mlp_out by position; heads as wholes",
    },
    answer: {
      type: "string",
      value: "TOKEN",
      help: "right after the clean text; default: the model's answer",
    },
    wrong: {
      type: "string",
      value: "TOKEN",
      help: "right after the corrupted text; default: the model's",
    },
    out: { type: "string", value: "FILE", help: "draws what comes back as a heat map" },
    format: cli.formatOption("an object a patch"),
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

function chartOf(found: Patching, site: string): string {
  return heatMap({
    title: `Patching ${site}: share of the difference that comes back`,
    rows: found.recovered.map((_, layer) => `${layer}`),
    columns: placesOf(found, site),
    values: found.recovered,
    y: { label: "layer" },
    x: { label: site === "heads" ? "head" : "position" },
    value: { label: "recovered (0 corrupted, 1 clean)" },
    signed: true,
  });
}

function tableOf(found: Patching, site: string): string {
  const { answer, wrong, difference: { clean, corrupted } } = found;
  const places = placesOf(found, site).map((place) => JSON.stringify(place).slice(1, -1));
  const rows = [
    ["layer", ...places],
    ...found.recovered.map((row, n) => [`${n}`, ...Array.from(row, (x) => shortNumber(x, 3))]),
  ];
  return [
    `logit(${JSON.stringify(answer)}) - logit(${JSON.stringify(wrong)}): clean ${clean.toFixed(4)}, ` +
    `corrupted ${corrupted.toFixed(4)}; a patch brings back`,
    ...alignedRows(rows, { least: 5 }),
  ].join("\n");
}

/** One of the two texts, or its ids. */
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
  const found = await patchActivations(opened.device, opened.model, clean, corrupted, {
    site,
    answer,
    wrong,
  });
  if (found.warning) cli.tellLine(messageLine(`patch: warning: ${found.warning}`));
  if (format === "table") cli.printLine(tableOf(found, site));
  else {
    found.recovered.forEach((row, layer) =>
      row.forEach((recovered, place) => cli.printRecord({ type: "patch", site, layer, place, recovered }))
    );
  }
  if (values.out !== undefined) await writeFileAtomic(values.out, chartOf(found, site));
  return 0;
}, heed);
