// A run that diverges: its log, when it stops, its checkpoints, and the sweep around it.
import assert from "node:assert/strict";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import type { LogRecord, WarningRecord } from "../../src/log/records.ts";
import type { TrainOptions } from "../../src/train/progress.ts";
import { resume, train } from "../../src/train/train.ts";
import { checkpoint, inFolder, logOf, script, timeless } from "../scripts/harness.ts";

/** Steps that leave the parameters unchanged; the next one makes them huge, and all later losses NaN. */
const FROZEN = 6;
const HOOKS = `export const freeze = ({ step }) => step <= ${FROZEN} ? ["**"] : [];`;

/** A run with checkpoints at steps 3 and 6 that diverges from step 8 on. */
function configOf(folder: string, overrides: Record<string, unknown> = {}): Config {
  Deno.writeTextFileSync(`${folder}/hooks.ts`, HOOKS);
  const raw = {
    name: "wild",
    device: "cpu",
    data: { files: [`${folder}/text.txt`] },
    model: { context: 8, dim: 8, layers: 1, heads: 2 },
    train: { steps: 40, batch: 2, ...overrides },
    optimizer: { name: "sgd", lr: 1e30, clip: 0 },
    schedule: { name: "constant", warmup: 0 },
    eval: { every: 3, batches: 1 },
    sample: { prompt: "The", tokens: 3 },
    hooks: { file: `${folder}/hooks.ts` },
    output: { dir: `${folder}/runs` },
  };
  return resolveConfig(raw, { place: "test", name: "test" });
}

/** Trains, and returns a function that gives the log's records of a type. */
async function trained(config: Config, options: TrainOptions = {}) {
  const { folder, ...outcome } = (await train(config, options))!;
  const records: LogRecord[] = logOf(folder.path).trim().split("\n").map((line) => JSON.parse(line));
  const of = (type: LogRecord["type"]) => records.filter((record) => record.type === type);
  return { run: folder.path, outcome, records, of };
}

for (const device of ["cpu", "webgpu"] as const) {
  Deno.test(`a diverging run stops after ten steps in a row that are not finite, on ${device}`, () =>
    inFolder(async (folder) => {
      const { outcome, of } = await trained({ ...configOf(folder), device });
      assert.deepEqual([outcome.step, outcome.finished, outcome.sample], [FROZEN + 11, true, undefined]);
      assert.equal(of("step").length, FROZEN + 11);
      assert.deepEqual([outcome.diverged, outcome.saved], [true, FROZEN]);
      assert.equal((of("done")[0] as { diverged?: boolean }).diverged, true);
    }));
}

Deno.test("a diverging run warns once per interval between evaluations, in the log and through onWarning", () =>
  inFolder(async (folder) => {
    const received: WarningRecord[] = [];
    const { of } = await trained(configOf(folder), { onWarning: (warning) => received.push(warning) });
    const warnings = of("warning") as WarningRecord[];
    assert.deepEqual(
      warnings.map(({ step, code }) => [step, code]),
      [[8, "non_finite"], [10, "non_finite"], [13, "non_finite"], [16, "non_finite"], [17, "diverged"]],
    );
    assert.deepEqual(received.map(({ message }) => message), warnings.map(({ message }) => message));
    assert.match(warnings.at(-1)!.message, /the last good checkpoint is from step 6\.$/);
  }));

Deno.test("parameters that are not finite are not saved", () =>
  inFolder(async (folder) => {
    const { run, of } = await trained(configOf(folder));
    assert.equal(checkpoint(run), `${run}/checkpoints/${FROZEN}`);
    const steps = [...Deno.readDirSync(`${run}/checkpoints`)].map(({ name }) => name).filter((name) =>
      /\d/.test(name)
    );
    assert.deepEqual(steps.sort(), ["3", "6"]);
    assert.deepEqual((of("checkpoint") as { step: number }[]).map(({ step }) => step), [3, 6]);
    await assert.rejects(() => resume(run), /the run diverged and has ended at step 17; lower optimizer\.lr/);
  }));

Deno.test("a run stopped while diverging resumes to the log of an uninterrupted one", () =>
  inFolder(async (folder) => {
    const config = configOf(folder);
    const { run: unbroken } = await trained(config);
    const stop = new AbortController();
    const { run, outcome } = await trained(config, {
      signal: stop.signal,
      onWarning: ({ step }) => step === 10 && stop.abort(),
    });
    assert.deepEqual([outcome.finished, outcome.diverged, outcome.saved], [false, false, FROZEN]);
    assert.equal((await resume(run))?.diverged, true);
    assert.equal(timeless(logOf(run)), timeless(logOf(unbroken)));
  }));

Deno.test("train.stop_nonfinite: null trains to the last step, and the run still counts as diverged", () =>
  inFolder(async (folder) => {
    const { outcome, of } = await trained(configOf(folder, { stop_nonfinite: null, steps: 30 }));
    assert.deepEqual([outcome.step, outcome.diverged, outcome.saved], [30, true, FROZEN]);
    const codes = (of("warning") as WarningRecord[]).map(({ code }) => code);
    assert.deepEqual(codes, Array(8).fill("non_finite"));
    const { outcome: sooner } = await trained(configOf(folder, { stop_nonfinite: 2 }));
    assert.equal(sooner.step, FROZEN + 3);
  }));

const WILD = ["tiny.yaml", "optimizer.name=sgd", "optimizer.clip=0", "train.steps=15", "device=reference"];

Deno.test("train reports at once that a run diverges, and exits with 3", () =>
  inFolder(async (folder) => {
    const { code, stderr } = await script("train", [...WILD, "optimizer.lr=1e30"], folder);
    assert.equal(code, 3, stderr);
    assert.match(stderr, /\nwarning: step 2: The loss is NaN and the gradient norm NaN: lower optimizer\.lr/);
    assert.match(stderr, /\nruns\/tiny\/\S+: the run diverged; lower optimizer\.lr and start again\n$/);
  }));

Deno.test("a sweep continues after a run that diverged, names it, and exits with 3", () =>
  inFolder(async (folder) => {
    const args = [...WILD, "optimizer.lr=[1e30,0.01]"];
    const { code, stdout, stderr } = await script("train", args, folder);
    assert.equal(code, 3, stderr);
    assert.match(stdout, /tiny-01-lr=1e\+30 .* diverged\n.*tiny-02-lr=0\.01 .* done\n/);
    assert.match(
      stderr,
      /^1\/2 tiny-01-lr=1e\+30 {2}warning: step 2: The loss is NaN/,
    );
    assert.match(stderr, /\n1 of 2 runs diverged: tiny-01-lr=1e\+30\n$/);
    const again = await script("train", args, folder);
    assert.deepEqual([again.code, again.stdout], [3, stdout]);
  }));
