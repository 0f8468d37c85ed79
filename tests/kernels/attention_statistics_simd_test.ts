// Statistics of attention on the CPU device: none runs in TypeScript, thin and odd shapes, and any number of threads.
import assert from "node:assert/strict";
import {
  ATTENTION_GRADIENT_STATISTICS,
  attentionGradientStatistics,
} from "../../kernels/attention_statistics/gradient.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { ATTENTION_STATISTICS } from "../../kernels/attention_statistics/table.ts";
import { type RandomStream, randomStream } from "../../src/base/random.ts";
import { cpuDevice } from "../../src/device/cpu/device.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { input } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import { ACTIVATIONS, assertNear, KINDS, setting } from "./attention_statistics_cases.ts";
import type { Setting, Sizes } from "./attention_statistics_dense.ts";
import { type Case, evaluate, randomInput } from "./harness.ts";

/** Both operations of attention with random inputs. */
function statisticsOf(
  rng: RandomStream,
  { B, T, S, H, HKV, d }: Sizes,
  make: (s: Setting) => AttentionOptions,
  dv = 3,
): Case {
  const feeds: Record<string, Values> = {};
  const options = make({ rng, feeds, B, T, S, H, HKV, d });
  const [q, k] = [randomInput(rng, feeds, "q", [B, T, H, d]), randomInput(rng, feeds, "k", [B, S, HKV, d])];
  const v = randomInput(rng, feeds, "v", [B, S, HKV, dv]);
  const dz = randomInput(rng, feeds, "dz", [B, T, H, dv]);
  const z = attention(q, k, v, options);
  return { feeds, outputs: { act: attentionStatistics(z), grad: attentionGradientStatistics(z, dz) } };
}

Deno.test("every activation, mask and modifier of attention has its statistics in WebAssembly", async () => {
  using device = cpuDevice({ threads: 1 });
  const makes = [
    ...Object.values(ACTIVATIONS).map((options) => () => options),
    ...(["diag", "ste"] as const).map((backward) => () => ({ backward })),
    () => ({ dropout: { p: 0.5, site: 1, seed: input("seed", [2], "u32") } }),
    ...Object.values(KINDS).map((make) => (s: Setting) => make(s).options),
  ];
  for (const [i, make] of makes.entries()) {
    const rng = randomStream(i, "in WebAssembly");
    const { outputs } = statisticsOf(rng, setting(rng, 40), make);
    using program = await device.compile({ outputs });
    assert.deepEqual(program.inTypeScript.filter((name) => /statistics/.test(name)), [], `case ${i}`);
  }
});

Deno.test("statistics of thin and odd shapes on the CPU device equal float64", async () => {
  using oracle = referenceDevice({ precision: "f64" });
  using device = cpuDevice({ threads: 2 });
  const shapes: [B: number, T: number, S: number, H: number, HKV: number, d: number, dv: number][] = [
    [1, 1, 1, 1, 1, 1, 1],
    [1, 1, 7, 2, 1, 2, 5],
    [2, 5, 3, 1, 1, 3, 4],
    [1, 3, 130, 3, 3, 33, 36],
    [1, 66, 65, 2, 2, 68, 71],
    [3, 67, 9, 4, 2, 128, 100],
  ];
  for (const [n, [B, T, S, H, HKV, d, dv]] of shapes.entries()) {
    for (const activation of ["softmax", "sigmoid"] as const) {
      const rng = randomStream(n, "thin");
      const testCase = statisticsOf(rng, { B, T, S, H, HKV, d }, () => ({ activation }), dv);
      const [expected, actual] = [await evaluate(oracle, testCase), await evaluate(device, testCase)];
      const where = `${activation} ${[B, T, S, H, HKV, d, dv]}`;
      // The tolerances of attention's kernels for outputs and gradients.
      assertNear(actual.act, [...expected.act], 1e-5, where, ATTENTION_STATISTICS);
      assertNear(actual.grad, [...expected.grad], 2e-5, where, ATTENTION_GRADIENT_STATISTICS);
    }
  }
});

Deno.test("statistics of attention are the same bytes for 1, 2 and 3 threads", async () => {
  const rng = randomStream(1, "threads of statistics");
  const { feeds, outputs } = statisticsOf(rng, { B: 2, T: 150, S: 150, H: 2, HKV: 2, d: 8 }, () => ({}));
  const results: Values[][] = [];
  for (const threads of [1, 2, 3]) {
    using device = cpuDevice({ threads });
    using program = await device.compile({ outputs });
    const phases = program.plan.steps.flatMap(({ simd }) => simd?.phases ?? []);
    const tiles = phases.filter(({ label }) => /statistics$/.test(label));
    assert.equal(tiles.length, 2);
    assert.ok(tiles.every(({ blocks }) => blocks >= 3));
    program.run(feeds);
    results.push(await program.read(["act", "grad"]));
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});
