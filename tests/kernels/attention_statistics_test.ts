import assert from "node:assert/strict";
import * as m from "../../kernels/attention/modifier.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { attentionStatistics } from "../../kernels/attention_statistics/op.ts";
import { ATTENTION_STATISTICS } from "../../kernels/attention_statistics/table.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { plan } from "../../src/device/plan.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, reshape, view } from "../../src/graph/structure.ts";
import type { Tensor, Values } from "../../src/graph/tensor.ts";
import { ACTIVATIONS, assertNear, check, KINDS, setting } from "./attention_statistics_cases.ts";
import { type Kind, mean, type Setting } from "./attention_statistics_dense.ts";
import { evaluate, kernelDevices, nameOf, randomInput } from "./harness.ts";

for (const [name, options] of Object.entries(ACTIVATIONS)) {
  Deno.test(`statistics of ${name} equal the dense float64 definitions on every device`, async () => {
    // The others differ from these only in an expression.
    const count = name === "softmax" || name === "sigmoid" ? 3 : 1;
    for (let i = 0; i < count; i++) {
      const rng = randomStream(i, `statistics ${name}`);
      await check(setting(rng, 70), () => ({ options }), `${name} ${i}`);
    }
  });
}

const turns = Object.values(ACTIVATIONS);
for (const [name, make] of Object.entries(KINDS)) {
  Deno.test(`statistics with ${name} equal the dense float64 definitions on every device`, async () => {
    for (let i = 0; i < 2; i++) {
      const rng = randomStream(i, `statistics under ${name}`);
      // Softmax, then random activations.
      const activation = turns[i === 0 ? 0 : rng.below(turns.length)];
      const kind = (s: Setting): Kind => {
        const built = make(s);
        return { ...built, options: { ...built.options, ...activation } };
      };
      await check(setting(rng, 100), kind, `${name} ${i}`);
    }
  });
}

Deno.test("a head without visible keys has no averages, and rows without keys are not counted", async () => {
  const feeds = { q: new Float64Array(10).fill(1), k: new Float64Array(4).fill(2) };
  const [q, k] = [input("q", [1, 5, 1, 2]), input("k", [1, 2, 1, 2])];
  const nothing = { options: { mask: m.prefixMask(0) } };
  const outputs = {
    nothing: attentionStatistics(attention(q, k, k, nothing.options)),
    two: attentionStatistics(attention(q, k, k, { causal: "bottom-right" })),
  };
  for (const device of [referenceDevice({ precision: "f64" }), ...await kernelDevices()]) {
    const results = await evaluate(device, { feeds, outputs });
    const counts = ATTENTION_STATISTICS.map((name) => name.endsWith("nonfinite") ? 0 : NaN);
    assert.deepEqual([...results.nothing], counts);
    const of = (name: typeof ATTENTION_STATISTICS[number]) => results.two[ATTENTION_STATISTICS.indexOf(name)];
    // Only rows 3 and 4 see keys, one and two of equal score; the second has half of its weight on each.
    const shown = ["rowmass", "self", "previous", "sink", "effective_keys"] as const;
    // Errors of a float32 log and exp.
    assertNear(Float64Array.from(shown, of), [1, 0.75, 0.5, 0.5, 1.5], 1e-6, device.kind);
  }
});

Deno.test("standard deviations keep their digits far from zero, and long uniform rows their entropy", async () => {
  const [T, rng] = [1500, randomStream(3, "far")];
  const feeds: Record<string, Values> = {};
  const [q, k] = [
    randomInput(rng, feeds, "q", [1, T, 1, 4]),
    randomInput(rng, feeds, "k", [1, T, 1, 4], 0.01),
  ];
  const far = attention(q, k, k, { activation: "relu2", score: m.scoreBias(-50), causal: false });
  const flat = attention(q, k, k, { scale: 0, causal: false });
  const outputs = { far: attentionStatistics(far), flat: attentionStatistics(flat) };
  using oracle = referenceDevice({ precision: "f64" });
  const expected = await evaluate(oracle, { feeds, outputs });
  const [entropy, keys, std] = ["entropy", "effective_keys", "score_std"].map((name) =>
    ATTENTION_STATISTICS.indexOf(name)
  );
  for (const device of await kernelDevices()) {
    const results = await evaluate(device, { feeds, outputs });
    const relative = results.far[std] / expected.far[std] - 1;
    // Scores of size 50 are rounded to 4e-6, a few parts in 10,000 of their spread of 0.02, and that averages out.
    assert.ok(expected.far[std] < 0.03 && Math.abs(relative) < 1e-5, `${nameOf(device)}: ${relative}`);
    assert.ok(Math.abs(results.flat[entropy] - Math.log(T)) < 1e-5, `entropy ${results.flat[entropy]}`);
    assert.ok(Math.abs(results.flat[keys] / T - 1) < 1e-5, `effective keys ${results.flat[keys]}`);
  }
});

Deno.test("norms of a pattern whose squared weights are outside float32 equal float64", async () => {
  const [B, T, rng] = [3, 60, randomStream(5, "norms")];
  for (
    const [name, options] of Object.entries<AttentionOptions>({
      "weights near 1e-27": { activation: "sigmoid", bias: -60 },
      "weights up to 1e30": { activation: "relu2", scale: 1e15 },
      "weights from 1e-30 to 1": { activation: "sigmoid", bias: -35, scale: 30 },
      "weights near 1e-26 of softmax1": { activation: "softmax1", score: m.scoreBias(-60) },
    })
  ) {
    const feeds: Record<string, Values> = {};
    const [q, k] = ["q", "k"].map((name) => randomInput(rng, feeds, name, [B, T, 2, 2]));
    const outputs = { results: attentionStatistics(attention(q, k, k, options)) };
    using oracle = referenceDevice({ precision: "f64" });
    const expected = (await evaluate(oracle, { feeds, outputs })).results;
    for (const device of await kernelDevices()) {
      const { results } = await evaluate(device, { feeds, outputs });
      for (const norm of ["l2", "pnorm_mean"] as const) {
        for (const head of [0, 1]) {
          const at = head * ATTENTION_STATISTICS.length + ATTENTION_STATISTICS.indexOf(norm);
          // A float32 exp of an argument of 60 has an error of a few parts per million.
          assert.ok(expected[at] > 0, `${name}: ${expected[at]}`);
          const error = Math.abs(results[at] / expected[at] - 1);
          assert.ok(
            error < 2e-5,
            `${name}, ${nameOf(device)}, ${norm}: ${results[at]}, expected ${expected[at]}`,
          );
        }
      }
    }
  }
});

Deno.test("statistics describe the pattern before dropout, and accept a reshaped z", async () => {
  const [rng, feeds] = [randomStream(4, "dropped"), {} as Record<string, Values>];
  const q = randomInput(rng, feeds, "q", [2, 9, 2, 4]);
  feeds.seed = Uint32Array.of(1, 2);
  const seed = input("seed", [2], "u32");
  const dropped = attention(q, q, q, { dropout: { p: 0.5, site: 3, seed } });
  const outputs = {
    dropped: attentionStatistics(reshape(reshape(dropped, [18, 8]), [2, 9, 8])),
    full: attentionStatistics(attention(q, q, q)),
  };
  for (const device of await kernelDevices()) {
    const results = await evaluate(device, { feeds, outputs });
    assert.deepEqual(results.dropped, results.full);
  }
});

Deno.test("statistics at T = 4096 take memory linear in T, and no loop that the software adapter would end", async () => {
  const planned = (T: number, kind: "gpu" | "software") => {
    const q = input("q", [1, T, 1, 32]);
    const target = { kind, maxBindingBytes: 2 ** 27, maxWorkgroupBytes: 16384, maxIterations: 65535 };
    return plan({ outputs: { results: attentionStatistics(attention(q, q, q)) } }, target).memory.activations;
  };
  const bytes = planned(4096, "software");
  // z, the row terms and the sums of every 8 rows; a matrix would be 64 MiB.
  assert.ok(bytes < 4 * 4096 * 40, `${bytes} bytes`);
  for (const kind of ["gpu", "software"] as const) {
    const ratio = planned(16384, kind) / planned(4096, kind);
    assert.ok(ratio < 4.01, `${kind}: ${ratio} times the memory for 4 times the length`);
  }
  const [software] = await kernelDevices();
  using program = await software.compile({
    outputs: { results: attentionStatistics(attention(...([1, 2, 3].map(() => longInput) as Three))) },
  });
  program.run({ q: new Float32Array(4096 * 4) });
  const [results] = await program.read(["results"]);
  // Equal scores: the mean over rows of n = i + 1 equal weights.
  const entropies = Array.from({ length: 4096 }, (_, i) => Math.log(i + 1));
  assert.ok(Math.abs(results[0] / mean(entropies) - 1) < 1e-5, `entropy ${results[0]}`);
});

type Three = [Tensor, Tensor, Tensor];
const longInput = input("q", [1, 4096, 1, 4]);

Deno.test("invalid arguments of statistics are an error of one line that says what fits", () => {
  const q = input("q", [1, 8, 1, 4]);
  const wrong = (text: RegExp, build: () => unknown) => {
    assert.throws(build, (error) => error instanceof UserError && text.test(error.message));
  };
  wrong(/attentionStatistics: .*an output of `attention`, not of `input`/, () => attentionStatistics(q));
  const z = attention(q, q, q);
  wrong(/attentionStatistics: .*not of `view`/, () => attentionStatistics(view(z, [1, 4, 1, 4])));
  wrong(/repeated 8, expected a whole number from 1 to 7/, () => attentionStatistics(z, { repeated: 8 }));
  wrong(/repeated 0, expected/, () => attentionStatistics(z, { repeated: 0 }));
});
