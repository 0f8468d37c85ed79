// Statistics of attention in a run's log: learned keys, windows, divided activations, diverged models.
import assert from "node:assert/strict";
import { runCharts } from "../../src/chart/run_charts.ts";
import { type Config, resolveConfig } from "../../src/config/mod.ts";
import { readLog } from "../../src/log/log_file.ts";
import type { StatRecord } from "../../src/log/records.ts";
import { train } from "../../src/train/train.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The attention records of one step of a one-head model with uniform attention by default. */
async function tracked(
  model: Record<string, unknown>,
  use: (stats: StatRecord[], log: string) => void | Promise<void>,
  select = ["act:**.pattern", "act:**.scores", "grad:**.pattern", "grad:**.scores"],
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const config: Config = resolveConfig({
      device: "cpu",
      data: { files: [`${ROOT}README.md`] },
      model: { context: 8, dim: 8, layers: 1, heads: 1, init: { std: 1e-20 }, ...model },
      train: { steps: 1, batch: 2 },
      eval: { batches: 1 },
      sample: { tokens: 0 },
      track: [{ select }],
      output: { dir: folder },
    }, { place: "test", name: "test" });
    const done = await train(config);
    const stats: StatRecord[] = [];
    for await (const record of readLog(done!.folder.log)) if (record.type === "stat") stats.push(record);
    await use(stats, done!.folder.log);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const patternOf = (stats: readonly StatRecord[]): StatRecord =>
  stats.find(({ kind, tap, head, entropy }) => {
    return kind === "act" && tap.endsWith(".pattern") && head === 0 && entropy !== undefined;
  })!;

function near(actual: unknown, expected: number, what: string): void {
  assert.ok(Math.abs(Number(actual) - expected) < 1e-5, `${what}: found ${actual}, expected ${expected}`);
}

const rows = [0, 1, 2, 3, 4, 5, 6, 7];
const mean = (x: readonly number[]) => x.reduce((a, b) => a + b) / x.length;

Deno.test("distances exclude learned keys, and extra_mass is their share", () =>
  tracked({ block: { attention: { extra_keys: 8 } } }, (stats) => {
    const actual = patternOf(stats);
    // Uniform weights: row i is i / 2 from its own i + 1 keys; the first of equals is key 0.
    near(actual.distance, 1.75, "distance");
    near(actual.argmax_distance, 3.5, "argmax_distance");
    near(actual.extra_mass, mean(rows.map((i) => 8 / (i + 9))), "extra_mass");
    near(actual.sink, mean(rows.slice(1).map((i) => 1 / (i + 9))), "sink");
    near(actual.entropy_ratio, 1, "entropy_ratio");
    near(actual.nonfinite, 0, "nonfinite");
  }));

Deno.test("norms of a pattern: l2 over the batch, pnorm_mean over its samples", () =>
  tracked({}, (stats) => {
    const actual = patternOf(stats);
    // Row i of each of the two samples holds i + 1 weights of 1 / (i + 1).
    const squares = rows.reduce((sum, i) => sum + 1 / (i + 1), 0);
    near(actual.pnorm_mean, Math.sqrt(squares), "pnorm_mean");
    near(actual.l2, Math.sqrt(2 * squares), "l2");
  }));

Deno.test("a model without learned keys has no extra_mass, and with a window sink counts only rows that see key 0", () =>
  tracked({ block: { attention: { window: 2 } } }, (stats) => {
    const actual = patternOf(stats);
    assert.ok(!("extra_mass" in actual) && !("score_nonfinite" in actual));
    near(actual.sink, 0.5, "sink");
    near(actual.previous, 0.5, "previous");
  }));

for (const divide of ["none", "n"]) {
  Deno.test(`bernoulli_entropy is of undivided sigmoid only: divide ${divide}`, () =>
    tracked({ block: { attention: { activation: "sigmoid", divide } } }, (stats) => {
      assert.equal("bernoulli_entropy" in patternOf(stats), divide === "none");
    }));
}

Deno.test("a diverged model logs null and what is not finite, and its maps are hatched", () =>
  tracked({ init: { std: 3e38 } }, async (stats, log) => {
    const pairs = 2 * 8 * 9 / 2;
    const actual = patternOf(stats);
    assert.equal(actual.nonfinite, pairs);
    for (const name of ["entropy", "sink", "max", "distance", "score_max"]) {
      assert.ok(Number.isNaN(actual[name]), name);
    }
    const others = stats.filter(({ head, induction }) => head === 0 && induction === undefined);
    assert.equal(others.length, 4);
    for (const { kind, tap, nonfinite } of others) assert.ok(Number(nonfinite) > 0, `${kind} ${tap}`);
    const text = await Deno.readTextFile(log);
    assert.match(text, /"entropy":null,"entropy_status":"nan"/);
    const { "heads_entropy_last.svg": map } = await runCharts(log);
    assert.match(map, /fill="url\(#hatch-/);
    assert.match(map, />no value</);
  }));

Deno.test("q, k, v and z and their gradients have every statistic per head, keys and values per key head", () =>
  tracked({ dim: 16, heads: 4, init: {}, block: { attention: { kv_heads: 2 } } }, (stats) => {
    for (const kind of ["act", "grad"]) {
      for (const [name, count] of Object.entries({ q: 4, k: 2, v: 2, z: 4 })) {
        const ofLayer = stats.filter((record) =>
          record.kind === kind && record.tap === `blocks.0.attn.${name}`
        );
        assert.deepEqual(ofLayer.map(({ head }) => head), [
          null,
          ...Array.from({ length: count }, (_, h) => h),
        ]);
        const [overall, ...heads] = ofLayer;
        assert.ok(heads.every((head) => Object.keys(head).join() === Object.keys(overall).join()));
        const of = (statistic: string) => heads.map((head) => Number(head[statistic]));
        const sum = (x: readonly number[]) => x.reduce((a, b) => a + b);
        const apart = (actual: number, statistic: string) => {
          const expected = Number(overall[statistic]);
          const error = Math.abs(actual - expected) / Math.max(Math.abs(expected), Number(overall.absmax));
          assert.ok(error < 1e-6, `${kind}:${name} ${statistic}: ${actual} of heads, ${expected} of all`);
        };
        apart(sum(of("mean")) / count, "mean");
        apart(Math.hypot(...of("l2")), "l2");
        apart(Math.max(...of("max")), "max");
        apart(Math.min(...of("min")), "min");
        apart(Math.sqrt(sum(of("rms").map((x) => x ** 2)) / count), "rms");
        assert.ok(new Set(of("l2")).size === count, "heads differ");
      }
    }
  }, ["**.attn.q", "**.attn.k", "**.attn.v", "**.attn.z"]));
