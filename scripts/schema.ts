// Writes the JSON Schema of configuration files: deno task schema [--out FILE]
import { checkWritable, cli, configJsonSchema, writeFileAtomic } from "../mod.ts";

const command: cli.Command = {
  name: "schema",
  summary: "prints the JSON Schema (draft-07) of configuration files, for editors and validators",
  usage: "[options]",
  options: {
    out: { type: "string", value: "FILE", help: "the file to write; default: standard output" },
  },
  examples: ["deno task schema", "deno task schema --out configs/schema.json"],
};

await cli.runCommand(command, async ({ positionals, values: { out } }) => {
  cli.onlyName(["", ...positionals], "schema");
  const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
  if (out === undefined) {
    const { write, flush } = cli.textOutput();
    write(text);
    flush();
    return 0;
  }
  await checkWritable(out);
  await writeFileAtomic(out, text);
  return 0;
});
