// Writes a trained model in Hugging Face's layout for GPT-2: deno task export_model runs/latest --out exported
import * as heed from "../mod.ts";
import { cli, exportModel, loadCheckpoint, UserError } from "../mod.ts";

const command: cli.Command = {
  name: "export_model",
  summary: "writes a model as a folder that Hugging Face transformers loads",
  usage: "[run or checkpoint] --out FOLDER",
  options: {
    out: { type: "string", value: "FOLDER", help: "the folder to create; it must not exist" },
  },
  examples: [
    "deno task export_model --out exported",
    "deno task export_model runs/latest/checkpoints/best --out exported",
  ],
};

await cli.runCommand(command, async ({ positionals, values }) => {
  if (values.out === undefined) throw new UserError("--out: expected a folder to write.");
  const checkpoint = await loadCheckpoint(cli.runArgument(positionals));
  const files = await exportModel(checkpoint, values.out);
  cli.printLine(`${values.out}: ${files.join(", ")}`);
  if (!files.includes("tokenizer.json")) {
    cli.printLine(
      `No tokenizer.json: a tokenizer of the kind "${checkpoint.tokenizer.kind}" has no equivalent in transformers, ` +
        `whose AutoTokenizer would create another one; pass token ids to the model.`,
    );
  }
  return 0;
}, heed);
