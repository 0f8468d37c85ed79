// Optimizers, schedules, initialisation and freezing in runs: each learns, resumes exactly from a checkpoint, and keeps its
// documented states.
import assert from "node:assert/strict";
import { randomStream } from "../../src/base/random.ts";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { findAdapter } from "../../src/device/webgpu.ts";
import { UserError } from "../../src/base/errors.ts";
import type { EvalRecord, LogRecord, StatRecord, StepRecord } from "../../src/log/records.ts";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import { modelOf } from "../../src/model/model.ts";
import { initialise, readParameters } from "../../src/model/layout.ts";
import { decodeSafetensors } from "../../src/model/formats/safetensors.ts";
import { learningRate, type Schedule } from "../../kernels/optimizers/schedules.ts";
import { costOf, resume, train } from "../../src/train/train.ts";

const TEXT = "The cat sat on the mat, and the dog ran away from the cat.\n".repeat(60);

type Raw = Record<string, unknown>;

function configOf(folder: string, { train, optimizer, ...rest }: Record<string, Raw | string> = {}): Config {
  return resolveConfig({
    device: "cpu",
    data: { files: [`${folder}/text.txt`] },
    model: { context: 8, dim: 16, layers: 1, heads: 2 },
    train: { steps: 12, batch: 4, ...train as Raw },
    optimizer: { lr: 1e-2, ...optimizer as Raw },
    schedule: { warmup: 0, name: "constant" },
    eval: { every: 3, batches: 2 },
    sample: { tokens: 0 },
    output: { dir: `${folder}/runs` },
    ...rest,
  }, { place: "test", name: "test" });
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-optimizers-" });
  try {
    await Deno.writeTextFile(`${folder}/text.txt`, TEXT);
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs to the end, stopped and resumed after `stopAt` steps where that is given; gives its records and its folder. */
async function run(config: Config, stopAt = Infinity): Promise<{ records: LogRecord[]; path: string }> {
  const records: LogRecord[] = [];
  const options = { records: { write: (...more: LogRecord[]) => void records.push(...more) } };
  const stop = new AbortController();
  const trained = await train(config, {
    ...options,
    signal: stop.signal,
    onProgress: ({ step }) => step >= stopAt && stop.abort(),
  });
  const { path } = trained!.folder;
  if (stopAt < Infinity) {
    assert.equal(trained!.finished, false);
    assert.equal((await resume(path, options))!.finished, true);
  }
  return { records, path };
}

const stepsOf = (records: readonly LogRecord[]) =>
  records.filter((record): record is StepRecord => record.type === "step")
    .map(({ step, loss, grad_norm, lr }) => ({ step, loss, grad_norm, lr }));
const evalsOf = (records: readonly LogRecord[]) =>
  records.filter((record): record is EvalRecord => record.type === "eval");

/** Names of the states in a checkpoint's file, and how many tensors each has. */
function statesOf(path: string): Record<string, number> {
  const bytes = Deno.readFileSync(`${path}/checkpoints/last/optimizer.safetensors`);
  const counts: Record<string, number> = {};
  for (const name of decodeSafetensors(bytes, "test").tensors.keys()) {
    const state = name.slice(0, name.indexOf("."));
    counts[state] = (counts[state] ?? 0) + 1;
  }
  return counts;
}

/** Of eleven parameters, embed, pos_embed, ln1, wq, wk, wv, wo, ln2, fc, proj and final_norm, six are hidden matrices. */
const OPTIMIZERS: Record<string, { settings: Raw; states: Record<string, number>; flat: number }> = {
  adamw: { settings: {}, states: { exp_avg: 11, exp_avg_sq: 11 }, flat: 2 },
  adam: { settings: { weight_decay: 1e-3 }, states: { exp_avg: 11, exp_avg_sq: 11 }, flat: 2 },
  sgd: { settings: { lr: 0.3, nesterov: true, weight_decay: 1e-3 }, states: { momentum: 11 }, flat: 1 },
  lion: { settings: { lr: 3e-3 }, states: { exp_avg: 11 }, flat: 1 },
  muon: { settings: {}, states: { exp_avg: 5, exp_avg_sq: 5, momentum: 6 }, flat: 3 },
};

for (const [name, { settings, states, flat }] of Object.entries(OPTIMIZERS)) {
  Deno.test(`${name}: learns, tracked or not, and stopped and resumed it leaves the same bytes`, () =>
    inFolder(async (folder) => {
      const config = configOf(folder, { optimizer: { name, ...settings } });
      const uninterrupted = await run(config);
      const losses = stepsOf(uninterrupted.records).map(({ loss }) => loss);
      assert.ok(losses.at(-1)! < losses[0] - 0.2, `${losses}`);
      assert.deepEqual(statesOf(uninterrupted.path), states);
      const broken = await run(config, 4);
      assert.deepEqual(stepsOf(broken.records), stepsOf(uninterrupted.records));
      for (const file of ["model", "optimizer"]) {
        const [a, b] = [uninterrupted, broken].map(({ path }) =>
          Deno.readFileSync(`${path}/checkpoints/last/${file}.safetensors`)
        );
        assert.deepEqual(a, b, file);
      }
      const { records } = await run({ ...config, track: [{ select: ["opt:**", "update:**"], every: 1 }] });
      assert.deepEqual(stepsOf(records), stepsOf(uninterrupted.records));
      const tracked = records.filter((record): record is StatRecord =>
        record.type === "stat" && record.step === 5
      );
      const counts: Record<string, number> = {};
      for (const { kind, tap } of tracked) {
        const key = kind === "opt" ? tap.split(".").at(-1)! : kind;
        counts[key] = (counts[key] ?? 0) + 1;
      }
      assert.deepEqual(counts, { ...states, update: 11 });
      for (const record of tracked) assert.ok(Number(record.rms) > 0, `${record.tap} moves`);
      const { memory } = costOf(modelOf(config, charTokenizer("abcdefgh")));
      assert.equal(memory.optimizer, flat * memory.parameters);
    }));
}

Deno.test({
  name: "muon and lion learn on WebGPU as on the reference device",
  ignore: !await findAdapter(),
  fn: () =>
    inFolder(async (folder) => {
      for (const name of ["muon", "lion"]) {
        const settings = { name, ...OPTIMIZERS[name].settings };
        const configs = ["reference", "webgpu"].map((device) =>
          configOf(folder, { optimizer: settings, device, train: { steps: 5 } })
        );
        const [reference, gpu] = [await run(configs[0]), await run(configs[1])].map(({ records }) =>
          stepsOf(records)
        );
        // float32 on both; a sign or a small singular value turns rounding into a difference of some steps' rate.
        reference.forEach(({ loss }, i) =>
          assert.ok(Math.abs(gpu[i].loss / loss - 1) < 1e-3, `${name} step ${i}`)
        );
      }
    }),
});

Deno.test("train.freeze leaves its parameters unchanged and excludes them from the norm and the states", () =>
  inFolder(async (folder) => {
    for (const name of ["adamw", "muon"]) {
      const freeze = ["blocks.**", "!blocks.*.mlp.**"];
      const model = { context: 8, dim: 16, layers: 1, heads: 2, init: { std: 0.3 } };
      const options = { optimizer: { name, clip: 0 }, model };
      const config = configOf(folder, { ...options, train: { steps: 3, freeze } });
      const { records, path } = await run({ ...config, track: [{ select: ["param_grad:**"], every: 1 }] });
      const after = await loadCheckpoint(path);
      // The initial values of two devices differ in their last digits.
      using device = cpuDevice();
      await initialise(device, after.layout, config.seed);
      const moved = Object.entries(await readParameters(device, after.layout))
        .filter(([name, { data }]) => after.tensors.get(name)!.data.some((x, i) => x !== data[i]))
        .map(([name]) => name).sort();
      assert.deepEqual(moved, [
        "blocks.0.mlp.fc.weight",
        "blocks.0.mlp.proj.weight",
        "embed.weight",
        "final_norm.weight",
        "pos_embed.weight",
      ]);
      const first = records.filter((record): record is StatRecord =>
        record.type === "stat" && record.step === 1
      );
      const norms = Object.fromEntries(first.map(({ tap, l2 }) => [tap, Number(l2)]));
      assert.equal(norms["blocks.0.attn.wq.weight"], 0);
      const norm = Math.hypot(...moved.map((name) => norms[name]));
      // Sums of squares in another order.
      assert.ok(Math.abs(stepsOf(records)[0].grad_norm / norm - 1) < 1e-5);
      const free = await run(configOf(folder, { ...options, train: { steps: 1 } }));
      assert.ok(stepsOf(free.records)[0].grad_norm > 1.001 * norm, "the frozen gradients would have counted");
    }
  }));

Deno.test("train.freeze that matches no parameter is an error with the nearest name, before anything is written", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, { train: { freeze: ["block.0.attn.wq.weight"] } });
    await assert.rejects(train(config), (error: Error) =>
      error instanceof UserError &&
      /^train\.freeze: "block\.0\.attn\.wq\.weight" matches nothing .*blocks\.0\.attn\.wq\.weight/.test(
        error.message,
      ));
    const tap = configOf(folder, { train: { freeze: ["blocks.0.attn.*"] } });
    await assert.rejects(
      train(tap),
      /^UserError: train\.freeze: "blocks\.0\.attn\.\*" matches nothing .* Did you mean "blocks\.0\.attn\.\*\*"\?$/,
    );
    const all = configOf(folder, { train: { freeze: ["embed.**", "**.weight"] } });
    await assert.rejects(
      train(all),
      /^UserError: train\.freeze: \["embed.*"\] matches every parameter; expected at least one/,
    );
    assert.throws(() => Deno.readDirSync(`${folder}/runs`).next(), Deno.errors.NotFound);
  }));

Deno.test("learningRate() of every schedule is its formula, continuous where the warmup ends", () => {
  const base = { lr: 1, min_lr: 0.1, warmup: 10, steps: 110 };
  const rate = (name: Schedule["name"], step: number, more: Partial<Schedule> = {}) =>
    learningRate({ ...base, name, ...more }, step);
  for (const name of ["cosine", "constant", "linear", "cyclic", "plateau", "rsqrt"] as const) {
    assert.equal(rate(name, 0), 1 / 11, name);
    assert.equal(rate(name, 9), 10 / 11, name);
    assert.equal(rate(name, 10), 1, name);
    assert.equal(rate(name, 0, { warmup: 0 }), 1, name);
  }
  const near = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 1e-15, `${actual}`);
  near(rate("linear", 60), 0.55);
  near(rate("linear", 109), 0.1 + 0.9 * 0.01);
  near(rate("cosine", 60), 0.55);
  for (const step of [110, 500]) {
    for (const name of ["linear", "cosine"] as const) near(rate(name, step), 0.1);
  }
  const cycle = { cycle: 20 };
  [[15, 0.55], [20, 0.1], [25, 0.55], [30, 1], [40, 0.1]].forEach(([step, expected]) =>
    near(rate("cyclic", step, cycle), expected)
  );
  near(rate("rsqrt", 40), 0.5);
  near(rate("rsqrt", 3, { warmup: 0 }), 0.5);
  assert.equal(rate("rsqrt", 1e6), 0.1);
  for (const name of ["cosine", "linear", "cyclic", "plateau", "rsqrt"] as const) {
    for (const step of [10, 60, 65, 110, 1e6]) near(rate(name, step, { min_lr: 5, reductions: 3 }), 1);
  }
  near(rate("plateau", 50, { reductions: 2, factor: 0.5 }), 0.25);
  near(rate("plateau", 4, { reductions: 1, factor: 0.5 }), 0.5 * 5 / 11);
  assert.equal(rate("plateau", 50, { reductions: 9 }), 0.1);
});

/** A rate so high that evaluations get worse sooner or later. */
const WILD = { name: "sgd", lr: 30, momentum: 0, clip: 1, weight_decay: 0 };

Deno.test("plateau lowers the rate after patience + 1 evaluations without a better loss, also across a resume", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, {
      train: { steps: 40 },
      optimizer: WILD,
      schedule: { name: "plateau", warmup: 2, min_lr: 1e-2, factor: 0.25, patience: 2 },
      eval: { every: 2, batches: 1 },
    });
    const { records } = await run(config);
    let [least, stale, reductions] = [Infinity, 0, 0];
    const expected: number[] = [];
    for (let step = 0; step < 40; step++) {
      expected.push(Math.max(1e-2, 30 * 0.25 ** reductions) * (step < 2 ? (step + 1) / 3 : 1));
      const evaluation = evalsOf(records).find((record) => record.step === step + 1);
      if (!evaluation) continue;
      if (evaluation.loss < least) [least, stale] = [evaluation.loss, 0];
      else stale++;
      if (stale > 0 && stale % 3 === 0) reductions++;
    }
    assert.ok(reductions >= 2, `lowered ${reductions} times`);
    assert.deepEqual(stepsOf(records).map(({ lr }) => lr), expected);
    const broken = await run(config, 17);
    assert.deepEqual(stepsOf(broken.records), stepsOf(records));
  }));

Deno.test("train.stop ends a run after that many evaluations without a better loss, logs it, and keeps the best", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, {
      train: { steps: 200, stop: 3 },
      optimizer: WILD,
      eval: { every: 2, batches: 1 },
      sample: { prompt: "The", tokens: 4 },
    });
    const { records, path } = await run(config);
    const evals = evalsOf(records);
    const best = evals.reduce((a, b) => b.loss < a.loss ? b : a);
    const last = evals.at(-1)!.step;
    assert.equal(last, best.step + 6, "three evaluations after the best");
    assert.ok(last < 200);
    const types = records.filter(({ type }) => type !== "step").slice(-5).map(({ type }) => type);
    assert.deepEqual(types, ["eval", "warning", "checkpoint", "sample", "done"]);
    const warning = records.find((record) => record.type === "warning") as { code: string; step: number };
    assert.deepEqual([warning.code, warning.step], ["early_stop", last]);
    assert.equal((await loadCheckpoint(`${path}/checkpoints/best`)).state.step, best.step);
    await assert.rejects(resume(path), /the run has ended at step/);
    const broken = await run(config, 3);
    assert.deepEqual(stepsOf(broken.records), stepsOf(records));
  }));

const initOf = async (init: Raw, layers = 2) => {
  using device = referenceDevice();
  const config = resolveConfig({ model: { context: 64, dim: 128, layers, heads: 4, init } }, {
    place: "test",
    name: "test",
  });
  const { layout } = modelOf(config, charTokenizer("abcdefgh"));
  await initialise(device, layout, 3);
  return await readParameters(device, layout);
};

Deno.test("xavier_uniform lies within sqrt(6 / (out + in)), that over sqrt(2 layers) into the stream, evenly", async () => {
  for (const [name, { shape, data }] of Object.entries(await initOf({ name: "xavier_uniform" }))) {
    if (shape.length === 1) {
      assert.ok(data.every((x) => x === 1), name);
      continue;
    }
    const residual = /attn\.wo|mlp\.proj/.test(name);
    const end = Math.sqrt(6 / (shape[0] + shape[1])) / (residual ? 2 : 1);
    // Its float32 may lie beyond the end by a rounding.
    assert.ok(data.every((x) => Math.abs(x) <= end * (1 + 1e-6)), name);
    const variance = data.reduce((sum, x) => sum + x * x, 0) / data.length;
    // The variance of n squares of a uniform: 4 / 5 of its square over n; five of its deviations.
    assert.ok(
      Math.abs(variance / (end * end / 3) - 1) < 5 * Math.sqrt(0.8 / data.length),
      `${name} ${variance}`,
    );
  }
});

Deno.test("truncated_normal ends at two deviations and has 0.8796 of the deviation", async () => {
  const values = await initOf({ name: "truncated_normal", std: 0.5, scaled_residual: false });
  for (const [name, { shape, data }] of Object.entries(values)) {
    if (shape.length === 1) continue;
    assert.ok(data.every((x) => Math.abs(x) <= 1), name);
    const std = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    // Less than a normal's standard error; five of them.
    assert.ok(Math.abs(std / (0.5 * 0.87963) - 1) < 5 / Math.sqrt(2 * data.length), `${name}: ${std}`);
  }
});

Deno.test("normal is the host's random stream under the name of the first parameter with the same initialization", async () => {
  const { normal } = randomStream(3, "init embed.weight");
  const { data } = (await initOf({}))["embed.weight"];
  assert.deepEqual(Array.from(data), Array.from(data, () => Math.fround(0.02 * normal())));
});
