// User errors that could be ignored silently are one line with the valid alternatives.
import assert from "node:assert/strict";
import { inFolder, script, type SCRIPTS, tree } from "./harness.ts";

/** Asserts one line, exit code 2, and an unchanged folder. */
async function refuses(
  folder: string,
  name: (typeof SCRIPTS)[number],
  args: readonly string[],
  pattern: RegExp,
): Promise<void> {
  const before = tree(folder);
  const { code, stderr } = await script(name, args, folder);
  assert.equal(code, 2, `${name} ${args.join(" ")}: ${stderr}`);
  assert.match(stderr, pattern);
  assert.match(stderr, /^[^\n]+\n$/);
  assert.deepEqual(tree(folder), before, `${name} ${args.join(" ")}`);
}

Deno.test("a file without a chart's extension, and an empty path, are errors before any work", () =>
  inFolder(async (folder) => {
    const charts: [(typeof SCRIPTS)[number], string[]][] = [
      ["plot", ["--metric", "loss", "--out"]],
      ["attention_maps", ["--out"]],
      ["patch", ["--clean", "a", "--corrupted", "b", "--out"]],
      ["collect", ["--chart"]],
      ["check_attention", ["--cases", "1", "--device", "cpu", "--diagram"]],
    ];
    for (const [name, args] of charts) {
      const remedy =
        /^\w+: --\w+: expected a file that ends in \.svg, found "x\.png"\. Write x\.svg, .*rsvg-convert x\.svg -o x\.png\.\n$/;
      await refuses(folder, name, [...args, "x.png"], remedy);
    }
    await refuses(
      folder,
      "report",
      ["--out", "x.pdf"],
      /: expected a file that ends in \.html, .* Write x\.html/,
    );
    for (
      const [name, option] of [["attention_maps", "out"], ["analyze_softmax_jacobian", "out"], [
        "train",
        "ndjson",
      ]] as const
    ) {
      await refuses(
        folder,
        name,
        [`--${option}=`],
        new RegExp(`^${name}: --${option}: expected F.* after it, found ""\\.\n$`),
      );
    }
  }));

Deno.test("a pattern, a key and a name without effect are errors with the known ones, a warmup beyond the run is a warning", () =>
  inFolder(async (folder) => {
    const train = (args: string[], pattern: RegExp) =>
      refuses(folder, "train", ["tiny.yaml", ...args], pattern);
    await train(
      ["train.freeze=blocks.0.attn.*"],
      /^train: train\.freeze: "blocks\.0\.attn\.\*" matches nothing .* Did you mean "blocks\.0\.attn\.\*\*"\?\n$/,
    );
    await train(
      ["train.freeze=blocks.0.attn.q"],
      /^train: train\.freeze: "blocks\.0\.attn\.q" matches nothing .* Known: blocks\.0\.attn\.wq\.weight, /,
    );
    await train(
      ["data.answer_only=true"],
      /^train: override data\.answer_only=true: true is only for synthetic tasks, found data\.files/,
    );
    await train(
      ["data.files=[]", "data.source=copy", "data.split_files.val=[text.txt]"],
      /^train: override data\.split_files\.val=\[text\.txt\]: files are only for texts, found the synthetic task of data\.source copy/,
    );
    await train(["sample.prompt=0x1F"], /found 31\. Quote it: 'sample\.prompt="0x1F"'\.\n$/);
    const { stdout } = await script("train", ["tiny.yaml", "schedule.warmup=7", "--dry-run"], folder);
    assert.match(stdout, /\nwarning: schedule\.warmup: 7 is above train\.steps 6/);
    await Deno.mkdir(`${folder}/runs`);
    await refuses(
      folder,
      "runs",
      ["nope"],
      /^runs: nope: no run has this name\. There are no runs in runs yet\.\n$/,
    );
    await refuses(
      folder,
      "collect",
      ["rnus"],
      /^collect: rnus: No such file or directory\. Did you mean "runs"\?\n$/,
    );
  }));
