// Measures the perplexity of texts, files or a split: deno task perplexity runs/latest --file notes.txt
import * as heed from "../mod.ts";
import {
  alignedRows,
  cli,
  evaluator,
  extremeLosses,
  languageModelOf,
  loadCheckpoint,
  models,
  openModel,
  type Perplexity,
  perplexityOf,
  prepare,
  readFiles,
  type TargetLoss,
  textBehind,
  type TextOrIds,
  type Tokenizer,
  tokenLosses,
  UserError,
} from "../mod.ts";

const command: cli.Command = {
  name: "perplexity",
  summary: "prints the perplexity of texts, files or a split, and the extreme tokens",
  usage: "[run or checkpoint] [options]",
  options: {
    text: { type: "string", value: "TEXT", multiple: true, help: "a text; repeatable" },
    ids: { ...cli.TEXT_OPTIONS.ids, multiple: true, help: "token ids of a text; repeatable" },
    file: { type: "string", value: "FILE", multiple: true, help: "a text file, or a folder of them" },
    lines: { type: "boolean", help: "treat each line of a file as a text" },
    first: cli.TEXT_OPTIONS.first,
    split: {
      type: "string",
      value: "NAME",
      help: "a split of the run's data: train, val or test, as evaluated in training",
    },
    stride: {
      type: "string",
      value: "N",
      help: "tokens by which the window over a long text moves; default: context / 2",
    },
    tokens: { type: "boolean", help: "also print every token with its cross-entropy" },
    format: cli.formatOption("one object per line"),
    device: cli.DEVICE_OPTION,
  },
  examples: [
    "deno task perplexity runs/latest --split val",
    "deno task perplexity --file notes.txt --stride 16",
    'deno task perplexity --text "The number 3" --text "number The 3" --tokens',
    "deno task perplexity --file poems/ --lines --format ndjson | jq -s 'sort_by(.loss) | .[0]'",
    "deno task perplexity --split val --format ndjson | jq -c .max",
  ],
};

/** The token with the highest (`max`) or lowest (`min`) cross-entropy in a text or a split. */
interface Extreme {
  /** Name of the token's text, or of the split. */
  readonly name: string;
  /** Index of the token's row in the split; undefined if the token is in a text. */
  readonly row?: number;
  /** Index of the token, from 0: among the ids of its text or, in a split, among the context + 1 ids of its row. */
  readonly position: number;
  readonly token: string;
  readonly nats: number;
}

/** The result of a text, of a split, or of all texts. */
interface PerplexityRow extends Perplexity {
  readonly name: string;
  /** Set only for a split, as are the next three fields. Those three are set only if the split has answers to score. */
  readonly accuracy?: number;
  readonly answer_loss?: number;
  readonly answer_accuracy?: number;
  readonly exact_match?: number;
  readonly max?: Extreme;
  readonly min?: Extreme;
  /** The loss of each data source, set only for a split of a mixture of sources. */
  readonly sources?: readonly { readonly name: string; readonly loss: number }[];
  /** The texts with the highest and the lowest perplexity, set only in the result of all texts. */
  readonly max_text?: { readonly name: string; readonly perplexity: number };
  readonly min_text?: { readonly name: string; readonly perplexity: number };
}

/** The optional fields of a record, all undefined. */
const NOTHING = {
  ...{ accuracy: undefined, answer_loss: undefined, answer_accuracy: undefined, exact_match: undefined },
  ...{ max: undefined, min: undefined, sources: undefined, max_text: undefined, min_text: undefined },
};

/** Returns the texts or ids that the options give, each with the name under which it is printed. */
async function textsOf({ lists, flags }: cli.Arguments): Promise<{ name: string; text: TextOrIds }[]> {
  const given = lists?.text?.map((text, n) => ({ name: `text ${n}`, text })) ?? [];
  const ids = lists?.ids?.map((ids, n) => ({ name: `ids ${n}`, text: cli.idsOption("ids", ids) })) ?? [];
  const files = await readFiles(lists?.file ?? []);
  return [
    ...given,
    ...ids,
    ...files.flatMap(({ path, text }) => {
      if (!flags.lines) return { name: path, text };
      const named = text.split(/\r?\n/).map((line, n) => ({ name: `${path}:${n + 1}`, text: line }));
      return named.filter((line) => line.text !== "");
    }),
  ];
}

/** Formats a result as one line. */
function lineOf(
  { name, tokens, loss, perplexity, max, min, sources, max_text, min_text }: PerplexityRow,
): string {
  const extreme = (what: string, one: Extreme) => {
    const row = one.row === undefined ? "" : `row ${one.row} `;
    const place = one.name === name
      ? `${row}position ${one.position}`
      : `${one.name} position ${one.position}`;
    return `; ${what} ${one.nats.toFixed(4)} nats for ${JSON.stringify(one.token)} at ${place}`;
  };
  return [
    `${name}: ${tokens} tokens, ${loss.toFixed(6)} nats per token, perplexity ${perplexity.toFixed(4)}`,
    max && min ? extreme("max", max) + extreme("min", min) : "",
    sources?.map(({ name, loss }) => `; ${name} ${loss.toFixed(6)} nats per token`).join("") ?? "",
    max_text ? `; highest perplexity ${max_text.perplexity.toFixed(4)}, ${max_text.name}` : "",
    min_text ? `; lowest ${min_text.perplexity.toFixed(4)}, ${min_text.name}` : "",
  ].join("");
}

/** Returns the result of each text, and the result of all texts together. */
function perplexityRows(
  tokenizer: Tokenizer,
  texts: readonly { readonly name: string; readonly ids: ArrayLike<number> }[],
  losses: readonly ArrayLike<number>[],
): { each: PerplexityRow[]; all: PerplexityRow } {
  const extremes = (textLosses: readonly ArrayLike<number>[], first: number) => {
    const targets = extremeLosses(textLosses);
    const named = ({ text, position, nats }: { text: number; position: number; nats: number }): Extreme => {
      const { name, ids } = texts[first + text];
      return { name, position, token: textBehind(tokenizer, ids[position - 1], [ids[position]]), nats };
    };
    return targets && { max: named(targets.max), min: named(targets.min) };
  };
  const each = texts.map(({ name }, n) => ({
    name,
    ...perplexityOf([losses[n]]),
    ...extremes([losses[n]], n),
  }));
  const counted = each.filter(({ tokens }) => tokens > 0);
  const ranked = counted.sort((a, b) => a.perplexity - b.perplexity).map(({ name, perplexity }) => {
    return { name, perplexity };
  });
  const all = { name: "all", ...perplexityOf(losses), ...extremes(losses, 0) };
  return { each, all: { ...all, max_text: ranked.at(-1), min_text: ranked[0] } };
}

/** Layout of the table that `--tokens` prints: the first column has cross-entropies in nats, and the second has tokens. */
const ROW = { left: (column: number) => column === 1, least: 8 };

await cli.runCommand(command, async (args) => {
  const { positionals, values, lists, flags } = args;
  const format = cli.formatOf(values);
  const print = (record: PerplexityRow) =>
    format === "ndjson"
      ? cli.printRecord({ type: "perplexity", ...NOTHING, ...record })
      : cli.printLine(lineOf(record));
  const stride = cli.numberOption("stride", values.stride, { min: 1, whole: true });
  const given = await textsOf(args);
  if ((values.split === undefined) === (given.length === 0)) {
    throw new UserError("Expected either --split, or texts by --text, --ids or --file.");
  }
  const idle = ["stride", "tokens", "lines", "first"].find((key) => values[key] !== undefined || flags[key]);
  if (values.split !== undefined && idle !== undefined) {
    throw new UserError(
      `--${idle}: applies only to texts, since a split is evaluated as in training; leave it out, or give texts.`,
    );
  }
  if (flags.lines && lists?.file === undefined) {
    throw new UserError("--lines: belongs to --file, which is not given.");
  }
  const checkpoint = await loadCheckpoint(cli.runArgument(positionals));
  const { config, tokenizer } = checkpoint;
  if (values.split !== undefined) {
    const split = cli.oneOf("split", values.split, ["train", "val", "test"]);
    const splitConfig = { ...config, eval: { ...config.eval, split, batches: 0 } };
    const experiment = await prepare(splitConfig, tokenizer);
    const passes = experiment.source.evaluation(split).count;
    using opened = await openModel(checkpoint, {
      device: values.device,
      passes,
      positions: config.train.batch * config.model.context,
    });
    using evaluation = await evaluator(opened.device, experiment, { extremes: true });
    const { extremes, answer, sources, ...totals } = await evaluation.evaluate();
    models.checkLosses([totals.loss]);
    const named = ({ before, id, row, position, nats }: TargetLoss): Extreme => {
      return { name: split, row, position: position + 1, token: textBehind(tokenizer, before, [id]), nats };
    };
    print({
      name: split,
      ...totals,
      answer_loss: answer?.loss,
      answer_accuracy: answer?.accuracy,
      exact_match: answer?.exact,
      sources: sources?.map((loss, i) => ({ name: experiment.source.sources![i].name, loss })),
      ...(extremes ? { max: named(extremes.max), min: named(extremes.min) } : {}),
    });
    return 0;
  }
  const model = languageModelOf(checkpoint);
  const texts = given.map(({ name, text }) => {
    const prompt = cli.withFirst(tokenizer, text, values.first);
    return {
      name,
      ids: typeof prompt === "string" ? tokenizer.encode(prompt) : models.promptIds(model, prompt),
    };
  });
  const positions = 2 * texts.reduce((sum, { ids: { length } }) => sum + length, 0);
  using opened = await openModel(checkpoint, { device: values.device, passes: 1, positions });
  const losses = await tokenLosses(opened.device, model, texts.map(({ ids }) => ids), { stride });
  const { each, all } = perplexityRows(tokenizer, texts, losses);
  if (all.tokens === 0) {
    throw new UserError("The texts have no token to predict; expected at least two tokens in one of them.");
  }
  losses.forEach((textLosses, n) => {
    const { name, ids } = texts[n];
    if (flags.tokens) {
      textLosses.forEach((nats, k) => {
        const token = textBehind(tokenizer, ids[k], [ids[k + 1]]);
        if (format === "ndjson") cli.printRecord({ type: "token_loss", name, position: k + 1, token, nats });
        else cli.printLine(alignedRows([[nats.toFixed(4), JSON.stringify(token)]], ROW)[0]);
      });
    }
    if (textLosses.length > 0) print(each[n]);
  });
  if (losses.length > 1) print(all);
  return 0;
}, heed);
