// Stores the residual stream of each layer and position: deno task embeddings runs/latest --text "The number"
import * as heed from "../mod.ts";
import {
  checkWritable,
  cli,
  embeddings,
  freePath,
  models,
  openModel,
  readFiles,
  UserError,
  writeFileAtomic,
} from "../mod.ts";

const command: cli.Command = {
  name: "embeddings",
  summary: "stores the residual stream of every layer and position as safetensors",
  usage: "[run or checkpoint] [options]",
  options: {
    text: { type: "string", value: "TEXT", multiple: true, help: "a sample; repeatable" },
    ids: { ...cli.TEXT_OPTIONS.ids, multiple: true, help: "token ids of a sample; repeatable" },
    file: { type: "string", value: "FILE", multiple: true, help: "a file whose lines are samples" },
    first: cli.TEXT_OPTIONS.first,
    out: {
      type: "string",
      value: "FILE",
      help: "file for embeddings, tokens and lengths; default: embeddings.safetensors",
    },
    device: cli.DEVICE_OPTION,
  },
  examples: [
    'deno task embeddings runs/latest --text "The number" --text "The"',
    "deno task embeddings --file sentences.txt --out sentences.safetensors",
  ],
};

await cli.runCommand(command, async ({ positionals, values, lists }) => {
  const files = await readFiles(lists?.file ?? []);
  const lines = files.flatMap(({ text }) => text.split(/\r?\n/).filter((line) => line !== ""));
  const given = [
    ...lists?.text ?? [],
    ...(lists?.ids ?? []).map((ids) => cli.idsOption("ids", ids)),
    ...lines,
  ];
  if (given.length === 0) throw new UserError("Expected samples by --text, --ids or --file, found none.");
  cli.checkExtension("out", values.out, ".safetensors");
  const out = values.out ?? await freePath("embeddings.safetensors");
  await checkWritable(out);
  const path = cli.runArgument(positionals);
  using opened = await openModel(path, { device: values.device, passes: given.length });
  const texts = given.map((text) => cli.withFirst(opened.model.tokenizer, text, values.first));
  const { shape, values: data, ids } = await embeddings(opened.device, opened.model, texts);
  const [samples, , positions] = shape;
  const tokens = new Int32Array(samples * positions);
  ids.forEach((row, n) => tokens.set(row, n * positions));
  const lengths = Int32Array.from(ids, ({ length }) => length);
  const bytes = models.encodeSafetensors({
    embeddings: { dtype: "F32", shape: [...shape], data },
    tokens: { dtype: "I32", shape: [samples, positions], data: tokens },
    lengths: { dtype: "I32", shape: [samples], data: lengths },
  }, { format: "heed embeddings" });
  await writeFileAtomic(out, bytes);
  cli.printLine(`${out}: embeddings [${shape.join(", ")}]`);
  return 0;
}, heed);
