// Continues a prompt with a trained model: deno task generate runs/latest --prompt "The "
import {
  type Command,
  costOf,
  generate,
  generatorOf,
  loadCheckpoint,
  numberOption,
  onlyName,
  openDevice,
  putModel,
  runCommand,
  type Tokenizer,
  UserError,
} from "../mod.ts";

const command: Command = {
  name: "generate",
  summary: "continues a prompt with a trained model",
  usage: "[run or checkpoint] [options]",
  options: {
    prompt: {
      type: "string",
      value: "TEXT",
      help: "what to continue; the configuration's sample.prompt by default",
    },
    tokens: { type: "string", value: "N", help: "tokens to add; sample.tokens by default" },
    temperature: {
      type: "string",
      value: "T",
      help: "0 takes the most likely token; sample.temperature by default",
    },
    "top-k": { type: "string", value: "K", help: "draw from the K most likely tokens" },
    nucleus: { type: "string", value: "P", help: "draw from the most likely tokens that reach P together" },
    seed: { type: "string", value: "N", help: "seed of the draws; sample.seed by default" },
    device: { type: "string", value: "auto|webgpu|cpu", help: "where to compute" },
  },
  examples: [
    'deno task generate runs/latest --prompt "The " --tokens 300',
    "deno task generate --temperature 0",
  ],
};

/** What the model cannot continue is told as the option that brought it. */
function checkPrompt(prompt: string, tokenizer: Tokenizer): void {
  if (prompt === "") throw new UserError("--prompt: expected at least one character.");
  try {
    tokenizer.encode(prompt);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`--prompt: ${error.message}`);
    throw error;
  }
}

await runCommand(command, async ({ positionals, values }) => {
  const model = await loadCheckpoint(onlyName(positionals, "run or checkpoint") ?? "runs/latest");
  const { sample } = model.config;
  if (values.prompt !== undefined) checkPrompt(values.prompt, model.tokenizer);
  const options = {
    prompt: values.prompt ?? sample.prompt,
    tokens: numberOption("tokens", values.tokens, { least: 0, whole: true }) ?? sample.tokens,
    temperature: numberOption("temperature", values.temperature, { least: 0 }) ?? sample.temperature,
    topK: numberOption("top-k", values["top-k"], { least: 1, whole: true }) ?? sample.top_k,
    nucleus: numberOption("nucleus", values.nucleus, { least: 0, most: 1 }),
    seed: numberOption("seed", values.seed, { whole: true }) ?? sample.seed,
  };
  const { flops, dispatches } = costOf(model);
  // Each token is the forward pass of one row, a third of its share of a step.
  const { batch, accumulate } = model.config.train;
  const cost = { flops: flops / (3 * batch * accumulate), dispatches, steps: options.tokens };
  using device = await openDevice(values.device ?? model.config.device, cost);
  putModel(device, model);
  console.log(await generate(device, generatorOf(model), options));
  return 0;
});
