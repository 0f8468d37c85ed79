// Continues prompts with a trained model: deno task generate runs/latest --prompt "The "
import * as heed from "../mod.ts";
import {
  cli,
  generateTexts,
  loadCheckpoint,
  openModel,
  type TextOrIds,
  type TextPiece,
  type Tokenizer,
  UserError,
} from "../mod.ts";

const command: cli.Command = {
  name: "generate",
  summary: "continues prompts with a trained model",
  usage: "[run or checkpoint] [options]",
  options: {
    prompt: {
      type: "string",
      value: "TEXT",
      multiple: true,
      help: "the text to continue; repeatable; default: sample.prompt",
    },
    ids: { ...cli.TEXT_OPTIONS.ids, multiple: true, help: "token ids to continue; repeatable" },
    first: cli.TEXT_OPTIONS.first,
    tokens: { type: "string", value: "N", help: "number of new tokens; default: sample.tokens" },
    temperature: {
      type: "string",
      value: "T",
      help: "0: always the most likely token; default: sample.temperature",
    },
    "top-k": { type: "string", value: "K", help: "sample from the K most likely tokens" },
    "top-p": {
      type: "string",
      value: "P",
      help: "sample from the most likely tokens whose probabilities sum to P",
      was: "nucleus",
    },
    "min-p": {
      type: "string",
      value: "P",
      help: "sample from tokens at least P times as likely as the most likely one",
    },
    beams: { type: "string", value: "W", help: "beam search with W beams instead of sampling" },
    stop: { type: "string", value: "TEXT", multiple: true, help: "stop before this text; repeatable" },
    seed: { type: "string", value: "N", help: "seed of the sampling; default: sample.seed" },
    format: { type: "string", value: "text|ndjson", default: "text", help: "ndjson: one object per prompt" },
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task generate runs/latest --prompt "The " --tokens 300',
    "deno task generate --temperature 0",
    'deno task generate --prompt "One " --prompt "Two " --min-p 0.1 --stop . --format ndjson',
    'deno task generate --prompt "The " --beams 4',
  ],
};

/** Returns the prompts. If the text of a prompt cannot be encoded, the error names the option --prompt. */
function promptsOf(
  { values: { first }, lists }: cli.Arguments,
  tokenizer: Tokenizer,
  unasked: string,
): TextOrIds[] {
  const texts = lists?.prompt ?? [];
  for (const prompt of texts) {
    if (prompt === "" && first === undefined && tokenizer.first === undefined) {
      throw new UserError("--prompt: expected at least one character, or the first token by --first.");
    }
    try {
      tokenizer.encode(prompt);
    } catch (error) {
      if (error instanceof UserError) throw new UserError(`--prompt: ${error.message}`);
      throw error;
    }
  }
  const given = [...texts, ...(lists?.ids ?? []).map((ids) => cli.idsOption("ids", ids))];
  if (given.length === 0) given.push(first === undefined ? unasked : "");
  return given.map((prompt) => cli.withFirst(tokenizer, prompt, first));
}

/**
 * Returns a writer that streams texts in order, each starting on a new line. A text waits until all texts before it are
 * complete.
 */
function textWriter() {
  const out = cli.textOutput();
  const waiting: string[] = [];
  const ended = new Set<number>();
  let current = 0;
  let begun = false;
  const write = (text: string) => {
    if (text === "") return;
    out.write(text);
    out.flush();
    begun = !text.endsWith("\n");
  };
  return {
    take({ text, piece, last }: TextPiece) {
      waiting[text] = `${waiting[text] ?? ""}${piece}${last ? "\n" : ""}`;
      if (last) ended.add(text);
      for (;; current++) {
        write(waiting[current] ?? "");
        waiting[current] = "";
        if (!ended.has(current)) return;
      }
    },
    /** Ends the line of an interrupted text. */
    close: () => write(begun ? "\n" : ""),
  };
}

/** Throws if sampling options are combined with --beams. */
function checkBeams({ values }: cli.Arguments): void {
  if (values.beams === undefined) return;
  const option = ["temperature", "top-k", "top-p", "min-p", "seed"].find((key) => values[key] !== undefined);
  if (option) {
    throw new UserError(`--${option}: beam search does not sample; leave out --${option} or --beams.`);
  }
}

await cli.runCommand(command, async (args) => {
  checkBeams(args);
  const { positionals, values, lists } = args;
  const path = cli.runArgument(positionals);
  const format = cli.oneOf("format", values.format!, ["text", "ndjson"]);
  const checkpoint = await loadCheckpoint(path);
  const { config: { sample }, tokenizer } = checkpoint;
  const prompts = promptsOf(args, tokenizer, sample.prompt);
  const positive = { min: 1, whole: true };
  const options = {
    tokens: cli.numberOption("tokens", values.tokens, { min: 0, whole: true }) ?? sample.tokens,
    temperature: cli.numberOption("temperature", values.temperature, { min: 0 }) ?? sample.temperature,
    topK: cli.numberOption("top-k", values["top-k"], positive) ?? sample.top_k,
    topP: cli.numberOption("top-p", values["top-p"], { min: 0, max: 1 }),
    minP: cli.numberOption("min-p", values["min-p"], { min: 0, max: 1 }),
    beams: cli.numberOption("beams", values.beams, positive),
    stop: lists?.stop,
    seed: cli.numberOption("seed", values.seed, { whole: true }) ?? sample.seed,
  };
  const { tokens: passes, beams = 1 } = options;
  using opened = await openModel(checkpoint, {
    device: values.device,
    passes,
    positions: prompts.length * beams,
  });
  const writer = textWriter();
  const onPiece = format === "text" ? writer.take : undefined;
  const texts = await generateTexts(opened.device, opened.model, prompts, { ...options, onPiece })
    .finally(writer.close);
  if (format === "ndjson") {
    for (const { logProbability: log_probability, uncached = null, ...text } of texts) {
      cli.printRecord({ type: "generated", ...text, log_probability, uncached });
    }
  }
  const uncached = texts.find((text) => text.uncached)?.uncached;
  if (uncached) cli.tellLine(`generate: some tokens were computed without the key-value cache: ${uncached}.`);
  return 0;
}, heed);
