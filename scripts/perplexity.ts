// How well a trained model predicts texts, files or a split: deno task perplexity runs/latest --file notes.txt
import * as heed from "../mod.ts";
import {
  type Arguments,
  type Command,
  evaluator,
  loadCheckpoint,
  numberOption,
  oneOf,
  onlyName,
  openModel,
  perplexityOf,
  prepare,
  printLine,
  readFiles,
  runCommand,
  tokenLosses,
  UserError,
} from "../mod.ts";

const command: Command = {
  name: "perplexity",
  summary: "prints cross-entropy and perplexity of texts, files or a split, each token once",
  usage: "[run or checkpoint] [options]",
  options: {
    text: { type: "string", value: "TEXT", multiple: true, help: "a text; may be given again" },
    file: { type: "string", value: "FILE", multiple: true, help: "a text file, or a folder of them" },
    lines: { type: "boolean", help: "each line of a file is a text of its own" },
    split: {
      type: "string",
      value: "NAME",
      help: "of the run's data: train, val or test, as evaluated in training",
    },
    stride: {
      type: "string",
      value: "N",
      help: "tokens by which the window moves over a long text; context / 2",
    },
    tokens: { type: "boolean", help: "print every token with its cross-entropy" },
    format: { type: "string", value: "table|ndjson", default: "table", help: "ndjson: an object a line" },
    device: { type: "string", value: "auto|webgpu|cpu", help: "where to compute" },
  },
  examples: [
    "deno task perplexity runs/latest --split val",
    "deno task perplexity --file notes.txt --stride 16",
    'deno task perplexity --text "The number 3" --text "number The 3" --tokens',
    "deno task perplexity --file poems/ --lines --format ndjson | jq -s 'sort_by(.loss) | .[0]'",
  ],
};

/** Texts under the names that they are told by. */
async function textsOf({ lists, flags }: Arguments): Promise<{ name: string; text: string }[]> {
  const given = lists?.text?.map((text, n) => ({ name: `text ${n}`, text })) ?? [];
  const files = await readFiles(lists?.file ?? []);
  return [
    ...given,
    ...files.flatMap(({ path, text }) => {
      if (!flags.lines) return { name: path, text };
      const named = text.split(/\r?\n/).map((line, n) => ({ name: `${path}:${n + 1}`, text: line }));
      return named.filter((line) => line.text !== "");
    }),
  ];
}

await runCommand(command, async (args) => {
  const { positionals, values, lists, flags } = args;
  const format = oneOf("format", values.format!, ["table", "ndjson"]);
  const print = (record: { name: string; tokens: number; loss: number; perplexity: number }) => {
    const { name, tokens, loss, perplexity } = record;
    printLine(
      format === "ndjson"
        ? JSON.stringify(record)
        : `${name}: ${tokens} tokens, ${loss.toFixed(6)} nats a token, perplexity ${perplexity.toFixed(4)}`,
    );
  };
  const stride = numberOption("stride", values.stride, { least: 1, whole: true });
  const texts = await textsOf(args);
  if ((values.split === undefined) === (texts.length === 0)) {
    throw new UserError("Expected a --split, or texts by --text or --file, and not both.");
  }
  const idle = ["stride", "tokens", "lines"].find((key) => values[key] !== undefined || flags[key]);
  if (values.split !== undefined && idle !== undefined) {
    throw new UserError(`--${idle}: a split is read as in training; leave it out, or give texts.`);
  }
  if (flags.lines && lists?.file === undefined) {
    throw new UserError("--lines: belongs to --file, which is not given.");
  }
  const checkpoint = await loadCheckpoint(onlyName(positionals, "run or checkpoint") ?? "runs/latest");
  const { config, tokenizer } = checkpoint;
  if (values.split !== undefined) {
    const split = oneOf("split", values.split, ["train", "val", "test"]);
    const own = { ...config, eval: { ...config.eval, split, batches: 0 } };
    const experiment = await prepare(own, tokenizer);
    const passes = experiment.source.evaluation(split).count;
    using opened = await openModel(checkpoint, {
      device: values.device,
      passes,
      positions: config.train.batch * config.model.context,
    });
    using evaluation = await evaluator(opened.device, experiment);
    print({ name: split, ...await evaluation.evaluate() });
    return 0;
  }
  const ids = texts.map(({ text }) => tokenizer.encode(text));
  const positions = 2 * ids.reduce((sum, { length }) => sum + length, 0);
  using opened = await openModel(checkpoint, { device: values.device, passes: 1, positions });
  const losses = await tokenLosses(opened.device, opened.model, ids, { stride });
  losses.forEach((own, n) => {
    const { name } = texts[n];
    if (flags.tokens) {
      own.forEach((nats, k) => {
        const token = tokenizer.decode([ids[n][k + 1]]);
        const record = { name, position: k + 1, token, nats };
        printLine(
          format === "ndjson"
            ? JSON.stringify(record)
            : `${nats.toFixed(4).padStart(8)}  ${JSON.stringify(token)}`,
        );
      });
    }
    if (own.length > 0) print({ name, ...perplexityOf([own]) });
  });
  const all = perplexityOf(losses);
  if (all.tokens === 0) {
    throw new UserError("The texts have no token to predict, expected two tokens in one of them.");
  }
  if (losses.length > 1) print({ name: "all", ...all });
  return 0;
}, heed);
