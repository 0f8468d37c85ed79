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
      help: "what to continue, once or several times; sample.prompt by default",
    },
    ids: { ...cli.TEXT_OPTIONS.ids, multiple: true, help: "token ids to continue; may be given again" },
    first: cli.TEXT_OPTIONS.first,
    tokens: { type: "string", value: "N", help: "tokens to add; sample.tokens by default" },
    temperature: {
      type: "string",
      value: "T",
      help: "0 takes the most likely token; sample.temperature by default",
    },
    "top-k": { type: "string", value: "K", help: "draw from the K most likely tokens" },
    "top-p": {
      type: "string",
      value: "P",
      help: "draw from the most likely tokens that reach P together",
      was: "nucleus",
    },
    "min-p": {
      type: "string",
      value: "P",
      help: "draw from tokens at least P times as likely as the likeliest",
    },
    beams: { type: "string", value: "W", help: "search for the most likely text with W beams, draw nothing" },
    stop: { type: "string", value: "TEXT", multiple: true, help: "end before this text; may be given again" },
    seed: { type: "string", value: "N", help: "seed of the draws; sample.seed by default" },
    format: { type: "string", value: "text|ndjson", default: "text", help: "ndjson: an object a prompt" },
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task generate runs/latest --prompt "The " --tokens 300',
    "deno task generate --temperature 0",
    'deno task generate --prompt "One " --prompt "Two " --min-p 0.1 --stop . --format ndjson',
    'deno task generate --prompt "The " --beams 4',
  ],
};

/** What to continue. What the tokenizer cannot encode is reported with the option that brought it. */
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

/** Writes texts in their order as they grow, each on lines of its own; a later one waits for those before it. */
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
    /** Ends the line of a text that was broken off. */
    close: () => write(begun ? "\n" : ""),
  };
}

/** Options that draw mean nothing to beams, and the other way round. */
function checkTogether({ values }: cli.Arguments): void {
  if (values.beams === undefined) return;
  const drawn = ["temperature", "top-k", "top-p", "min-p", "seed"].find((key) => values[key] !== undefined);
  if (drawn) throw new UserError(`--${drawn}: beams draw nothing; leave it out, or --beams.`);
}

await cli.runCommand(command, async (args) => {
  checkTogether(args);
  const { positionals, values, lists } = args;
  const path = cli.runArgument(positionals);
  const format = cli.oneOf("format", values.format!, ["text", "ndjson"]);
  const checkpoint = await loadCheckpoint(path);
  const { config: { sample }, tokenizer } = checkpoint;
  const prompts = promptsOf(args, tokenizer, sample.prompt);
  const whole = { min: 1, whole: true };
  const options = {
    tokens: cli.numberOption("tokens", values.tokens, { min: 0, whole: true }) ?? sample.tokens,
    temperature: cli.numberOption("temperature", values.temperature, { min: 0 }) ?? sample.temperature,
    topK: cli.numberOption("top-k", values["top-k"], whole) ?? sample.top_k,
    topP: cli.numberOption("top-p", values["top-p"], { min: 0, max: 1 }),
    minP: cli.numberOption("min-p", values["min-p"], { min: 0, max: 1 }),
    beams: cli.numberOption("beams", values.beams, whole),
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
  if (uncached) cli.tellLine(`generate: some tokens were made by reading the text anew: ${uncached}.`);
  return 0;
}, heed);
