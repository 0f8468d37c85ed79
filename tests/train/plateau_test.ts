// The schedule "plateau" against torch's ReduceLROnPlateau: the rates of a run whose evaluations find given losses.
import assert from "node:assert/strict";
import { resolveConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import type { LogRecord } from "../../src/log/records.ts";
import { prepare } from "../../src/train/experiment.ts";
import { compileRun } from "../../src/train/compile.ts";
import { trainRun } from "../../src/train/run.ts";
import { createRunFolder } from "../../src/runs/run_folder.ts";

interface Golden {
  readonly made_with: { readonly lr: number };
  readonly runs: Readonly<
    Record<string, {
      readonly patience: number;
      readonly factor: number;
      readonly min_lr: number;
      /** null: NaN. */
      readonly losses: readonly (number | null)[];
      readonly rates: readonly number[];
    }>
  >;
}

const { made_with, runs }: Golden = JSON.parse(
  await Deno.readTextFile(new URL("../golden/plateau.json", import.meta.url)),
);

/** The rate of each step of a run that evaluates after each. */
async function ratesOf(folder: string, { patience, factor, min_lr, losses }: Golden["runs"][string]) {
  const config = resolveConfig({
    device: "cpu",
    data: { files: [`${folder}/text.txt`] },
    model: { context: 4, dim: 4, layers: 1, heads: 1 },
    train: { steps: losses.length, batch: 1 },
    optimizer: { name: "sgd", lr: made_with.lr },
    schedule: { name: "plateau", warmup: 0, patience, factor, min_lr },
    eval: { every: 1, batches: 1 },
    sample: { tokens: 0 },
    output: { dir: folder },
  }, { place: "test", name: "test" });
  using device = referenceDevice();
  const experiment = await prepare(config);
  using ready = await compileRun(experiment, device, undefined);
  let evaluated = 0;
  const evaluate = () =>
    Promise.resolve({ loss: losses[evaluated++] ?? NaN, perplexity: 1, accuracy: 0, tokens: 1 });
  const evaluation = { evaluate, [Symbol.dispose]: () => {} };
  const run = await createRunFolder(folder, "test", new Date(0), "0", { "log.ndjson": "" });
  const records: LogRecord[] = [];
  const log = {
    write: (...more: LogRecord[]) => void records.push(...more),
    sync: () => ({ records: records.length, sha256: "" }),
  };
  await trainRun(experiment, { ...ready, evaluation }, { device, folder: run, log });
  return records.flatMap((record) => record.type === "step" ? [record.lr] : []);
}

for (const golden of Object.values(runs)) {
  const { patience, rates, losses } = golden;
  Deno.test(`plateau with a patience of ${patience} has the rates of torch's ReduceLROnPlateau`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await Deno.writeTextFile(`${folder}/text.txt`, "the cat sat on the mat\n".repeat(20));
      const actual = await ratesOf(folder, golden);
      assert.equal(actual.length, losses.length);
      // A step's rate is the first one, reduced by the evaluations before the step.
      const expected = [made_with.lr, ...rates.slice(0, -1)];
      assert.ok(new Set(expected).size > 3, "the rate is lowered");
      actual.forEach((lr, i) =>
        assert.ok(Math.abs(lr / expected[i] - 1) < 1e-12, `${i}: ${lr}, torch ${expected[i]}`)
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
