// Imports a GPT-2 model in Hugging Face's format, from a folder or by name: deno task import_model gpt2
import { cli, importModel, modelFolder, UserError } from "../mod.ts";

const command: cli.Command = {
  name: "import_model",
  summary: "imports a GPT-2 model from a Hugging Face folder, or by name, as a checkpoint",
  usage: "<folder or name> [options]",
  options: {
    out: { type: "string", value: "FOLDER", help: "the checkpoint to write; default: runs/<name>" },
    cache: {
      type: "string",
      value: "FOLDER",
      help: "folder for downloads; named models go into its models/",
      default: ".cache",
    },
  },
  examples: [
    "deno task import_model gpt2",
    "deno task import_model downloads/my-gpt2 --out runs/my-gpt2",
  ],
};

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}

await cli.runCommand(command, async ({ positionals, values }) => {
  const from = cli.onlyName(positionals, "model");
  if (from === undefined) {
    throw new UserError(`Expected the folder or name of a model, for example: ${command.examples[0]}`);
  }
  const folder = await isFolder(from) ? from : await modelFolder(from, { cache: values.cache });
  const name = from.replace(/\/+$/, "").split("/").at(-1)!;
  const { path, parameters, about, tokenizer } = await importModel(
    folder,
    values.out ?? `runs/${name}`,
    name,
  );
  cli.printLine(`${path}: ${parameters.toLocaleString("en")} parameters, ${about}`);
  if (tokenizer.kind === "ids") {
    cli.printLine("The model has no tokenizer: a prompt is token ids separated by spaces.");
  }
  return 0;
});
