// Checks heed's attention kernels, or your function, against a dense float64 reference: deno task check_attention
import * as heed from "../mod.ts";
import {
  type AnyRecord,
  type AttentionActivation,
  attentionNames,
  check,
  cli,
  findAdapter,
  graphDiagram,
  input,
  type LogWriter,
  openDevice,
  openLog,
  referenceDevice,
  stdoutLog,
  UserError,
  webgpuDevice,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "check_attention",
  summary: "compares attention and its gradients with a dense float64 oracle on random cases",
  usage: "[options]",
  options: {
    file: {
      type: "string",
      value: "FILE.ts",
      help: "check the attention, multiHead or decoderLayer that this file exports",
    },
    device: { ...cli.DEVICE_OPTION, help: "heed's device; default: all available" },
    activation: {
      type: "string",
      value: "NAME",
      help: attentionNames("activation").join(", "),
      default: "softmax",
    },
    mask: {
      type: "string",
      value: check.CASE_MASKS.join("|"),
      help: "only cases with this mask; default: all kinds",
    },
    cases: { type: "string", value: "N", help: "number of cases", default: "100" },
    case: { type: "string", value: "N", help: "only this case, printed in full" },
    seed: { type: "string", value: "N", help: "seed of the cases", default: "1" },
    diagram: { type: "string", value: "FILE.svg", help: "also draw the graph of a decoder layer" },
    ndjson: { type: "string", value: "FILE|-", help: "one record per case, to a file or only to stdout" },
  },
  examples: [
    "deno task check_attention",
    "deno task check_attention --file mine.ts",
    "deno task check_attention --file examples/my_attention.ts",
    "deno task check_attention --file mine.ts --mask none",
    "deno task check_attention --file mine.ts --case 3",
    "deno task check_attention --device cpu --activation sigmoid --diagram layer.svg",
    "deno task check_attention --device cpu --ndjson - | jq -c 'select(.passed | not)'",
  ],
  exits: { 1: "a check failed" },
};

/** Returns a diagram (SVG) of the graph of a pre-norm decoder layer with causal attention, as `train` builds it. */
function layerDiagram(activation: AttentionActivation): string {
  const layer = check.decoderLayer({
    vocabulary: 65,
    context: 64,
    dim: 128,
    layers: 1,
    heads: 4,
    positions: "none",
    norm: "layernorm",
    bias: true,
    tied: true,
    dropout: 0,
    init: { std: 0.02, scaled_residual: true },
    block: { attention: { activation, bias: "auto" }, mlp: { activation: "gelu", factor: 4 } },
  }, input("resid_pre", [12, 64, 128]));
  return graphDiagram({ resid_post: layer }, { title: `A decoder layer with ${activation} attention` });
}

/** The implementations to check. */
interface Implementations {
  readonly attentions: readonly check.AttentionImplementation[];
  readonly layers: readonly check.LayerImplementation[];
}

/**
 * Returns the functions of a file or, if none is given, heed's kernels on the named device. If no device is named either,
 * returns heed's kernels on all devices: WebGPU (if there is an adapter), CPU and reference.
 */
async function implementations(file?: string, device?: string): Promise<Implementations> {
  if (file !== undefined && device !== undefined) {
    throw new UserError("--device: selects a device for heed's kernels; leave out --device or --file.");
  }
  if (file !== undefined) {
    const { attention, layers } = await check.loadChecked(file);
    return { attentions: attention ? [attention] : [], layers };
  }
  if (device !== undefined) {
    return { attentions: [check.kernelAttention(await openDevice(device))], layers: [] };
  }
  const adapter = await findAdapter();
  if (!adapter) cli.tellLine("No WebGPU adapter: checking only the CPU and the reference device.");
  const devices = [
    ...(adapter ? [await webgpuDevice(adapter)] : []),
    await openDevice("cpu"),
    referenceDevice(),
  ];
  return { attentions: devices.map(check.kernelAttention), layers: [] };
}

/** Options that say which cases to check and where to write the results. */
interface Options {
  readonly count: number;
  readonly only: number | undefined;
  readonly seed: number;
  readonly mask: check.CaseMask | undefined;
  readonly activation: AttentionActivation;
  readonly say: (text: string) => void;
  readonly log: LogWriter<AnyRecord> | undefined;
  /** The command-line options that reproduce the same cases. */
  readonly same: readonly string[];
}

/** Prints the result of a check: its summary, probable mistakes, and the smallest failing case in full. */
function reportCheck(
  { say, only, same }: Options,
  summary: string,
  suspects: readonly string[],
  smallest: { readonly index: number; readonly page: string } | undefined,
): void {
  say(summary);
  // A single case cannot distinguish between mistakes.
  const suspected = only === undefined ? check.suspicion(suspects) : undefined;
  if (suspected !== undefined) say(suspected);
  if (!smallest || only !== undefined) return;
  say(`The smallest failing case:\n${smallest.page}`);
  say(`To run it again: deno task check_attention ${[...same, `--case ${smallest.index}`].join(" ")}`);
}

/** Checks an implementation of attention. Returns the number of failed cases. */
async function checkOne(
  implementation: check.AttentionImplementation,
  options: Options,
): Promise<number> {
  const { count, only, seed, activation, mask, say, log } = options;
  const onCase = (checked: check.CheckedCase) => {
    log?.write(check.caseRecord(implementation.name, checked));
    if (only !== undefined) say(check.describeCase(checked));
  };
  const result = await check.checkAttention(implementation, { count, only, seed, activation, mask, onCase });
  const smallest = check.smallestFailure(result);
  const shown = smallest && { index: smallest.given.index, page: check.describeCase(smallest) };
  reportCheck(options, check.checkSummary(result), result.suspects, shown);
  return result.failed.length;
}

/** Checks an implementation of a layer. Returns the number of failed cases. */
async function checkOneLayer(
  implementation: check.LayerImplementation,
  options: Options,
): Promise<number> {
  const { count, only, seed, mask, say, log } = options;
  const { name, kind } = implementation;
  const onCase = (checked: check.CheckedLayer) => {
    log?.write(check.layerRecord({ implementation: name, kind }, checked));
    if (only !== undefined) say(check.describeLayerCase(checked));
  };
  const result = await check.checkLayer(implementation, { count, only, seed, mask, onCase });
  const smallest = check.smallestLayerFailure(result);
  const shown = smallest && { index: smallest.given.index, page: check.describeLayerCase(smallest) };
  reportCheck(options, check.layerSummary(result), result.suspects, shown);
  return result.failed.length;
}

await cli.runCommand(command, async ({ positionals, values }) => {
  if (positionals.length) {
    throw new UserError(`${positionals[0]}: unexpected argument; pass a file to check with --file.`);
  }
  const activation = cli.oneOf("activation", values.activation!, attentionNames("activation"));
  const mask = values.mask === undefined ? undefined : cli.oneOf("mask", values.mask, check.CASE_MASKS);
  const count = cli.numberOption("cases", values.cases, { min: 1, whole: true })!;
  const only = cli.numberOption("case", values.case, { min: 0, whole: true });
  const seed = cli.numberOption("seed", values.seed, { min: 0, whole: true })!;
  cli.checkExtension("diagram", values.diagram, ".svg");
  const say = values.ndjson === "-" ? cli.tellLine : cli.printLine;
  const { attentions, layers } = await implementations(values.file, values.device);
  if (values.diagram !== undefined) {
    await writeFileAtomic(values.diagram, layerDiagram(activation));
    say(`${values.diagram}: the graph of a decoder layer`);
  }
  using log: LogWriter<AnyRecord> | undefined = values.ndjson === undefined
    ? undefined
    : values.ndjson === "-"
    ? stdoutLog()
    : openLog(values.ndjson);
  const same = [
    values.file && `--file ${values.file}`,
    values.device && `--device ${values.device}`,
    mask && `--mask ${mask}`,
    activation !== "softmax" && `--activation ${activation}`,
    seed !== 1 && `--seed ${seed}`,
  ].filter((option): option is string => Boolean(option));
  const options: Options = { count, only, seed, mask, activation, say, log, same };
  let failed = 0;
  for (const implementation of attentions) failed += await checkOne(implementation, options);
  for (const implementation of layers) failed += await checkOneLayer(implementation, options);
  return failed ? 1 : 0;
}, heed);
