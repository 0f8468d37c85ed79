import assert from "node:assert/strict";
import { attentionGradientStatistics } from "../../kernels/attention_statistics/gradient.ts";
import * as m from "../../kernels/attention/modifier.ts";
import { attention, type AttentionOptions } from "../../kernels/attention/op.ts";
import { multiply, sumAll } from "../../kernels/elementwise/op.ts";
import { grad } from "../../kernels/gradient.ts";
import { randomStream } from "../../src/base/random.ts";
import { referenceDevice } from "../../src/device/reference.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, reshape } from "../../src/graph/structure.ts";
import type { Values } from "../../src/graph/tensor.ts";
import {
  ACTIVATIONS,
  assertNear,
  check,
  GRADIENTS,
  HIDING,
  KINDS,
  LONGEST,
  setting,
} from "./attention_statistics_cases.ts";
import type { Kind, Setting } from "./attention_statistics_dense.ts";
import { evaluate, kernelDevices, nameOf, randomInput } from "./harness.ts";

const BACKWARD: Record<string, AttentionOptions> = {
  ...ACTIVATIONS,
  "softmax without its lateral sum": { backward: "diag" },
  "softmax as the identity": { backward: "ste" },
};
for (const [name, options] of Object.entries(BACKWARD)) {
  Deno.test(`gradient statistics of ${name} equal those of dense float64 matrices on every device`, () => {
    const rng = randomStream(0, `gradient statistics ${name}`);
    return check(setting(rng, 70), () => ({ options }), name, { gradients: true });
  });
}
for (
  const name of [
    "modulo key heads",
    "window from the bottom right",
    "a mask with empty rows",
    HIDING,
    LONGEST,
  ]
) {
  Deno.test(`gradient statistics with ${name} equal those of dense float64 matrices`, async () => {
    for (const activation of ["softmax", "sigmoid"] as const) {
      const rng = randomStream(1, `gradient statistics under ${name}, ${activation}`);
      const kind = (s: Setting): Kind => {
        const built = KINDS[name](s);
        return { ...built, options: { ...built.options, activation } };
      };
      await check(setting(rng, 70), kind, name, { gradients: true });
    }
  });
}

Deno.test("gradient statistics with dropout equal the float64 ones on every device, which match the backward pass", async () => {
  const [rng, feeds] = [randomStream(5, "dropped gradients"), {} as Record<string, Values>];
  const [q, k, v] = ["q", "k", "v"].map((name) => randomInput(rng, feeds, name, [2, 40, 1, 4]));
  const dz = randomInput(rng, feeds, "dz", [2, 40, 1, 4]);
  feeds.seed = Uint32Array.of(1, 2);
  const shift = input("shift", [1]);
  feeds.shift = Float64Array.of(0.5);
  const dropout = { p: 0.5, site: 3, seed: input("seed", [2], "u32") };
  const z = attention(q, k, v, { activation: "sigmoid", dropout, score: m.scoreBias(shift) });
  // The gradient of a bias of all scores is the sum of ds.
  const outputs = {
    results: attentionGradientStatistics(z, reshape(dz, [80, 4])),
    shift: grad(sumAll(multiply(z, dz)), [shift])[0],
  };
  using oracle = referenceDevice({ precision: "f64" });
  const expected = await evaluate(oracle, { feeds, outputs });
  const pairs = 2 * 40 * 41 / 2;
  assert.ok(
    Math.abs(expected.results[GRADIENTS.indexOf("scores_mean")] * pairs / expected.shift[0] - 1) < 1e-11,
  );
  for (const device of await kernelDevices()) {
    const { results } = await evaluate(device, { feeds, outputs });
    assertNear(results, [...expected.results], 2e-5, nameOf(device), GRADIENTS);
  }
});

Deno.test("a gradient of another size than z is an error of one line", () => {
  const q = input("q", [1, 8, 1, 4]);
  const z = attention(q, q, q);
  assert.throws(
    () => attentionGradientStatistics(z, input("dz", [1, 8])),
    (error) => error instanceof UserError && /of its size, found f32.* and f32\[1, 8\]/.test(error.message),
  );
});
