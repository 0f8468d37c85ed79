// The last tasks of a run: their requirements are checked before step 1, and failures at the end are warnings.
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Config, loadSweep, resolveConfig } from "../../src/config/mod.ts";
import { UserError } from "../../src/base/errors.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { runSweep } from "../../src/train/sweep.ts";
import { resume, train, type TrainResult } from "../../src/train/train.ts";
import { inFolder, reseal } from "../scripts/harness.ts";

/** A run of two steps in a folder. */
function configOf(folder: string, sections: Record<string, Record<string, unknown>> = {}): Config {
  Deno.writeTextFileSync(`${folder}/ids.txt`, Array.from({ length: 400 }, (_, i) => i % 7).join(" "));
  const raw = {
    name: "end",
    device: "cpu",
    data: { files: [`${folder}/ids.txt`] },
    tokenizer: { kind: "ids" },
    model: { context: 8, dim: 16, layers: 1, heads: 2 },
    eval: { batches: 1 },
    output: { dir: `${folder}/runs` },
    ...sections,
    train: { steps: 2, batch: 2, ...sections.train },
    sample: { prompt: "1 2", tokens: 3, ...sections.sample },
  };
  return resolveConfig(raw, { place: "test", name: "test" });
}

function records(run: string): LogRecord[] {
  return Deno.readTextFileSync(join(run, "log.ndjson")).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Returns a thrown error instead of the outcome, so that an assertion reports it. */
const outcomeOf = (ends: Promise<TrainResult | undefined>): Promise<TrainResult | undefined> =>
  ends.catch((error: Error) => assert.fail(`The run threw: ${error.message}`));

Deno.test("a prompt without a token is an error before step 1, and in a dry run", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, { sample: { prompt: "\n" } });
    for (const dryRun of [false, true]) {
      await assert.rejects(
        () => train(config, { dryRun }),
        (error: Error) =>
          error instanceof UserError &&
          error.message === 'sample.prompt: "\\n" has no token, expected ids separated by spaces, or ' +
              "sample.tokens=0 for no sample.",
      );
    }
    assert.throws(() => Deno.statSync(`${folder}/runs`), Deno.errors.NotFound);
  }));

Deno.test("without a sample its prompt is not checked", () =>
  inFolder(async (folder) => {
    for (const prompt of ["\n", "The "]) {
      const silent = await outcomeOf(train(configOf(folder, { sample: { prompt, tokens: 0 } })));
      assert.equal(silent?.finished, true);
    }
  }));

Deno.test("a chart that cannot be written is a warning: the other charts, the sample and the last record are written", () =>
  inFolder(async (folder) => {
    const progress = () => {
      const [run] = Deno.readDirSync(`${folder}/runs/end`);
      Deno.mkdirSync(`${folder}/runs/end/${run.name}/charts/loss.svg/in_the_way`, { recursive: true });
    };
    const tracked = { ...configOf(folder), track: [{ select: ["param:**"], every: 1 }] };
    const trained = await outcomeOf(train(tracked, { onProgress: progress }));
    assert.equal(trained?.finished, true);
    const path = trained!.folder.path;
    const [warning, sample, done] = records(path).slice(-3);
    assert.deepEqual([warning.type, sample.type, done.type], ["warning", "sample", "done"]);
    assert.match(
      (warning as { message: string }).message,
      /^The run's chart loss\.svg failed: .*loss\.svg: /,
    );
    assert.deepEqual(trained!.failures, [(warning as { message: string }).message]);
    const { files } = done as { files: string[] };
    assert.ok(
      files.includes("charts/norms_parameters.svg") && !files.includes("charts/loss.svg"),
      `${files}`,
    );
    assert.ok(Deno.statSync(`${path}/charts/norms_parameters.svg`).size > 0);
  }));

Deno.test("a run whose last tasks failed ends when it is resumed", () =>
  inFolder(async (folder) => {
    const trained = await outcomeOf(train(configOf(folder)));
    const path = trained!.folder.path;
    // As it stood then: trained to the last step, neither sample nor last record, and the prompt that has no token.
    const log = Deno.readTextFileSync(`${path}/log.ndjson`).split("\n");
    Deno.writeTextFileSync(
      `${path}/log.ndjson`,
      log.filter((line) => !/"type":"(sample|done)"/.test(line)).join("\n"),
    );
    const checkpoint = `${path}/checkpoints/2`;
    const yaml = Deno.readTextFileSync(`${checkpoint}/config.yaml`);
    assert.match(yaml, /prompt: 1 2\n/);
    Deno.writeTextFileSync(`${checkpoint}/config.yaml`, yaml.replace("prompt: 1 2\n", 'prompt: "\\n"\n'));
    await reseal(checkpoint);
    const again = await outcomeOf(resume(path));
    assert.equal(again?.finished, true);
    const [warning, done] = records(path).slice(-2);
    assert.deepEqual([warning.type, done.type], ["warning", "done"]);
    assert.equal(
      (warning as { message: string }).message,
      "The run's sample failed: The text is empty and a tokenizer of kind ids has no token to start it with, expected at least one character, or a first token (--first).",
    );
  }));

Deno.test("a sweep whose chart cannot be written ends with its results and reports the failure", () =>
  inFolder(async (folder) => {
    const overrides = [`data.files=[${folder}/text.txt]`, `output.dir=${folder}/runs`, "seed=[1,2]"];
    const small = [
      "train.steps=1",
      "train.batch=1",
      "model.context=8",
      "model.dim=16",
      "eval.batches=1",
      "sample.tokens=0",
      "device=cpu",
    ];
    const sweep = await loadSweep("default", [...overrides, ...small]);
    const progress = () => {
      const [run] = Deno.readDirSync(`${folder}/runs`);
      Deno.mkdirSync(`${folder}/runs/${run.name}/val_loss.svg/in_the_way`, { recursive: true });
    };
    const { results, charted, failures } = await runSweep(sweep, { onProgress: progress })
      .catch((error: Error) => assert.fail(`The sweep threw: ${error.message}`));
    assert.equal(results.length, 2);
    assert.equal(charted, 0);
    assert.match(failures.join(), /^The sweep's chart failed: .*val_loss\.svg: /);
  }));
