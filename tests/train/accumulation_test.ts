// Gradient accumulation: a step is the same for any number of passes, also if rows have unequal numbers of targets, and its
// records count targets.
import assert from "node:assert/strict";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { IGNORE } from "../../src/data/mod.ts";
import { prepare } from "../../src/train/experiment.ts";
import type { EvalRecord, LogRecord, StatRecord, StepRecord } from "../../src/log/records.ts";
import { readLog } from "../../src/log/log_file.ts";
import { resume, train } from "../../src/train/train.ts";

/** Lines of 1 to 40 letters. */
const LINES = Array.from({ length: 60 }, (_, i) => "abcdef".repeat(7).slice(i % 6, i % 6 + 1 + i * i % 40))
  .join("\n");

type Section = Record<string, unknown>;

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/lines.txt`, LINES);
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function configOf(folder: string, sections: Record<string, Section | Section[]>): Config {
  const { data, model, train, eval: evaluation, ...rest } = sections as Record<string, Section>;
  return resolveConfig({
    device: "cpu",
    data: { files: [`${folder}/lines.txt`], sample: "line", ...data },
    model: { context: 12, dim: 8, layers: 1, heads: 2, ...model },
    train: { steps: 2, batch: 8, ...train },
    eval: { every: 100, batches: 1, ...evaluation },
    sample: { tokens: 0 },
    output: { dir: `${folder}/runs` },
    ...rest,
  }, { place: "test", name: "test" });
}

async function recordsOf(config: Config): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  await train(config, { records: { write: (...more) => void records.push(...more) } });
  return records;
}

const ofType = <T extends LogRecord["type"]>(records: readonly LogRecord[], type: T) =>
  records.filter((record): record is Extract<LogRecord, { type: T }> => record.type === type);

function assertNear(a: number, b: number, what: string): void {
  assert.ok(Math.abs(a - b) <= 2e-6 * Math.abs(b), `${what}: ${a} and ${b}`);
}

const SPLITS = [[8, 1], [4, 2], [2, 4], [1, 8]];

for (const sampling of ["crops", "windows"]) {
  Deno.test(`the rows of a step have one loss and one gradient norm in 1, 2, 4 and 8 passes, with ${sampling}`, () =>
    inFolder(async (folder) => {
      const runs: StepRecord[][] = [];
      for (const [batch, accumulate] of SPLITS) {
        const config = configOf(folder, { data: { sampling }, train: { batch, accumulate } });
        runs.push(ofType(await recordsOf(config), "step"));
      }
      for (const steps of runs) {
        for (const [i, { loss, grad_norm }] of steps.entries()) {
          assertNear(loss, runs[0][i].loss, `loss of step ${i + 1}`);
          assertNear(grad_norm, runs[0][i].grad_norm, `gradient norm of step ${i + 1}`);
        }
      }
      assert.equal(new Set(runs.map((steps) => steps.map(({ tokens }) => tokens).join())).size, 1);
    }));
}

const COUNTED: Record<string, Record<string, Section>> = {
  "lines of unequal length": {},
  "a task whose answers alone count": {
    data: { files: [], sample: null, source: "copy", answer_only: true },
    model: { context: 128 },
  },
  "whole windows": { data: { sample: null } },
};

for (const [what, sections] of Object.entries(COUNTED)) {
  Deno.test(`tokens and tokens_per_s count the valid targets: ${what}`, () =>
    inFolder(async (folder) => {
      const config = configOf(folder, { ...sections, train: { batch: 3, accumulate: 2, steps: 4 } });
      const { source } = await prepare(config);
      const targetsOf = (batch: number) => source.train(batch).targets.filter((id) => id !== IGNORE).length;
      const steps = ofType(await recordsOf(config), "step");
      let tokens = 0;
      for (const [i, step] of steps.entries()) {
        tokens += targetsOf(2 * i) + targetsOf(2 * i + 1);
        assert.equal(step.tokens, tokens, `step ${i + 1}`);
      }
      if (what === "whole windows") assert.equal(tokens, 4 * 6 * 12);
      else assert.ok(tokens < 4 * 6 * config.model.context);
      // The first window on the CPU has one step.
      const [{ tokens: first, ms, tokens_per_s }] = steps;
      assertNear(tokens_per_s, 1000 * first / ms, "tokens_per_s");
    }));
}

Deno.test("an epoch of uneven lines is each row once, however many of its targets are valid", () =>
  inFolder(async (folder) => {
    const data = { sampling: "windows", split: { val: 0.1, test: 0 } };
    const config = configOf(folder, { data, train: { batch: 1, accumulate: 3, steps: 40 } });
    const { source } = await prepare(config);
    const rows = new Map<string, number>();
    const steps = ofType(await recordsOf(config), "step");
    const epochEnd = steps.findIndex(({ epoch }) => epoch >= 1);
    const samples = Math.round(3 * (epochEnd + 1) / steps[epochEnd].epoch);
    for (let batch = 0; batch < 2 * samples; batch++) {
      const row = `${source.train(batch).ids} ${source.train(batch).targets}`;
      rows.set(row, (rows.get(row) ?? 0) + 1);
    }
    assert.ok([...rows.values()].every((count) => count % 2 === 0), "a row comes twice in two epochs");
  }));

Deno.test("a resumed run continues its count of targets", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, { train: { batch: 2, accumulate: 2, steps: 6 } });
    const uninterrupted = ofType(await recordsOf(config), "step");
    const stop = new AbortController();
    const stopped = await train(config, {
      signal: stop.signal,
      onProgress: ({ step }) => step >= 3 && stop.abort(),
    });
    await resume(stopped!.folder.path);
    const again = ofType(await Array.fromAsync(readLog(stopped!.folder.log)), "step");
    assert.deepEqual(again.map(({ tokens }) => tokens), uninterrupted.map(({ tokens }) => tokens));
  }));

Deno.test("under accumulation a parameter's gradient has the step's statistics, an activation's are marked as the last pass's", () =>
  inFolder(async (folder) => {
    const statsOf = async (batch: number, accumulate: number) => {
      const track = [{ select: ["everything"], every: 1 }];
      const config = configOf(folder, { train: { batch, accumulate, steps: 1 }, track });
      return ofType(await recordsOf(config), "stat");
    };
    const [single, passes] = [await statsOf(8, 1), await statsOf(2, 4)];
    assert.ok(single.every((record) => !("pass" in record)));
    const last = ({ kind, ...record }: StatRecord) =>
      assert.equal(
        record.pass,
        kind === "act" || kind === "grad" ? "last" : undefined,
        `${kind} ${record.tap}`,
      );
    passes.filter(({ head, tap }) => head === null || !tap.endsWith("pattern")).forEach(last);
    const gradients = (records: readonly StatRecord[]) => records.filter(({ kind }) => kind === "param_grad");
    assert.ok(gradients(single).length > 5);
    gradients(passes).forEach((record, i) => {
      const { tap, l2 } = gradients(single)[i];
      assert.equal(record.tap, tap);
      assert.ok(
        Math.abs(Number(record.l2) - Number(l2)) <= 1e-5 * Number(l2),
        `${tap}: ${record.l2} and ${l2}`,
      );
    });
    const values = (record: StatRecord) =>
      Object.values(record).filter((value) => typeof value === "number").length;
    assert.equal(values(passes[0]), values(single[0]));
  }));

Deno.test("an evaluation is one mean over targets however rows are batched", () =>
  inFolder(async (folder) => {
    const losses: EvalRecord[] = [];
    for (const batch of [1, 3, 8]) {
      const evaluation = { batches: 0, split: "train" };
      const config = configOf(folder, {
        train: { batch, steps: 1 },
        optimizer: { lr: 1e-9 },
        schedule: { min_lr: 0 },
        eval: evaluation,
      });
      losses.push(...ofType(await recordsOf(config), "eval"));
    }
    for (const { loss, tokens, accuracy } of losses) {
      assertNear(loss, losses[0].loss, "loss");
      assert.deepEqual([tokens, accuracy], [losses[0].tokens, losses[0].accuracy]);
    }
  }));
