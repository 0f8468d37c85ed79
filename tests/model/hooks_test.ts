// Hooks: every customisation that the documentation shows, from a file, and its effect; the keys that a file declares; and
// errors of users.
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Config, dumpConfig, loadConfig } from "../../src/config/mod.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import { decoder } from "../../src/nn/mod.ts";
import type { EvalRecord, LogRecord, StatRecord, StepRecord } from "../../src/log/records.ts";
import { loadCheckpoint } from "../../src/model/checkpoint.ts";
import { loadModel } from "../../src/model/model.ts";
import { flat, initialise, parameterViews } from "../../src/model/layout.ts";
import { train } from "../../src/train/train.ts";
import { charTokenizer } from "../../src/data/mod.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const HEED = pathToFileURL(join(ROOT, "mod.ts")).href;

/** A folder with a hooks file and a small configuration that names it. */
async function withHooks(
  source: string | undefined,
  test: (config: (more?: string[]) => Promise<Config>, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    if (source !== undefined) {
      await Deno.writeTextFile(join(folder, "hooks.ts"), source.replaceAll("HEED", JSON.stringify(HEED)));
    }
    const file = source === undefined ? "null" : join(folder, "hooks.ts");
    const text = [
      "device: cpu",
      `data: {files: [${ROOT}README.md], split: {val: 0.2, test: 0}}`,
      "model: {context: 8, dim: 16, layers: 3, heads: 2, init: {std: 0.2}}",
      "train: {steps: 4, batch: 3}",
      "eval: {every: 4, batches: 2}",
      "sample: {tokens: 0}",
      `output: {dir: ${folder}/runs}`,
      `hooks: {file: ${file}}`,
    ].join("\n");
    await Deno.writeTextFile(join(folder, "config.yaml"), text);
    await test((more = []) => loadConfig(join(folder, "config.yaml"), more), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function recordsOf(config: Config): Promise<{ records: LogRecord[]; path: string }> {
  const records: LogRecord[] = [];
  const trained = await train(config, { records: { write: (...more) => void records.push(...more) } });
  return { records, path: trained!.folder.path };
}

const lossesOf = (records: readonly LogRecord[]) =>
  records.filter((r): r is StepRecord => r.type === "step").map(({ loss }) => loss);
const statsOf = (records: readonly LogRecord[], kind: string, tap: string) =>
  records.filter((r): r is StatRecord => r.type === "stat" && r.kind === kind && r.tap === tap);
const near = (a: readonly number[], b: readonly number[], tolerance: number) =>
  a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) <= tolerance * Math.abs(b[i]));

/** Losses of the same configuration without hooks. */
async function plainLosses(more: string[] = []): Promise<number[]> {
  let losses: number[] = [];
  await withHooks(undefined, async (config) => {
    losses = lossesOf((await recordsOf(await config(more))).records);
  });
  return losses;
}

Deno.test("a ReLU after block 0: the stream has no negative values, and its gradient is zero where it was cut", () =>
  withHooks(
    `import { elementwise, expr } from HEED;
    const { max, variable } = expr;
    export const taps = { "blocks.0.resid_post": (x) => elementwise(max(0, variable("x")), { x }) };`,
    async (config) => {
      const { records } = await recordsOf(
        await config(["track=[{select: [act:**.resid_post, grad:**.resid_post]}]"]),
      );
      const [first] = statsOf(records, "act", "blocks.0.resid_post") as unknown as Record<string, number>[];
      assert.equal(first.min, 0);
      assert.ok(first.zeros > 0.2 && first.zeros < 0.8, `${first.zeros}`);
      assert.ok(Number(statsOf(records, "act", "blocks.1.resid_post")[0].min) < 0);
      assert.ok(!near(lossesOf(records), await plainLosses(), 1e-4));
    },
  ));

Deno.test("squared feed-forward outputs with ReLU train like relu2", () =>
  withHooks(
    `import { multiply } from HEED;
    export const taps = { "blocks.*.mlp.post": (x) => multiply(x, x) };`,
    async (config) => {
      const { records } = await recordsOf(await config(["model.block.mlp.activation=relu"]));
      assert.ok(near(lossesOf(records), await plainLosses(["model.block.mlp.activation=relu2"]), 1e-6));
    },
  ));

Deno.test("scores times a scalar train like a temperature", () =>
  withHooks(
    `import { expr, masks } from HEED;
    const { times } = expr, { modifier } = masks;
    export const scores = { "blocks.*.attn.scores": (score) => modifier(times(score, 2)) };`,
    async (config) => {
      const { records } = await recordsOf(await config());
      const warm = await plainLosses([`model.block.attention.temperature=${Math.LN2}`]);
      assert.ok(near(lossesOf(records), warm, 1e-6));
      assert.ok(!near(lossesOf(records), await plainLosses(), 1e-6));
    },
  ));

/** Logits of ids by the freshly initialised model of a configuration. */
async function logitsOf(config: Config, ids: Uint32Array): Promise<Values> {
  const { architecture, layout } = await loadModel(config, charTokenizer("abcdefghijklmnop"));
  using device = referenceDevice();
  await initialise(device, layout, 1);
  const tokens = input("ids", [ids.length / 8, 8], "u32");
  using program = await device.compile({
    outputs: { logits: decoder(architecture, parameterViews(layout, flat(layout)), tokens) },
  });
  program.run({ ids });
  return (await program.read(["logits"]))[0];
}

Deno.test("scores times a scalar for samples that contain token 10: the other samples are unchanged", () =>
  withHooks(
    `import { containsToken, expr, masks } from HEED;
    const { lookup, select, times, variable } = expr, { modifier } = masks;
    export const scores = {
      "blocks.*.attn.scores": (score, { tokens }) => modifier(
        select(lookup("has", [tokens.shape[0]], variable("b")), times(score, 2), score),
        { has: containsToken(tokens, 10, 16) },
      ),
    };`,
    async (config) => {
      const ids = Uint32Array.from([1, 2, 3, 10, 4, 5, 6, 7, 1, 2, 3, 9, 4, 5, 6, 7]);
      const half = 8 * 16;
      const logits = await logitsOf(await config(), ids);
      const plain = await logitsOf(await config(["~hooks"]), ids);
      const doubled = await logitsOf(
        await config(["~hooks", `model.block.attention.temperature=${Math.LN2}`]),
        ids,
      );
      assert.deepEqual(logits.slice(half), plain.slice(half));
      assert.ok(near([...logits.slice(0, half)], [...doubled.slice(0, half)], 1e-5));
      assert.notDeepEqual(logits.slice(0, half), plain.slice(0, half));
    },
  ));

Deno.test("random layers frozen at each step: frozen blocks do not change, others do, and the choice is reproducible", () =>
  withHooks(
    `export const freeze = ({ random }) => ["blocks." + random.below(3) + ".**"];`,
    async (config) => {
      const more = ["track=[{select: [update:**, opt:**, param_grad:**]}]", "train.steps=6", "eval.every=6"];
      const frozenAt = async () => {
        const { records } = await recordsOf(await config(more));
        return [1, 2, 3, 4, 5, 6].map((step) => {
          const still = [0, 1, 2].filter((n) =>
            records.every((r) =>
              r.type !== "stat" || r.step !== step || r.kind !== "update" || r.layer !== n || r.l2 === 0
            )
          );
          const gradients = records.filter((r): r is StatRecord =>
            r.type === "stat" && r.step === step && r.kind === "param_grad" &&
            still.includes(Number(r.layer ?? -1))
          );
          assert.ok(gradients.length > 0 && gradients.every(({ l2 }) => l2 === 0));
          return still;
        });
      };
      const frozen = await frozenAt();
      assert.ok(frozen.every((still) => still.length === 1), JSON.stringify(frozen));
      assert.ok(new Set(frozen.flat()).size > 1, JSON.stringify(frozen));
      assert.deepEqual(await frozenAt(), frozen);
    },
  ));

Deno.test("a share of training inputs corrupted, seeded: targets and evaluation are unchanged", () =>
  withHooks(
    `export const keys = { share: { default: 0.5, min: 0, max: 1 } };
    export const batch = ({ ids, targets }, { random, keys }) => ({
      ids: ids.map((id) => random.uniform() < keys.share ? 0 : id),
      targets,
    });`,
    async (config) => {
      const still = ["optimizer.lr=1e-30", "schedule.min_lr=0"];
      const none = await recordsOf(await config(["hooks.share=0", ...still]));
      const half = await recordsOf(await config(still));
      const again = await recordsOf(await config(still));
      assert.deepEqual(lossesOf(half.records), lossesOf(again.records));
      assert.ok(!near(lossesOf(half.records), lossesOf(none.records), 1e-4));
      const evaluated = ({ records }: { records: LogRecord[] }) =>
        records.find((r): r is EvalRecord => r.type === "eval")!.loss;
      // Parameters hardly change: the evaluations use the same model and the same text.
      assert.ok(near([evaluated(half)], [evaluated(none)], 1e-6));
    },
  ));

Deno.test("the maximum parameter value logged every n steps equals that of the step's checkpoint", () =>
  withHooks(
    `export const metrics = [{
      name: "largest_parameter",
      every: 2,
      fn: async ({ parameters }) =>
        Math.max(...Object.values(await parameters()).map(({ data }) => data.reduce((a, b) => Math.max(a, b)))),
    }];`,
    async (config) => {
      const { records, path } = await recordsOf(await config(["output.checkpoint_every=2"]));
      const metrics = statsOf(records, "metric", "largest_parameter");
      assert.deepEqual(metrics.map(({ step }) => step), [2, 4]);
      for (const { step, value } of metrics) {
        const { tensors } = await loadCheckpoint(join(path, "checkpoints", String(step)));
        const all = [...tensors.values()].flatMap(({ data }) => [...data as Float32Array]);
        assert.equal(value, Math.max(...all));
      }
    },
  ));

Deno.test("a hook's context has its layer, the heads, the tokens and the step", () =>
  withHooks(
    `import { elementwise, expr } from HEED;
    const { times, plus, variable } = expr;
    export const taps = {
      "blocks.*.resid_post": (x, { layer, heads, tokens, step, name }) => {
        if (name !== "blocks." + layer + ".resid_post" || heads !== 2) throw new Error("not what was said");
        if (tokens.dtype !== "u32" || tokens.shape[1] !== 8) throw new Error("not the tokens");
        // No effect before step 2; then the stream of block 1 is zero.
        return layer === 1 ? elementwise(times(variable("x"), plus(1, times(-1, variable("s")))), { x, s: flag(step) }) : x;
      },
    };
    const { less, select } = expr;
    const flag = (step) => elementwise(select(less(1.5, variable("t")), 1, 0), { t: step });`,
    async (config) => {
      const { records } = await recordsOf(await config(["track=[{select: [act:blocks.1.resid_post]}]"]));
      const zeros = statsOf(records, "act", "blocks.1.resid_post").map(({ zeros }) => zeros);
      // Steps completed before each: 0, 1, 2, 3.
      assert.deepEqual(zeros.map((share) => share === 1), [false, false, true, true]);
    },
  ));

Deno.test("keys that a file declares are typed, checked, filled in and saved with the run", () =>
  withHooks(
    `export const keys = {
      share: { default: 0.1, min: 0, max: 1 },
      how: { default: "zero", oneOf: ["zero", "random"] },
      on: { default: true },
    };
    export const batch = (batch) => batch;`,
    async (config) => {
      const { file, ...keys } = (await config(["hooks.share=0.25"])).hooks;
      assert.ok(file!.endsWith("hooks.ts"));
      assert.deepEqual(keys, { share: 0.25, how: "zero", on: true });
      const { path } = await recordsOf(await config(["hooks.how=random"]));
      assert.match(await Deno.readTextFile(join(path, "config.yaml")), /how: random/);
      assert.match(dumpConfig((await loadCheckpoint(path)).config), /share: 0.1/);
      const refused = async (override: string, message: RegExp) =>
        await assert.rejects(config([override]), (error: Error) => {
          assert.ok(error instanceof UserError, String(error));
          assert.match(error.message, message);
          return true;
        });
      await refused(
        "hooks.share=2",
        /hooks\.share: expected a number of at least 0 and of at most 1, found 2/,
      );
      await refused("hooks.share=much", /hooks\.share: expected a number .* found "much"/);
      await refused("hooks.how=randon", /hooks\.how: expected zero or random, .*Did you mean "random"/);
      await refused("hooks.on=1", /hooks\.on: expected true or false, found 1/);
      await refused("hooks.shar=1", /hooks\.shar: .* declares no such key\. Did you mean "share"/);
    },
  ));

/** Invalid hooks files by their error, and the expected line. */
const MISTAKES: Record<string, [string, RegExp]> = {
  "nothing of hooks": [
    `export const tap = {};`,
    /export one of taps, scores, .*found tap\. Did you mean "taps"\?$/,
  ],
  "not a function": [
    `export const taps = { "embed": 3 };`,
    /taps: expected an object that maps tap patterns to functions/,
  ],
  "a metric without a cadence": [
    `export const metrics = [{ name: "x", fn: () => 1 }];`,
    /metrics: expected a list/,
  ],
  "a pattern that meets nothing": [
    `export const taps = { "blocks.7.ln1": (x) => x };`,
    /"blocks.7.ln1" matches no tap/,
  ],
  "another shape": [
    `import { reshape } from HEED;
    export const taps = { "embed": (x) => reshape(x, [x.shape[0] * x.shape[1], x.shape[2]]) };`,
    /taps "embed" at embed: expected it to return a tensor f32\[.*found f32\[/,
  ],
  "no tensor": [`export const taps = { "embed": () => 3 };`, /expected it to return a tensor .*found 3/],
  "a batch of another size": [
    `export const batch = () => ({ ids: [], targets: [] });`,
    /hooks\.ts: batch at step 1: expected \{ ids, targets \}, each a Uint32Array of 24 elements, found ids: a list of 0\.$/,
  ],
  "a parameter that is not there": [
    `export const freeze = () => ["block.0.**"];`,
    /freeze at step 1: "block.0.\*\*" matches no parameter/,
  ],
  "a key without a default": [
    `export const keys = { a: 3 }; export const batch = (x) => x;`,
    /keys.a: expected an object/,
  ],
  "no TypeScript": [`export const taps = {`, /cannot be loaded/],
};

for (const [name, [source, message]] of Object.entries(MISTAKES)) {
  Deno.test(`a hooks file with ${name} gives one line`, () =>
    withHooks(source, async (config) => {
      await assert.rejects(async () => await recordsOf(await config()), (error: Error) => {
        assert.ok(error instanceof UserError, String(error.stack));
        assert.match(error.message, message);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
    }));
}

Deno.test("a key under hooks without a file is refused", () =>
  withHooks(undefined, async (config) => {
    await assert.rejects(
      config(["hooks.share=1"]),
      /hooks\.share: this key must be declared in a hooks file/,
    );
  }));
