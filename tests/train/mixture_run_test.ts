// Training on a mixture: it resumes exactly where it stopped, and its evaluations have the loss of each source.
import assert from "node:assert/strict";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { resume, train } from "../../src/train/train.ts";
import { inFolder, succeeds } from "../scripts/harness.ts";

function configOf(folder: string): Config {
  const raw = {
    name: "mixed",
    device: "cpu",
    model: { context: 128, dim: 16, layers: 1, heads: 2 },
    train: { steps: 9, batch: 3, accumulate: 2 },
    schedule: { warmup: 0 },
    eval: { batches: 0, every: 3 },
    sample: { tokens: 0 },
    output: { dir: `${folder}/runs` },
    data: {
      sources: [
        { files: [`${folder}/a.txt`], weight: 2 },
        { files: [`${folder}/b.jsonl`], field: "text" },
        { source: "reverse", weight: 0.5 },
      ],
      sampling: "windows",
      sample: "line",
    },
  };
  Deno.writeTextFileSync(`${folder}/a.txt`, Array.from({ length: 90 }, (_, i) => `line ${i}\n`).join(""));
  const texts = Array.from({ length: 50 }, (_, i) => JSON.stringify({ text: `number ${i * i} of b` }));
  Deno.writeTextFileSync(`${folder}/b.jsonl`, texts.join("\n"));
  return resolveConfig(raw, { place: "test", name: "test" });
}

/** The records of a log without what differs from run to run. */
function recordsOf(folder: string): Record<string, unknown>[] {
  const lines = Deno.readTextFileSync(`${folder}/log.ndjson`).trimEnd().split("\n");
  return lines.map((line) => {
    const { time: _, ms: _ms, tokens_per_s: _t, seconds: _s, ...record } = JSON.parse(line);
    return record;
  });
}

Deno.test("a run on a mixture resumes to the same log, number for number", () =>
  inFolder(async (folder) => {
    const uninterrupted = await train(configOf(folder));
    const stop = new AbortController();
    const config = configOf(folder);
    const stopped = await train(config, { signal: stop.signal, onProgress: () => stop.abort() });
    assert.equal(stopped!.finished, false);
    await resume(stopped!.folder.path);
    const [a, b] = [uninterrupted, stopped].map((trained) =>
      recordsOf(trained!.folder.path).filter(({ type }) =>
        type === "step" || type === "eval" || type === "run"
      )
    );
    assert.equal(a.filter(({ type }) => type === "step").length, 9);
    assert.deepEqual(b, a);
  }));

Deno.test("an evaluation on a mixture gives the loss of each source, and their mean over all tokens", () =>
  inFolder(async (folder) => {
    const trained = await train(configOf(folder));
    const records = recordsOf(trained!.folder.path);
    const last = records.findLast(({ type }) => type === "eval") as Record<string, number>;
    // Alone, each source has the loss of its own split: the files from their configuration, the task its 256 samples.
    const losses = [0, 1, 2].map((part) => last[`source_${part}_loss`]);
    assert.ok(losses.every(Number.isFinite), JSON.stringify(last));
    assert.equal(new Set(losses).size, 3);
    const tokens: number[] = [];
    for (const [part, name] of [[0, "a.txt"], [1, "b.jsonl"]] as const) {
      const lines = Deno.readTextFileSync(`${folder}/${name}`).trimEnd().split("\n");
      const texts = part === 0 ? lines : lines.map((line) => JSON.parse(line).text as string);
      // The split val is from 85% to 95% of the samples; a sample of n characters and its newline has n targets.
      const val = texts.slice(Math.floor(texts.length * 0.85 + 1e-6), Math.floor(texts.length * 0.95 + 1e-6));
      tokens.push(val.reduce((sum, text) => sum + text.length, 0));
    }
    tokens.push(last.tokens - tokens[0] - tokens[1]);
    const mean = losses.reduce((sum, loss, part) => sum + loss * tokens[part], 0) / last.tokens;
    // The log keeps nine digits.
    assert.ok(Math.abs(mean - last.loss) < 1e-6, `${mean}, ${last.loss}`);
    const { sources } = records[0] as { sources: { name: string; weight: number; share: number }[] };
    assert.deepEqual(
      sources.map(({ weight }) => weight),
      [2 / 3.5, 1 / 3.5, 0.5 / 3.5].map((x) => +x.toPrecision(9)),
    );
    // perplexity of the split says the same, by the names of the sources.
    const args = ["--split", "val", "--format", "ndjson", "--device", "cpu", trained!.folder.path];
    const split = JSON.parse((await succeeds("perplexity", args, folder)).stdout);
    assert.deepEqual(
      split.sources.map(({ name }: { name: string }) => name),
      sources.map(({ name }) => name),
    );
    split.sources.forEach(({ loss }: { loss: number }, i: number) =>
      assert.ok(Math.abs(loss - losses[i]) < 1e-6)
    );
    assert.ok(Math.abs(sources.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-8);
  }));

Deno.test("show prints the source of each sample, and each source's share of the rows and of the targets", () =>
  inFolder(async (folder) => {
    configOf(folder);
    const sources = `data.sources=[{files: [a.txt]}, {files: [b.jsonl], field: text, weight: 3}]`;
    const args = ["default", sources, "data.sample=line", "--samples", "8"];
    const { stdout } = await succeeds("show", args, folder);
    assert.match(
      stdout,
      /^sources: a\.txt 25% of the rows, \d+% of the targets; b\.jsonl 75% of the rows, /m,
    );
    const heads = stdout.match(/^train \d of .*?:/gm)!;
    assert.equal(heads.length, 8);
    const records = (await succeeds("show", [...args, "--format", "ndjson"], folder)).stdout.trimEnd().split(
      "\n",
    );
    for (const [i, line] of records.entries()) {
      const { source, tokens } = JSON.parse(line);
      assert.equal(heads[i], `train ${i} of ${source}:`);
      assert.equal(source, tokens.join("").startsWith("line") ? "a.txt" : "b.jsonl");
    }
    assert.ok(heads.some((head) => head.includes("a.txt")) && heads.some((head) => head.includes("b.jsonl")));
  }));
