// Checks attention against a dense float64 oracle: heed's kernels, or a function of one's own: deno task check_attention
import * as heed from "../mod.ts";
import {
  type AnyRecord,
  type AttentionImplementation,
  CASE_MASKS,
  caseRecord,
  checkAttention,
  type CheckedCase,
  checkExtension,
  checkSummary,
  type Command,
  cpuDevice,
  decoderLayer,
  describeCase,
  findAdapter,
  graphDiagram,
  input,
  kernelAttention,
  loadAttention,
  type LogWriter,
  numberOption,
  oneOf,
  openDevice,
  openLog,
  printLine,
  runCommand,
  smallestFailure,
  stdoutLog,
  tellLine,
  UserError,
  webgpuDevice,
  writeFileAtomic,
} from "../mod.ts";

const ACTIVATIONS = ["softmax", "softmax1", "sigmoid", "relu", "relu2"] as const;

const command: Command = {
  name: "check_attention",
  summary: "compares attention with a dense float64 oracle on random cases, gradients too",
  usage: "[options]",
  options: {
    file: {
      type: "string",
      value: "FILE.ts",
      help: "check the attention that this file exports, not heed's",
    },
    device: {
      type: "string",
      value: "auto|webgpu|cpu",
      help: "heed's device; every one there is by default",
    },
    activation: { type: "string", value: "NAME", help: ACTIVATIONS.join(", "), default: "softmax" },
    mask: {
      type: "string",
      value: CASE_MASKS.join("|"),
      help: "cases with this mask alone; every kind by default",
    },
    cases: { type: "string", value: "N", help: "how many cases", default: "100" },
    case: { type: "string", value: "N", help: "this case alone, printed in full" },
    seed: { type: "string", value: "N", help: "another set of cases", default: "1" },
    diagram: { type: "string", value: "FILE.svg", help: "draw the graph of a decoder layer first" },
    ndjson: { type: "string", value: "FILE|-", help: "one record a case, to a file or to stdout alone" },
  },
  examples: [
    "deno task check_attention",
    "deno task check_attention --file mine.ts",
    "deno task check_attention --file mine.ts --mask none",
    "deno task check_attention --file mine.ts --case 3",
    "deno task check_attention --device cpu --activation sigmoid --diagram layer.svg",
    "deno task check_attention --device cpu --ndjson - | jq -c 'select(.passed | not)'",
  ],
  exits: { 1: "a check failed" },
};

/** A pre-norm decoder layer with causal attention, as `train` builds it. */
function layerDiagram(activation: typeof ACTIVATIONS[number]): string {
  const layer = decoderLayer({
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

/** What is checked: a file, a device by name, or WebGPU where there is an adapter and the CPU. */
async function implementations(file?: string, device?: string): Promise<AttentionImplementation[]> {
  if (file !== undefined && device !== undefined) {
    throw new UserError("--device is for heed's own kernels; a --file computes where it likes.");
  }
  if (file !== undefined) return [await loadAttention(file)];
  if (device !== undefined) return [kernelAttention(await openDevice(device))];
  const adapter = await findAdapter();
  if (!adapter) tellLine("No WebGPU adapter: checking the CPU alone.");
  const devices = [...(adapter ? [await webgpuDevice(adapter)] : []), cpuDevice()];
  return devices.map(kernelAttention);
}

await runCommand(command, async ({ positionals, values }) => {
  if (positionals.length) {
    throw new UserError(`${positionals[0]}: unexpected; a file of one's own is --file.`);
  }
  const activation = oneOf("activation", values.activation!, ACTIVATIONS);
  const mask = values.mask === undefined ? undefined : oneOf("mask", values.mask, CASE_MASKS);
  const count = numberOption("cases", values.cases, { least: 1, whole: true })!;
  const only = numberOption("case", values.case, { least: 0, whole: true });
  const seed = numberOption("seed", values.seed, { least: 0, whole: true })!;
  checkExtension("diagram", values.diagram, ".svg");
  const say = values.ndjson === "-" ? tellLine : printLine;
  const found = await implementations(values.file, values.device);
  if (values.diagram !== undefined) {
    await writeFileAtomic(values.diagram, layerDiagram(activation));
    say(`${values.diagram}: the graph of a decoder layer`);
  }
  using log: LogWriter<AnyRecord> | undefined = values.ndjson === undefined
    ? undefined
    : values.ndjson === "-"
    ? stdoutLog()
    : openLog(values.ndjson);
  let failed = 0;
  for (const implementation of found) {
    const onCase = (checked: CheckedCase) => {
      log?.write(caseRecord(implementation.name, checked));
      if (only !== undefined) say(describeCase(checked));
    };
    const check = await checkAttention(implementation, { count, only, seed, activation, mask, onCase });
    say(checkSummary(check));
    failed += check.failed.length;
    const smallest = smallestFailure(check);
    if (!smallest || only !== undefined) continue;
    say(`The smallest of them:\n${describeCase(smallest)}`);
    const same = [
      values.file && `--file ${values.file}`,
      values.device && `--device ${values.device}`,
      mask && `--mask ${mask}`,
      activation !== "softmax" && `--activation ${activation}`,
      seed !== 1 && `--seed ${seed}`,
    ].filter(Boolean);
    say(`Again: deno task check_attention ${[...same, `--case ${smallest.given.index}`].join(" ")}`);
  }
  return failed ? 1 : 0;
}, heed);
