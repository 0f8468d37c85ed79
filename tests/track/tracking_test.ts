// Tracking in training: losses are bit-identical with and without it, every tensor of the definition is recorded, and the
// records match the tensors.
import assert from "node:assert/strict";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { findAdapter } from "../../src/device/webgpu.ts";
import { UserError } from "../../src/base/errors.ts";
import type { LogRecord, StatRecord, StepRecord } from "../../src/log/records.ts";
import { readLog } from "../../src/log/log_file.ts";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import { modelOf } from "../../src/model/model.ts";
import { charTokenizer } from "../../src/data/mod.ts";
import { optimizerStates } from "../../src/train/optimizers.ts";
import { subjectsOf } from "../../src/track/step_statistics.ts";
import { resume, train } from "../../src/train/train.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

function configOf(folder: string, more: Record<string, unknown> = {}): Config {
  const { model, train, ...rest } = more as Record<string, Record<string, unknown>>;
  return resolveConfig({
    device: "cpu",
    data: { files: [`${ROOT}README.md`] },
    model: { context: 8, dim: 16, layers: 2, heads: 2, ...model },
    train: { steps: 5, batch: 3, ...train },
    schedule: { warmup: 2 },
    eval: { every: 100, batches: 1 },
    sample: { tokens: 0 },
    output: { dir: folder },
    ...rest,
  }, { place: "test", name: "test" });
}

async function run(config: Config): Promise<{ records: LogRecord[]; path: string }> {
  const records: LogRecord[] = [];
  const trained = await train(config, { records: { write: (...more) => void records.push(...more) } });
  return { records, path: trained!.folder.path };
}

const stepsOf = (records: readonly LogRecord[]) =>
  records.filter((record): record is StepRecord => record.type === "step")
    .map(({ step, loss, grad_norm, lr }) => ({ step, loss, grad_norm, lr }));
const statsOf = (records: readonly LogRecord[]) =>
  records.filter((record): record is StatRecord => record.type === "stat");

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Options that change kernel fusion, which taps undo. */
const MODELS: Record<string, Record<string, unknown>> = {
  "the default": {},
  "sigmoid, gated, biases": {
    bias: true,
    block: { attention: { activation: "sigmoid" }, mlp: { activation: "silu", gated: true } },
  },
  "hybrid norms, dropout, LayerScale, rope": {
    dropout: 0.1,
    positions: "rope",
    block: { norm_order: "hybrid", attention: { layer_scale: 0.5, qk_norm: "rmsnorm" } },
  },
  "feedback alignment": { tied: false, block: { attention: { method: "fa" }, mlp: { method: "dfa" } } },
};

for (const [name, model] of Object.entries(MODELS)) {
  for (const device of ["cpu", "webgpu"]) {
    Deno.test({
      name: `tracking everything leaves every loss and gradient norm the same bits on ${device}: ${name}`,
      ignore: device === "webgpu" && !await findAdapter(),
      fn: () =>
        inFolder(async (folder) => {
          const plain = await run(configOf(folder, { device, model }));
          const tracked = await run(configOf(folder, { device, model, track: "everything" }));
          const sometimes = await run(configOf(folder, { device, model, track: [{ every: 2 }] }));
          assert.equal(stepsOf(plain.records).length, 5);
          assert.deepEqual(stepsOf(tracked.records), stepsOf(plain.records));
          assert.deepEqual(stepsOf(sometimes.records), stepsOf(plain.records));
          assert.equal(statsOf(plain.records).length, 0);
          assert.deepEqual([...new Set(statsOf(sometimes.records).map(({ step }) => step))], [2, 4]);
        }),
    });
  }
}

Deno.test("everything: each tap, gradient, parameter, moment and update is recorded at every step", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, { track: "everything" });
    const { records } = await run(config);
    const { architecture, layout } = modelOf(config, charTokenizer("ab"));
    const states = optimizerStates(config.optimizer, layout);
    const logged = new Set(statsOf(records).map(({ kind, tap, step }) => `${step} ${kind}:${tap}`));
    const names = subjectsOf(architecture, layout, states).map(({ kind, name }) => `${kind}:${name}`);
    for (let step = 1; step <= 5; step++) {
      for (const name of names) assert.ok(logged.has(`${step} ${name}`), `${name} at step ${step}`);
    }
    assert.equal(logged.size, 5 * names.length);
    const taps = ["embed", "pos_embed", "final_norm", "logits"];
    const block =
      "resid_pre resid_mid resid_post ln1 ln2 attn.q attn.k attn.v attn.scores attn.pattern attn.z attn_out " +
      "mlp_out attn.proj mlp.proj mlp.pre mlp.post";
    for (const n of [0, 1]) taps.push(...block.split(" ").map((tap) => `blocks.${n}.${tap}`));
    assert.deepEqual(
      names.filter((name) => name.startsWith("act:")).sort(),
      taps.map((tap) => `act:${tap}`).sort(),
    );
  }));

Deno.test("a parameter's record is the parameter before the step, its update what the step added, its moments those after", () =>
  inFolder(async (folder) => {
    const { records, path } = await run(
      configOf(folder, { track: "everything", output: { dir: folder, checkpoint_every: 1 } }),
    );
    const name = "blocks.1.mlp.fc.weight";
    const at = async (step: number) =>
      (await loadCheckpoint(`${path}/checkpoints/${step}`)).tensors.get(name)!.data as Float32Array;
    const [before, after] = [await at(3), await at(4)];
    const norm = (x: ArrayLike<number>) =>
      Math.sqrt(Array.from(x).reduce((sum, value) => sum + value * value, 0));
    const record = (kind: string, tap = name) =>
      statsOf(records).find((r) => r.step === 4 && r.kind === kind && r.tap === tap) as Record<
        string,
        number
      >;
    const close = (a: number, b: number) => assert.ok(Math.abs(a - b) <= 1e-6 * Math.abs(b), `${a} and ${b}`);
    close(record("param").l2, norm(before));
    close(record("param").pnorm_mean, norm(before));
    const update = after.map((x, i) => Math.fround(x - before[i]));
    close(record("update").l2, norm(update));
    close(record("update").update_ratio, norm(update) / norm(before));
    // The second moment is a mean of squares: never negative, and not all zero after a step.
    assert.ok(record("opt", `${name}.exp_avg_sq`).min >= 0 && record("opt", `${name}.exp_avg_sq`).max > 0);
    const gradient = statsOf(records).filter((r) => r.step === 4 && r.kind === "param_grad");
    const total = Math.sqrt(gradient.reduce((sum, { l2 }) => sum + Number(l2) ** 2, 0));
    close(total, stepsOf(records)[3].grad_norm);
  }));

Deno.test("records satisfy the identities of the pass: residual sums, equal tensors, softmax's mass, all heads together", () =>
  inFolder(async (folder) => {
    const { records } = await run(configOf(folder, { track: "everything" }));
    const find = (tap: string, kind = "act", head: number | null = null) =>
      statsOf(records).find((r) =>
        r.step === 5 && r.kind === kind && r.tap === tap && r.head === head
      ) as Record<
        string,
        number
      >;
    const values = (record: Record<string, unknown>) => Object.entries(record).slice(6);
    assert.deepEqual(values(find("blocks.0.resid_post")), values(find("blocks.1.resid_pre")));
    const mean = (tap: string) => find(tap).mean;
    assert.ok(
      Math.abs(mean("blocks.0.resid_pre") + mean("blocks.0.attn_out") - mean("blocks.0.resid_mid")) < 1e-7,
    );
    assert.deepEqual(
      values(find("blocks.0.attn_out", "grad")),
      values(find("blocks.0.resid_mid", "grad")),
    );
    const [first, second, all] = [0, 1, null].map((head) => find("blocks.0.attn.pattern", "act", head));
    assert.ok(Math.abs(first.rowmass - 1) < 1e-6);
    assert.equal(all.entropy, (first.entropy + second.entropy) / 2);
    assert.equal(all.score_max, Math.max(first.score_max, second.score_max));
    assert.ok(!("bernoulli_entropy" in first) && !("sink_heads" in first) && "sink_heads" in all);
    assert.equal(find("blocks.0.attn.scores", "act", 1).std, second.score_std);
    // Six labels per record, and the input of a probe, are excluded.
    const last = records.findLast((record): record is StepRecord =>
      record.type === "step" && record.step === 5
    )!;
    const counted = statsOf(records).filter(({ step }) => step < 5)
      .reduce((sum, record) => sum + Object.keys(record).length - 6 - Number("input" in record), 0);
    assert.equal(last.counter, counted + 5 * 3);
  }));

Deno.test("a tracked run that is stopped and resumed writes the same records", () =>
  inFolder(async (folder) => {
    const config = configOf(folder, {
      track: "everything",
      train: { steps: 6 },
      output: { dir: folder, checkpoint_every: 3 },
    });
    const full = await run(config);
    const stop = new AbortController();
    const stopped = await train(config, {
      signal: stop.signal,
      onProgress: ({ step }) => step >= 3 && stop.abort(),
    });
    await resume(stopped!.folder.path);
    const again: LogRecord[] = [];
    for await (const record of readLog(stopped!.folder.log)) again.push(record);
    assert.deepEqual(statsOf(again).length, statsOf(full.records).length);
    const first = statsOf(full.records).map((record) => JSON.stringify({ ...record, v: 2 }));
    statsOf(again).forEach((record, i) => {
      const { nonfinite, zeros } = record;
      const original = JSON.parse(first[i]);
      assert.equal(record.tap, original.tap);
      assert.equal(nonfinite, original.nonfinite);
      const digits = (x: unknown) => x === undefined ? x : Number(Number(x).toPrecision(9));
      assert.deepEqual([zeros, record.l2], [digits(original.zeros), digits(original.l2)]);
    });
  }));

Deno.test("heads are probed for induction on repeated random tokens when their pattern is due, not at evaluations", () =>
  inFolder(async (folder) => {
    const { records } = await run(configOf(folder, {
      track: [{ select: ["act:blocks.1.**"], every: 2 }, { select: ["act:blocks.0.**"], every: 5 }],
      eval: { every: 3, batches: 1 },
    }));
    const probed = statsOf(records).filter((record) => "induction" in record);
    assert.deepEqual(
      probed.map(({ step, layer, head }) => [step, layer, head]),
      [[2, 1], [4, 1], [5, 0]].flatMap(([step, layer]) => [[step, layer, 0], [step, layer, 1]]),
    );
    for (const { input, induction, duplicate } of probed) {
      assert.equal(input, "repeated");
      // Untrained heads spread evenly over the visible keys: a share of 1/5 to 1/8 each.
      for (const share of [induction, duplicate]) {
        assert.ok(Number(share) > 0.1 && Number(share) < 0.25, `${share}`);
      }
    }
    assert.ok(
      statsOf(records).every(({ input, induction }) => (input === undefined) === (induction === undefined)),
    );
  }));

Deno.test("a selector that matches nothing or an unknown kind gives one line before anything is written", () =>
  inFolder(async (folder) => {
    const refused = async (track: unknown, message: RegExp) =>
      await assert.rejects(run(configOf(folder, { track })), (error: Error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        return true;
      });
    await refused(
      ["blocks.0.attn.qq"].map((s) => ({ select: s })),
      /^track\.0\.select: .*Did you mean "blocks\.0\.attn\.q"/,
    );
    await refused("nets:**", /expected one of the kinds act, grad/);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    const wrong = (track: unknown) => () => configOf(folder, { track });
    assert.throws(wrong([{ every: 0 }]), /track\.0\.every: expected an integer of at least 1, found 0/);
    assert.throws(wrong([{ evry: 2 }]), /track\.0\.evry: unknown key.*every/);
    assert.throws(wrong(7), /track: expected everything, or a list/);
  }));

Deno.test("the memory plan counts every program of a tracked run", async () => {
  const { costOf } = await import("../../src/train/train.ts");
  const cost = (track: unknown) =>
    costOf(modelOf(configOf("runs", { track }), charTokenizer("abc"))).memory.total;
  assert.ok(cost("everything") > cost([]));
  assert.ok(cost([{ every: 2 }]) > cost("everything"));
});
